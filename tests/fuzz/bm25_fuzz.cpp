// Arbitrary bytes as a stored BM25 index: refused, or a search finds documents of it, each once, and a text its words.
#include <cstdint>
#include <cstdlib>
#include <numeric>
#include <set>

#include <tessera/retrieval/bm25.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tessera;
  try {
    const auto file = io::SafeTensors::parse({reinterpret_cast<const std::byte*>(data), size}, "fuzz");
    const auto index = retrieval::Bm25::from(file);
    std::vector<retrieval::Term> query(static_cast<std::size_t>(index.vocabulary()) + 2);
    std::iota(query.begin(), query.end(), 0u);
    for (const std::size_t k : {std::size_t{3}, ~std::size_t{0}}) {
      std::set<index_t> seen;
      for (const retrieval::Hit& h : index.search(query, k))
        if (h.id < 0 || h.id >= index.size() || !(h.score > 0) || !seen.insert(h.id).second) std::abort();
    }
    for (const retrieval::Term t : index.terms({reinterpret_cast<const char*>(data), size}))
      if (t >= index.vocabulary()) std::abort();
  } catch (const Error&) {}
  return 0;
}
