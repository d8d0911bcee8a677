// tessera search --corpus: the rows of a corpus nearest to each query.
#include "search_corpus.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
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
#include <tessera/retrieval/stages.hpp>

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
  Answers(Context& ctx, const CorpusSearch& o, const RunOptions& run, index_t k, AnswerSheet& sheet)
      : ctx_(ctx),
        o_(o),
        sheet_(sheet),
        corpus_(or_exit(kOther, [&] { return opened(ctx, o); })),
        stages_(ctx, o.specs(static_cast<std::size_t>(k)), run, o.corpus, corpus_.rows()) {
    for (const std::string& path : o.times) times_.emplace_back(path, o.embed.dims);
    for (std::size_t i = 0; i < times_.size(); ++i) expect_dim(times_[i].dim(), o.times[i]);
    if (o.certified && corpus_.format().dtype != DType::f32)
      throw Failure{kUsage, o.corpus + ": keeps rows as " + dtype_name(corpus_.format().dtype) +
                                " alone; a certified search needs an index of --dtype f32"};
    std::vector<retrieval::Condition> conditions;
    for (const std::string& f : o.filters)
      conditions.push_back(or_exit(kUsage, [&] { return retrieval::Condition::parse(f); }));
    // Of other corpora, other rows may be gone.
    if (!conditions.empty() || (!o.stages.empty() && corpus_.removed() > 0))
      allowed_ = or_exit(kOther, [&] { return retrieval::rows_where(ctx, corpus_, conditions); });
    if (!o.rows.empty()) {
      const auto among = rows_of(o.rows, corpus_.rows());
      if (allowed_.empty()) allowed_.assign(among.size(), ~std::uint64_t{0});
      for (std::size_t i = 0; i < among.size(); ++i) allowed_[i] &= among[i];
    }
    for (const StageSpec& s : stages_.specs()) {
      if (s.of_words() && !words_) words_ = or_exit(kOther, [&] { return retrieval::CorpusWords::open(corpus_, o.field); });
      limited_ = limited_ || s.most_ms < std::numeric_limits<double>::infinity();
    }
  }
  void expect_dim(index_t dim, const std::string& whose) {
    for (std::size_t i = 0; i < stages_.specs().size(); ++i) {
      const StageSpec& s = stages_.specs()[i];
      if (!s.of_embeddings()) continue;
      const index_t rows = (s.is_corpus() ? stages_.corpus(i) : corpus_).format().dim;
      if (s.is_corpus() ? dim < rows : dim != rows)
        throw Failure{kUsage, whose + ": " + std::to_string(dim) + " numbers, the rows of " +
                                  (s.is_corpus() ? s.what : o_.corpus) + " have " + std::to_string(rows)};
    }
    dim_ = dim;
  }
  /// For queries that all have a row in each file of --times.
  void expect_queries(index_t count) const {
    for (std::size_t i = 0; i < times_.size(); ++i)
      if (times_[i].rows() != count)
        throw Failure{kUsage, "--times " + o_.times[i] + ": " + std::to_string(times_[i].rows()) + " rows for " +
                                  std::to_string(count) + " queries"};
  }
  /// What a query is called.
  struct Query {
    std::string json, heading;  ///< on standard output, on the sheet
    ImageInput image{};         ///< that it is; without a name where it is none
  };
  /// \param number of the query among all.  \param values of its embedding; null for a search by words alone.
  void add(index_t number, Query query, const float* values, const std::string& text = {}) {
    if (values) {
      values_.insert(values_.end(), values, values + dim_);
      if (!multiply(number)) return values_.resize(values_.size() - static_cast<std::size_t>(dim_));
    }
    queries_.push_back(std::move(query)), texts_.push_back(text);
    if (queries_.size() == (limited_ ? 1 : 256)) flush();  // the limits are those of one query
  }
  void flush() {
    if (queries_.empty()) return;
    const View<const float, 2> values(values_.data(), static_cast<index_t>(queries_.size()), dim_);
    if (o_.all) {
      ops::CertifiedStats took;
      const auto found = or_exit(kOther, [&] { return corpus_.within(ctx_, values, {allowed_, o_.least}, &took); });
      took_.rescored += took.rescored, took_.exhausted += took.exhausted;
      for (std::size_t q = 0; q < queries_.size(); ++q) answer(queries_[q], found[q], "");
    } else {
      search(values);
    }
    done_ += static_cast<index_t>(queries_.size());
    queries_.clear(), texts_.clear(), values_.clear();
  }
  /// Returns whether each query went through all stages, with all its rows.
  bool finish() {
    flush();
    finish_stdout();
    if (!o_.stages.empty()) stages_.tell();
    if (left_out_ > 0)
      say(std::to_string(left_out_) + " rows were left out by a cross-encoder: their documents have no string '" + o_.field +
          "', or its score is NaN or infinity");
    if (unnamed_ > 0)
      say(sheet_.path() + ": " + std::to_string(unnamed_) +
          " of the rows that were found name no image in their documents, as index --image writes them: empty frames");
    if (!interrupted()) sheet_.write("queries");
    if (o_.certified)
      say("certified: " + std::to_string(took_.rescored) + " rows computed in f32 for " + std::to_string(done_) +
          " queries among " + std::to_string(corpus_.rows() - corpus_.removed()) + "; all rows for " +
          std::to_string(took_.exhausted) + " of them");
    return left_out_ == 0 && !stages_.any_skipped();
  }

  bool any_nonfinite() const { return any_nonfinite_; }

 private:
  static retrieval::Corpus opened(Context& ctx, const CorpusSearch& o) {
    auto corpus = retrieval::Corpus::open(o.corpus);
    return o.embed.dims > 0 && o.embed.dims < corpus.format().dim ? corpus.prefix(ctx, o.embed.dims) : corpus;
  }
  /// The last query by its rows of --times. \returns false, and says so, where one of them is not finite.
  bool multiply(index_t number) {
    const index_t dim = dim_;
    std::vector<float> other(static_cast<std::size_t>(dim));
    float* const query = values_.data() + values_.size() - static_cast<std::size_t>(dim);
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
  /// Through all stages.
  void search(View<const float, 2> values) {
    std::optional<retrieval::Bm25> index;
    std::vector<std::vector<retrieval::Term>> terms;
    if (words_) {
      index = or_exit(kOther, [&] { return words_->index(texts_); });
      for (const std::string& text : texts_) terms.push_back(index->terms(text));
    }
    const auto dense = [&] { return retrieval::by_embeddings(corpus_, values, {allowed_, o_.least}, &took_); };
    const auto lexical = [&] { return retrieval::by_words(*index, terms, allowed_); };
    std::vector<retrieval::Stage> stages;
    for (std::size_t i = 0; i < stages_.specs().size(); ++i) {
      const StageSpec& s = stages_.specs()[i];
      stages.push_back({s.what,
                        s.by("dense")    ? dense()
                        : s.by("bm25")   ? lexical()
                        : s.by("hybrid") ? retrieval::by_ranks(dense(), lexical())
                        : s.is_corpus()  ? retrieval::by_embeddings(stages_.corpus(i), values, {allowed_}, nullptr)
                                         : retrieval::by_cross_encoder(stages_.model(i), texts_, corpus_, o_.field,
                                                                       {.batch_tokens = 4096}, &left_out_),
                        s.keep, s.most_ms});
    }
    const auto found =
        or_exit(kOther, [&] { return search_in_stages(ctx_, stages, queries_.size(), corpus_.rows() - corpus_.removed()); });
    stages_.add(found.stages, queries_.size());
    for (std::size_t q = 0; q < queries_.size(); ++q)
      answer(queries_[q], found.of[q], found.skipped() ? stages_.skipped(found.stages) : "");
  }
  io::Json document(index_t id) const {
    const std::string_view text = corpus_.document(id);
    return text.empty() ? io::empty_object()
                        : or_exit(kOther, [&] { return io::parse_json(text, "document " + std::to_string(id)); });
  }
  void answer(const Query& query, const retrieval::Ranking& found, const std::string& skipped) {
    print(query.json, found, skipped);
    const bool is_image = !query.image.name.empty();
    if (!sheet_.takes(found.size() + (is_image ? 1 : 0))) return;
    std::vector<pictures::Cell> cells;
    std::vector<ImageInput> inputs;
    if (is_image) cells.push_back({{}, {"query", query.image.name}}), inputs.push_back(query.image);
    for (std::size_t place = 0; place < found.size(); ++place) {
      const auto [id, score] = found[place];
      cells.push_back({{}, {AnswerSheet::rank(place, static_cast<float>(score))}});
      inputs.push_back(image_of(id, cells.back()));
    }
    sheet_.add(ctx_, query.heading, std::move(cells), inputs);
  }
  /// The image that a document names, or none and why. Says in the cell what was found.
  ImageInput image_of(index_t id, pictures::Cell& cell) {
    const io::Json object = document(id);
    const io::Json &name = io::member(object, "image"), &text = io::member(object, o_.field.c_str());
    if (!name.is_string() || name.get_ref<const std::string&>().empty()) {
      cell.lines.push_back(text.is_string() ? text.get<std::string>() : "row " + std::to_string(id));
      cell.missing = "no image", ++unnamed_;
      return {};
    }
    cell.lines.push_back(name.get<std::string>());
    try {
      return named_.find(cell.lines.back());
    } catch (const Error& e) {
      say(std::string(e.what()) + "; not on " + sheet_.path());
      cell.missing = "not found";
      return {};
    }
  }
  /// \param skipped a JSON list of stages, or "".
  void print(const std::string& query, const retrieval::Ranking& found, const std::string& skipped) const {
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
               (o_.documents ? ", \"documents\": [" + documents + "]" : "") +
               (skipped.empty() ? "}" : ", \"skipped\": " + skipped + "}"));
  }

  Context& ctx_;
  const CorpusSearch& o_;
  AnswerSheet& sheet_;
  retrieval::Corpus corpus_;
  LoadedStages stages_;
  bool limited_ = false;  ///< in time
  index_t dim_ = 0;       ///< of queries
  index_t done_ = 0, left_out_ = 0;
  bool any_nonfinite_ = false;
  ops::CertifiedStats took_;
  std::vector<std::uint64_t> allowed_;
  std::vector<NpyRows> times_;
  std::optional<retrieval::CorpusWords> words_;
  NamedImages named_;
  long long unnamed_ = 0;       // rows on the sheet without an image
  std::vector<Query> queries_;  // that wait, beside texts_ and values_
  std::vector<std::string> texts_;
  std::vector<float> values_;
};

