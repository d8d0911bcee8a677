// Arbitrary bytes as the file of a corpus: refused, or searched by its rows and by its words.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include <tessera/retrieval/corpus.hpp>
#include <tessera/retrieval/corpus_words.hpp>
#include <tessera/retrieval/document_filter.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tessera;
  static const int file = memfd_create("corpus", 0);
  static const std::string path = "/proc/self/fd/" + std::to_string(file);
  if (ftruncate(file, 0) != 0 || pwrite(file, data, size, 0) != static_cast<ssize_t>(size)) return 0;
  static Context ctx(1);
  try {
    const retrieval::Corpus corpus = retrieval::Corpus::open(path);
    std::vector<float> queries(static_cast<std::size_t>(2 * corpus.format().dim));
    for (std::size_t i = 0; i < queries.size(); ++i) queries[i] = static_cast<float>(i % 7) - 3;
    float scores[6];
    index_t ids[6], counts[2];
    corpus.search(ctx, View<const float, 2>(queries.data(), 2, corpus.format().dim), {},
                  {View<float, 2>(scores, 2, 3), View<index_t, 2>(ids, 2, 3), View<index_t, 1>(counts, 2)});
    const retrieval::Condition condition = retrieval::Condition::parse("a>=1");
    try {
      (void)retrieval::rows_where(ctx, corpus, {&condition, 1});
    } catch (const Error&) {}  // documents that are no JSON: words may be kept of them all the same
    const std::string texts[] = {"red house", "a"};
    const auto words = retrieval::CorpusWords::open(corpus).index(texts);
    for (const retrieval::Hit& h : words.search(words.terms("red a house"), 5))
      if (h.id < 0 || h.id >= corpus.rows() || !(h.score > 0)) std::abort();
  } catch (const Error&) {}
  return 0;
}
