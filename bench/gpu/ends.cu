// gpu_check's cases of what stands before and after the layers, of token merging and of search.
#include <tessera/cuda/launch.hpp>

#include "bench/gpu/check.hpp"

namespace tessera::gpu_check {
namespace {

using namespace kernels::cuda;

template <class T>
void fill(Check& check, Array<T>& x) {
  x.fill([&] {
    if constexpr (sizeof(T) == 2) {
      return rounded(check.random.unit());
    } else {
      return check.random.unit();
    }
  });
}
void fill_below(Check& check, Array<std::int32_t>& x, index_t past) {
  x.fill([&] { return static_cast<std::int32_t>(check.random.in(0, past - 1)); });
}
void set_offsets(Array<std::int32_t>& cu, const std::vector<int>& lengths) {
  cu(0, 0) = 0;
  for (std::size_t i = 0; i < lengths.size(); ++i)
    cu(0, static_cast<index_t>(i) + 1) = cu(0, static_cast<index_t>(i)) + lengths[i];
  cu.upload();
}
int total(const std::vector<int>& lengths) {
  int n = 0;
  for (const int length : lengths) n += length;
  return n;
}

void embed(Check& check) {
  const int tokens = 37, c = 384;
  Array<std::int32_t> ids(1, tokens), segments(1, tokens), positions(1, tokens);
  Array<float> word(50, c), segment(2, c), position(40, c), gamma(1, c), beta(1, c), y(tokens, c, 8);
  fill_below(check, ids, 50), fill_below(check, segments, 2), fill_below(check, positions, 40);
  fill(check, word), fill(check, segment), fill(check, position), fill(check, gamma), fill(check, beta);
  EmbedArgs<float, float> g{ids.data(), word.data(), y.data(), y.ld(), tokens, c};
  g.segments = segments.data(), g.segment = segment.data(), g.positions = positions.data(), g.position = position.data();
  g.gamma = gamma.data(), g.beta = beta.data(), g.eps = 1e-5f;
  const auto sum = [&](index_t t, index_t j) {
    return (word(ids(0, t), j) + segment(segments(0, t), j)) + position(positions(0, t), j);
  };
  check.run("embed", y, [&] { return launch_embed(g, false, nullptr); });
  for (index_t t = 0; t < tokens; ++t)
    for (index_t j = 0; j < c; ++j) check.near("embed", y.at(t, j), static_cast<double>(sum(t, j)), 0);
  check.run("embed with norm", y, [&] { return launch_embed(g, true, nullptr); });
  for (index_t t = 0; t < tokens; ++t) {
    double mean = 0, square = 0;
    for (index_t j = 0; j < c; ++j) mean += static_cast<double>(sum(t, j)) / c;
    for (index_t j = 0; j < c; ++j) square += std::pow(static_cast<double>(sum(t, j)) - mean, 2) / c;
    for (index_t j = 0; j < c; ++j) {
      const double v = (static_cast<double>(sum(t, j)) - mean) / std::sqrt(square + 1e-5) * gamma.at(0, j) + beta.at(0, j);
      check.near("embed with norm", y.at(t, j), v, 3e-6 * (1 + std::fabs(v)));
    }
  }
}
const Registered of_embed("embed", embed);

void patchify(Check& check) {
  const int images = 3, height = 45, width = 59, patch = 14;
  Array<std::uint8_t> pixels(images * height, 3 * width, 5);
  pixels.fill([&] { return static_cast<std::uint8_t>(check.random.in(0, 255)); });
  Array<float> values(3, 256);
  fill(check, values);
  PatchifyArgs g{pixels.data(),
                 height * pixels.ld(),
                 pixels.ld(),
                 values.data(),
                 nullptr,
                 0,
                 images,
                 1,
                 height / patch,
                 width / patch,
                 3,
                 1,
                 patch,
                 patch};
  Array<bf16> out(images * g.tokens(), g.padded_k(), 8);
  g.out = out.data(), g.ldo = out.ld();
  check.run("patchify", out, [&] { return launch_patchify(g, nullptr); });
  for (index_t r = 0; r < out.rows(); ++r)
    for (index_t k = 0; k < out.columns(); ++k) {
      const index_t image = r / g.tokens(), at = r % g.tokens() - 1;
      double exact = 0;
      if (at >= 0 && k < g.k()) {
        const index_t y = at / g.columns * patch + k / patch % patch, x = at % g.columns * patch + k % patch;
        const index_t channel = k / (patch * patch);
        exact = static_cast<double>(to_float(rounded(values(channel, pixels(image * height + y, 3 * x + channel)))));
      }
      check.near("patchify", out.at(r, k), exact, 0);
    }
}
const Registered of_patchify("patchify", patchify);

void pool(Check& check) {
  const std::vector<int> lengths = {1, 0, 37, 130, 8};
  const int sequences = static_cast<int>(lengths.size()), c = 392;
  Array<std::int32_t> cu(1, sequences + 1);
  set_offsets(cu, lengths);
  Array<bf16> x(total(lengths), c, 8);
  fill(check, x);
  Array<float> out(sequences, c, 3);
  for (const Pooling mode : {Pooling::cls, Pooling::mean, Pooling::max, Pooling::last}) {
    const PoolArgs<bf16> g{x.data(), x.ld(), cu.data(), out.data(), out.ld(), c, mode};
    check.run("pool", out, [&] { return launch_pool(g, sequences, nullptr); });
    for (index_t s = 0; s < sequences; ++s)
      for (index_t j = 0; j < c; ++j) {
        double mean = 0, most = -INFINITY;
        const index_t begin = cu(0, s), end = cu(0, s + 1);
        for (index_t t = begin; t < end; ++t)
          mean += x.at(t, j) / static_cast<double>(end - begin), most = std::max(most, x.at(t, j));
        const double exact = begin == end            ? 0
                             : mode == Pooling::cls  ? x.at(begin, j)
                             : mode == Pooling::last ? x.at(end - 1, j)
                             : mode == Pooling::mean ? mean
                                                     : most;
        check.near("pool", out.at(s, j), exact, 1e-6);
      }
  }
}
const Registered of_pool("pool", pool);

/// Whole numbers, whose products are exact: ties as on the CPU.
void merge(Check& check) {
  const std::vector<int> lengths = {197, 1, 0, 50, 2, 129};
  const int sequences = static_cast<int>(lengths.size()), tokens = total(lengths), d = 64, c = 256, r = 13, prefix = 1;
  Array<std::int32_t> cu(1, sequences + 1), cu_rows(1, sequences + 1), to(1, tokens), members(1, tokens);
  set_offsets(cu, lengths);
  std::vector<int> left;
  for (const int length : lengths) left.push_back(MergeSequence(0, length, prefix, r).rows());
  set_offsets(cu_rows, left);
  const int rows = total(left);
  Array<std::int32_t> first(1, rows + 1);
  Array<float> metric(tokens, d), score(1, tokens), x(tokens, c), sizes(1, tokens), out(rows, c, 8), out_sizes(1, rows);
  metric.fill([&] { return static_cast<float>(check.random.in(-1, 1)); });
  sizes.fill([&] { return static_cast<float>(check.random.in(1, 4)); });
  fill(check, x);
  to.upload(), score.upload(), out_sizes.upload();
  const MergeBatch batch{cu.data(), sequences, prefix, r};
  must(launch_merge_match({metric.data(), d, d, batch, to.data(), score.data()}, 197, nullptr), "merge match");
  const MergeSelectArgs select{batch, to.data(), score.data(), cu_rows.data(), first.data(), members.data(), false};
  check.run("merge select", first, [&] { return launch_merge_select(select, 197, nullptr); });
  check.run("merge select", members, [&] { return launch_merge_select(select, 197, nullptr); });
  const MergeArgs<float, float> g{x.data(),   x.ld(),   sizes.data(),     first.data(), members.data(),
                                  out.data(), out.ld(), out_sizes.data(), rows,         c};
  check.run("merge", out, [&] { return launch_merge(Norm::layer, g, nullptr); });
  index_t place = 0;
  for (int s = 0; s < sequences; ++s) {
    const MergeSequence q(cu(0, s), cu(0, s + 1), prefix, r);
    const auto token = [&](index_t at) { return q.begin + at; };
    std::vector<std::vector<index_t>> expected;
    std::vector<int> partner(static_cast<std::size_t>(q.evens), 0), order;
    std::vector<double> best(static_cast<std::size_t>(q.evens), -INFINITY);
    for (int i = 0; i < q.evens; ++i) {
      order.push_back(i);
      for (int j = 0; j < q.odds; ++j) {
        double v = 0;
        for (index_t k = 0; k < d; ++k) v += metric.at(token(q.even + 2 * i), k) * metric.at(token(q.odd + 2 * j), k);
        if (v > best[static_cast<std::size_t>(i)])
          best[static_cast<std::size_t>(i)] = v, partner[static_cast<std::size_t>(i)] = j;
      }
    }
    std::stable_sort(order.begin(), order.end(),
                     [&](int i, int j) { return best[static_cast<std::size_t>(i)] > best[static_cast<std::size_t>(j)]; });
    std::vector<bool> joins(static_cast<std::size_t>(q.evens));
    for (int i = 0; i < q.r; ++i) joins[static_cast<std::size_t>(order[static_cast<std::size_t>(i)])] = true;
    if (q.r == 0) {
      for (index_t t = 0; t < q.tokens; ++t) expected.push_back({token(t)});
    } else {
      for (index_t t = 0; t < q.prefix; ++t) expected.push_back({token(t)});
      for (int i = 0; i < q.evens; ++i)
        if (!joins[static_cast<std::size_t>(i)]) expected.push_back({token(q.even + 2 * i)});
      for (int j = 0; j < q.odds; ++j) {
        expected.push_back({token(q.odd + 2 * j)});
        for (int i = 0; i < q.evens; ++i)
          if (joins[static_cast<std::size_t>(i)] && partner[static_cast<std::size_t>(i)] == j)
            expected.back().push_back(token(q.even + 2 * i));
      }
    }
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const index_t row = cu_rows(0, s) + static_cast<index_t>(i);
      check.near("merge: where a row begins", first(0, row), static_cast<double>(place), 0);
      double size = 0;
      for (const index_t t : expected[i]) size += sizes.at(0, t);
      for (const index_t t : expected[i])
        check.near("merge: a token of a row", members(0, place++), static_cast<double>(t), 0);
      for (index_t j = 0; j < c; ++j) {
        double v = 0;
        for (const index_t t : expected[i]) v += sizes.at(0, t) / size * x.at(t, j);
        check.near("merge", out.at(row, j), v, 1e-6);
      }
    }
  }
}
const Registered of_merge("merge", merge);

/// Small whole numbers: exact scores with many ties.
void topk_of(Check& check, int batch, int n, int e, int k) {
  Array<bf16> queries(batch, e), corpus(n, e);
  const auto whole = [&] { return rounded(static_cast<float>(check.random.in(-2, 2))); };
  queries.fill(whole), corpus.fill(whole);
  TopKArgs g{queries.data(), e, corpus.data(), e, batch, n, e, k, topk_chunk(n, batch, 132), nullptr};
  Array<std::uint64_t> lists(g.chunks(), static_cast<index_t>(batch) * k);
  g.lists = lists.data();
  Array<float> scores(batch, k, 1);
  Array<index_t> ids(batch, k), counts(1, batch);
  check.run("topk", lists, [&] { return launch_topk(g, nullptr); });
  const TopKMergeArgs last{lists.data(), g.chunks(), batch, k, scores.data(), scores.ld(), ids.data(), k, counts.data()};
  check.run("topk merge", scores, [&] { return launch_topk_merge(last, nullptr); });
  ids.download();
  for (index_t q = 0; q < batch; ++q) {
    std::vector<std::pair<double, index_t>> all;
    for (index_t row = 0; row < n; ++row) {
      double v = 0;
      for (index_t i = 0; i < e; ++i) v += queries.at(q, i) * corpus.at(row, i);
      all.emplace_back(-v, row);
    }
    std::sort(all.begin(), all.end());
    for (index_t i = 0; i < std::min<index_t>(k, n); ++i) {
      check.near("topk score", scores.at(q, i), -all[static_cast<std::size_t>(i)].first, 0);
      check.near("topk id", static_cast<double>(ids(q, i)), static_cast<double>(all[static_cast<std::size_t>(i)].second), 0);
    }
  }
}
void topk(Check& check) {
  topk_of(check, 66, 5000, 72, 10);
  topk_of(check, 3, 3000, 128, 100);
  topk_of(check, 1, 50, 16, 40);
  const int batch = 1024, n = 1 << 18, e = 768, k = 10;
  Array<bf16> queries(batch, e), corpus(n, e);
  fill(check, queries), fill(check, corpus);
  TopKArgs g{queries.data(), e, corpus.data(), e, batch, n, e, k, topk_chunk(n, batch, 132), nullptr};
  Array<std::uint64_t> lists(g.chunks(), static_cast<index_t>(batch) * k);
  g.lists = lists.data();
  check.time("1024 queries, 262144 x 768, k 10, lists of chunks", 2.0 * batch * n * e, 2.0 * n * e,
             [&] { return launch_topk(g, nullptr); });
}
const Registered of_topk("topk", topk);

void maxsim(Check& check) {
  const std::vector<int> of_queries = {32, 1, 70}, of_documents = {180, 0, 1, 65};
  const int e = 128, nq = 3, nd = 4;
  Array<std::int32_t> cu_q(1, nq + 1), cu_d(1, nd + 1);
  set_offsets(cu_q, of_queries), set_offsets(cu_d, of_documents);
  Array<bf16> queries(total(of_queries), e), documents(total(of_documents), e);
  fill(check, queries), fill(check, documents);
  Array<float> scores(nq, nd, 3);
  const MaxSimArgs g{queries.data(), e, cu_q.data(), documents.data(), e, cu_d.data(), scores.data(), scores.ld(), e};
  check.run("maxsim", scores, [&] { return launch_maxsim(g, nq, nd, nullptr); });
  for (index_t b = 0; b < nq; ++b)
    for (index_t n = 0; n < nd; ++n) {
      double sum = 0;
      for (index_t i = cu_q(0, b); i < cu_q(0, b + 1); ++i) {
        double most = -INFINITY;
        for (index_t j = cu_d(0, n); j < cu_d(0, n + 1); ++j) {
          double v = 0;
          for (index_t k = 0; k < e; ++k) v += queries.at(i, k) * documents.at(j, k);
          most = std::max(most, v);
        }
        sum += most;
      }
      if (std::isinf(sum)) {
        if (scores.at(b, n) != sum) check.fail("maxsim: a document without tokens");
      } else {
        check.near("maxsim", scores.at(b, n), sum, 2e-5 * (1 + std::fabs(sum)));
      }
    }
}
const Registered of_maxsim("maxsim", maxsim);

}  // namespace
}  // namespace tessera::gpu_check
