# The libraries behind <tessera/image.hpp>. Read by the project and by the package that it installs.
find_package(JPEG REQUIRED)
find_package(PNG REQUIRED)
find_package(PkgConfig REQUIRED)  # CMake has no finder for libwebp
pkg_check_modules(WEBP REQUIRED IMPORTED_TARGET libwebpdemux libwebp)
