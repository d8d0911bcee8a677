// Arbitrary bytes as text for a small BERT tokenizer: refused as no UTF-8, or tokens with offsets in order and in the text,
// the same ids by the short way, and the same again when the bytes are repaired first.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include <tessera/text.hpp>

namespace {
const char* const kTokenizer = R"({"added_tokens":[
  {"id":0,"content":"[UNK]","special":true},{"id":1,"content":"[CLS]","special":true},{"id":2,"content":"[SEP]","special":true},
  {"id":3,"content":"<m>","lstrip":true,"rstrip":true,"special":true},{"id":4,"content":"Dog","single_word":true,"normalized":true},
  {"id":5,"content":"  ","normalized":true}],
  "normalizer":{"type":"BertNormalizer"},"pre_tokenizer":{"type":"BertPreTokenizer"},
  "post_processor":{"type":"BertProcessing","sep":["[SEP]",2],"cls":["[CLS]",1]},"decoder":{"type":"WordPiece"},
  "model":{"type":"WordPiece","unk_token":"[UNK]","vocab":{"[UNK]":0,"[CLS]":1,"[SEP]":2,"a":6,"##a":7,"b":8,"##b":9,"ab":10,"e":11,"##e":12,
  ",":13,".":14,"\u4e2d":15,"##\u0301":16,"the":17,"##abab":18}}})";
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tessera;
  static const text::Tokenizer tokenizer = text::Tokenizer::parse(kTokenizer, "fuzz");
  const std::string_view s(reinterpret_cast<const char*>(data), size);
  text::EncodeOptions repair;
  repair.replace_invalid = repair.bytes = true;
  const auto repaired = tokenizer.encode(s, repair);
  try {
    text::EncodeOptions bytes;
    bytes.bytes = true;
    const auto e = tokenizer.encode(s, bytes);
    if (e.ids != repaired.ids) std::abort();
    std::int64_t at = 0;
    for (std::size_t i = 1; i + 1 < e.size(); ++i) {
      if (e.offsets[i][0] < 0 || e.offsets[i][1] < e.offsets[i][0] || e.offsets[i][1] > static_cast<std::int64_t>(size))
        std::abort();
      at = std::max(at, e.offsets[i][1]);
    }
    std::vector<text::TokenId> ids;
    tokenizer.encode_ids(s, ids, 0);
    if (ids != e.ids) std::abort();
    const auto points = tokenizer.encode(s);
    if (points.ids != e.ids) std::abort();
    ids.clear();
    tokenizer.encode_ids(s, ids, 8);
    if (ids.size() > 8) std::abort();
    (void)tokenizer.decode(e.ids);
  } catch (const Error& e) {
    if (e.code() != Code::kBadArgument) std::abort();
  }
  return 0;
}
