#pragma once
#include <tessera/io/json.hpp>
#include <tessera/retrieval/corpus_words.hpp>

namespace tessera::retrieval {

inline Bm25 index_words(const Corpus& corpus, const std::string& field) {
  Bm25Builder words;
  for (index_t id = 0; id < corpus.rows(); ++id) {
    const std::string_view text = corpus.has(id) ? corpus.document(id) : std::string_view();
    const io::Json document = text.empty() ? io::Json() : io::parse_json(text, "document " + std::to_string(id));
    const auto found = document.find(field);
    words.add(found != document.end() && found->is_string() ? std::string_view(found->get_ref<const std::string&>())
                                                            : std::string_view());
  }
  return words.finish();
}

}  // namespace tessera::retrieval
