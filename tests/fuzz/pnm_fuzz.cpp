// Arbitrary bytes behind the first two of a PBM, PGM or PPM file.
#include <string>

#include <tessera/image/codec/pnm.hpp>
#include "tests/fuzz/decode_one.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::string file = "P0";
  file[1] = static_cast<char>('1' + data[0] % 6);
  file.append(reinterpret_cast<const char*>(data) + 1, size - 1);
  return tessera::image::decode_one(tessera::image::detail::read_pnm, reinterpret_cast<const std::uint8_t*>(file.data()),
                                    file.size());
}
