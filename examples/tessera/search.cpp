// tessera search: ranks the rows of a corpus by queries, or images by texts, exactly.
#include <algorithm>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <tessera/ops/gemm.hpp>
#include <tessera/ops/topk.hpp>

#include "answer_sheet.hpp"
#include "dual.hpp"
#include "embed_output.hpp"
#include "json_line.hpp"
#include "queries.hpp"
#include "search_corpus.hpp"

namespace tool {

namespace {

using namespace tessera;

struct SearchOptions {
  DualOptions dual;
  CorpusSearch corpus;
  std::string text, sheet;
  std::size_t k = 10;
};

struct Gallery final : NamingSink {
  std::vector<ImageInput> images;
  std::vector<long long> numbers;
  std::vector<float> rows;
  index_t dim;
  explicit Gallery(index_t d) : dim(d) {}

  void row(long long input, const ImageInput& image, const float* values) override {
    images.push_back(image), numbers.push_back(input);
    rows.insert(rows.end(), values, values + dim);
  }
};

/// Options of one of the two ways to search.
void check_ways(const SearchOptions& o) {
  const bool corpus = !o.corpus.corpus.empty();
  for (const auto& [given, name, has, of] :
       {std::tuple(!o.corpus.npy.empty(), "--npy", corpus, "--corpus"),
        {!o.corpus.filters.empty(), "--filter", corpus, "--corpus"},
        {!o.corpus.rows.empty(), "--rows", corpus, "--corpus"},
        {o.corpus.all, "--all", corpus && o.corpus.by == "dense" && o.corpus.stages.empty(),
         "--corpus, by embeddings alone"},
        {!o.corpus.times.empty(), "--times", corpus && o.corpus.by == "dense" && o.corpus.stages.empty(),
         "--corpus, by embeddings alone"},
        {o.corpus.jsonl, "--jsonl", corpus && !o.text.empty(), "--corpus with --text"},
        {o.corpus.embed.dims > 0, "--dims", corpus, "--corpus"},
        {o.corpus.by != "dense", "--by", corpus && !o.text.empty(), "--corpus with --text"},
        {!o.corpus.stages.empty(), "--stage", corpus, "--corpus"},
        {!o.corpus.stages.empty() && o.corpus.by != "dense", "--by", false,
         "a search without --stage, whose stages say by what"},
        {o.corpus.needs_texts(), "stages by words or a cross-encoder (or a corpus that is not there)",
         !corpus || !o.text.empty(), "--corpus with --text"},
        {o.corpus.certified, "--certified", corpus, "--corpus"},
        {o.corpus.documents, "--documents", corpus, "--corpus"},
        {!o.corpus.ids.empty(), "--ids", corpus, "--corpus"},
        {o.corpus.least > -__builtin_inff(), "--least", corpus, "--corpus"},
        {o.corpus.prompted(), "--prompt and --prompt-name", corpus && !o.text.empty(), "--corpus with --text"},
        {o.dual.embed.merging != nullptr, "--merge", !corpus, "a search without --corpus"}})
    if (given && !has) throw Failure{kUsage, std::string(name) + ": for " + of};
  if (o.corpus.all && !(o.corpus.least > -__builtin_inff())) throw Failure{kUsage, "--all: needs --least"};
  if (corpus) {
    if (!o.corpus.npy.empty() + !o.text.empty() + !o.dual.images.empty() != 1)
      throw Failure{kUsage, "--corpus: one of --npy, --text and --image says what to look for"};
    if (o.corpus.npy.empty() && o.corpus.needs_embeddings() && o.dual.run.model.empty())
      throw Failure{kUsage, "--text and --image need --model"};
  } else if (o.dual.run.model.empty() || o.text.empty() || o.dual.images.empty()) {
    throw Failure{kUsage, "--corpus is required; or --model, --text and --image, to rank images"};
  }
}

int run_search(const SearchOptions& o) {
  check_ways(o);
  AnswerSheet sheet(o.sheet);
  if (!o.corpus.corpus.empty()) return search_corpus(o.corpus, o.dual, o.text, static_cast<index_t>(o.k), sheet);
  catch_signals();
  Context ctx = o.dual.run.context();
  ImageInputs inputs(o.dual.images);
  if (o.text == "-" && inputs.streams()) throw Failure{kUsage, "--text - and --image -: standard input can be read once"};
  const Queries queries = read_queries("--text", o.text, false);
  const auto model = o.dual.load(ctx);
  const std::vector<std::string_view> views(queries.texts.begin(), queries.texts.end());
  const auto texts = model.text().embed(ctx, views);
  Progress progress("images");
  Gallery gallery(model.image().dim());
  embed_each(ctx, model.image(), o.dual.embed, inputs, 0, -1, progress, gallery);
  if (interrupted()) {
    say("stopped by a signal before all images were seen; nothing is ranked");
    return signal_exit();
  }
  const auto n = static_cast<index_t>(gallery.images.size());
  const index_t count = texts.rows, k = std::min(static_cast<index_t>(o.k), n);
  std::vector<float> scores(static_cast<std::size_t>(count * k));
  std::vector<index_t> places(scores.size()), counts(static_cast<std::size_t>(count));
  if (k > 0)
    ops::top_k(ctx, texts.view(), ops::pack_weight(ctx, View<const float, 2>(gallery.rows.data(), n, gallery.dim)), {},
               {View<float, 2>(scores.data(), count, k), View<index_t, 2>(places.data(), count, k),
                View<index_t, 1>(counts.data(), count)});
  for (std::size_t q = 0; q < queries.texts.size(); ++q) {
    std::vector<long long> ids;
    std::vector<float> best;
    std::vector<std::string> names;
    std::vector<ImageInput> found;
    std::vector<pictures::Cell> cells;
    for (index_t r = 0; r < counts[q]; ++r) {
      const auto at = q * static_cast<std::size_t>(k) + static_cast<std::size_t>(r),
                 i = static_cast<std::size_t>(places[at]);
      ids.push_back(gallery.numbers[i]), best.push_back(scores[at]);
      found.push_back(gallery.images[i]), names.push_back(gallery.images[i].name);
      cells.push_back({{}, {AnswerSheet::rank(static_cast<std::size_t>(r), scores[at]), names.back()}});
    }
    print_line("{\"query\": " + json_of(queries.numbers[q]) + ", \"ids\": " + json_of(ids) +
               ", \"scores\": " + json_of(best) + ", \"images\": " + json_of(names) + "}");
    if (sheet.takes(found.size())) sheet.add(ctx, queries.texts[q], std::move(cells), found);
  }
  finish_stdout();
  sheet.write("texts");
  return outcome(gallery.any_skipped || queries.any_skipped, gallery.any_nonfinite);
}

}  // namespace

void add_search(Command& app, int& exit) {
  auto o = std::make_shared<SearchOptions>();
  app.option("--corpus", o->corpus.corpus, "what 'tessera index' made");
  app.option("--npy", o->corpus.npy, "queries [B, E], float32 or float16");
  app.option("--text", o->text, "what to look for; or a file (.txt) of such texts, one a line; - for standard input");
  o->dual.add_to(app, false);
  app.option("-k", o->k, "so many a query, the best first").range(1, 1 << 24);
  o->corpus.add_to(app);
  app.option("--sheet", o->sheet,
             "also a contact sheet of what was found, at most 400 images: a .png or .svg file; --corpus: of the files that\n"
             "\"image\" of the documents names, an empty frame where there is none");
  app.runs([o] { return run_search(*o); }, exit);
}

}  // namespace tool
