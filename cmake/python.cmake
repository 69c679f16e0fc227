# SPDX-License-Identifier: Apache-2.0
# The Cython modules of python/ghee/_core for the stable ABI of Python ≥ 3.11, put beside their sources so that the checkout can be
# imported, and installed into the wheel.
find_package(Python 3.11 REQUIRED COMPONENTS Interpreter Development.Module)
file(GLOB modules CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/python/ghee/_core/*.pyx)
file(GLOB headers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/python/ghee/_core/*.pxd)
foreach(module ${modules})
  get_filename_component(stem ${module} NAME_WE)
  set(generated ${CMAKE_BINARY_DIR}/cython/${stem}.c)
  add_custom_command(OUTPUT ${generated}
    COMMAND ${Python_EXECUTABLE} -m cython -3 -I ${CMAKE_SOURCE_DIR}/python ${module} -o ${generated} --module-name ghee._core.${stem}
    DEPENDS ${module} ${headers} VERBATIM)
  Python_add_library(python_${stem} MODULE ${generated})
  target_compile_definitions(python_${stem} PRIVATE Py_LIMITED_API=0x030b0000 CYTHON_LIMITED_API=1)
  target_link_libraries(python_${stem} PRIVATE ghee)
  set_target_properties(python_${stem} PROPERTIES OUTPUT_NAME ${stem} SUFFIX .abi3.so INSTALL_RPATH "$ORIGIN/../lib" BUILD_WITH_INSTALL_RPATH OFF
    C_VISIBILITY_PRESET default)
  if(NOT SKBUILD)
    set_target_properties(python_${stem} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_SOURCE_DIR}/python/ghee/_core)
  endif()
  install(TARGETS python_${stem} LIBRARY DESTINATION ghee/_core)
endforeach()
