# SPDX-License-Identifier: Apache-2.0
# What goes into the wheel besides the Python package and its modules (python.cmake): library, programs, headers, and the command `ghee`.
# The library finds the programs in ../bin.
install(TARGETS ghee LIBRARY DESTINATION ghee/lib)
install(FILES ${columnar_library} DESTINATION ghee/lib)
set(programs ghee-program ghee-worker-program ghee-coordinator-program)
set_target_properties(${programs} PROPERTIES INSTALL_RPATH "$ORIGIN/../lib")
install(TARGETS ${programs} RUNTIME DESTINATION ghee/bin)
install(DIRECTORY include/ghee DESTINATION ghee/headers)
install(PROGRAMS python/bin/ghee DESTINATION ${SKBUILD_SCRIPTS_DIR})
