# tessera_cuda: the CUDA kernels, compiled for sm_80, 86, 89 and 90a; built on demand, as nothing of the library calls them yet.
# A kernel that spills registers or uses local memory does not compile. Where there is no nvcc, all else works without.
find_program(TESSERA_NVCC nvcc HINTS "$ENV{CUDA_HOME}/bin" /usr/local/cuda/bin DOC "compiler of the CUDA kernels")
if(NOT TESSERA_NVCC)
  message(STATUS "CUDA: no nvcc found: CPU only")
  return()
endif()
message(STATUS "CUDA: kernels by ${TESSERA_NVCC} (target tessera_cuda)")

set(flags -std=c++20 -O3 "-I${PROJECT_SOURCE_DIR}/include" "-I${PROJECT_SOURCE_DIR}/kernels"
    -Werror all-warnings -Xcompiler -Wall,-Wextra,-fPIC
    -Xptxas --warn-on-spills,--warn-on-local-memory-usage,-Werror)
# Not -arch=sm_90a, which also compiles for plain compute_90.
set(hopper -gencode=arch=compute_90a,code=sm_90a)
set(everywhere -gencode=arch=compute_80,code=sm_80 -gencode=arch=compute_86,code=sm_86 -gencode=arch=compute_89,code=sm_89 ${hopper})

file(GLOB units CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/kernels/tessera/compiled/*.cu")
set(objects "")
foreach(unit IN LISTS units)
  get_filename_component(name "${unit}" NAME_WE)
  set(object "${PROJECT_BINARY_DIR}/cuda/${name}.o")
  set(architectures ${everywhere})
  if(name MATCHES "sm90")
    set(architectures ${hopper})
  endif()
  add_custom_command(OUTPUT "${object}"
    COMMAND ${CMAKE_COMMAND} -E make_directory "${PROJECT_BINARY_DIR}/cuda"
    COMMAND ${CMAKE_CXX_COMPILER_LAUNCHER} ${TESSERA_NVCC} ${flags} ${architectures} -MD -MF "${object}.d" -c "${unit}" -o "${object}"
    DEPENDS "${unit}" DEPFILE "${object}.d" COMMENT "nvcc ${name}.cu" VERBATIM)
  list(APPEND objects "${object}")
endforeach()
add_library(tessera_cuda STATIC EXCLUDE_FROM_ALL ${objects})
set_target_properties(tessera_cuda PROPERTIES LINKER_LANGUAGE CXX)
