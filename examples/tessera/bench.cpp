// tessera bench: seconds of a forward pass over random token ids.
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "tool.hpp"

namespace tool {

namespace {

struct BenchOptions {
  RunOptions run;
  std::string kind = "text", lengths;
  long batch = 1, seq = 128, rounds = 15;
  bool stdio = false;
};

std::vector<long> sequence_lengths(const BenchOptions& o) {
  if (o.lengths.empty()) return std::vector<long>(static_cast<std::size_t>(o.batch), o.seq);
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

int run_bench(const BenchOptions& o) {
  using namespace tessera;
  Context ctx = o.run.context();
  const auto model =
      or_refuse([&] { return models::load_text_model(ctx, io::ModelFolder::open(o.run.model), o.run.load()); });
  const auto& config = model.transformer->config();
  std::vector<index_t> cu{0};
  for (const long n : sequence_lengths(o)) {
    if (n > config.max_positions)
      throw Failure{kUsage, (o.lengths.empty() ? "--seq" : o.lengths) + " " + std::to_string(n) + ": the model has " +
                                std::to_string(config.max_positions) + " positions"};
    cu.push_back(cu.back() + n);
  }
  std::vector<std::int32_t> ids(static_cast<std::size_t>(cu.back()));
  std::uint32_t state = 1;
  for (auto& id : ids) {
    state = state * 1664525u + 1013904223u;
    id = static_cast<std::int32_t>((state >> 8) % static_cast<std::uint32_t>(config.vocab_size));
  }
  std::vector<float> out(ids.size() * static_cast<std::size_t>(config.block.channels));
  models::TokenInputs in;
  in.ids = View<const std::int32_t, 1>(ids.data(), cu.back());
  in.batch.cu_seqlens = View<const index_t, 1>(cu.data(), static_cast<index_t>(cu.size()));
  const auto forward = [&](long times) {
    const auto start = std::chrono::steady_clock::now();
    for (long i = 0; i < times; ++i)
      model.transformer->forward(ctx, in, View<float, 2>(out.data(), cu.back(), config.block.channels));
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  forward(3);
  if (o.stdio) {
    print_line("ready");
    finish_stdout();
    char line[64];
    while (std::fgets(line, sizeof line, stdin)) {
      long times = 0;
      if (std::sscanf(line, "go %ld", &times) != 1 || times < 1)
        throw Failure{kUsage, "--stdio: expected a line 'go N' with N from 1"};
      std::printf("%.9f\n", forward(times));
      finish_stdout();
    }
    return kDone;
  }
  std::vector<double> seconds;
  const long each = std::max(1L, static_cast<long>(0.2 / forward(1)));
  for (long r = 0; r < o.rounds; ++r) seconds.push_back(forward(each) / static_cast<double>(each));
  std::sort(seconds.begin(), seconds.end());
  const double median = seconds[seconds.size() / 2];
  std::printf("%s, %d threads, %zu sequences, %lld tokens: median %.3f ms, least %.3f ms, %.0f tokens/s\n",
              isa_name(ctx.isa()), ctx.threads(), cu.size() - 1, static_cast<long long>(cu.back()), 1e3 * median,
              1e3 * seconds.front(), static_cast<double>(cu.back()) / median);
  return kDone;
}

}  // namespace

void add_bench(CLI::App& app, int& exit) {
  auto o = std::make_shared<BenchOptions>();
  o->run.add_to(app);
  app.add_option("--kind", o->kind, "what to run")->check(CLI::IsMember({"text"}));
  app.add_option("--batch", o->batch, "sequences")->check(CLI::Range(1, 1 << 20));
  app.add_option("--seq", o->seq, "tokens of each")->check(CLI::Range(1, 1 << 20));
  app.add_option("--lengths", o->lengths, "a file of lengths, one sequence each, instead of --batch and --seq");
  app.add_option("--rounds", o->rounds, "rounds to take the median of")->check(CLI::Range(1, 10000));
  app.add_flag("--stdio", o->stdio, "print 'ready'; then, for each line 'go N', the seconds of N passes");
  app.callback([o, &exit] { exit = run_bench(*o); });
}

}  // namespace tool
