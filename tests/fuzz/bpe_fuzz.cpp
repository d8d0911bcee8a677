// Arbitrary bytes as text for a byte-level BPE, which must give the text back, and for one with byte fallback, whose offsets
// must lie in the text. Both have merges that meet in long runs.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include <tessera/text.hpp>
#include <tessera/text/byte_alphabet.hpp>

namespace {

std::string byte_level() {
  std::string vocab, merges;
  const auto& alphabet = tessera::text::detail::ByteAlphabet::get();
  int id = 0;
  for (int b = 0; b < 256; ++b) {
    const std::string c(alphabet.of(static_cast<unsigned char>(b)));
    vocab += (id ? ",\"" : "\"") + (c == "\"" || c == "\\" ? "\\" + c : c) + "\":" + std::to_string(id);
    ++id;
  }
  for (const char* const pair : {"a a", "aa aa", "aaaa a", "a b", "ab ab", "Ġ a"}) {
    const std::string m = pair;
    const std::size_t blank = m.find(' ');
    vocab += ",\"" + m.substr(0, blank) + m.substr(blank + 1) + "\":" + std::to_string(id++);
    merges += (merges.empty() ? "\"" : ",\"") + m + "\"";
  }
  return R"({"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false},"decoder":{"type":"ByteLevel"},"model":{"type":"BPE","vocab":{)" +
         vocab + R"(},"merges":[)" + merges + "]}}";
}

const char* const kFallback =
    R"({"pre_tokenizer":{"type":"Metaspace","replacement":"▁","prepend_scheme":"first","split":false},
  "added_tokens":[{"id":0,"content":"<unk>","special":true}],
  "model":{"type":"BPE","unk_token":"<unk>","fuse_unk":true,"byte_fallback":true,"vocab":{"<unk>":0,"▁":1,"a":2,"b":3,"aa":4,"▁a":5,
  "aab":6,"<0xC3>":7,"<0xA9>":8,"<0x00>":9},"merges":[["a","a"],["▁","a"],["aa","b"]]}})";

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tessera;
  static const text::Tokenizer bytes = text::Tokenizer::parse(byte_level(), "bytes"),
                               fallback = text::Tokenizer::parse(kFallback, "fallback");
  const std::string_view s(reinterpret_cast<const char*>(data), size);
  text::EncodeOptions repair;
  repair.replace_invalid = repair.bytes = true;
  const std::string good = text::repaired(s);
  if (bytes.decode(bytes.encode(s, repair).ids) != good) std::abort();
  const text::Encoding e = fallback.encode(s, repair);
  for (const auto& [begin, end] : e.offsets)
    if (begin < 0 || end < begin || end > static_cast<std::int64_t>(good.size())) std::abort();
  std::vector<text::TokenId> ids;
  fallback.encode_ids(good, ids, 0);
  if (ids != e.ids) std::abort();
  return 0;
}
