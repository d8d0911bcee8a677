#pragma once
#include <algorithm>

#include <tessera/io/json.hpp>
#include <tessera/retrieval/corpus_words.hpp>
#include <tessera/retrieval/detail/corpus_files.hpp>
#include <tessera/text/words.hpp>

namespace tessera::retrieval {

namespace detail {

inline std::string text_of(const io::Json& document, const std::string& field) {
  const auto found = document.find(field);
  return found != document.end() && found->is_string() ? found->get<std::string>() : std::string();
}

}  // namespace detail

inline std::string text_of(const Corpus& corpus, index_t id, const std::string& field) {
  const std::string_view text = corpus.document(id);
  return text.empty() ? std::string() : detail::text_of(io::parse_json(text, "document " + std::to_string(id)), field);
}

inline CorpusWords CorpusWords::open(const Corpus& corpus, const std::string& field) {
  CorpusWords w;
  w.segments_ = corpus.segments_, w.removed_ = corpus.removed_;
  index_t first = 0;
  for (const auto& s : corpus.segments_) {
    const auto said = s->file->metadata();
    const auto words = said.find(detail::kWords);
    if (words != said.end() && words->second == field) {
      w.parts_.push_back(Postings::from(*s->file, detail::kWordsPrefix));
      if (w.parts_.back().size() != s->rows)
        throw Error(Code::kFormat, {s->file->name(), ": damaged words: they are those of ",
                                    std::to_string(w.parts_.back().size()), " rows, it has ", std::to_string(s->rows)});
    } else {
      Bm25Builder builder;
      for (index_t id = first; id < first + s->rows; ++id)
        builder.add(corpus.has(id) ? text_of(corpus, id, field) : std::string());
      w.parts_.push_back(builder.postings());
      if (!s->documents.empty()) w.counted_ += s->rows;
    }
    first += s->rows;
  }
  return w;
}

inline Bm25 CorpusWords::index() const {
  const auto words = Postings::words_of(parts_);
  return Bm25::of(parts_, words, removed_ ? std::span<const std::uint64_t>(*removed_) : std::span<const std::uint64_t>());
}

inline Bm25 CorpusWords::index(std::span<const std::string> texts) const {
  std::vector<std::string> words;
  for (const std::string& text : texts) text::each_word(text, [&](std::string_view word) { words.emplace_back(word); });
  std::sort(words.begin(), words.end());
  words.erase(std::unique(words.begin(), words.end()), words.end());
  return Bm25::of(parts_, words, removed_ ? std::span<const std::uint64_t>(*removed_) : std::span<const std::uint64_t>());
}

inline Bm25 index_words(const Corpus& corpus, const std::string& field) { return CorpusWords::open(corpus, field).index(); }

}  // namespace tessera::retrieval
