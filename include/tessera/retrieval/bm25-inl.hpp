#pragma once
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include <tessera/core/fp_mode.hpp>
#include <tessera/retrieval/bm25.hpp>
#include <tessera/retrieval/detail/list_tensors.hpp>
#include <tessera/retrieval/postings-inl.hpp>  // memory of lists, which compiled builds do not declare elsewhere
#include <tessera/text/words.hpp>

namespace tessera::retrieval {

inline Bm25 Bm25::open(const std::string& path) {
  const auto file = std::make_shared<const io::SafeTensors>(io::SafeTensors::open(path));
  Bm25 index = from(*file);
  index.memory_ = file;
  return index;
}

inline Bm25 Bm25::from(const io::SafeTensors& file, const std::string& prefix) {
  using detail::list_of;
  constexpr const char* kDamaged = "not a BM25 index";
  const auto expect = [&](bool sound, const char* what) {
    if (!sound) throw Error(Code::kFormat, {file.name(), ": ", kDamaged, ": ", what});
  };
  Bm25 index;
  index.offsets_ = list_of<index_t>(file, prefix + "offsets");
  index.documents_ = list_of<std::uint32_t>(file, prefix + "documents");
  index.weights_ = list_of<float>(file, prefix + "weights");
  index.lengths_ = list_of<std::uint32_t>(file, prefix + "lengths");
  expect(detail::parts(index.offsets_, index.documents_.size()), "the offsets do not part the documents of the terms");
  expect(index.weights_.size() == index.documents_.size(), "as many weights as documents of terms are expected");
  for (std::size_t t = 0; t + 1 < index.offsets_.size(); ++t) {
    std::uint64_t least = 0;
    for (const std::uint32_t d : index.documents_of(static_cast<Term>(t))) {
      expect(d >= least && d < index.lengths_.size(), "the documents of a term are not ascending numbers of documents");
      least = d + std::uint64_t{1};
    }
  }
  for (const float w : index.weights_) expect(w >= 0 && std::isfinite(w), "a weight is negative or not finite");
  if (!file.find(prefix + "words")) return index;
  index.words_ = WordList::from(file, prefix, static_cast<std::size_t>(index.vocabulary()), kDamaged);
  return index;
}

inline std::vector<io::NamedTensor> Bm25::tensors(const std::string& prefix) const {
  using detail::list_tensor;
  std::vector<io::NamedTensor> all = {list_tensor(prefix + "offsets", offsets_.data(), offsets_.size()),
                                      list_tensor(prefix + "documents", documents_.data(), documents_.size()),
                                      list_tensor(prefix + "weights", weights_.data(), weights_.size()),
                                      list_tensor(prefix + "lengths", lengths_.data(), lengths_.size())};
  words_.add_tensors(prefix, all);
  return all;
}

inline std::vector<Term> Bm25::terms(std::string_view text) const {
  if (words_.empty())
    throw Error(Code::kBadArgument, "bm25: an index of terms that are not words; make a query's terms as the documents'");
  std::vector<Term> found;
  text::each_word(text, [&](std::string_view wanted) {
    if (const std::size_t at = words_.find(wanted); at + 1 < offsets_.size()) found.push_back(static_cast<Term>(at));
  });
  return found;
}

inline void Bm25::expect_allowed(View<const std::uint64_t, 1> allowed) const {
  if (!allowed.data) return;
  if (allowed.extent[0] != (size() + 63) / 64)
    throw Error(Code::kShapeMismatch, {"bm25: ", std::to_string(allowed.extent[0]), " words of allowed for ",
                                       std::to_string(size()), " documents, expected ", std::to_string((size() + 63) / 64)});
  if (!allowed.packed()) throw Error(Code::kBadStride, "bm25: the words of allowed have gaps");
}

inline Ranking Bm25::search(std::span<const Term> query, std::size_t k, View<const std::uint64_t, 1> allowed) const {
  expect_allowed(allowed);
  const FpModeScope mode;
  return best_of(query, k, allowed.data);
}

inline std::vector<Ranking> Bm25::search(Context& ctx, std::span<const std::vector<Term>> queries, std::size_t k,
                                         View<const std::uint64_t, 1> allowed) const {
  expect_allowed(allowed);
  std::vector<Ranking> found(queries.size());
  ctx.parallel_for(static_cast<index_t>(queries.size()), [&](index_t i, int) {
    const auto q = static_cast<std::size_t>(i);
    found[q] = best_of(queries[q], k, allowed.data);
  });
  return found;
}

// Block after block of documents, so that their sums stay in the nearest cache: those of each term are ascending.
inline Ranking Bm25::best_of(std::span<const Term> query, std::size_t k, const std::uint64_t* allowed) const {
  constexpr std::uint32_t kBlock = 4096, kGroup = 16;
  struct Cursor {
    const std::uint32_t *from, *at, *end;  // from..at: what the present block has
    const float* weight;
  };
  std::vector<Cursor> cursors;
  for (const Term t : query) {
    if (t + std::size_t{1} >= offsets_.size()) continue;
    const auto documents = documents_of(t);
    if (!documents.empty())
      cursors.push_back({nullptr, documents.data(), documents.data() + documents.size(), weights_.data() + offsets_[t]});
  }
  Ranking found;
  k = std::min(k, lengths_.size());
  if (k == 0) return found;
  const std::size_t most = k + std::max<std::size_t>(k, 64);
  float sums[kBlock] = {}, floor = std::numeric_limits<float>::denorm_min();  // 0 is no answer
  const auto offer = [&](std::uint32_t document, float score) {
    if (!(score >= floor) || (allowed && !(allowed[document / 64] >> document % 64 & 1))) return;
    found.push_back({static_cast<index_t>(document), static_cast<double>(score)});
    if (found.size() < most) return;
    found = best(std::move(found), k);
    floor = static_cast<float>(found.back().score);
  };
  while (!cursors.empty()) {
    std::uint32_t first = *cursors[0].at;
    for (const Cursor& c : cursors) first = std::min(first, *c.at);
    index_t added = 0;
    for (Cursor& c : cursors) {
      const std::uint32_t *at = c.at, *const end = c.end;
      for (const float* weight = c.weight; at != end && *at - first < kBlock; ++at) sums[*at - first] += *weight++;
      added += at - c.at, c.weight += at - c.at;
      c.from = std::exchange(c.at, at);
    }
    if (added < kBlock / 8) {
      for (const Cursor& c : cursors)
        for (const std::uint32_t* d = c.from; d != c.at; ++d) offer(*d, std::exchange(sums[*d - first], 0.0f));
    } else {
      for (std::uint32_t i = 0; i < kBlock; i += kGroup) {
        int any = 0;  // mostly none, which costs one comparison of vectors
        for (std::uint32_t j = 0; j < kGroup; ++j) any |= sums[i + j] >= floor;
        for (std::uint32_t j = 0; any && j < kGroup; ++j) offer(first + i + j, sums[i + j]);
      }
      std::fill_n(sums, kBlock, 0.0f);
    }
    std::erase_if(cursors, [](const Cursor& c) { return c.at == c.end; });
  }
  return best(std::move(found), k);
}

inline void Bm25Builder::expect_room(bool of_words, std::size_t most_terms) const {
  constexpr std::size_t kMost = std::numeric_limits<std::uint32_t>::max();
  if (size() > 0 && of_words != of_words_)
    throw Error(Code::kBadArgument, "bm25: documents of words and documents of terms in one index");
  if (most_terms > kMost) throw Error(Code::kLimit, "bm25: a document of 2^32 terms");
  if (lengths_.size() == kMost) throw Error(Code::kLimit, "bm25: 2^32 documents; ids have 32 bits");
}

inline void Bm25Builder::add(std::string_view text) {
  expect_room(true, text.size());
  text_.clear();
  text::each_word(text, [&](std::string_view word) {
    text::TokenId id = words_.find(word);
    if (id < 0) words_.add(word, id = static_cast<text::TokenId>(words_.size()));
    text_.push_back(static_cast<Term>(id));
  });
  of_words_ = true;
  add_terms(text_);
}

inline void Bm25Builder::add(std::span<const Term> terms) {
  constexpr Term kMost = Term{1} << 28;
  expect_room(false, terms.size());
  for (const Term t : terms)
    if (t >= kMost) throw Error(Code::kLimit, {"bm25: the term ", std::to_string(t), ", the limit is 2^28 - 1"});
  of_words_ = false;
  add_terms(terms);
}

inline void Bm25Builder::add_terms(std::span<const Term> terms) {
  const index_t first = static_cast<index_t>(counts_.size());
  for (const Term t : terms) {
    if (t >= latest_.size()) latest_.resize(t + std::size_t{1}, -1);
    index_t& at = latest_[t];
    if (at >= first) {
      ++counts_[static_cast<std::size_t>(at)].count;
    } else {
      at = static_cast<index_t>(counts_.size());
      counts_.push_back({t, 1});
    }
  }
  ends_.push_back(static_cast<index_t>(counts_.size()));
  lengths_.push_back(static_cast<std::uint32_t>(terms.size()));
}

/// Stores the words in ascending order; returns the place of each there.
inline std::vector<Term> Bm25Builder::sort_words(HostVector<index_t>& offsets, std::string& sorted) {
  std::vector<std::string_view> words(words_.size());
  std::vector<Term> order(words.size()), place(words.size());
  words_.index_ids();
  for (Term t = 0; t < words.size(); ++t) words[t] = words_.token(static_cast<text::TokenId>(t));
  std::iota(order.begin(), order.end(), Term{0});
  std::sort(order.begin(), order.end(), [&](Term a, Term b) { return words[a] < words[b]; });
  offsets.push_back(0);
  for (Term i = 0; i < order.size(); ++i) {
    place[order[i]] = i;
    sorted += words[order[i]];
    offsets.push_back(static_cast<index_t>(sorted.size()));
  }
  return place;
}

inline Postings Bm25Builder::postings() {
  const auto made = std::make_shared<detail::MadePostings>();
  std::vector<Term> place;
  if (of_words_) {
    place = sort_words(made->word_offsets, made->words);
  } else {
    place.resize(latest_.size());
    std::iota(place.begin(), place.end(), Term{0});
  }
  made->lengths = lengths_;
  made->offsets.assign(place.size() + 1, 0);
  for (const Count& c : counts_) ++made->offsets[place[c.term] + std::size_t{1}];
  std::partial_sum(made->offsets.begin(), made->offsets.end(), made->offsets.begin());
  made->documents.resize(counts_.size()), made->counts.resize(counts_.size());
  std::vector<index_t> next(made->offsets.begin(), made->offsets.end() - 1);
  std::size_t i = 0;
  for (std::uint32_t d = 0; d < lengths_.size(); ++d)
    for (const auto end = static_cast<std::size_t>(ends_[d]); i < end; ++i) {
      const auto at = static_cast<std::size_t>(next[place[counts_[i].term]]++);
      made->documents[at] = d, made->counts[at] = counts_[i].count;
    }
  return detail::MadePostings::view(made);
}

inline Bm25 Bm25Builder::finish(const Bm25Options& o) { return Bm25::weigh(postings(), o); }

inline Bm25 Bm25::weigh(const Postings& counted, const Bm25Options& o) {
  if (!(o.k1 >= 0 && std::isfinite(o.k1))) throw Error(Code::kBadArgument, "bm25: k1 must be finite and not negative");
  if (!(o.b >= 0 && o.b <= 1)) throw Error(Code::kBadArgument, "bm25: b must be from 0 to 1");
  const FpModeScope mode;
  const auto& lengths = counted.lengths;
  const auto n = static_cast<double>(lengths.size());
  const double mean = std::accumulate(lengths.begin(), lengths.end(), 0.0) / n;
  struct Weighed {
    Postings counted;
    HostVector<float> weights;
  };
  const auto made = std::make_shared<Weighed>();
  made->counted = counted, made->weights.resize(counted.documents.size());
  for (std::size_t t = 0; t + 1 < counted.offsets.size(); ++t) {
    const auto begin = static_cast<std::size_t>(counted.offsets[t]), end = static_cast<std::size_t>(counted.offsets[t + 1]);
    const auto df = static_cast<double>(end - begin);
    const double idf = std::log(1 + (n - df + 0.5) / (df + 0.5));
    for (std::size_t i = begin; i < end; ++i) {
      const double normal = o.k1 * (1 - o.b + o.b * lengths[counted.documents[i]] / mean);
      const auto tf = static_cast<double>(counted.counts[i]);
      made->weights[i] = static_cast<float>(idf * (tf / (tf + normal)));
    }
  }
  Bm25 index;
  index.offsets_ = counted.offsets;
  index.documents_ = counted.documents, index.lengths_ = lengths;
  index.weights_ = made->weights, index.words_ = counted.words;
  index.memory_ = made;
  return index;
}

inline Bm25 Bm25::of(std::span<const Postings> parts, std::span<const std::string> words,
                     std::span<const std::uint64_t> gone, const Bm25Options& o) {
  return weigh(Postings::joined(parts, words, gone), o);
}

}  // namespace tessera::retrieval
