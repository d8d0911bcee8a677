// A software catalogue, searched by meaning. `tessera index` has embedded it once; this only searches.
//   catalogue MODEL_FOLDER CORPUS.safetensors     then queries from the terminal
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

#include <tessera/tessera.hpp>

namespace {

using Clock = std::chrono::steady_clock;
double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

struct Catalogue {
  tessera::Context& context;
  const tessera::models::TextEncoder& encoder;
  const tessera::retrieval::Corpus& corpus;
  const tessera::PackedWeight& rows;  ///< of f32, to compare with

  /// The best five, by products of f32 and once more as the corpus finds them: by those of int8, and a proof.
  void ask(const std::string& query) const {
    const auto q = encoder.embed(context, {query});
    const auto k = std::min<tessera::index_t>(5, corpus.rows());
    std::vector<float> scores(static_cast<std::size_t>(2 * k));
    std::vector<tessera::index_t> ids(static_cast<std::size_t>(2 * k)), counts(2);
    const auto found = [&](tessera::index_t of) {
      return tessera::ops::TopK{tessera::View<float, 2>(scores.data() + of * k, 1, k),
                                tessera::View<tessera::index_t, 2>(ids.data() + of * k, 1, k),
                                tessera::View<tessera::index_t, 1>(counts.data() + of, 1)};
    };
    const auto start = Clock::now();
    tessera::ops::top_k(context, q.view(), rows, {}, found(0));
    const double exact = since(start);
    tessera::ops::CertifiedStats stats;
    const auto again = Clock::now();
    corpus.search(context, q.view(), {}, found(1), &stats);
    const double certified = since(again);
    std::printf("\n\"%s\"  f32 %.2f ms; certified int8 %.2f ms, %s, %lld rows computed in f32\n", query.c_str(), 1e3 * exact,
                1e3 * certified, std::equal(ids.begin(), ids.begin() + k, ids.begin() + k) ? "the same" : "NOT THE SAME",
                static_cast<long long>(stats.rescored));
    for (tessera::index_t i = 0; i < counts[1]; ++i) {
      const auto entry = tessera::io::parse_json(corpus.document(found(1).ids(0, i)), "entry");
      std::printf("  %.3f  %s - %.90s\n", static_cast<double>(found(1).scores(0, i)),
                  tessera::io::get_string(entry, "name").c_str(), tessera::io::get_string(entry, "text").c_str());
    }
  }
};

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 3) return std::fprintf(stderr, "usage: %s MODEL_FOLDER CORPUS.safetensors\n", argv[0]), 2;
  tessera::Context context;
  const auto encoder = tessera::models::TextEncoder::load(context, argv[1]);
  const auto start = Clock::now();
  const auto corpus = tessera::retrieval::Corpus::open(argv[2]);
  std::printf("%lld entries opened in %.1f ms (%d threads, %s)\n", static_cast<long long>(corpus.rows()), 1e3 * since(start),
              context.threads(), tessera::isa_name(context.isa()));
  // Any reader of safetensors sees the embeddings of a corpus of one file.
  const auto file = tessera::io::SafeTensors::open(argv[2]);
  const auto rows = tessera::ops::pack_weight(context, file.at("embeddings").as<float, 2>());
  const Catalogue catalogue{context, encoder, corpus, rows};
  for (const char* query :
       {"edit photos", "find duplicate files", "listen to music", "keep copies of my data in case the disk dies",
        "talk to people over video", "learn to type faster"})
    catalogue.ask(query);
  if (isatty(STDIN_FILENO) != 1) return 0;
  std::printf("\nYour own queries, an empty line to end:\n");
  for (std::string line; std::printf("> "), std::fflush(stdout), std::getline(std::cin, line) && !line.empty();)
    catalogue.ask(line);
} catch (const tessera::Error& error) {
  return std::fprintf(stderr, "%s\n", error.what()), 1;
}
