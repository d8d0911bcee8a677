// gpu_check's cases of the kernels of layers: products, norms, attention, what comes before and after.
#include <tessera/cuda/launch.hpp>

#include "bench/gpu/check.hpp"

namespace tessera::gpu_check {
namespace {

using namespace kernels::cuda;

template <class T>
T number(Check& check) {
  const float x = check.random.unit();
  if constexpr (sizeof(T) == 2) {
    return rounded(x);
  } else {
    return x;
  }
}
template <class T>
void fill(Check& check, Array<T>& x) {
  x.fill([&] { return number<T>(check); });
}

/// C of bf16 and f32, every tile, ragged; bits of a row the same in all of them.
template <class Out>
void gemm_of(Check& check, int m, int n, int k) {
  const index_t pad = 8 + (8 - k % 8) % 8;
  Array<bf16> a(m, k, pad), w(n, k, pad);
  Array<Out> c(m, n, 3), other(m, n, 5), residual(m, n, 1);
  Array<float> bias(1, n);
  fill(check, a), fill(check, w), fill(check, residual), fill(check, bias);
  const auto args = [&](Array<Out>& to) {
    return GemmArgs<Out>{
        a.data(), a.ld(), w.data(), w.ld(),          to.data(),     to.ld(),
        m,        n,      k,        residual.data(), residual.ld(), {bias.data(), nullptr, Activation::relu}};
  };
  check.run("gemm", c, [&] { return launch_gemm(args(c), false, GemmTileChoice::tile_64x64, nullptr); });
  for (index_t r = 0; r < m; ++r)
    for (index_t j = 0; j < n; ++j) {
      double sum = bias.at(0, j), size = 1;
      for (index_t i = 0; i < k; ++i) sum += a.at(r, i) * w.at(j, i), size += std::fabs(a.at(r, i) * w.at(j, i));
      const double exact = std::max(sum, 0.0) + residual.at(r, j);
      check.near("gemm", c.at(r, j), exact, 1e-6 * size + (sizeof(Out) == 2 ? 0x1p-8 * std::fabs(exact) : 0));
    }
  for (const GemmTileChoice tile :
       {GemmTileChoice::tile_64x128, GemmTileChoice::tile_128x64, GemmTileChoice::tile_128x128}) {
    check.run("gemm", other, [&] { return launch_gemm(args(other), false, tile, nullptr); });
    for (index_t r = 0; r < m; ++r) check.same("gemm by another tile", &c(r, 0), &other(r, 0), n);
  }
}
void gemm(Check& check) {
  gemm_of<bf16>(check, 197, 131, 200);
  gemm_of<float>(check, 65, 70, 457);
  gemm_of<bf16>(check, 1, 9, 8);
  for (const int m : {197, 16 * 197}) {
    const int n = 3072, k = 768;
    Array<bf16> a(m, k), w(n, k), c(m, n);
    fill(check, a), fill(check, w);
    const GemmArgs<bf16> g{a.data(), k, w.data(), k, c.data(), n, m, n, k};
    check.time(std::to_string(m) + " x 3072 x 768", 2.0 * m * n * k, 2.0 * (m * k + n * k + m * n),
               [&] { return launch_gemm(g, false, choose_gemm_tile(m, n, 132), nullptr); });
  }
}
const Registered of_gemm("gemm", gemm);

void gemm_f32(Check& check) {
  const int m = 130, n = 67, k = 101;
  Array<float> a(m, k, 3), w(n, k, 7), c(m, n, 1), bias(1, n);
  fill(check, a), fill(check, w), fill(check, bias);
  const GemmF32Args g{{a.data(), a.ld(), w.data(), w.ld(), m, n, k}, c.data(), c.ld(), nullptr, 0, {bias.data()}};
  check.run("gemm_f32", c, [&] { return launch_gemm_f32(g, false, nullptr); });
  for (index_t r = 0; r < m; ++r)
    for (index_t j = 0; j < n; ++j) {  // the CPU's chain: the same bits
      float sum = 0;
      for (index_t i = 0; i < k; ++i) sum = __builtin_fmaf(a(r, i), w(j, i), sum);
      check.near("gemm_f32", c.at(r, j), static_cast<double>(sum + bias(0, j)), 0);
    }
}
const Registered of_gemm_f32("gemm_f32", gemm_f32);

template <class X, class Y>
void norm_of(Check& check, Norm norm, int rows, int c) {
  Array<X> x(rows, c, 8);
  Array<Y> y(rows, c, 16), one(1, c);
  Array<float> gamma(1, c), beta(1, c);
  fill(check, x), fill(check, gamma), fill(check, beta);
  NormArgs<X, Y> g{x.data(), x.ld(), y.data(), y.ld(), rows, c, 1e-6f, gamma.data(), beta.data()};
  check.run("norm", y, [&] { return launch_norm(norm, g, nullptr); });
  for (index_t r = 0; r < rows; ++r) {
    double mean = 0, square = 0;
    for (index_t j = 0; j < c; ++j) mean += norm == Norm::layer ? x.at(r, j) / c : 0;
    for (index_t j = 0; j < c; ++j) square += (x.at(r, j) - mean) * (x.at(r, j) - mean) / c;
    for (index_t j = 0; j < c; ++j) {
      double v = (x.at(r, j) - mean) / std::sqrt(square + 1e-6) * gamma.at(0, j);
      if (norm == Norm::layer) v += beta.at(0, j);
      check.near("norm", y.at(r, j), v, (sizeof(Y) == 2 ? 0x1p-8 : 3e-6) * (1 + std::fabs(v)));
    }
  }
  g.x = x.data() + (rows - 1) * x.ld(), g.y = one.data(), g.ldy = one.ld(), g.rows = 1;
  check.run("norm", one, [&] { return launch_norm(norm, g, nullptr); });
  check.same("norm", &one(0, 0), &y(rows - 1, 0), c);
}
void norm(Check& check) {
  for (const Norm which : {Norm::layer, Norm::rms}) {
    norm_of<bf16, bf16>(check, which, 9, 264);
    norm_of<float, bf16>(check, which, 5, 768);
    norm_of<float, float>(check, which, 3, 2048);
  }
  const int rows = 64 * 257, c = 1024;
  Array<bf16> x(rows, c), y(rows, c);
  fill(check, x);
  const NormArgs<bf16, bf16> g{x.data(), c, y.data(), c, rows, c, 1e-6f};
  check.time("16448 x 1024", 0, 4.0 * rows * c, [&] { return launch_norm(Norm::layer, g, nullptr); });
}
const Registered of_norm("norm", norm);

void attention_of(Check& check, int head, const std::vector<int>& lengths, bool causal, bool weighted) {
  const int heads = 2, sequences = static_cast<int>(lengths.size());
  Array<std::int32_t> cu(1, sequences + 1);
  std::int32_t tokens = 0;
  for (int i = 0; i <= sequences; ++i) {
    cu(0, i) = tokens;
    if (i < sequences) tokens += lengths[static_cast<std::size_t>(i)];
  }
  cu.upload();
  Array<bf16> qkv(tokens, 3 * heads * head), out(tokens, heads * head, 8);
  fill(check, qkv);
  Array<float> weights(1, tokens);
  for (int t = 0; t < tokens; ++t) weights(0, t) = static_cast<float>(1 + t % 5);
  weights.upload();
  const float scale = 1 / std::sqrt(static_cast<float>(head));
  const AttentionArgs g{qkv.data(),
                        qkv.ld(),
                        qkv.data() + heads * head,
                        qkv.ld(),
                        qkv.data() + 2 * heads * head,
                        qkv.ld(),
                        out.data(),
                        out.ld(),
                        cu.data(),
                        heads,
                        heads,
                        scale,
                        causal,
                        weighted ? weights.data() : nullptr};
  const int longest = *std::max_element(lengths.begin(), lengths.end());
  check.run("attention", out, [&] { return launch_attention(g, head, sequences, longest, nullptr); });
  for (int s = 0; s < sequences; ++s)
    for (index_t t = cu(0, s); t < cu(0, s + 1); ++t)
      for (int h = 0; h < heads; ++h) {
        const index_t end = causal ? t + 1 : cu(0, s + 1);
        std::vector<double> p;
        double sum = 0;
        for (index_t key = cu(0, s); key < end; ++key) {
          double score = 0;
          for (int c = 0; c < head; ++c) score += qkv.at(t, h * head + c) * qkv.at(key, (heads + h) * head + c);
          p.push_back(std::exp(score * static_cast<double>(scale)) * (weighted ? weights.at(0, key) : 1));
          sum += p.back();
        }
        for (int c = 0; c < head; ++c) {
          double v = 0;
          for (index_t key = cu(0, s); key < end; ++key)
            v += p[static_cast<std::size_t>(key - cu(0, s))] / sum * qkv.at(key, (2 * heads + h) * head + c);
          check.near("attention", out.at(t, h * head + c), v, 0x1p-8 * std::fabs(v) + 0x1p-9);
        }
      }
}
void attention(Check& check) {
  for (const int head : {32, 64, 72, 80, 88, 96, 104, 128})
    for (const bool causal : {false, true}) attention_of(check, head, {1, 70, 17, 130}, causal, head % 16 == 8);
  const int images = 64, length = 197, heads = 12, head = 64, tokens = images * length;
  Array<bf16> qkv(tokens, 3 * heads * head), out(tokens, heads * head);
  Array<std::int32_t> cu(1, images + 1);
  for (int i = 0; i <= images; ++i) cu(0, i) = i * length;
  cu.upload(), fill(check, qkv);
  const index_t ld = qkv.ld(), of_heads = heads * head;
  const AttentionArgs g{qkv.data(),
                        ld,
                        qkv.data() + of_heads,
                        ld,
                        qkv.data() + 2 * of_heads,
                        ld,
                        out.data(),
                        of_heads,
                        cu.data(),
                        heads,
                        heads,
                        0.125f,
                        false};
  check.time("64 x 197, 12 heads of 64", 4.0 * tokens * length * of_heads, 8.0 * tokens * static_cast<double>(of_heads),
             [&] { return launch_attention(g, head, images, length, nullptr); });
}
const Registered of_attention("attention", attention);

}  // namespace
}  // namespace tessera::gpu_check
