// tessera bench --search: seconds of a search over rows and queries in raw files.
#pragma once
#include <algorithm>
#include <string>
#include <vector>

#include <tessera/core/mmap.hpp>
#include <tessera/ops/certified_topk.hpp>
#include <tessera/ops/gemm.hpp>
#include <tessera/ops/peak.hpp>

#include "json_line.hpp"
#include "tool.hpp"

namespace tool {

struct SearchBenchOptions {
  long n = 0, d = 0, k = 10;
  std::string corpus, queries;
  bool certified = false;

  void add_to(Command& app) {
    app.option("--n", n, "--search: rows of the corpus").range(1L, (1L << 32) - 1);
    app.option("--d", d, "--search: numbers of a row").range(1, 1 << 20);
    app.option("--k", k, "--search: so many rows a query, the best first").range(1, 1 << 24);
    app.option("--corpus", corpus, "--search: a file of n * d little-endian f32");
    app.option("--queries", queries, "--search: a file of queries, d little-endian f32 each");
    app.flag("--certified", certified, "--search: by --dtype bf16 or int8, with the ids and scores of f32, proved");
  }
};

class SearchBench {
 public:
  SearchBench(tessera::Context& ctx, const SearchBenchOptions& o, const std::string& dtype)
      : ctx_(ctx),
        o_(o),
        dtype_(weights_of(dtype)),
        corpus_(open(o.corpus, "--corpus")),
        queries_(open(o.queries, "--queries")) {
    using namespace tessera;
    if (o.n < 1 || o.d < 1) throw Failure{kUsage, "--search: --n and --d say what --corpus holds"};
    if (o.certified && dtype == "f32") throw Failure{kUsage, "--certified: by --dtype bf16 or --dtype int8"};
    const auto row = static_cast<std::size_t>(o.d) * sizeof(float);
    if (corpus_.bytes() != static_cast<std::size_t>(o.n) * row)
      throw Failure{kOther, o.corpus + ": " + std::to_string(corpus_.bytes()) + " bytes, expected " +
                                std::to_string(static_cast<std::size_t>(o.n) * row)};
    if (queries_.bytes() == 0 || queries_.bytes() % row != 0)
      throw Failure{kOther,
                    o.queries + ": " + std::to_string(queries_.bytes()) + " bytes, not queries of " + std::to_string(row)};
    batch_ = static_cast<index_t>(queries_.bytes() / row);
    if (o.certified) {
      coarse_ = or_exit(kOther, [&] { return ops::CoarseRows::pack(ctx, rows(), dtype_); });
    } else {
      WeightView w = rows();
      w.packed = dtype_;
      packed_ = ops::pack_weight(ctx, w);
    }
    const auto found = static_cast<std::size_t>(batch_ * o.k);
    scores_.resize(found), ids_.resize(found), counts_.resize(static_cast<std::size_t>(batch_));
  }

  long batch() const { return static_cast<long>(batch_); }
  /// The best of the first so many queries.
  void run(long some) {
    using namespace tessera;
    const View<const float, 2> queries(reinterpret_cast<const float*>(queries_.data()), some, o_.d);
    const ops::TopK out{View<float, 2>(scores_.data(), some, o_.k), View<index_t, 2>(ids_.data(), some, o_.k),
                        View<index_t, 1>(counts_.data(), some)};
    if (o_.certified)
      ops::certified_top_k(ctx_, queries, rows(), coarse_, {}, out);
    else
      ops::top_k(ctx_, queries, packed_, {}, out);
  }

  /// What they find, as a JSON list of lists.
  std::string ids(long some) {
    run(some);
    std::string all = "[";
    for (long b = 0; b < some; ++b) {
      const auto* const first = ids_.data() + b * o_.k;
      all += (b > 0 ? ", " : "") + json_of(std::vector<long long>(first, first + counts_[static_cast<std::size_t>(b)]));
    }
    return all + "]";
  }
  /// GFLOP/s that this machine reaches now in products of this type.
  double peak() { return 1e-9 * tessera::ops::flop_peak(ctx_, dtype_); }

 private:
  static tessera::MappedFile open(const std::string& file, const char* option) {
    if (file.empty()) throw Failure{kUsage, std::string("--search: ") + option + " is required"};
    return or_exit(kOther, [&] { return tessera::MappedFile::open(file.c_str()); });
  }
  tessera::View<const float, 2> rows() const {
    return tessera::View<const float, 2>(reinterpret_cast<const float*>(corpus_.data()), o_.n, o_.d);
  }

  tessera::Context& ctx_;
  const SearchBenchOptions& o_;
  tessera::DType dtype_;
  tessera::MappedFile corpus_, queries_;
  tessera::index_t batch_ = 0;
  tessera::PackedWeight packed_;
  tessera::ops::CoarseRows coarse_;
  std::vector<float> scores_;
  std::vector<tessera::index_t> ids_, counts_;
};

}  // namespace tool
