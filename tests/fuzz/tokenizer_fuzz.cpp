// Arbitrary bytes as a tokenizer.json: refused, or a tokenizer that encodes and decodes a few texts.
#include <cstdint>
#include <string_view>

#include <tessera/text.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tessera;
  try {
    const auto t = text::Tokenizer::parse(std::string_view(reinterpret_cast<const char*>(data), size), "fuzz");
    for (const std::string_view s : {std::string_view(), std::string_view("Ab c, \xc3\x89t\xc3\xa9 \xe4\xb8\xad [SEP]  x"),
                                     std::string_view("a\0b", 3)}) {
      try {
        const auto e = t.encode(s);
        (void)t.decode(e.ids);
        (void)t.encode_pair(s, s);
      } catch (const Error&) {}
    }
  } catch (const Error&) {}
  return 0;
}
