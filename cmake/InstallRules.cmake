# Both include roots become one folder in an installation; nothing in them has the same path.
include(CMakePackageConfigHelpers)

install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/tessera" "${PROJECT_SOURCE_DIR}/kernels/tessera"
        DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" FILES_MATCHING PATTERN "*.hpp" PATTERN "*.cuh" PATTERN "*.h" PATTERN "*.inl" PATTERN "*.inc"
        PATTERN "compiled" EXCLUDE)
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" "${PROJECT_SOURCE_DIR}/THIRD_PARTY.md" DESTINATION "${CMAKE_INSTALL_DOCDIR}")

set(config_dir "${CMAKE_INSTALL_LIBDIR}/cmake/tessera")
install(TARGETS tessera tessera_compiled EXPORT tessera_targets ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(EXPORT tessera_targets NAMESPACE tessera:: FILE tessera-targets.cmake DESTINATION "${config_dir}")
if(TESSERA_IMAGE)
  install(TARGETS tessera_image tessera_compiled_image EXPORT tessera_image_targets ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
  install(EXPORT tessera_image_targets NAMESPACE tessera:: FILE tessera-image-targets.cmake DESTINATION "${config_dir}")
  install(FILES "${PROJECT_SOURCE_DIR}/cmake/ImageLibraries.cmake" DESTINATION "${config_dir}")
endif()
if(TESSERA_CAPI)
  install(TARGETS tessera_c EXPORT tessera_targets LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}")
endif()
configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/tessera-config.cmake.in"
                              "${PROJECT_BINARY_DIR}/tessera-config.cmake" INSTALL_DESTINATION "${config_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/tessera-config-version.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/tessera-config.cmake" "${PROJECT_BINARY_DIR}/tessera-config-version.cmake"
        DESTINATION "${config_dir}")

# pkg-config finds its prefix from where the file lies, so an installation may be moved.
set(pc_dir "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
file(RELATIVE_PATH pc_to_prefix "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig" "${CMAKE_INSTALL_PREFIX}")
configure_file("${PROJECT_SOURCE_DIR}/cmake/tessera.pc.in" "${PROJECT_BINARY_DIR}/tessera.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/tessera.pc" DESTINATION "${pc_dir}")
