# tessera_own_code(target): what our own targets are built with and no consumer inherits: warnings and sanitizers.
# Neither -march nor any option that lets the compiler change float arithmetic belongs here: the kernels choose their
# instruction set at run time and promise the same bits from every build.

function(tessera_own_code target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wconversion -Wshadow)
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF)
  if(TESSERA_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
  if(TESSERA_SANITIZE)
    # A finding ends the program, so that a test cannot pass over it.
    target_compile_options(${target} PRIVATE -fsanitize=${TESSERA_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(${target} PRIVATE -fsanitize=${TESSERA_SANITIZE})
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
      # g++'s sanitizers make it lose track of initialisation: these two warn falsely then.
      target_compile_options(${target} PRIVATE -Wno-maybe-uninitialized -Wno-uninitialized)
    endif()
  endif()
endfunction()

# tessera_runnable(source...): of units of kernels, those for instruction sets that this machine has not are compiled without
# sanitizers, which would take several times as long and show nothing.
function(tessera_runnable)
  if(TESSERA_SANITIZE AND EXISTS /proc/cpuinfo)
    file(STRINGS /proc/cpuinfo flags REGEX "^flags" LIMIT_COUNT 1)
    foreach(source IN LISTS ARGN)
      if((source MATCHES "/avx512[a-z0-9_]*\\.cpp$" AND NOT flags MATCHES "avx512vl") OR (source MATCHES "/amx\\.cpp$" AND NOT flags MATCHES "amx_tile"))
        set_property(SOURCE "${source}" APPEND PROPERTY COMPILE_OPTIONS -fno-sanitize=all)
      endif()
    endforeach()
  endif()
endfunction()

# tessera_fuzzed(source...): sources in which libFuzzer sees what an input reaches: those that read what is hostile, not the
# kernels nor the tests, which would only run slower.
function(tessera_fuzzed)
  if(TESSERA_FUZZ)
    if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
      message(FATAL_ERROR "TESSERA_FUZZ needs clang++ (libFuzzer): set CMAKE_CXX_COMPILER, or use --preset asan-ubsan")
    endif()
    set_property(SOURCE ${ARGN} APPEND PROPERTY COMPILE_OPTIONS -fsanitize=fuzzer-no-link)
  endif()
endfunction()
