// tessera search --corpus: the rows of a corpus nearest to each query.
#include "search_corpus.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <tessera/image.hpp>
#include <tessera/ops/row_filter.hpp>
#include <tessera/ops/similarity.hpp>
#include <tessera/retrieval/corpus.hpp>
#include <tessera/retrieval/corpus_words.hpp>
#include <tessera/retrieval/document_filter.hpp>
#include <tessera/retrieval/fusion.hpp>

#include "embed_output.hpp"
#include "image_rows.hpp"
#include "json_line.hpp"
#include "lines.hpp"
#include "npy_rows.hpp"
#include "queries.hpp"
#include "text_rows.hpp"

namespace tool {

using namespace tessera;

namespace {

/// The field by which --ids tells a document or a query, as JSON.
std::string field_of(const io::Json& object, const std::string& name, const std::string& whose) {
  const io::Json& field = io::member(object, name.c_str());
  if (!field.is_string() && !field.is_number_integer())
    throw Failure{kOther, whose + ": '" + name + "' is " + io::shown(field.is_null() ? nullptr : &field) +
                              ", expected a string or an integer"};
  return field.dump();
}

/// The rows that --rows lets be found, of `count`.
std::vector<std::uint64_t> rows_of(const std::string& text, index_t count) {
  std::vector<std::uint64_t> allowed(static_cast<std::size_t>(ops::filter_words(count)));
  const View<std::uint64_t, 1> to(allowed.data(), ops::filter_words(count));
  const auto number = [&](std::string_view digits, index_t most) {
    index_t n = -1;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), n);
    if (error != std::errc() || end != digits.data() + digits.size() || n < 0 || n > most)
      throw Failure{kUsage, "--rows " + text + ": '" + std::string(digits) + "', of " + std::to_string(count) +
                                " rows; expected FIRST:END or ID, with commas between several"};
    return n;
  };
  for (std::string_view left = text;;) {
    const std::string_view part = left.substr(0, left.find(','));
    const std::size_t colon = part.find(':');
    if (colon == part.npos)
      ops::allow_range(number(part, count - 1), number(part, count - 1) + 1, to);
    else
      ops::allow_range(number(part.substr(0, colon), count), number(part.substr(colon + 1), count), to);
    if (part.size() == left.size()) return allowed;
    left.remove_prefix(part.size() + 1);
  }
}

/// Takes queries and prints what is found for each, in their order.
class Answers {
 public:
  Answers(Context& ctx, const CorpusSearch& o, index_t k)
      : ctx_(ctx), o_(o), corpus_(or_exit(kOther, [&] { return opened(ctx, o); })) {
    for (const std::string& path : o.times) times_.emplace_back(path, o.embed.dims);
    for (std::size_t i = 0; i < times_.size(); ++i) expect_dim(times_[i].dim(), o.times[i]);
    const index_t most = std::max<index_t>(1, corpus_.rows());
    k_ = std::min(k, most), depth_ = o.by == "hybrid" ? std::min(std::max<index_t>(k, 100), most) : k_;
    if (o.certified && corpus_.format().dtype != DType::f32)
      throw Failure{kUsage, o.corpus + ": keeps rows as " + dtype_name(corpus_.format().dtype) +
                                " alone; a certified search needs an index of --dtype f32"};
    std::vector<retrieval::Condition> conditions;
    for (const std::string& f : o.filters)
      conditions.push_back(or_exit(kUsage, [&] { return retrieval::Condition::parse(f); }));
    if (!conditions.empty()) allowed_ = or_exit(kOther, [&] { return retrieval::rows_where(ctx, corpus_, conditions); });
    if (!o.rows.empty()) {
      const auto among = rows_of(o.rows, corpus_.rows());
      if (allowed_.empty()) allowed_.assign(among.size(), ~std::uint64_t{0});
      for (std::size_t i = 0; i < among.size(); ++i) allowed_[i] &= among[i];
    }
    if (o.by != "dense") words_ = or_exit(kOther, [&] { return retrieval::index_words(corpus_, o.field); });
  }
  void expect_dim(index_t dim, const std::string& whose) const {
    if (dim != corpus_.format().dim)
      throw Failure{kUsage, whose + ": " + std::to_string(dim) + " numbers, the rows of " + o_.corpus + " have " +
                                std::to_string(corpus_.format().dim)};
  }
  /// For queries that all have a row in each file of --times.
  void expect_queries(index_t count) const {
    for (std::size_t i = 0; i < times_.size(); ++i)
      if (times_[i].rows() != count)
        throw Failure{kUsage, "--times " + o_.times[i] + ": " + std::to_string(times_[i].rows()) + " rows for " +
                                  std::to_string(count) + " queries"};
  }
  /// \param number of the query among all.  \param query JSON that names it.  \param values of its embedding; null for a
  /// search by words alone.
  void add(index_t number, std::string query, const float* values, const std::string& text = {}) {
    if (values) {
      values_.insert(values_.end(), values, values + corpus_.format().dim);
      if (!multiply(number)) return values_.resize(values_.size() - static_cast<std::size_t>(corpus_.format().dim));
    }
    queries_.push_back(std::move(query));
    if (words_) terms_.push_back(words_->terms(text));
    if (queries_.size() == 256) flush();
  }
  void flush() {
    std::vector<retrieval::Ranking> dense, lexical;
    if (o_.by != "bm25") dense = by_embeddings();
    if (words_) lexical = words_->search(ctx_, terms_, static_cast<std::size_t>(depth_), allowed_view());
    for (std::size_t q = 0; q < queries_.size(); ++q) {
      if (o_.by == "hybrid")
        print(queries_[q],
              retrieval::best(retrieval::reciprocal_rank_fusion({dense[q], lexical[q]}), static_cast<std::size_t>(k_)));
      else
        print(queries_[q], words_ ? lexical[q] : dense[q]);
    }
    done_ += static_cast<index_t>(queries_.size());
    queries_.clear(), values_.clear(), terms_.clear();
  }
  void finish() {
    flush();
    finish_stdout();
    if (!o_.certified) return;
    say("certified: " + std::to_string(rescored_) + " rows computed in f32 for " + std::to_string(done_) +
        " queries among " + std::to_string(corpus_.rows() - corpus_.removed()) + "; all rows for " +
        std::to_string(exhausted_) + " of them");
  }