struct ImagesToAnswers final : NamingSink {
  Answers& to;
  explicit ImagesToAnswers(Answers& a) : to(a) {}
  void row(long long input, const ImageInput& image, const float* values) override {
    to.add(static_cast<index_t>(input), {json_of(input), image.name, image}, values);
  }
};

int by_npy(Context& ctx, const CorpusSearch& o, const RunOptions& run, index_t k, AnswerSheet& sheet) {
  const NpyRows rows(o.npy, o.embed.dims);
  Answers answers(ctx, o, run, k, sheet);
  answers.expect_dim(rows.dim(), o.npy);
  answers.expect_queries(rows.rows());
  bool any_nonfinite = false;
  std::vector<float> query(static_cast<std::size_t>(rows.dim()));
  for (index_t b = 0; b < rows.rows() && !interrupted(); ++b) {
    if (rows.read(b, query.data())) {
      answers.add(b, {json_of(static_cast<long long>(b)), "query " + std::to_string(b)}, query.data());
    } else {
      say(o.npy + ", row " + std::to_string(b) + " skipped: it holds NaN or infinity");
      any_nonfinite = true;
    }
  }
  const bool all = answers.finish();
  return interrupted() ? signal_exit() : outcome(!all, any_nonfinite || answers.any_nonfinite());
}

