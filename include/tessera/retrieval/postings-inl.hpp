#pragma once
#include <algorithm>
#include <limits>

#include <tessera/core/host_memory.hpp>
#include <tessera/retrieval/detail/list_tensors.hpp>
#include <tessera/retrieval/postings.hpp>

namespace tessera::retrieval {

namespace detail {

/// The memory of postings that were made here.
struct MadePostings {
  HostVector<index_t> offsets, word_offsets;
  HostVector<std::uint32_t> documents, counts, lengths;
  std::string words;

  static Postings view(const std::shared_ptr<const MadePostings>& made) {
    return {made->offsets, made->documents,          made->counts, made->lengths, {made->word_offsets, made->words},
            made,          "words that were counted"};
  }
};

}  // namespace detail

inline Postings Postings::from(const io::SafeTensors& file, const std::string& prefix) {
  using detail::list_of;
  constexpr const char* kDamaged = "damaged words";
  const auto expect = [&](bool sound, const char* what) {
    if (!sound) throw Error(Code::kFormat, {file.name(), ": ", kDamaged, ": ", what});
  };
  Postings p;
  p.name = file.name();
  p.offsets = list_of<index_t>(file, prefix + "offsets");
  p.documents = list_of<std::uint32_t>(file, prefix + "documents");
  p.counts = list_of<std::uint32_t>(file, prefix + "counts");
  p.lengths = list_of<std::uint32_t>(file, prefix + "lengths");
  expect(detail::parts(p.offsets, p.documents.size()), "the offsets do not part the documents of the words");
  expect(p.counts.size() == p.documents.size(), "as many counts as documents of words are expected");
  p.words = WordList::from(file, prefix, static_cast<std::size_t>(p.vocabulary()), kDamaged);
  return p;
}

inline std::vector<io::NamedTensor> Postings::tensors(const std::string& prefix) const {
  using detail::list_tensor;
  std::vector<io::NamedTensor> all = {list_tensor(prefix + "offsets", offsets.data(), offsets.size()),
                                      list_tensor(prefix + "documents", documents.data(), documents.size()),
                                      list_tensor(prefix + "counts", counts.data(), counts.size()),
                                      list_tensor(prefix + "lengths", lengths.data(), lengths.size())};
  words.add_tensors(prefix, all);
  return all;
}

inline void Postings::expect_sound(std::size_t term) const {
  std::uint64_t least = 0;
  for (auto i = static_cast<std::size_t>(offsets[term]); i < static_cast<std::size_t>(offsets[term + 1]); ++i) {
    const std::uint32_t d = documents[i];
    if (d < least || d >= lengths.size() || counts[i] < 1 || counts[i] > lengths[d])
      throw Error(Code::kFormat, {name,
                                  ": damaged words: the documents of a word are not ascending ones, or have it more "
                                  "often than they have words"});
    least = d + std::uint64_t{1};
  }
}

inline std::vector<std::string> Postings::words_of(std::span<const Postings> parts) {
  std::vector<std::string> words;
  for (const Postings& p : parts)
    for (std::size_t t = 0; t + 1 < p.offsets.size(); ++t) words.emplace_back(p.words[t]);
  std::sort(words.begin(), words.end());
  words.erase(std::unique(words.begin(), words.end()), words.end());
  return words;
}

inline Postings Postings::joined(std::span<const Postings> parts, std::span<const std::string> words,
                                 std::span<const std::uint64_t> gone) {
  std::size_t n = 0;
  for (const Postings& p : parts) n += p.lengths.size();
  if (n > std::numeric_limits<std::uint32_t>::max()) throw Error(Code::kLimit, "words: 2^32 documents; ids have 32 bits");
  const auto is_gone = [&](std::size_t d) { return !gone.empty() && (gone[d / 64] >> (d % 64) & 1) != 0; };
  const auto made = std::make_shared<detail::MadePostings>();
  made->lengths.reserve(n);
  for (const Postings& p : parts)
    for (const std::uint32_t length : p.lengths) made->lengths.push_back(is_gone(made->lengths.size()) ? 0 : length);
  made->offsets.push_back(0), made->word_offsets.push_back(0);
  for (const std::string& word : words) {
    std::size_t first = 0;  // document of the part
    for (const Postings& p : parts) {
      if (const std::size_t t = p.words.find(word); t + 1 < p.offsets.size()) {
        p.expect_sound(t);
        for (auto i = static_cast<std::size_t>(p.offsets[t]); i < static_cast<std::size_t>(p.offsets[t + 1]); ++i) {
          const std::size_t d = first + p.documents[i];
          if (!is_gone(d)) made->documents.push_back(static_cast<std::uint32_t>(d)), made->counts.push_back(p.counts[i]);
        }
      }
      first += p.lengths.size();
    }
    if (static_cast<index_t>(made->documents.size()) == made->offsets.back()) continue;  // no document has it
    made->offsets.push_back(static_cast<index_t>(made->documents.size()));
    made->words += word;
    made->word_offsets.push_back(static_cast<index_t>(made->words.size()));
  }
  return detail::MadePostings::view(made);
}

}  // namespace tessera::retrieval
