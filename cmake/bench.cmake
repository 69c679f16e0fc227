# SPDX-License-Identifier: Apache-2.0
# The C programs of bench/: each bench/<name>.c becomes bench_<name>, linked with all layers.
get_property(layers GLOBAL PROPERTY GHEE_ALL_LAYERS)
file(GLOB programs CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/bench/*.c)
foreach(program ${programs})
  get_filename_component(stem ${program} NAME_WE)
  add_executable(bench_${stem} ${program})
  target_link_libraries(bench_${stem} PRIVATE ${layers})
endforeach()
