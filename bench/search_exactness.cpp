// Is exact search exact? Corpora of every kind that makes it hard, from no row to a million, beside scores in double, and
// beside itself on other instruction sets, threads, batches and shards. Prints a table; ends with 1 where an id is wrong
// beyond a proved tie, or a byte differs. tests/ops/exactness_test.cpp has the small ones.
//
//   search_exactness [KIND...]      random clustered duplicated zero NaN adversarial; all of them take some minutes
#include <cstdio>
#include <string>

#include "support/exactness.hpp"

namespace {

using namespace tessera;
using namespace tessera::test;

struct Size {
  const char* name;
  std::vector<index_t> rows, dims, best;  ///< a k of -1 is all rows
  index_t batch;
  std::vector<index_t> shards;
};

}  // namespace

int main(int argc, char** argv) {
  const Size sizes[] = {
      {"0 to 65 rows, d 1 to 1024", {0, 1, 2, 63, 64, 65}, {1, 2, 3, 7, 16, 17, 100, 1024}, {1, 10, -1}, 5, {2, 3, 7, 16}},
      {"1,000 rows, d 1 to 1024", {1000}, {1, 3, 17, 64, 384, 768, 1024}, {1, 10, 100, -1}, 5, {2, 3, 7, 16}},
      {"10,000 rows, d 1 to 384", {10000}, {1, 7, 100, 384}, {1, 10, 1000, -1}, 3, {2, 3, 7, 16}},
      {"100,000 rows, d 16, 384", {100000}, {16, 384}, {10, 1000}, 3, {3, 16}},
      {"100,000 rows, d 1024", {100000}, {1024}, {10}, 2, {3}},
      {"1,000,000 rows, d 1", {1000000}, {1}, {1, -1}, 1, {7}},
      {"1,000,000 rows, d 64", {1000000}, {64}, {100}, 2, {3}},
  };
  std::string isas_here;
  for (const Isa isa : isas()) isas_here += std::string(isas_here.empty() ? "" : ", ") + isa_name(isa);
  std::printf("Instruction sets: %s. Threads 1, 2, 3, 5. f32, certified bf16, certified int8, bf16, int8, bits.\n\n",
              isas_here.c_str());
  std::printf(
      "| rows | sizes | queries | ids | other ids within proved ties | wrong ids | largest error / proved bound | "
      "same search elsewhere | other bytes |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n");
  bool good = true;
  for (const Rows kind : kAllRows) {
    bool wanted = argc == 1;
    for (int i = 1; i < argc; ++i) wanted = wanted || argv[i] == std::string(name_of(kind));
    if (!wanted) continue;
    for (const Size& s : sizes) {
      Exactness all;
      for (const index_t n : s.rows)
        for (const index_t e : s.dims)
          for (const index_t k : s.best)
            all.check(kind, n, e, k < 0 ? std::max<index_t>(1, n) : k, s.batch, {2, 3, 5}, s.shards);
      const Differences& d = all.differences;
      std::printf("| %s | %s | %lld | %lld | %lld | %lld | %.2f | %lld | %zu |\n", name_of(kind), s.name,
                  static_cast<long long>(d.queries), static_cast<long long>(d.ids), static_cast<long long>(d.ties),
                  static_cast<long long>(d.wrong), d.closest, static_cast<long long>(all.comparisons), all.unequal.size());
      std::fflush(stdout);
      for (const std::string& what : all.unequal) std::fprintf(stderr, "%s\n", what.c_str());
      good = good && d.wrong == 0 && all.unequal.empty();
    }
  }
  return good ? 0 : 1;
}
