// A software catalogue, searched by meaning.
//   catalogue MODEL_FOLDER LIST.txt     one entry a line, "name - what it is"; then queries from the terminal
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include <tessera/tessera.hpp>

#include "tessera/progress.hpp"

namespace {

using Clock = std::chrono::steady_clock;
double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

std::vector<std::string> read_entries(const char* path) {
  std::ifstream file(path);
  if (!file) throw tessera::Error(tessera::Code::kNotFound, {path, ": cannot read"});
  std::vector<std::string> entries;
  std::size_t bad = 0;
  for (std::string line; std::getline(file, line);)
    if (!line.empty() && tessera::text::unicode::valid_prefix(line, 0, bad) == line.size()) entries.push_back(line);
  if (entries.empty()) throw tessera::Error(tessera::Code::kFormat, {path, ": no entries in it"});
  return entries;
}

/// What an entry means is its description; its name would only match by spelling.
std::string_view description(const std::string& entry) {
  const std::size_t dash = entry.find(" - ");
  return std::string_view(entry).substr(dash == entry.npos ? 0 : dash + 3);
}

struct Catalogue {
  tessera::Context& context;
  const tessera::models::TextEncoder& encoder;
  const std::vector<std::string>& entries;
  tessera::models::Embeddings rows;
  tessera::PackedWeight packed;     ///< of f32
  tessera::ops::CoarseRows coarse;  ///< of int8

  void index() {
    packed = tessera::ops::pack_weight(context, rows.view());
    coarse = tessera::ops::CoarseRows::pack(context, rows.view(), tessera::DType::i8);
  }
  /// The best five, by products of f32 and once more by those of int8 with the proof that these are the same.
  void ask(const std::string& query) {
    const auto q = encoder.embed(context, {query});
    const auto k = std::min<tessera::index_t>(5, rows.rows);
    std::vector<float> scores(static_cast<std::size_t>(2 * k));
    std::vector<tessera::index_t> ids(static_cast<std::size_t>(2 * k)), counts(2);
    const auto found = [&](tessera::index_t of) {
      return tessera::ops::TopK{tessera::View<float, 2>(scores.data() + of * k, 1, k),
                                tessera::View<tessera::index_t, 2>(ids.data() + of * k, 1, k),
                                tessera::View<tessera::index_t, 1>(counts.data() + of, 1)};
    };
    const auto start = Clock::now();
    tessera::ops::top_k(context, q.view(), packed, {}, found(0));
    const double exact = since(start);
    tessera::ops::CertifiedStats stats;
    const auto again = Clock::now();
    tessera::ops::certified_top_k(context, q.view(), rows.view(), coarse, {}, found(1), &stats);
    const double certified = since(again);
    std::printf("\n\"%s\"  f32 %.2f ms; certified int8 %.2f ms, %s, %lld rows computed in f32\n", query.c_str(), 1e3 * exact,
                1e3 * certified, std::equal(ids.begin(), ids.begin() + k, ids.begin() + k) ? "the same" : "NOT THE SAME",
                static_cast<long long>(stats.rescored));
    for (tessera::index_t i = 0; i < k; ++i)
      std::printf("  %.3f  %.100s\n", static_cast<double>(found(0).scores(0, i)),
                  entries[static_cast<std::size_t>(found(0).ids(0, i))].c_str());
  }
};

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 3) return std::fprintf(stderr, "usage: %s MODEL_FOLDER LIST.txt\n", argv[0]), 2;
  tessera::Context context;
  const auto encoder = tessera::models::TextEncoder::load(context, argv[1]);
  const auto entries = read_entries(argv[2]);
  Catalogue catalogue{context, encoder, entries, {}, {}, {}};
  catalogue.rows.rows = static_cast<tessera::index_t>(entries.size());
  catalogue.rows.dim = encoder.dim();

  const auto start = Clock::now();
  {
    tool::Progress progress("texts");
    constexpr std::size_t kChunk = 256;
    for (std::size_t at = 0; at < entries.size(); at += kChunk) {
      std::vector<std::string_view> texts;
      for (std::size_t i = at; i < entries.size() && i < at + kChunk; ++i) texts.push_back(description(entries[i]));
      const auto e = encoder.embed(context, texts);
      catalogue.rows.values.insert(catalogue.rows.values.end(), e.values.begin(), e.values.end());
      progress.update(static_cast<long long>(at + texts.size()),
                      static_cast<double>(at + texts.size()) / static_cast<double>(entries.size()));
    }
  }
  std::printf("%zu entries embedded in %.1f s: %.0f texts/s on %d threads (%s)\n", entries.size(), since(start),
              static_cast<double>(entries.size()) / since(start), context.threads(), tessera::isa_name(context.isa()));
  catalogue.index();
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
