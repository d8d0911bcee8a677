// Arbitrary bytes as a .npy file: refused, or an array that covers exactly what follows the header.
#include <cstdint>
#include <cstdlib>

#include <tessera/io/npy.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tessera;
  const auto* bytes = reinterpret_cast<const std::byte*>(data);
  try {
    const auto file = io::NpyFile::parse(bytes, size, "fuzz");
    const AnyView& v = file.array();
    index_t n = bit_width(v.dtype) / 8;
    for (int i = 0; i < v.rank; ++i) n *= v.extent[i];
    if (n != v.bytes || v.data < bytes || v.data + v.bytes != bytes + size) std::abort();
  } catch (const Error&) {}
  return 0;
}
