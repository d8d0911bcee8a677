// Arbitrary bytes as a BMP file.
#include <tessera/image/codec/bmp.hpp>
#include "tests/fuzz/decode_one.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return tessera::image::decode_one(tessera::image::detail::read_bmp, data, size);
}