int by_texts(Context& ctx, const CorpusSearch& o, const RunOptions& run, const std::string& text, index_t k,
             AnswerSheet& sheet) {
  const Queries queries = read_queries("--text", text, o.jsonl);
  Answers answers(ctx, o, run, k, sheet);
  // An object names its query as --ids names documents.
  const auto name_of = [&](std::size_t i) {
    const std::string line = i < queries.lines.size() && o.jsonl && !o.ids.empty() ? queries.lines[i] : "";
    if (line.empty() || io::parse_json(line, "the query").is_string()) return json_of(queries.numbers[i]);
    return field_of(io::parse_json(line, "the query"), o.ids, "query " + std::to_string(queries.numbers[i]));
  };
  const auto done = [&] {
    const bool all = answers.finish();
    return interrupted() ? signal_exit() : outcome(queries.any_skipped || !all, answers.any_nonfinite());
  };
  if (!o.needs_embeddings()) {
    for (std::size_t i = 0; i < queries.texts.size() && !interrupted(); ++i)
      answers.add(queries.numbers[i], {name_of(i), queries.texts[i]}, nullptr, queries.texts[i]);
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
      answers.add(queries.numbers[at + i], {name_of(at + i), queries.texts[at + i]},
                  rows.values.data() + i * static_cast<std::size_t>(rows.dim), queries.texts[at + i]);
  }
  return done();
}

int by_images(Context& ctx, const CorpusSearch& o, const DualOptions& shared, index_t k, AnswerSheet& sheet) {
  ImageInputs inputs(shared.images);
  Answers answers(ctx, o, shared.run, k, sheet);
  const auto model = shared.run.load(ctx, [&](const models::LoadOptions& load) {
    return models::ImageEncoder::load(ctx, shared.run.model, load, backend_of(shared.backend));
  });
  auto embed = shared.embed;
  embed.dims = o.embed.dims;
  answers.expect_dim(or_exit(kUsage, [&] { return model.dim(embed); }), shared.run.model);
  ImagesToAnswers sink(answers);
  Progress progress("images");
  embed_each(ctx, model, embed, inputs, 0, -1, progress, sink);
  const bool all = answers.finish();
  return interrupted() ? signal_exit() : outcome(sink.any_skipped || !all, sink.any_nonfinite || answers.any_nonfinite());
}

}  // namespace

int search_corpus(const CorpusSearch& o, const DualOptions& shared, const std::string& text, index_t k, AnswerSheet& sheet) {
  catch_signals();
  Context ctx = shared.run.context();
  if (!o.npy.empty()) return by_npy(ctx, o, shared.run, k, sheet);
  return text.empty() ? by_images(ctx, o, shared, k, sheet) : by_texts(ctx, o, shared.run, text, k, sheet);
}

}  // namespace tool
