// The stages of tessera search --corpus: by what, how many rows each keeps, how long it may take.
#pragma once
#include <charconv>
#include <deque>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tessera/retrieval/corpus.hpp>
#include <tessera/retrieval/stages.hpp>

#include "json_line.hpp"
#include "tool.hpp"

namespace tool {

inline constexpr const char* kStageHelp =
    "--corpus: WHAT[:K[:MS]], given again for each stage: ranks what the stage before it kept, keeps K rows of each query "
    "(-k by default), and if it took MS milliseconds or more for a query, the rest is skipped for that query, which the "
    "answer says. WHAT is dense, bm25, hybrid, another corpus of the same rows (fewer --dims, or int8 or bits), or the "
    "model "
    "of a cross-encoder";

/// WHAT[:K[:MS]].
struct StageSpec {
  std::string what;
  std::size_t keep = 10;
  double most_ms = std::numeric_limits<double>::infinity();

  bool by(std::string_view way) const { return what == way; }
  bool is_way() const { return by("dense") || by("bm25") || by("hybrid"); }
  bool is_corpus() const {
    std::error_code error;
    return !is_way() && std::filesystem::is_regular_file(what, error);
  }
  bool is_model() const { return !is_way() && !is_corpus(); }
  bool of_embeddings() const { return by("dense") || by("hybrid") || is_corpus(); }
  bool of_words() const { return by("bm25") || by("hybrid"); }
  bool of_texts() const { return of_words() || is_model(); }

  /// \throws Failure.
  static StageSpec parse(const std::string& text, std::size_t k) {
    StageSpec s{text, k};
    std::vector<double> numbers;  // from the end
    for (std::size_t at; numbers.size() < 2 && (at = s.what.rfind(':')) != std::string::npos; s.what.resize(at)) {
      double number = -1;
      const char *const begin = s.what.data() + at + 1, *const end = s.what.data() + s.what.size();
      const auto [stop, error] = std::from_chars(begin, end, number, std::chars_format::fixed);
      if (error != std::errc() || stop != end || begin == end || !(number >= 0 && number < 1e15)) break;
      numbers.push_back(number);
    }
    if (numbers.size() == 2) s.most_ms = numbers[0];
    const double keep = numbers.empty() ? static_cast<double>(k) : numbers.back();
    s.keep = static_cast<std::size_t>(keep);
    if (s.what.empty() || s.keep < 1 || s.keep > (1u << 24) || static_cast<double>(s.keep) != keep)
      throw Failure{kUsage,
                    "--stage '" + text +
                        "': expected WHAT:K or WHAT:K:MS, K from 1 to 16777216, as dense:100 or bits.safetensors:1000:50"};
    return s;
  }
};

/// Stages with what they need loaded: other corpora and cross-encoders.
class LoadedStages {
 public:
  /// \param rows that other corpora must have too. \param dim of queries, 0 where they have no embedding.
  LoadedStages(tessera::Context& ctx, std::vector<StageSpec> specs, const RunOptions& run, const std::string& corpus,
               tessera::index_t rows)
      : specs_(std::move(specs)), stats_(specs_.size()), skipped_(specs_.size()) {
    using namespace tessera;
    for (const StageSpec& s : specs_) {
      corpora_.emplace_back(), models_.emplace_back();
      if (s.is_corpus()) {
        corpora_.back() = or_exit(kOther, [&] { return retrieval::Corpus::open(s.what); });
        if (corpora_.back()->rows() != rows)
          throw Failure{kUsage, "--stage " + s.what + ": has " + std::to_string(corpora_.back()->rows()) + " rows, " +
                                    corpus + " has " + std::to_string(rows) + "; they must be the same rows"};
      } else if (s.is_model()) {
        if (&s == specs_.data())
          throw Failure{kUsage, "--stage " + s.what + ": a cross-encoder cannot be the first stage (or no such corpus)"};
        RunOptions with = run;
        with.model = s.what;
        models_.back() = with.load(
            ctx, [&](const models::LoadOptions& load) { return models::CrossEncoder::load(ctx, with.model, load); });
        if (models_.back()->labels() != 1)
          throw Failure{kRefused, s.what + ": a classifier of " + std::to_string(models_.back()->labels()) +
                                      " labels; expected one with a score, num_labels 1"};
      }
    }
  }
  const std::vector<StageSpec>& specs() const { return specs_; }
  const tessera::retrieval::Corpus& corpus(std::size_t i) const { return *corpora_[i]; }
  const tessera::models::CrossEncoder& model(std::size_t i) const { return *models_[i]; }

  void add(const std::vector<tessera::retrieval::StageStats>& of, std::size_t queries) {
    for (std::size_t i = 0; i < of.size(); ++i) {
      stats_[i].seen += of[i].seen, stats_[i].kept += of[i].kept, stats_[i].ms += of[i].ms;
      if (of[i].skipped) skipped_[i] += queries;
    }
  }
  /// The names of those that are skipped in these statistics, as a JSON list.
  std::string skipped(const std::vector<tessera::retrieval::StageStats>& of) const {
    std::string names;
    for (std::size_t i = 0; i < of.size(); ++i)
      if (of[i].skipped) names += (names.empty() ? "" : ", ") + json_of(specs_[i].what);
    return "[" + names + "]";
  }
  bool any_skipped() const { return skipped_.back() > 0; }
  /// A line for each stage on stderr.
  void tell() const {
    for (std::size_t i = 0; i < specs_.size(); ++i) {
      char ms[32];
      std::snprintf(ms, sizeof ms, "%.1f", stats_[i].ms);
      say("stage " + std::to_string(i + 1) + ", " + specs_[i].what + ": " + std::to_string(stats_[i].seen) + " rows seen, " +
          std::to_string(stats_[i].kept) + " kept, " + ms + " ms" +
          (skipped_[i] > 0 ? "; skipped for " + std::to_string(skipped_[i]) + " queries, whose time was up" : ""));
    }
  }

 private:
  std::vector<StageSpec> specs_;
  std::deque<std::optional<tessera::retrieval::Corpus>> corpora_;    // beside specs_
  std::deque<std::optional<tessera::models::CrossEncoder>> models_;  // beside specs_
  std::vector<tessera::retrieval::StageStats> stats_;                // of all queries
  std::vector<std::size_t> skipped_;                                 // queries
};

}  // namespace tool
