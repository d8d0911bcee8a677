// Arbitrary bytes as a tar archive: refused, or files that lie inside it, one behind the other.
#include <cstdint>

#include <tessera/io/tar.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tessera;
  const auto* bytes = reinterpret_cast<const std::byte*>(data);
  try {
    io::TarReader reader({bytes, size}, "fuzz");
    const std::byte* least = bytes;
    for (io::TarReader::Entry entry; reader.next(entry);) {
      if (entry.bytes.data() < least + 512 || entry.bytes.data() + entry.bytes.size() > bytes + size) __builtin_trap();
      if (entry.name.find('\0') != std::string::npos) __builtin_trap();
      least = entry.bytes.data() + entry.bytes.size();
    }
    io::TarReader::Entry none;
    if (reader.next(none)) __builtin_trap();
  } catch (const Error&) {}
  return 0;
}
