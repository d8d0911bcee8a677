// An image from memory.
#include <cstdio>
#include <cstring>
#include <span>

#include <tessera/image.hpp>

int main() {
  const char file[] = "P3 2 1 255  10 20 30  40 50 60\n";
  const auto image = tessera::image::decode(std::as_bytes(std::span(file, std::strlen(file))));
  std::printf("%d x %d, the second pixel's red is %d\n", static_cast<int>(image.width), static_cast<int>(image.height),
              image.row(0)[3]);
  return image.row(0)[3] == 40 ? 0 : 1;
}
