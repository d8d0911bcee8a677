#pragma once
#include <algorithm>
#include <limits>

#include <tessera/core/host_memory.hpp>
#include <tessera/retrieval/postings.hpp>

namespace tessera::retrieval {

namespace detail {

/// Tensor `name` of a file: numbers of type T, one after the other.
template <class T>
std::span<const T> list_of(const io::SafeTensors& file, const std::string& name) {
  const AnyView& v = file.at(name);
  if (v.dtype != dtype_of<T> || v.rank != 1 || !v.aligned_for<T>())
    throw Error(Code::kFormat, {file.name(), ": tensor '", name, "' is ", dtype_name(v.dtype), " of rank ",
                                std::to_string(v.rank), ", expected ", dtype_name(dtype_of<T>), " of rank 1, aligned"});
  return {reinterpret_cast<const T*>(v.data), static_cast<std::size_t>(v.size())};
}

/// Whether they part a list of n: from 0 to n, never descending.
inline bool parts(std::span<const index_t> offsets, std::size_t n) {
  return !offsets.empty() && offsets.front() == 0 && std::is_sorted(offsets.begin(), offsets.end()) &&
         offsets.back() == static_cast<index_t>(n);
}

/// A list as a tensor of that name.
template <class T>
io::NamedTensor list_tensor(const std::string& name, const T* data, std::size_t n) {
  return {name, io::any_view(View<const T, 1>(data, static_cast<index_t>(n)))};
}

/// The memory of postings that were made here.
struct MadePostings {
  HostVector<index_t> offsets, word_offsets;
  HostVector<std::uint32_t> documents, counts, lengths;
  std::string words;

  static Postings view(const std::shared_ptr<const MadePostings>& made) {
    return {made->offsets,      made->documents, made->counts, made->lengths,
            made->word_offsets, made->words,     made,         "words that were counted"};
  }
};

}  // namespace detail

inline Postings Postings::from(const io::SafeTensors& file, const std::string& prefix) {
  using detail::list_of;
  const auto expect = [&](bool sound, const char* what) {
    if (!sound) throw Error(Code::kFormat, {file.name(), ": damaged words: ", what});
  };
  Postings p;
  p.name = file.name();
  p.offsets = list_of<index_t>(file, prefix + "offsets");
  p.documents = list_of<std::uint32_t>(file, prefix + "documents");
  p.counts = list_of<std::uint32_t>(file, prefix + "counts");
  p.lengths = list_of<std::uint32_t>(file, prefix + "lengths");
  p.word_offsets = list_of<index_t>(file, prefix + "word_offsets");
  const auto words = list_of<std::uint8_t>(file, prefix + "words");
  p.words = {reinterpret_cast<const char*>(words.data()), words.size()};
  expect(detail::parts(p.offsets, p.documents.size()), "the offsets do not part the documents of the words");
  expect(p.counts.size() == p.documents.size(), "as many counts as documents of words are expected");
  expect(detail::parts(p.word_offsets, words.size()), "the offsets do not part the words");
  expect(p.word_offsets.size() == p.offsets.size(), "as many words as lists of documents are expected");
  for (std::size_t t = 1; t + 1 < p.offsets.size(); ++t)
    expect(p.word(t - 1) < p.word(t), "the words are not in ascending order");
  return p;
}

inline std::vector<io::NamedTensor> Postings::tensors(const std::string& prefix) const {
  using detail::list_tensor;
  std::vector<io::NamedTensor> all = {list_tensor(prefix + "offsets", offsets.data(), offsets.size()),
                                      list_tensor(prefix + "documents", documents.data(), documents.size()),
                                      list_tensor(prefix + "counts", counts.data(), counts.size()),
                                      list_tensor(prefix + "lengths", lengths.data(), lengths.size())};
  if (word_offsets.empty()) return all;
  all.push_back(list_tensor(prefix + "words", reinterpret_cast<const std::uint8_t*>(words.data()), words.size()));
  all.push_back(list_tensor(prefix + "word_offsets", word_offsets.data(), word_offsets.size()));
  return all;
}

inline std::size_t Postings::find(std::string_view wanted) const noexcept {
  const std::size_t end = offsets.size() - 1;
  std::size_t low = 0, high = end;
  while (low < high) {
    const std::size_t middle = (low + high) / 2;
    if (word(middle) < wanted)
      low = middle + 1;
    else
      high = middle;
  }
  return low < end && word(low) == wanted ? low : end;
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
    for (std::size_t t = 0; t + 1 < p.offsets.size(); ++t) words.emplace_back(p.word(t));
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
      if (const std::size_t t = p.find(word); t + 1 < p.offsets.size()) {
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
