// tessera bench: seconds of a forward pass over random token ids or pixels, or of a search.
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "bench_search.hpp"
#include "breakdown.hpp"
#include "tool.hpp"

namespace tool {

namespace {

using namespace tessera;

constexpr long kMostPasses = std::numeric_limits<long>::max();

struct BenchOptions {
  RunOptions run;
  std::string kind = "text", lengths;
  long batch = 1, seq = 0, size = 0, rounds = 15;
  bool stdio = false, breakdown = false, search = false;
  SearchBenchOptions searched;

  bool images() const { return kind == "image" || kind == "clip-image"; }
  bool head() const { return kind.starts_with("clip-"); }  // through the projection into the common space
};

/// One forward pass, and what it is of.
struct Pass {
  std::function<void(const models::ForwardOptions&)> run;
  std::string what;  ///< for people: "3 sequences, 21 tokens"
  double count = 0;  ///< things that go through in a pass, of this kind:
  const char* unit = "";
  std::shared_ptr<Breakdown> parts;
};

std::vector<long> sequence_lengths(const BenchOptions& o, long most) {
  const long usual = o.head() ? most : std::min(most, 128L);
  if (o.lengths.empty()) return std::vector<long>(static_cast<std::size_t>(o.batch), o.seq > 0 ? o.seq : usual);
  std::ifstream file(o.lengths);
  if (!file) throw Failure{kOther, o.lengths + ": cannot read"};
  std::vector<long> all;
  for (std::string word; file >> word;) {
    if (word.front() == '#') {
      std::getline(file, word);
      continue;
    }
    const char* end = word.data() + word.size();
    const auto [next, error] = std::from_chars(word.data(), end, all.emplace_back());
    if (error != std::errc() || next != end || all.back() < 1)
      throw Failure{kOther, o.lengths + ": '" + word + "' is not a length; expected whole numbers from 1, # for comments"};
  }
  if (all.empty()) throw Failure{kOther, o.lengths + ": no lengths in it"};
  return all;
}

/// Numbers that look random and are the same everywhere.
class Drawn {
 public:
  std::uint32_t operator()() { return (state_ = state_ * 1664525u + 1013904223u) >> 8; }

