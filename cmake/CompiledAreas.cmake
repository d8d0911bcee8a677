# tessera_compiled_areas(out codecs): writes, into the build folder, one source file an area of include/tessera (core, io,
# text, ops, models, ...) that holds the area's `*-inl.hpp` bodies, and sets `out` to the list. A new -inl file joins by
# itself. What needs image libraries, image/codec, is an area of its own, and `codecs` is set to its file.
#
# The bodies are `inline`, as headers-only use needs, and a compiler drops inline functions that nobody calls in the same
# unit. So, while an area file includes them (and every other header has been included already), the keyword is empty: they
# become ordinary functions, and the linker finds every one in the library.

function(tessera_compiled_areas out codecs)
  set(root "${PROJECT_SOURCE_DIR}/include")
  file(GLOB_RECURSE bodies CONFIGURE_DEPENDS RELATIVE "${root}" "${root}/tessera/*-inl.hpp")
  list(SORT bodies)
  set(areas "")
  foreach(body IN LISTS bodies)
    if(NOT body MATCHES "^tessera/(image/codec|[a-z0-9_]+)/")
      message(FATAL_ERROR "include/${body}: a -inl.hpp file belongs into a folder of include/tessera")
    endif()
    set(area ${CMAKE_MATCH_1})
    list(APPEND areas ${area})
    list(APPEND bodies_${area} ${body})
    set_property(DIRECTORY "${PROJECT_SOURCE_DIR}" APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${root}/${body}")
  endforeach()
  list(REMOVE_DUPLICATES areas)

  set(units "")
  foreach(area IN LISTS areas)
    set(before "")
    set(included "")
    foreach(body IN LISTS bodies_${area})
      # Whatever the body includes comes first, under the keyword's own meaning (some may be for other systems).
      file(STRINGS "${root}/${body}" lines REGEX "^ *# *include *<")
      foreach(line IN LISTS lines)
        if(NOT line MATCHES "<tessera/${area}/.*-inl\\.hpp>")
          string(REGEX MATCH "<[^>]+>" header "${line}")
          list(APPEND before "#if __has_include(${header})\n#include ${header}\n#endif")
        endif()
      endforeach()
      list(APPEND included "#include <${body}>")
    endforeach()
    list(REMOVE_DUPLICATES before)
    list(JOIN before "\n" before)
    list(JOIN included "\n" included)
    set(unit "${PROJECT_BINARY_DIR}/compiled/${area}.cpp")
    file(CONFIGURE OUTPUT "${unit}" @ONLY CONTENT
"// Made by CMake: every body of include/tessera/${area}. See cmake/CompiledAreas.cmake.
@before@

#define inline
@included@
#undef inline
")
    if(area STREQUAL "image/codec")
      set(${codecs} "${unit}" PARENT_SCOPE)
    else()
      list(APPEND units "${unit}")
    endif()
  endforeach()
  set(${out} "${units}" PARENT_SCOPE)
endfunction()
