// A charsmap and a text for it: three bytes of text length, the text, the blob. Refused, or text that stays UTF-8, with
// origins inside the input, the same without origins, by clusters and by longest keys.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include <tessera/io/json.hpp>
#include <tessera/text/normalizer.hpp>

namespace {

std::string base64(std::string_view bytes) {
  static constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const auto at = [&](std::size_t k) -> std::uint32_t {
      return i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0u;
    };
    const std::uint32_t v = at(0) << 16 | at(1) << 8 | at(2);
    for (std::size_t k = 0; k < 4; ++k) out += i + k <= bytes.size() ? kDigits[v >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

void check(bool ok) {
  if (!ok) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tessera;
  if (size < 3) return 0;
  const std::string_view all(reinterpret_cast<const char*>(data) + 3, size - 3);
  const std::size_t length =
      static_cast<std::size_t>(data[0]) | static_cast<std::size_t>(data[1]) << 8 | static_cast<std::size_t>(data[2]) << 16;
  std::string_view input = all.substr(0, length);
  const std::string_view blob = all.substr(input.size());
  std::size_t bad = 0;
  input = input.substr(0, text::unicode::valid_prefix(input, 0, bad));
  const io::Json json = {{"type", "Precompiled"}, {"precompiled_charsmap", base64(blob)}};
  for (const bool longest : {false, true}) {
    try {
      const auto normalizer = text::make_normalizer(json, {.longest_charsmap_match = longest});
      if (!normalizer) continue;  // an empty blob
      text::NormalizedText in, plain, tracked;
      in.assign(input, 0);
      normalizer->normalize(in, plain);
      in.tracked = true;
      in.assign(input, 0);
      normalizer->normalize(in, tracked);
      check(plain.bytes == tracked.bytes && tracked.origin.size() == tracked.bytes.size());
      check(text::unicode::valid_prefix(plain.bytes, 0, bad) == plain.bytes.size());
      for (const text::Span& s : tracked.origin) check(s.begin <= s.end && s.end <= input.size());
    } catch (const Error& e) {
      check(e.code() == Code::kFormat);
    }
  }
  return 0;
}
