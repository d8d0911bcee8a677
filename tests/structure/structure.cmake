# Checks of the tree itself: each is a script beside this file, which says what it looks at.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
find_program(TESSERA_CLANGXX NAMES clang++ clang++-14)
set(structure "${CMAKE_CURRENT_SOURCE_DIR}/structure")
set(compilers ${CMAKE_CXX_COMPILER})
if(TESSERA_CLANGXX AND NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  list(APPEND compilers ${TESSERA_CLANGXX})
endif()

function(structure_test name)
  add_test(NAME structure.${name} COMMAND ${ARGN})
  set_tests_properties(structure.${name} PROPERTIES LABELS structure TIMEOUT 900)
endfunction()

structure_test(include_directions ${Python3_EXECUTABLE} ${structure}/include_directions.py)
structure_test(file_sizes ${Python3_EXECUTABLE} ${structure}/file_sizes.py)
structure_test(mutations_apply ${Python3_EXECUTABLE} ${structure}/mutations_apply.py)
structure_test(fast_math ${Python3_EXECUTABLE} ${structure}/fast_math.py ${compilers})
structure_test(isa_units ${Python3_EXECUTABLE} ${structure}/isa_units.py ${compilers})
structure_test(headers_alone ${Python3_EXECUTABLE} ${structure}/headers_alone.py ${CMAKE_CXX_COMPILER})
structure_test(headers_alone_compiled ${Python3_EXECUTABLE} ${structure}/headers_alone.py ${CMAKE_CXX_COMPILER} -DTESSERA_COMPILED)
set_tests_properties(structure.isa_units structure.headers_alone structure.headers_alone_compiled PROPERTIES PROCESSORS 2)

structure_test(cuda_generated ${Python3_EXECUTABLE} ${structure}/cuda_generated.py)

# Every CUDA kernel for every architecture; spills and local memory are errors.
if(TARGET tessera_cuda)
  add_test(NAME cuda.compile COMMAND ${CMAKE_COMMAND} --build "${PROJECT_BINARY_DIR}" --target tessera_cuda)
  set_tests_properties(cuda.compile PROPERTIES LABELS structure TIMEOUT 1200 PROCESSORS 2 FIXTURES_SETUP cuda_objects)
  # Also what no kernel uses yet; other architectures compile it as traps.
  add_test(NAME cuda.vocabulary COMMAND ${TESSERA_NVCC} -std=c++20 -Werror all-warnings -Xcompiler -Wall,-Wextra -DTESSERA_CHAOS
    "-I${PROJECT_SOURCE_DIR}/include" "-I${PROJECT_SOURCE_DIR}/kernels" -gencode=arch=compute_80,code=sm_80
    -gencode=arch=compute_90,code=sm_90 -gencode=arch=compute_90a,code=sm_90a -fatbin
    -o "${PROJECT_BINARY_DIR}/cuda/sm90_vocabulary.fatbin" "${CMAKE_CURRENT_SOURCE_DIR}/cuda/compile/sm90_vocabulary.cu")
  set_tests_properties(cuda.vocabulary PROPERTIES LABELS structure TIMEOUT 600 FIXTURES_REQUIRED cuda_objects)
  add_test(NAME cuda.sass COMMAND ${Python3_EXECUTABLE} ${structure}/cuda_sass.py "${PROJECT_BINARY_DIR}/cuda/cuda_sm90_gemm.o")
  set_tests_properties(cuda.sass PROPERTIES LABELS structure TIMEOUT 300 FIXTURES_REQUIRED cuda_objects SKIP_RETURN_CODE 77)
endif()

# Two units of one headers-only program.
add_executable(two_units ${structure}/two_units/first.cpp ${structure}/two_units/second.cpp)
target_link_libraries(two_units PRIVATE tessera::tessera)
tessera_own_code(two_units)
structure_test(two_units two_units)

# Other projects, and the programs that the README shows.
foreach(mode find_package pkg_config subdirectory bare)
  structure_test(consumer.${mode} ${Python3_EXECUTABLE} ${structure}/consumers.py ${mode} ${PROJECT_BINARY_DIR} ${CMAKE_CXX_COMPILER})
endforeach()
set_tests_properties(structure.consumer.find_package structure.consumer.pkg_config PROPERTIES RESOURCE_LOCK installation)
structure_test(readme_programs ${Python3_EXECUTABLE} ${structure}/readme_programs.py)
structure_test(family_table ${Python3_EXECUTABLE} ${structure}/family_table.py)
structure_test(example_lines ${Python3_EXECUTABLE} ${structure}/example_lines.py ${compilers})
