# The long checks, each a ctest test that builds a tree of its own under build/: what tests/run adds to the unit tests.
# A test that says PROCESSORS uses that many cores, so ctest does not start two of them at once.
include(ProcessorCount)
ProcessorCount(cores)
set(check ${CMAKE_CURRENT_SOURCE_DIR}/check_tree.sh)

function(tree_check name)
  add_test(NAME ${name} COMMAND bash ${check} ${ARGN} WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
  set_tests_properties(${name} PROPERTIES LABELS check TIMEOUT 3000 PROCESSORS ${cores})
endfunction()

# Preset, the pattern of the ctest tests to run in that tree, and, where not all, the programs to build.
tree_check(asan_ubsan.build asan-ubsan -)  # all but benchmarks, by clang++
tree_check(asan_ubsan asan-ubsan ".")
tree_check(tsan tsan "^(core|ops|models|retrieval)$" test_core test_ops test_models test_retrieval)  # where threads meet
set_tests_properties(asan_ubsan.build PROPERTIES FIXTURES_SETUP sanitized)
set_tests_properties(asan_ubsan PROPERTIES FIXTURES_REQUIRED sanitized)

# Fuzzing: ten seconds a target, as many targets at a time as there are cores.
file(GLOB targets CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/fuzz/*_fuzz.cpp")
foreach(source IN LISTS targets)
  get_filename_component(program "${source}" NAME_WE)
  string(REGEX REPLACE "_fuzz$" "" name "${program}")
  add_test(NAME fuzz.${name} COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/run ${name} 10 WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
  set_tests_properties(fuzz.${name} PROPERTIES LABELS check FIXTURES_REQUIRED sanitized TIMEOUT 300)
endforeach()

# The bits promise over compilers, optimisation levels and instruction sets; threads and batches are unit tests.
add_test(NAME bits.native COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/bits/compare.sh native)
set_tests_properties(bits.native PROPERTIES LABELS check TIMEOUT 1200 PROCESSORS 2)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")  # an ARM machine has bits.native and the unit tests
  add_test(NAME bits.neon COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/bits/compare.sh neon)
  add_test(NAME bits.neon_fast COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/bits/neon_fast.sh)
  set_tests_properties(bits.neon bits.neon_fast PROPERTIES LABELS check TIMEOUT 1200)
endif()

add_test(NAME format COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/structure/format.sh WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
set_tests_properties(format PROPERTIES LABELS check TIMEOUT 300)
add_test(NAME tidy COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/structure/tidy.sh)
set_tests_properties(tidy PROPERTIES LABELS check TIMEOUT 1200)
