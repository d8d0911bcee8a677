// tessera index: rows to search in, from a .npy file, or from texts or images by a model.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include <tessera/image.hpp>
#include <tessera/retrieval/corpus_compaction.hpp>
#include <tessera/retrieval/corpus_writer.hpp>

#include "embed_output.hpp"
#include "image_rows.hpp"
#include "json_line.hpp"
#include "lines.hpp"
#include "npy_rows.hpp"
#include "text_rows.hpp"
#include "tool.hpp"

namespace tool {

namespace {

using namespace tessera;

struct IndexOptions {
  RunOptions run;
  std::string npy, text, documents, out, dtype, backend = "pil", field = "text";
  std::vector<std::string> images;
  std::vector<index_t> remove;
  models::EmbedOptions embed;
  bool jsonl = false, append = false, normalize = false, compact = false;
};

/// Rows on their way into the corpus, each with its document.
class Indexer {
 public:
  Indexer(Context& ctx, const IndexOptions& o, index_t dim)
      : ctx_(ctx), o_(o), map_(o.out, 0), writer_(or_exit(kOther, [&] { return open(o, dim); })) {
    if (writer_.format().dim != dim)
      throw Failure{kUsage, o.out + ": its rows have " + std::to_string(writer_.format().dim) + " numbers, these have " +
                                std::to_string(dim)};
  }

  void row(const float* values, std::string document) {
    values_.insert(values_.end(), values, values + writer_.format().dim);
    documents_.push_back(std::move(document));
    if (documents_.size() == 256) flush();
  }
  void skip(long long input, const std::string& name, const std::string& why) { map_.skip(input, name, why); }
  void nonfinite() { any_nonfinite_ = true; }

  /// Puts the rows in place, and says so in one line of JSON.
  int finish() {
    flush();
    std::error_code error;
    if (interrupted() && rows_ == 0 && std::filesystem::exists(o_.out, error)) {
      say("stopped by a signal before the first row; " + o_.out + " is as it was");
      return signal_exit();
    }
    long long first = 0;
    or_exit(kOutput, [&] {
      if (o_.append)
        first = writer_.commit(ctx_), map_.commit_behind(first, rows_);
      else
        map_.commit(rows_, [&] { writer_.commit(ctx_); });
    });
    print_line("{\"corpus\": " + json_of(o_.out) + ", \"rows\": " + json_of(first + rows_) + ", \"added\": " +
               json_of(rows_) + ", \"dim\": " + json_of(static_cast<long long>(writer_.format().dim)) + "}");
    finish_stdout();
    if (interrupted()) {
      say("stopped by a signal; " + o_.out + " has the rows that were done: " + std::to_string(rows_));
      return signal_exit();
    }
    return outcome(!map_.skipped().empty(), any_nonfinite_);
  }

 private:
  static DType kept_as(const std::string& dtype) { return dtype == "bits" ? DType::boolean : weights_of(dtype); }
  void flush() {
    const auto n = static_cast<index_t>(documents_.size());
    or_exit(kOutput, [&] { writer_.add(ctx_, View<const float, 2>(values_.data(), n, writer_.format().dim), documents_); });
    rows_ += n;
    values_.clear(), documents_.clear();
  }
  static retrieval::CorpusWriter open(const IndexOptions& o, index_t dim) {
    if (!o.append) return retrieval::CorpusWriter::create(o.out, {dim, kept_as(o.dtype), o.normalize}, kPartBytes, o.field);
    auto writer = retrieval::CorpusWriter::append(o.out, kPartBytes, o.field);
    if (!o.dtype.empty() && writer.format().dtype != kept_as(o.dtype))
      throw Failure{kUsage,
                    o.out + ": holds " + dtype_name(writer.format().dtype) + "; --append takes the type that is there"};
    return writer;
  }