 private:
  std::uint32_t state_ = 1;
};

View<const index_t, 1> offsets(const std::vector<index_t>& cu) {
  return View<const index_t, 1>(cu.data(), static_cast<index_t>(cu.size()));
}

Pass text_pass(Context& ctx, const BenchOptions& o) {
  struct State {
    models::TextModel model;
    std::vector<index_t> cu{0};
    std::vector<std::int32_t> ids;
    std::vector<float> hidden, out;
  };
  const auto s = std::make_shared<State>();
  s->model = o.run.load(ctx, [&](const models::LoadOptions& load) {
    return models::load_text_model(ctx, io::ModelFolder::open(o.run.model), load);
  });
  if (o.head() && !s->model.head)
    throw Failure{kUsage, "--kind " + o.kind + ": this model projects texts into no space of images"};
  const auto& config = s->model.transformer->config();
  for (const long n : sequence_lengths(o, s->model.max_length)) {
    if (n > s->model.max_length)
      throw Failure{kUsage, (o.lengths.empty() ? "--seq" : o.lengths) + " " + std::to_string(n) + ": the model has " +
                                std::to_string(s->model.max_length) + " positions"};
    s->cu.push_back(s->cu.back() + n);
  }
  const index_t tokens = s->cu.back(), c = s->model.transformer->width(), n = static_cast<index_t>(s->cu.size()) - 1;
  s->ids.resize(static_cast<std::size_t>(tokens));
  Drawn drawn;
  for (auto& id : s->ids) id = static_cast<std::int32_t>(drawn() % static_cast<std::uint32_t>(config.vocab_size));
  s->hidden.resize(static_cast<std::size_t>(tokens * c));
  const index_t e = o.head() ? s->model.head->projection.linear.weight.n() : 0;
  s->out.resize(static_cast<std::size_t>(n * e));
  Pass pass;
  pass.run = [s, &ctx, tokens, c, n, e](const models::ForwardOptions& options) {
    models::TokenInputs in;
    in.ids = View<const std::int32_t, 1>(s->ids.data(), tokens);
    in.batch.cu_seqlens = offsets(s->cu);
    const View<float, 2> hidden(s->hidden.data(), tokens, c);
    s->model.transformer->forward(ctx, in, hidden, options);
    if (e > 0) s->model.embed(ctx, hidden, in.ids, in.batch.cu_seqlens, View<float, 2>(s->out.data(), n, e));
  };
  pass.what = std::to_string(n) + " sequences, " + std::to_string(tokens) + " tokens";
  pass.count = static_cast<double>(tokens), pass.unit = "tokens";
  pass.parts = std::make_shared<Breakdown>(config.block, s->cu);
  return pass;
}

Pass image_pass(Context& ctx, const BenchOptions& o) {
  struct State {
    models::ImageModel model;
    std::vector<float> values, hidden, out;
    std::vector<ops::Pixels> images;
    std::vector<index_t> cu;
  };
  const auto s = std::make_shared<State>();
  s->model = o.run.load(ctx, [&](const models::LoadOptions& load) {
    return models::load_image_model(ctx, io::ModelFolder::open(o.run.model), load);
  });
  const models::ImageModel& m = s->model;
  if (o.head() && !m.has_embedding())
    throw Failure{kUsage, "--kind " + o.kind + ": this model projects images into no space of texts"};
  const index_t h = o.size > 0 ? o.size : m.image_height, w = o.size > 0 ? o.size : m.image_width,
                channels = m.patch.channels;
  s->values.resize(static_cast<std::size_t>(o.batch * channels * h * w));
  Drawn drawn;
  for (float& v : s->values) v = static_cast<float>(drawn() & 0xffff) / 16384.f - 2.f;
  for (long i = 0; i < o.batch; ++i)
    s->images.push_back({.planes = View<const float, 3>(s->values.data() + i * channels * h * w, channels, h, w)});
  s->cu = or_exit(kUsage, [&] { return m.offsets(s->images); });
  s->hidden.resize(static_cast<std::size_t>(s->cu.back() * m.channels()));
  s->out.resize(static_cast<std::size_t>(o.head() ? o.batch * m.dim() : 0));
  Pass pass;
  pass.run = [s, &ctx](const models::ForwardOptions& options) {
    const View<float, 2> hidden(s->hidden.data(), s->cu.back(), s->model.channels());
    s->model.forward(ctx, s->images, hidden, options);
    if (!s->out.empty())
      s->model.embed(ctx, hidden, offsets(s->cu),
                     View<float, 2>(s->out.data(), static_cast<index_t>(s->images.size()), s->model.dim()));
  };
  pass.what = std::to_string(o.batch) + " images of " + std::to_string(h) + " x " + std::to_string(w) + ", " +
              std::to_string(s->cu.back()) + " tokens";
  pass.count = static_cast<double>(o.batch), pass.unit = "images";
  pass.parts = std::make_shared<Breakdown>(m.transformer->config().block, s->cu);
  return pass;
}

/// "ready", then for each line 'go N' what go(N) returns; and for each 'ids N' and 'peak', if there is a search, what it
/// says.
int answer(const std::function<double(long)>& go, long most, SearchBench* search = nullptr) {
  print_line("ready");
  finish_stdout();
  char line[64];
  while (std::fgets(line, sizeof line, stdin)) {
    long n = 0;
    const bool ids = search && std::sscanf(line, "ids %ld", &n) == 1 && n >= 1 && n <= most;
    if (ids || (search && std::string_view(line) == "peak\n")) {
      print_line(ids ? search->ids(n) : std::to_string(search->peak()));
      finish_stdout();
      continue;
    }
    if (std::sscanf(line, "go %ld", &n) != 1 || n < 1 || n > most)
      throw Failure{kUsage, "--stdio: expected a line 'go N' with N from 1" +
                                (most == kMostPasses ? std::string() : " to " + std::to_string(most))};
    std::printf("%.9f\n", go(n));
    finish_stdout();
  }
  return kDone;
}

/// Seconds of one pass, the shortest first: as many as fit into a fifth of a second are measured together.
std::vector<double> sorted_rounds(long rounds, const std::function<double(long)>& passes) {
  std::vector<double> seconds;
  const long each = std::max(1L, static_cast<long>(0.2 / passes(1)));
  for (long r = 0; r < rounds; ++r) seconds.push_back(passes(each) / static_cast<double>(each));
  std::sort(seconds.begin(), seconds.end());
  return seconds;
}

/// Seconds that f() takes `times` times.
template <class F>
double seconds_of(long times, const F& f) {
  const auto start = std::chrono::steady_clock::now();
  for (long i = 0; i < times; ++i) f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

int run_search_bench(const BenchOptions& o) {
  if (!o.run.model.empty() || o.breakdown) throw Failure{kUsage, "--search takes no model, and has no breakdown"};
  Context ctx = o.run.context();
  SearchBench search(ctx, o.searched, o.run.dtype);
  search.run(search.batch());
  if (o.stdio) return answer([&](long batch) { return seconds_of(1, [&] { search.run(batch); }); }, search.batch(), &search);
  const long batch = std::min(o.batch, search.batch());
  const auto seconds = sorted_rounds(o.rounds, [&](long times) { return seconds_of(times, [&] { search.run(batch); }); });
  const double median = seconds[seconds.size() / 2];
  std::printf("%s, %d threads, %ld queries of %ld rows of %ld: median %.3f ms, least %.3f ms, %.0f queries/s\n",
              isa_name(ctx.isa()), ctx.threads(), batch, o.searched.n, o.searched.d, 1e3 * median, 1e3 * seconds.front(),
              static_cast<double>(batch) / median);
  return kDone;
}

int run_bench(const BenchOptions& o) {
  if (o.search) return run_search_bench(o);
  if (o.run.model.empty()) throw Failure{kUsage, "--model is required, but for --search"};
  if (o.images() && (o.seq > 0 || !o.lengths.empty()))
    throw Failure{kUsage, "--seq and --lengths are for texts, --size is for images"};
  if (!o.images() && o.size > 0) throw Failure{kUsage, "--size is for images, --seq for texts"};
  Context ctx = o.run.context();
  const Pass pass = o.images() ? image_pass(ctx, o) : text_pass(ctx, o);
  const auto forward = [&](long times) { return seconds_of(times, [&] { pass.run({}); }); };
  forward(3);
  if (o.stdio) return answer(forward, kMostPasses);
  if (o.breakdown) {
    const models::ForwardOptions options{.taps = &pass.parts->taps()};
    for (long r = 0; r < o.rounds; ++r) {
      pass.parts->begin_pass();
      pass.run(options);
    }
    pass.parts->print(ctx, weights_of(o.run.dtype));
    return kDone;
  }
  const auto seconds = sorted_rounds(o.rounds, forward);
  const double median = seconds[seconds.size() / 2];
  std::printf("%s, %d threads, %s: median %.3f ms, least %.3f ms, %.0f %s/s\n", isa_name(ctx.isa()), ctx.threads(),
              pass.what.c_str(), 1e3 * median, 1e3 * seconds.front(), pass.count / median, pass.unit);
  return kDone;
}

}  // namespace

void add_bench(Command& app, int& exit) {
  auto o = std::make_shared<BenchOptions>();
  o->run.add_to(app);
  app.named("--model").required(false);
  app.option("--kind", o->kind,
             "what to run: hidden states of text or image, or clip-text and clip-image up to the common space")
      .one_of({"text", "image", "clip-text", "clip-image"});
  app.option("--batch", o->batch, "sequences, images or queries").range(1, 1 << 20);
  app.option("--seq", o->seq, "tokens of each; by default 128, of clip-text all positions").range(1, 1 << 20);
  app.option("--size", o->size, "height and width of each image; by default the model's own").range(1, 1 << 14);
  app.option("--lengths", o->lengths, "a file of lengths, one sequence each, instead of --batch and --seq");
  app.option("--rounds", o->rounds, "rounds to take the median of").range(1, 10000);
  const auto stdio = app.flag("--stdio", o->stdio, "print 'ready'; then, for each line 'go N', the seconds of N passes");
  app.flag("--breakdown", o->breakdown, "print the time of each part of a layer beside the least possible").excludes(stdio);
  app.flag("--search", o->search,
           "a search instead of a model: the best rows of a corpus for each query; with --stdio 'go B'"
           " searches for the first B queries, 'ids B' prints what they find, and 'peak' the machine's limit in GFLOP/s");
  o->searched.add_to(app);
  app.runs([o] { return run_bench(*o); }, exit);
}

}  // namespace tool
