# SPDX-License-Identifier: Apache-2.0
# The Rust shim src/format/columnar as one shared object, libghee_columnar.so, behind the C ABI of columnar.h.
# tools/columnar_build runs cargo and keeps the result under ${GHEE_CACHE:-~/.cache/ghee}, by a hash of the sources, so that
# a fresh build folder does not build it again. GHEE_COLUMNAR_LIB (CMake variable or environment) names a prebuilt one.

set(GHEE_COLUMNAR_LIB "$ENV{GHEE_COLUMNAR_LIB}" CACHE FILEPATH "a prebuilt libghee_columnar.so; empty: build it with cargo")
set(columnar_source ${CMAKE_SOURCE_DIR}/src/format/columnar)
set(columnar_library ${CMAKE_BINARY_DIR}/libghee_columnar.so)

if(GHEE_COLUMNAR_LIB)
  add_custom_command(OUTPUT ${columnar_library} DEPENDS ${GHEE_COLUMNAR_LIB} VERBATIM
    COMMAND ${CMAKE_COMMAND} -E copy ${GHEE_COLUMNAR_LIB} ${columnar_library})
else()
  file(GLOB columnar_files CONFIGURE_DEPENDS ${columnar_source}/src/*.rs)
  add_custom_command(OUTPUT ${columnar_library} VERBATIM USES_TERMINAL
    DEPENDS ${columnar_files} ${columnar_source}/Cargo.toml ${columnar_source}/crates.txt ${CMAKE_SOURCE_DIR}/tools/columnar_build
    COMMAND ${CMAKE_SOURCE_DIR}/tools/columnar_build ${columnar_source} ${columnar_library}
    COMMENT "libghee_columnar.so: a cold build takes minutes, a later one comes from the cache")
endif()
add_custom_target(columnar_build DEPENDS ${columnar_library})

add_library(ghee::columnar SHARED IMPORTED GLOBAL)
set_target_properties(ghee::columnar PROPERTIES IMPORTED_LOCATION ${columnar_library} IMPORTED_SONAME libghee_columnar.so)
add_dependencies(ghee::columnar columnar_build)