  bool any_nonfinite() const { return any_nonfinite_; }

 private:
  static retrieval::Corpus opened(Context& ctx, const CorpusSearch& o) {
    auto corpus = retrieval::Corpus::open(o.corpus);
    return o.embed.dims > 0 && o.embed.dims < corpus.format().dim ? corpus.prefix(ctx, o.embed.dims) : corpus;
  }
  /// The last query by its rows of --times. \returns false, and says so, where one of them is not finite.
  bool multiply(index_t number) {
    const index_t dim = corpus_.format().dim;
    std::vector<float> other(static_cast<std::size_t>(dim));
    float* const query = values_.data() + values_.size() - dim;
    for (std::size_t i = 0; i < times_.size(); ++i) {
      if (number >= times_[i].rows())
        throw Failure{kUsage, "--times " + o_.times[i] + ": no row " + std::to_string(number) + " for that query"};
      if (!times_[i].read(number, other.data())) {
        say(o_.times[i] + ", row " + std::to_string(number) + ": holds NaN or infinity; that query is skipped");
        any_nonfinite_ = true;
        return false;
      }
      const View<const float, 2> modalities[] = {View<const float, 2>(query, 1, dim),
                                                 View<const float, 2>(other.data(), 1, dim)};
      ops::multiply_rows(ctx_, modalities, 2, View<float, 2>(query, 1, dim));
    }
    return true;
  }
  View<const std::uint64_t, 1> allowed_view() const {
    return View<const std::uint64_t, 1>(allowed_.data(), static_cast<index_t>(allowed_.size()));
  }
  std::vector<retrieval::Ranking> by_embeddings() {
    const auto batch = static_cast<index_t>(queries_.size());
    const View<const float, 2> queries(values_.data(), batch, corpus_.format().dim);
    ops::CertifiedStats took;
    if (o_.all) {
      auto found = corpus_.within(ctx_, queries, {allowed_, o_.least}, &took);
      rescored_ += took.rescored, exhausted_ += took.exhausted;
      return found;
    }
    std::vector<float> scores(static_cast<std::size_t>(batch * depth_));
    std::vector<index_t> ids(scores.size()), counts(queries_.size());
    const ops::TopK out{View<float, 2>(scores.data(), batch, depth_), View<index_t, 2>(ids.data(), batch, depth_),
                        View<index_t, 1>(counts.data(), batch)};
    corpus_.search(ctx_, queries, {allowed_, o_.least}, out, &took);
    rescored_ += took.rescored, exhausted_ += took.exhausted;
    std::vector<retrieval::Ranking> found(queries_.size());
    for (index_t b = 0; b < batch; ++b)
      for (index_t i = 0; i < out.counts(b); ++i)
        found[static_cast<std::size_t>(b)].push_back({out.ids(b, i), static_cast<double>(out.scores(b, i))});
    return found;
  }
  io::Json document(index_t id) const {
    const std::string_view text = corpus_.document(id);
    return text.empty() ? io::empty_object()
                        : or_exit(kOther, [&] { return io::parse_json(text, "document " + std::to_string(id)); });
  }
  void print(const std::string& query, const retrieval::Ranking& found) const {
    std::string names, documents;
    std::vector<float> scores;
    for (const auto& [id, score] : found) {
      const char* const comma = names.empty() ? "" : ", ";
      scores.push_back(static_cast<float>(score));
      if (o_.documents) documents += comma + document(id).dump();
      if (o_.ids.empty()) {
        names += comma + std::to_string(id);
        continue;
      }
      names += comma + field_of(document(id), o_.ids, "document " + std::to_string(id));
    }
    print_line("{\"query\": " + query + ", \"ids\": [" + names + "], \"scores\": " + json_of(scores) +
               (o_.documents ? ", \"documents\": [" + documents + "]}" : "}"));
  }

