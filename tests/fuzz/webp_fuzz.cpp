// Arbitrary bytes as a WebP file.
#include <tessera/image/codec/webp.hpp>
#include "tests/fuzz/decode_one.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return tessera::image::decode_one(tessera::image::detail::read_webp, data, size);
}
