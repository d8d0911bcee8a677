#include "pair_scores.hpp"

#include <limits>
#include <tessera/models/sentence_folder.hpp>
#include <utility>

namespace tool {

namespace {

using namespace tessera;

std::vector<std::string_view> views_of(std::span<const std::string> texts) { return {texts.begin(), texts.end()}; }

struct ByCrossEncoder final : PairScores {
  models::CrossEncoder model;
  models::ScoreOptions options;
  ByCrossEncoder(models::CrossEncoder m, const models::ScoreOptions& o) : model(std::move(m)), options(o) {}
  std::vector<float> of(Context& ctx, const std::string& query, std::span<const std::string> texts) override {
    std::vector<models::TextPair> both;
    for (const std::string& text : texts) both.push_back({query, text});
    return model.score(ctx, both, options);
  }
  index_t max_length() const override { return model.max_length(); }
};

struct ByLateInteraction final : PairScores {
  models::MultiVectorEncoder model;
  models::MultiVectorOptions options;
  std::string last;
  models::TokenEmbeddings query_tokens;
  ByLateInteraction(models::MultiVectorEncoder m, const models::ScoreOptions& o)
      : model(std::move(m)), options{o.max_length, o.batch_tokens} {}

  std::vector<float> of(Context& ctx, const std::string& query, std::span<const std::string> texts) override {
    if (query_tokens.texts() == 0 || query != last)
      query_tokens = model.encode(ctx, {query}, models::TextRole::query, {0, options.batch_tokens}), last = query;
    std::vector<float> scores(texts.size());
    const auto views = views_of(texts);
    const models::TokenizedTexts tokens = model.tokenize(ctx, views, models::TextRole::document, options);
    tokens.for_batches(options.batch_tokens, [&](index_t b, index_t end) {
      const auto d = model.encode_tokens(ctx, tokens.slice(b, end), models::TextRole::document);
      float* const out = scores.data() + b;
      for (index_t i = 0; i < end - b; ++i) {
        const index_t from = d.offsets[static_cast<std::size_t>(i)], to = d.offsets[static_cast<std::size_t>(i) + 1];
        // maxsim passes over NaN, and a document without a token has no largest product.
        const bool finite = ops::all_finite(ctx, View<const float, 1>(d.values.data() + from * d.dim, (to - from) * d.dim));
        out[i] = finite && from < to ? 0.f : std::numeric_limits<float>::quiet_NaN();
      }
      if (d.offsets.back() == 0) return;
      std::vector<float> found(static_cast<std::size_t>(end - b));
      const auto offsets = [](const std::vector<index_t>& v) {
        return View<const index_t, 1>(v.data(), static_cast<index_t>(v.size()));
      };
      ops::maxsim(ctx, query_tokens.view(), offsets(query_tokens.offsets), ops::pack_weight(ctx, d.view()),
                  offsets(d.offsets), View<float, 2>(found.data(), 1, end - b));
      for (std::size_t i = 0; i < found.size(); ++i)
        if (out[i] == 0.f) out[i] = found[i];
    });
    return scores;
  }
  index_t max_length() const override { return model.base().max_length; }
};

struct BySparse final : PairScores {
  models::SparseEncoder model;
  models::SparseOptions options;
  BySparse(models::SparseEncoder m, const models::ScoreOptions& o) : model(std::move(m)) {
    options.max_length = o.max_length, options.batch_tokens = o.batch_tokens;
  }
  std::vector<float> of(Context& ctx, const std::string& query, std::span<const std::string> texts) override {
    models::SparseOptions of_query = options;
    if (model.base().prompts.count("query")) of_query.prompt_name = "query";
    const auto q = model.encode(ctx, {query}, of_query);
    std::vector<float> scores;
    const auto views = views_of(texts);
    const models::TokenizedTexts tokens = model.tokenize(ctx, views, options);
    tokens.for_batches(options.batch_tokens, [&](index_t b, index_t end) {
      const auto d = model.encode_tokens(ctx, tokens.slice(b, end), options);
      for (index_t i = 0; i < end - b; ++i)
        scores.push_back(models::sparse_dot(q.ids_of(0), q.weights_of(0), d.ids_of(i), d.weights_of(i)));
    });
    return scores;
  }
  index_t max_length() const override { return model.base().max_length; }
};

}  // namespace

std::unique_ptr<PairScores> load_pair_scores(Context& ctx, const RunOptions& run, const models::ScoreOptions& o) {
  const auto folder = or_refuse([&] { return models::SentenceFolder::open(run.model); });
  std::unique_ptr<PairScores> scores;
  if (or_refuse([&] { return models::MultiVectorEncoder::is_one(folder); })) {
    scores = std::make_unique<ByLateInteraction>(
        run.load(ctx,
                 [&](const models::LoadOptions& load) { return models::MultiVectorEncoder::load(ctx, run.model, load); }),
        o);
  } else if (folder.find("SpladePooling")) {
    scores = std::make_unique<BySparse>(
        run.load(ctx, [&](const models::LoadOptions& load) { return models::SparseEncoder::load(ctx, run.model, load); }),
        o);
  } else {
    auto model =
        run.load(ctx, [&](const models::LoadOptions& load) { return models::CrossEncoder::load(ctx, run.model, load); });
    if (model.labels() != 1)
      throw Failure{kRefused, run.model + ": a classifier of " + std::to_string(model.labels()) +
                                  " labels; expected one with a score, num_labels 1"};
    scores = std::make_unique<ByCrossEncoder>(std::move(model), o);
  }
  or_exit(kUsage, [&] { (void)scores->of(ctx, "", std::vector<std::string>{""}); });  // the length, room for special tokens
  return scores;
}

}  // namespace tool