  static constexpr std::size_t kPartBytes = retrieval::CorpusWriter::kPartBytes;
  Context& ctx_;
  const IndexOptions& o_;
  RowMap map_;
  retrieval::CorpusWriter writer_;
  std::vector<float> values_;  // of rows that wait, beside documents_
  std::vector<std::string> documents_;
  long long rows_ = 0;
  bool any_nonfinite_ = false;
};

struct TextsToIndex final : TextSink {
  Indexer& to;
  bool jsonl;
  TextsToIndex(Indexer& i, bool j) : to(i), jsonl(j) {}
  void row(const TextInput& input, const float* values) override {
    // An object is the document as it stands, with its other fields.
    const bool object = jsonl && input.line.find_first_not_of(" \t") == input.line.find('{');
    to.row(values, object ? input.line : "{\"text\": " + json_of(input.text) + "}");
  }
  void skip(const TextInput& input, const std::string& why) override { to.skip(input.number, input.name, why); }
  void nonfinite(const TextInput& input) override { TextSink::nonfinite(input), to.nonfinite(); }
};

struct ImagesToIndex final : ImageSink {
  Indexer& to;
  explicit ImagesToIndex(Indexer& i) : to(i) {}
  void row(long long, const ImageInput& image, const float* values) override {
    to.row(values, "{\"image\": " + json_of(image.name) + "}");
  }
  void skip(long long input, const ImageInput& image, const std::string& why) override { to.skip(input, image.name, why); }
  void nonfinite(long long input, const ImageInput& image) override { ImageSink::nonfinite(input, image), to.nonfinite(); }
};

int index_npy(Context& ctx, const IndexOptions& o) {
  const NpyRows rows(o.npy, o.embed.dims);
  Indexer to(ctx, o, rows.dim());
  std::optional<Lines> documents;
  if (!o.documents.empty()) documents.emplace(o.documents, true);
  Progress progress("rows");
  std::vector<float> row(static_cast<std::size_t>(rows.dim()));
  std::string document;
  for (index_t r = 0; r < rows.rows() && !interrupted(); ++r) {
    document.clear();
    if (documents && !documents->next_raw(document)) {
      if (interrupted()) break;
      throw Failure{kOther, o.documents + ": " + std::to_string(r) + " lines for " + std::to_string(rows.rows()) + " rows"};
    }
    io::Json json;
    std::string why;
    if (documents && (!Lines::json(document, json, why) || !json.is_object()))
      throw Failure{kOther, documents->where() + ": " + (why.empty() ? "not a JSON object" : why)};
    if (rows.read(r, row.data()))
      to.row(row.data(), document);
    else
      to.skip(r, o.npy + ", row " + std::to_string(r), "it holds NaN or infinity"), to.nonfinite();
    progress.update(r + 1, static_cast<double>(r + 1) / static_cast<double>(rows.rows()));
  }
  progress.clear();
  if (documents && !interrupted() && documents->next_raw(document))
    throw Failure{kOther, o.documents + ": more lines than the " + std::to_string(rows.rows()) + " rows of " + o.npy};
  return to.finish();
}

int index_texts(Context& ctx, const IndexOptions& o) {
  Lines lines(o.text, o.jsonl);
  const auto model =
      o.run.load(ctx, [&](const models::LoadOptions& load) { return models::TextEncoder::load(ctx, o.run.model, load); });
  check_options(ctx, model, o.embed);
  Indexer to(ctx, o, model.dim(o.embed));
  TextsToIndex sink(to, o.jsonl);
  Progress progress("texts");
  embed_lines(ctx, model, o.embed, lines, 0, -1, progress, sink);
  return to.finish();
}

int index_images(Context& ctx, const IndexOptions& o) {
  ImageInputs inputs(o.images);
  const auto model = o.run.load(ctx, [&](const models::LoadOptions& load) {
    return models::ImageEncoder::load(ctx, o.run.model, load, backend_of(o.backend));
  });
  models::ImageEmbedOptions embed;
  embed.batch_tokens = o.embed.batch_tokens, embed.dims = o.embed.dims;
  Indexer to(ctx, o, or_exit(kUsage, [&] { return model.dim(embed); }));
  ImagesToIndex sink(to);
  Progress progress("images");
  embed_each(ctx, model, embed, inputs, 0, -1, progress, sink);
  return to.finish();
}

int run_index(const IndexOptions& o) {
  const int sources = !o.npy.empty() + !o.text.empty() + !o.images.empty();
  if (!o.remove.empty()) {
    if (sources > 0 || o.append || o.compact)
      throw Failure{kUsage, "--remove goes alone: rows are added by a command of their own"};
    or_exit(kOther, [&] { retrieval::remove_rows(o.out, o.remove); });
    return kDone;
  }
  if (o.compact) {
    if (sources > 0 || o.append) throw Failure{kUsage, "--compact goes alone: rows are added by a command of their own"};
    const index_t parts = or_exit(kOther, [&] { return retrieval::compact(o.out); });
    print_line("{\"corpus\": " + json_of(o.out) + ", \"parts\": " + json_of(static_cast<long long>(parts)) + "}");
    finish_stdout();
    return kDone;
  }
  if (sources != 1) throw Failure{kUsage, "one of --npy, --text, --image, --remove and --compact is required"};
  if (o.npy.empty() && o.run.model.empty()) throw Failure{kUsage, "--text and --image need --model"};
  for (const auto& [given, name, of, has] : {std::tuple(!o.documents.empty(), "--documents", "--npy", !o.npy.empty()),
                                             {o.jsonl, "--jsonl", "--text", !o.text.empty()},
                                             {o.embed.prompt.has_value() || !o.embed.prompt_name.empty(),
                                              "--prompt and --prompt-name", "--text", !o.text.empty()},
                                             {o.normalize && o.append, "--normalize", "a new corpus", false}})
    if (given && !has) throw Failure{kUsage, std::string(name) + ": for " + of};
  catch_signals();
  Context ctx = o.run.context();
  return !o.npy.empty() ? index_npy(ctx, o) : !o.text.empty() ? index_texts(ctx, o) : index_images(ctx, o);
}

}  // namespace

void add_index(Command& app, int& exit) {
  auto o = std::make_shared<IndexOptions>();
  o->embed.batch_tokens = 4096;
  app.option("--npy", o->npy, "rows [N, E], float32 or float16");
  app.option("--documents", o->documents, "--npy: what they stand for, a JSON object a line");
  o->run.add_without_dtype(app);
  app.option("--model-dtype", o->run.dtype, "of the model's linear layers: f32, bf16 or int8")
      .one_of({"f32", "bf16", "int8"});
  app.option("--text", o->text, "text file, one text a line; - for standard input");
  app.flag("--jsonl", o->jsonl, kJsonlHelp);
  app.option("--image", o->images, kImageHelp);
  app.option("--backend", o->backend, "whose image processor: pil or torchvision").one_of({"pil", "torchvision"});
  const auto prompt = app.option(
      "--prompt", [o](const std::string& s) { o->embed.prompt = s; }, "put before every text; \"\" for none");
  app.option("--prompt-name", o->embed.prompt_name, "one of the model's prompts").excludes(prompt);
  app.option("--dims", o->embed.dims, kDimsHelp).range(1, 1 << 20);
  app.flag("--force-dims", o->embed.force_dims, kForceDimsHelp);
  app.option("--batch-tokens", o->embed.batch_tokens, "tokens that go through the model at once").range(1, 1 << 24);
  app.option("-o,--out", o->out, "the corpus: a .safetensors file, and files beside it where rows were added").required();
  app.option("--dtype", o->dtype, "rows are kept as f32 (and int8, to search by), or as bf16, int8 or bits alone")
      .one_of({"f32", "bf16", "int8", "bits"});
  app.flag("--normalize", o->normalize, "rows and queries get length 1: scores are cosines");
  app.flag("--append", o->append, "add to the corpus that is there");
  app.option("--remove", o->remove, "these rows are found no more");
  app.flag("--compact", o->compact,
           "makes few files of many: rows keep their numbers, searches answer as before, documents of removed rows go");
  app.option("--field", o->field,
             "of documents: keep the words of this field, so that --by bm25 and hybrid begin at once; \"\" for none");
  app.runs([o] { return run_index(*o); }, exit);
}

}  // namespace tool
