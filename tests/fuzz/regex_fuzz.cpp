// A pattern, a line feed, a text: refused, stopped by the limit of steps, or matches in order, inside the text, at
// characters.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include <tessera/text/regex.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tessera;
  const std::string_view all(reinterpret_cast<const char*>(data), size);
  const std::size_t end_of_pattern = all.find('\n');
  if (size > 300 || end_of_pattern == all.npos) return 0;
  const std::string_view text = all.substr(end_of_pattern + 1);
  std::size_t bad = 0;
  if (text::unicode::valid_prefix(text, 0, bad) != text.size()) return 0;
  try {
    const auto regex = text::Regex::compile(all.substr(0, end_of_pattern));
    std::size_t done = 0;
    text::each_match(regex, text, [&](std::size_t begin, std::size_t end) {
      if (begin < done || end < begin || end > text.size()) std::abort();
      for (const std::size_t at : {begin, end})
        if (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0u) == 0x80) std::abort();
      done = end;
    });
  } catch (const Error&) {}
  return 0;
}
