// Arbitrary bytes as a PNG file.
#include <tessera/image/codec/png.hpp>
#include "tests/fuzz/decode_one.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return tessera::image::decode_one(tessera::image::detail::read_png, data, size);
}
