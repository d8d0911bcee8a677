// Times BM25 on texts and queries, one a line: for each line of standard input, "index", "search" or "batch", makes the
// index, or searches for the ten best of each query, one by one or as a batch, and prints seconds; after "ids", "id:score"
// of what each query found, a line a query. For bm25_peers.py.
#include <chrono>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include <tessera/retrieval/bm25.hpp>

namespace {

std::vector<std::string> lines_of(const char* path) {
  std::vector<std::string> lines;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

tessera::retrieval::Bm25 index_of(const std::vector<std::string>& texts) {
  tessera::retrieval::Bm25Builder builder;
  for (const std::string& text : texts) builder.add(text);
  return builder.finish();
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 4) return std::cerr << "usage: bm25_rate TEXTS QUERIES THREADS\n", 2;
  using namespace tessera::retrieval;
  const auto texts = lines_of(argv[1]), queries = lines_of(argv[2]);
  tessera::Context ctx(std::stoi(argv[3]));
  Bm25 index = index_of(texts);
  std::vector<Ranking> found(queries.size());
  for (std::string how; std::getline(std::cin, how);) {
    const auto from = std::chrono::steady_clock::now();
    if (how == "index") {
      index = index_of(texts);
    } else if (how == "search") {
      for (std::size_t q = 0; q < queries.size(); ++q) found[q] = index.search(index.terms(queries[q]), 10);
    } else if (how == "batch") {
      std::vector<std::vector<Term>> terms;
      for (const std::string& query : queries) terms.push_back(index.terms(query));
      found = index.search(ctx, terms, 10);
    } else {
      for (const Ranking& hits : found) {
        for (const Hit& h : hits) std::cout << h.id << ':' << h.score << ' ';
        std::cout << '\n';
      }
    }
    if (how != "ids") std::cout << std::chrono::duration<double>(std::chrono::steady_clock::now() - from).count();
    std::cout << std::endl;
  }
} catch (const tessera::Error& error) {
  return std::cerr << error.what() << '\n', 1;
}
