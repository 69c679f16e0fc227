# SPDX-License-Identifier: Apache-2.0
# The C programs of bench/: each bench/<name>.c becomes bench_<name>, linked with all layers.
option(GHEE_BENCH "build the benchmark programs" OFF)
if(GHEE_BENCH)
  get_property(layers GLOBAL PROPERTY GHEE_ALL_LAYERS)
  file(GLOB programs CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/bench/*.c)
  foreach(program ${programs})
    get_filename_component(stem ${program} NAME_WE)
    add_executable(bench_${stem} EXCLUDE_FROM_ALL ${program})
    target_link_libraries(bench_${stem} PRIVATE ${layers})
    list(APPEND benches bench_${stem})
  endforeach()
  add_custom_target(bench_programs DEPENDS ${benches})
endif()
