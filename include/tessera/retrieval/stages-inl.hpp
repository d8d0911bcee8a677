#pragma once
#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include <tessera/retrieval/corpus_words.hpp>
#include <tessera/retrieval/fusion.hpp>
#include <tessera/retrieval/stages.hpp>

namespace tessera::retrieval {

namespace detail {

/// A bit for each row of a ranking, in words for so many rows. \throws Error kBadArgument for an id that is no row.
inline std::vector<std::uint64_t> bits_of(const Ranking& ranking, index_t rows) {
  std::vector<std::uint64_t> words(static_cast<std::size_t>((rows + 63) / 64));
  for (const Hit& h : ranking) {
    if (h.id < 0 || h.id >= rows)
      throw Error(Code::kBadArgument, {"stages: row ", std::to_string(h.id), " was found, and another stage has ",
                                       std::to_string(rows), " rows; their ids must be the same"});
    words[static_cast<std::size_t>(h.id / 64)] |= std::uint64_t{1} << (h.id % 64);
  }
  return words;
}

inline void search_rows(Context& ctx, const Corpus& corpus, View<const float, 2> queries, const SearchOptions& options,
                        std::size_t keep, ops::CertifiedStats* took, std::vector<Ranking>& found) {
  const index_t batch = queries.extent[0], k = std::min(static_cast<index_t>(std::min(keep, std::size_t{1} << 48)),
                                                        std::max<index_t>(1, corpus.rows()));
  if (batch == 0) return;
  std::vector<float> scores(static_cast<std::size_t>(batch * k));
  std::vector<index_t> ids(scores.size()), counts(static_cast<std::size_t>(batch));
  const ops::TopK out{View<float, 2>(scores.data(), batch, k), View<index_t, 2>(ids.data(), batch, k),
                      View<index_t, 1>(counts.data(), batch)};
  ops::CertifiedStats stats;
  corpus.search(ctx, queries, options, out, &stats);
  if (took) took->rescored += stats.rescored, took->exhausted += stats.exhausted;
  for (index_t b = 0; b < batch; ++b) {
    found.emplace_back();
    for (index_t i = 0; i < counts[static_cast<std::size_t>(b)]; ++i)
      found.back().push_back({out.ids(b, i), static_cast<double>(out.scores(b, i))});
  }
}

}  // namespace detail

inline Scorer by_embeddings(const Corpus& corpus, View<const float, 2> queries, const SearchOptions& options,
                            ops::CertifiedStats* took) {
  if (queries.extent[1] < corpus.format().dim)
    throw Error(Code::kShapeMismatch, {"stages: queries of ", std::to_string(queries.extent[1]), " numbers for a corpus of ",
                                       std::to_string(corpus.format().dim)});
  queries.extent[1] = corpus.format().dim;
  return [&corpus, queries, options, took](Context& ctx, std::span<const Ranking> among, std::size_t keep) {
    std::vector<Ranking> found;
    if (among.empty()) {
      detail::search_rows(ctx, corpus, queries, options, keep, took, found);
      return found;
    }
    for (index_t b = 0; b < queries.extent[0]; ++b) {
      const Ranking& rows = among[static_cast<std::size_t>(b)];
      const auto bits = detail::bits_of(rows, corpus.rows());
      if (rows.empty())
        found.emplace_back();
      else
        detail::search_rows(ctx, corpus, queries.slice(b, b + 1), {bits, options.least}, std::min(keep, rows.size()), took,
                            found);
    }
    return found;
  };
}

inline Scorer by_words(const Bm25& index, std::span<const std::vector<Term>> terms, std::span<const std::uint64_t> allowed) {
  return [&index, terms, allowed](Context& ctx, std::span<const Ranking> among, std::size_t keep) {
    const auto view = [](std::span<const std::uint64_t> words) {
      return View<const std::uint64_t, 1>(words.data(), static_cast<index_t>(words.size()));
    };
    if (among.empty()) return index.search(ctx, terms, keep, view(allowed));
    std::vector<Ranking> found(terms.size());
    for (std::size_t b = 0; b < terms.size(); ++b)
      if (!among[b].empty()) found[b] = index.search(terms[b], keep, view(detail::bits_of(among[b], index.size())));
    return found;
  };
}

inline Scorer by_ranks(Scorer a, Scorer b, std::size_t depth) {
  return [a = std::move(a), b = std::move(b), depth](Context& ctx, std::span<const Ranking> among, std::size_t keep) {
    auto one = a(ctx, among, std::max(keep, depth)), other = b(ctx, among, std::max(keep, depth));
    std::vector<Ranking> found;
    for (std::size_t q = 0; q < one.size(); ++q)
      found.push_back(best(reciprocal_rank_fusion({std::move(one[q]), std::move(other[q])}), keep));
    return found;
  };
}

inline Scorer by_cross_encoder(const models::CrossEncoder& model, std::span<const std::string> queries, const Corpus& corpus,
                               const std::string& field, const models::ScoreOptions& options, index_t* left_out) {
  if (model.labels() != 1)
    throw Error(Code::kBadArgument, {"stages: a classifier of ", std::to_string(model.labels()),
                                     " labels; expected one with a score, num_labels 1"});
  return
      [&model, queries, &corpus, field, options, left_out](Context& ctx, std::span<const Ranking> among, std::size_t keep) {
        if (among.empty() && !queries.empty())
          throw Error(Code::kBadArgument, "stages: a cross-encoder cannot be the first; let another stage find rows for it");
        std::vector<Ranking> found(queries.size());
        for (std::size_t q = 0; q < queries.size(); ++q) {
          std::vector<std::string> texts;
          Ranking hits;
          for (const Hit& h : among[q]) {
            std::string text = text_of(corpus, h.id, field);
            if (!text.empty()) texts.push_back(std::move(text)), hits.push_back(h);
          }
          std::vector<models::TextPair> pairs;
          pairs.reserve(texts.size());
          for (const std::string& text : texts) pairs.push_back({queries[q], text});
          const auto scores = model.score(ctx, pairs, options);
          for (std::size_t i = 0; i < hits.size(); ++i) hits[i].score = static_cast<double>(scores[i]);
          std::erase_if(hits, [](const Hit& h) { return !std::isfinite(h.score); });
          if (left_out) *left_out += static_cast<index_t>(among[q].size() - hits.size());
          found[q] = best(std::move(hits), keep);
        }
        return found;
      };
}

inline StagedRankings search_in_stages(Context& ctx, std::span<const Stage> stages, std::size_t queries, index_t rows) {
  if (stages.empty()) throw Error(Code::kBadArgument, "stages: none");
  for (const Stage& s : stages)
    if (s.keep < 1 || !(s.most_ms >= 0))
      throw Error(Code::kBadArgument, {"stages: ", s.name, " keeps ", std::to_string(s.keep), " rows and may take ",
                                       std::to_string(s.most_ms), " ms, expected 1 or more and 0 or more"});
  StagedRankings all;
  all.stages.resize(stages.size());
  index_t seen = rows * static_cast<index_t>(queries);
  bool late = false;
  for (std::size_t i = 0; i < stages.size(); ++i) {
    StageStats& stats = all.stages[i];
    if ((stats.skipped = late)) continue;
    const auto begin = std::chrono::steady_clock::now();
    all.of = stages[i].score(ctx, all.of, stages[i].keep);
    stats.ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
    if (all.of.size() != queries)
      throw Error(Code::kShapeMismatch, {"stages: ", stages[i].name, " answers ", std::to_string(all.of.size()),
                                         " queries, expected ", std::to_string(queries)});
    stats.seen = seen, seen = 0;
    for (const Ranking& r : all.of) seen += static_cast<index_t>(r.size());
    stats.kept = seen;
    late = stats.ms >= stages[i].most_ms;
  }
  return all;
}

}  // namespace tessera::retrieval