  Context& ctx_;
  const CorpusSearch& o_;
  retrieval::Corpus corpus_;
  index_t k_ = 1, depth_ = 1;  ///< so many are printed, so many found by each way
  index_t rescored_ = 0, exhausted_ = 0, done_ = 0;
  bool any_nonfinite_ = false;
  std::vector<std::uint64_t> allowed_;
  std::vector<NpyRows> times_;
  std::optional<retrieval::Bm25> words_;
  std::vector<std::string> queries_;  // that wait, beside values_ and terms_
  std::vector<float> values_;
  std::vector<std::vector<retrieval::Term>> terms_;
};

struct ImagesToAnswers final : NamingSink {
  Answers& to;
  explicit ImagesToAnswers(Answers& a) : to(a) {}
  void row(long long input, const ImageInput&, const float* values) override {
    to.add(static_cast<index_t>(input), json_of(input), values);
  }
};

int by_npy(Context& ctx, const CorpusSearch& o, index_t k) {
  const NpyRows rows(o.npy, o.embed.dims);
  Answers answers(ctx, o, k);
  answers.expect_dim(rows.dim(), o.npy);
  answers.expect_queries(rows.rows());
  bool any_nonfinite = false;
  std::vector<float> query(static_cast<std::size_t>(rows.dim()));
  for (index_t b = 0; b < rows.rows() && !interrupted(); ++b) {
    if (rows.read(b, query.data())) {
      answers.add(b, json_of(static_cast<long long>(b)), query.data());
    } else {
      say(o.npy + ", row " + std::to_string(b) + " skipped: it holds NaN or infinity");
      any_nonfinite = true;
    }
  }
  answers.finish();
  return interrupted() ? signal_exit() : outcome(false, any_nonfinite || answers.any_nonfinite());
}

int by_texts(Context& ctx, const CorpusSearch& o, const RunOptions& run, const std::string& text, index_t k) {
  const Queries queries = read_queries("--text", text, o.jsonl);
  Answers answers(ctx, o, k);
  // An object names its query as --ids names documents.
  const auto name_of = [&](std::size_t i) {
    const std::string line = i < queries.lines.size() && o.jsonl && !o.ids.empty() ? queries.lines[i] : "";
    if (line.empty() || io::parse_json(line, "the query").is_string()) return json_of(queries.numbers[i]);
    return field_of(io::parse_json(line, "the query"), o.ids, "query " + std::to_string(queries.numbers[i]));
  };
  const auto done = [&] {
    answers.finish();
    return interrupted() ? signal_exit() : outcome(queries.any_skipped, answers.any_nonfinite());
  };
  if (o.by == "bm25") {
    for (std::size_t i = 0; i < queries.texts.size() && !interrupted(); ++i)
      answers.add(queries.numbers[i], name_of(i), nullptr, queries.texts[i]);
    return done();
  }
  const auto model =
      run.load(ctx, [&](const models::LoadOptions& load) { return models::TextEncoder::load(ctx, run.model, load); });
  check_options(ctx, model, o.embed);
  answers.expect_dim(model.dim(o.embed), run.model);
  constexpr std::size_t kChunk = 256;
  for (std::size_t at = 0; at < queries.texts.size() && !interrupted(); at += kChunk) {
    const std::size_t n = std::min(kChunk, queries.texts.size() - at);
    const std::vector<std::string_view> views(queries.texts.begin() + static_cast<std::ptrdiff_t>(at),
                                              queries.texts.begin() + static_cast<std::ptrdiff_t>(at + n));
    const auto rows = model.embed(ctx, views, o.embed);
    for (std::size_t i = 0; i < n; ++i)
      answers.add(queries.numbers[at + i], name_of(at + i), rows.values.data() + i * static_cast<std::size_t>(rows.dim),
                  queries.texts[at + i]);
  }
  return done();
}

int by_images(Context& ctx, const CorpusSearch& o, const DualOptions& shared, index_t k) {
  ImageInputs inputs(shared.images);
  Answers answers(ctx, o, k);
  const auto model = shared.run.load(ctx, [&](const models::LoadOptions& load) {
    return models::ImageEncoder::load(ctx, shared.run.model, load, backend_of(shared.backend));
  });
  auto embed = shared.embed;
  embed.dims = o.embed.dims;
  answers.expect_dim(or_exit(kUsage, [&] { return model.dim(embed); }), shared.run.model);
  ImagesToAnswers sink(answers);
  Progress progress("images");
  embed_each(ctx, model, embed, inputs, 0, -1, progress, sink);
  answers.finish();
  return interrupted() ? signal_exit() : outcome(sink.any_skipped, sink.any_nonfinite || answers.any_nonfinite());
}

}  // namespace

int search_corpus(const CorpusSearch& o, const DualOptions& shared, const std::string& text, index_t k) {
  catch_signals();
  Context ctx = shared.run.context();
  if (!o.npy.empty()) return by_npy(ctx, o, k);
  return text.empty() ? by_images(ctx, o, shared, k) : by_texts(ctx, o, shared.run, text, k);
}

}  // namespace tool
