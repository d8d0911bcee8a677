// Arbitrary bytes as a sentencepiece model: refused, or a Unigram vocabulary that knows its pieces, and a charsmap that
// keeps text UTF-8.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include <tessera/text.hpp>
#include <tessera/text/sentencepiece_model.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tessera;
  using namespace tessera::text;
  try {
    const SentencePieceModel model = SentencePieceModel::parse({reinterpret_cast<const char*>(data), size});
    for (const auto* const places : {&model.control, &model.user_defined})
      for (const std::size_t place : *places)
        if (place >= model.pieces.size()) std::abort();
    Vocabulary vocabulary;
    (void)make_unigram(model.pieces, {model.unk, model.byte_fallback}, vocabulary);
    for (const ScoredPiece& piece : model.pieces)
      if (vocabulary.find(piece.text) < 0) std::abort();
    if (model.charsmap.empty()) return 0;
    NormalizedText in, out;
    in.assign("e\xcc\x81 \xef\xbc\xa1 text", 0);
    charsmap_normalizer(model.charsmap)->normalize(in, out);
    std::size_t wrong = 0;
    if (unicode::valid_prefix(out.bytes, 0, wrong) != out.bytes.size()) std::abort();
  } catch (const Error&) {}
  return 0;
}
