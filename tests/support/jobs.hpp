// Every operation on inputs of drawn sizes, as jobs that any context may run: what the tests of the bits promise compare.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <tessera/ops.hpp>
#include "support/image_jobs.hpp"
#include "support/job.hpp"

namespace tessera::test {

/// `deep`: so many channels and rows that k falls into parts.
inline Job linear_job(Random& random, Activation act, int parts, bool deep = false, DType weights = DType::f32) {
  struct Inputs {
    Matrix x, w, up, bias, scale, residual;
  };
  const index_t t = deep ? random.in(49, 90) : random.in(1, 60),
                k = deep ? random.in(1025, 1500) * (weights == DType::i8     ? 4
                                                    : weights == DType::bf16 ? 2
                                                                             : 1)
                         : random.in(1, 150),
                n = random.in(1, 150);
  const bool glu = parts & 8;
  const auto draw = [&](index_t r, index_t c) { return wide(r, c, random.next(), 6); };
  const auto in =
      std::make_shared<Inputs>(Inputs{draw(t, k), draw(n, k), draw(n, k), draw(1, glu ? 2 * n : n), draw(1, n), draw(t, n)});
  const std::string name = std::string("linear ") + dtype_name(weights) + " act ";
  return {name + std::to_string(static_cast<int>(act)) + " parts " + std::to_string(parts), [=](Context& ctx) {
            ops::Epilogue e;
            e.act = act, e.glu = glu;
            if (parts & 1) e.bias = in->bias.row();
            if (parts & 2) e.channel_scale = in->scale.row();
            if (parts & 4) e.residual = in->residual.in();
            WeightView gate = in->w.in(), up = in->up.in();
            gate.packed = up.packed = weights, gate.most_rounding = up.most_rounding = 1;
            const PackedWeight w = glu ? ops::pack_weight_glu(ctx, gate, up) : ops::pack_weight(ctx, gate);
            Matrix out(t, n, 2);
            ops::linear(ctx, in->x.in(), w, e, out.out());
            return out;
          }};
}

/// What search(out) finds for so many queries: scores, then ids.
template <class Search>
Matrix best_seven(index_t queries, const Search& search) {
  constexpr index_t k = 7;
  Matrix out(queries, 2 * k, 0);
  std::vector<index_t> ids(static_cast<std::size_t>(queries * k)), counts(static_cast<std::size_t>(queries));
  ops::TopK found{View<float, 2>(out.data(), queries, k), View<index_t, 2>(ids.data(), queries, k),
                  View<index_t, 1>(counts.data(), queries)};
  found.scores.stride[0] = 2 * k;
  search(found);
  for (index_t b = 0; b < queries; ++b)
    for (index_t i = 0; i < k; ++i) out(b, k + i) = static_cast<float>(found.ids(b, i));
  return out;
}

inline std::vector<Job> row_jobs(Random& random) {
  const index_t t = random.in(1, 70), c = random.in(1, 200),
                others = random.in(1, 300);  // compilers order arguments as they like
  const auto x = std::make_shared<Matrix>(wide(t, c, random.next())),
             y = std::make_shared<Matrix>(wide(others, c, random.next(), 9));
  const auto gamma = std::make_shared<Matrix>(wide(1, c, random.next(), 2)),
             beta = std::make_shared<Matrix>(wide(1, c, random.next(), 2));
  const auto rows = [=](const char* name, auto f) {
    return Job{name, [=](Context& ctx) {
                 Matrix out(t, c, 2);
                 f(ctx, out.out());
                 return out;
               }};
  };
  std::vector<Job> jobs{
      rows("layer_norm",
           [=](Context& ctx, View<float, 2> out) { ops::layer_norm(ctx, x->in(), gamma->row(), beta->row(), 1e-6f, out); }),
      rows("rms_norm", [=](Context& ctx, View<float, 2> out) { ops::rms_norm(ctx, x->in(), gamma->row(), 1e-6f, out); }),
      {"norms added, and of heads",
       [=](Context& ctx) {
         Matrix out = *x;
         ops::rms_norm_heads(ctx, out.heads_out(1), gamma->row(), 1e-3f);
         ops::add_rms_norm(ctx, x->in(), gamma->row(), 1e-6f, out.out());
         ops::add_layer_norm(ctx, x->in(), gamma->row(), beta->row(), 1e-6f, out.out());
         return out;
       }},
      rows("l2_normalize", [=](Context& ctx, View<float, 2> out) { ops::l2_normalize(ctx, x->in(), out); }),
      rows("softmax", [=](Context&, View<float, 2> out) { ops::softmax(x->in(), out); }),
      rows("sigmoid", [=](Context&, View<float, 2> out) { ops::sigmoid(x->in(), out); }),
      {"similarity",
       [=](Context& ctx) {
         Matrix out(t, y->rows, 2);
         ops::similarity(ctx, x->in(), y->in(), out.out());
         return out;
       }},
      {"top_k",
       [=](Context& ctx) {
         return best_seven(t,
                           [&](const ops::TopK& out) { ops::top_k(ctx, x->in(), ops::pack_weight(ctx, y->in()), {}, out); });
       }},
      {"top_k of few rows",
       [=](Context& ctx) {
         const std::vector<std::uint64_t> words(static_cast<std::size_t>((y->rows + 63) / 64), 0x2001000000100005U);
         const View<const std::uint64_t, 1> allowed(words.data(), static_cast<index_t>(words.size()));
         return best_seven(t, [&](const ops::TopK& out) {
           ops::top_k(ctx, x->in(), ops::pack_weight(ctx, y->in()), {.allowed = allowed}, out);
         });
       }},
      {"squared_distances",
       [=](Context& ctx) {
         std::vector<index_t> ids(static_cast<std::size_t>(3 * t));
         for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<index_t>(5 * i) % y->rows;
         Matrix product(t, c, 1), out(t, 3, 2);
         const View<const float, 2> modalities[] = {x->in(), x->in()};
         ops::multiply_rows(ctx, modalities, 2, product.out());
         ops::squared_distances(ctx, product.in(), y->in(), View<const index_t, 2>(ids.data(), t, 3), out.out());
         return out;
       }},
      {"hamming_top_k",
       [=](Context& ctx) {
         const index_t bytes = ops::bit_bytes(c);
         std::vector<std::uint8_t> bits(static_cast<std::size_t>(t * bytes));
         ops::pack_bits(ctx, x->in(), View<std::uint8_t, 2>(bits.data(), t, bytes));
         return best_seven(t, [&](const ops::TopK& out) {
           ops::hamming_top_k(ctx, View<const std::uint8_t, 2>(bits.data(), t, bytes), ops::BitRows::pack(ctx, y->in()), {},
                              out);
         });
       }},
      {"maxsim",
       [=](Context& ctx) {
         Matrix out(2, 3, 2);
         const std::vector<index_t> cu_q{0, t / 3, t}, cu_d{0, y->rows / 4, y->rows / 2, y->rows};
         ops::maxsim(ctx, x->in(), offsets(cu_q), ops::pack_weight(ctx, y->in()), offsets(cu_d), out.out());
         return out;
       }},
      {"splade",
       [=](Context& ctx) {
         Matrix out(2, y->rows, 2);
         ops::splade(ctx, x->in(), offsets({0, t / 3, t}), y->in(), {}, {}, out.out());
         return out;
       }},
      {"maxsim_top_k",
       [=](Context& ctx) {
         std::vector<index_t> cu_d;
         for (index_t d = 0; d <= y->rows; ++d) cu_d.push_back(d);  // each token is a document
         return best_seven(t, [&](const ops::TopK& out) {
           std::vector<index_t> cu_q;
           for (index_t q = 0; q <= t; ++q) cu_q.push_back(q);
           ops::maxsim_top_k(ctx, x->in(), offsets(cu_q), ops::pack_weight(ctx, y->in()), offsets(cu_d), {}, out);
         });
       }},
      {"residual codes of spherical k-means",
       [=](Context& ctx) {
         const index_t count = std::min<index_t>(5, y->rows), e = (c + 3) / 4 * 4;
         Matrix centroids(count, e, 0), x4(y->rows, e, 0), out(y->rows, e, 0);
         for (index_t r = 0; r < y->rows; ++r)
           for (index_t j = 0; j < e; ++j) x4(r, j) = (*y)(r, j % c);
         ops::spherical_kmeans(ctx, x4.in(), {3, 1}, centroids.out());
         std::vector<index_t> nearest(static_cast<std::size_t>(y->rows));
         ops::nearest_rows(ctx, x4.in(), ops::pack_weight(ctx, centroids.in()), View<index_t, 1>(nearest.data(), y->rows));
         const std::vector<std::int32_t> of(nearest.begin(), nearest.end());
         const View<const std::int32_t, 1> ids(of.data(), y->rows);
         float cutoffs[3], weights[4];
         const View<float, 1> cuts(cutoffs, index_t{3}), values(weights, index_t{4});
         ops::residual_buckets(ctx, x4.in(), centroids.in(), ids, cuts, values);
         const ops::ResidualCodec codec{centroids.in(), cuts, values};
         std::vector<std::uint8_t> codes(static_cast<std::size_t>(y->rows * codec.bytes()));
         const View<std::uint8_t, 2> to(codes.data(), y->rows, codec.bytes());
         ops::residual_encode(ctx, codec, x4.in(), ids, to);
         ops::residual_decode(ctx, codec, ids, to, out.out());
         return out;
       }},
      {"contrastive_logits", [=](Context& ctx) {
         Matrix out(t, y->rows, 2);
         ops::contrastive_logits(ctx, x->in(), y->in(), 0.7f, -1.3f, out.out());
         return out;
       }}};
  for (int act = 0; act <= static_cast<int>(Activation::tanh); ++act)
    jobs.push_back(rows("activation", [=](Context& ctx, View<float, 2> out) {
      ops::activation(ctx, static_cast<Activation>(act), x->in(), out);
    }));
  return jobs;
}

inline std::vector<Job> token_jobs(Random& random) {
  const std::vector<index_t> cu = drawn_offsets(random, 80);
  const index_t t = cu.back(), c = random.in(1, 100), b = static_cast<index_t>(cu.size()) - 1;
  const auto x = std::make_shared<Matrix>(wide(t, c, random.next())),
             weights = std::make_shared<Matrix>(filled(1, t, {.seed = random.next(), .shift = 2.f}));
  std::vector<Job> jobs;
  for (int mode = 0; mode <= static_cast<int>(ops::Pooling::last); ++mode)
    for (const bool given : {false, true})
      if (!given || mode == static_cast<int>(ops::Pooling::weighted_mean))
        jobs.push_back({"pool " + std::to_string(mode), [=](Context& ctx) {
                          Matrix out(b, c, 2);
                          ops::pool(ctx, static_cast<ops::Pooling>(mode), x->in(), offsets(cu),
                                    given ? weights->row() : View<const float, 1>(), out.out());
                          return out;
                        }});
  std::vector<std::int32_t> ids;
  for (index_t i = 0; i < t; ++i) ids.push_back(static_cast<std::int32_t>(random.in(0, 10)));
  Matrix tables = wide(33, c, random.next());
  const auto packed = std::make_shared<Matrix>(33, c, 0);
  for (index_t r = 0; r < 33; ++r)
    for (index_t i = 0; i < c; ++i) (*packed)(r, i) = tables(r, i);
  jobs.push_back({"embed", [=](Context& ctx) {
                    const View<const std::int32_t, 1> at(ids.data(), t);
                    const auto all = packed->in();
                    Matrix out(t, c, 2);
                    ops::embed(ctx, {all.slice(0, 11), all.slice(11, 22), all.slice(22, 33)}, at, at, at, out.out());
                    return out;
                  }});
  return jobs;
}

inline Job attention_job(Random& random, const ops::AttentionParams& params, bool weighted = false, bool placed = false) {
  struct Inputs {
    Matrix q, k, v, position_keys, position_queries;
  };
  constexpr index_t kRows = 24, kReach = 90;
  const index_t kv = random.in(1, 2), heads = kv * random.in(1, 3), d = random.in(1, 50), dv = random.in(1, 50);
  std::vector<index_t> cu_q = drawn_offsets(random, 90), cu_k{0};
  for (std::size_t b = 1; b < cu_q.size(); ++b)  // as many keys as queries, or any other number
    cu_k.push_back(cu_k.back() + (random.in(0, 1) ? cu_q[b] - cu_q[b - 1] : random.in(0, 60)));
  const index_t tq = cu_q.back(), tk = cu_k.back();
  const auto in = std::make_shared<Inputs>(
      Inputs{wide(tq, heads * d, random.next(), 1), wide(tk, kv * d, random.next(), 1), wide(tk, kv * dv, random.next(), 9),
             wide(kRows, heads * d, random.next(), 1), wide(kRows, heads * d, random.next(), 1)});
  std::vector<float> counts;
  for (index_t j = 0; weighted && j < tk; ++j) counts.push_back(static_cast<float>(random.in(1, 9)));
  return {std::string(placed     ? "attention with places of "
                      : weighted ? "weighted attention of "
                                 : "attention of ") +
              dtype_name(params.compute),
          [=](Context& ctx) {
            Matrix out(tq, heads * dv, 2);
            ops::AttentionParams p = params;
            if (weighted) p.key_weights = View<const float, 1>(counts.data(), tk);
            std::vector<std::int32_t> row_of(2 * kReach + 1);
            if (placed) {
              p.position_keys = in->position_keys.heads(heads), p.position_queries = in->position_queries.heads(heads);
              p.position_row_of = View<const std::int32_t, 1>(row_of.data(), 2 * kReach + 1);
              ops::position_rows(kRows, 60, View<std::int32_t, 1>(row_of.data(), 2 * kReach + 1));
            }
            ops::attention(ctx, in->q.heads(heads), in->k.heads(kv), in->v.heads(kv), offsets(cu_q), offsets(cu_k), p,
                           out.heads_out(heads));
            return out;
          }};
}

/// Plans of both ways to find one, and the tokens that they and every mode make.
inline std::vector<Job> merge_jobs(Random& random) {
  const index_t t = random.in(2, 90), d = random.in(1, 40), c = random.in(1, 70), prefix = random.in(0, 2),
                r = random.in(1, t);
  const auto keys = std::make_shared<Matrix>(wide(t, 2 * d, random.next(), 1)),
             x = std::make_shared<Matrix>(wide(t, c, random.next(), 6)),
             sizes = std::make_shared<Matrix>(filled(1, t, {.seed = random.next(), .shift = 2.f}));
  std::vector<Job> jobs;
  for (int mode = 0; mode < static_cast<int>(MergeMode::combine); ++mode)
    for (const bool by_energy : {false, true})
      jobs.push_back({"merge " + std::to_string(mode), [=](Context& ctx) {
                        Matrix metric(t, d, 0);
                        ops::key_metric(ctx, keys->heads(2), metric.out());
                        ops::MergePlan plan = by_energy ? ops::energy_merge(ctx, metric.in(), r, 0.4f, prefix)
                                                        : ops::bipartite_merge(ctx, metric.in(), r, prefix);
                        plan.mode = static_cast<MergeMode>(mode);
                        Matrix out(plan.size(), c, 2);
                        ops::merge_tokens(ctx, plan, x->in(), sizes->row(), out.out(), {});
                        return out;
                      }});
  return jobs;
}

inline std::vector<Job> rotary_jobs(Random& random) {
  const index_t t = random.in(1, 60), heads = random.in(1, 4), d = random.in(2, 90), half = random.in(1, d / 2);
  const auto x = std::make_shared<Matrix>(wide(t, heads * d, random.next()));
  const auto coordinates = std::make_shared<Matrix>(filled(20, 2, {.seed = random.next(), .scale = 1024.f}));
  std::vector<std::int32_t> places, axes;
  for (index_t i = 0; i < t; ++i) places.push_back(static_cast<std::int32_t>(random.in(-2, 19)));
  for (index_t j = 0; j < half; ++j) axes.push_back(static_cast<std::int32_t>(random.in(0, 1)));
  const auto tables = [=] {
    std::vector<float> frequencies(static_cast<std::size_t>(half));
    const View<float, 1> f(frequencies.data(), half);
    ops::rotary_frequencies(10000, f);
    Matrix both(40, half, 2);
    ops::rotary_tables(coordinates->in(), View<const std::int32_t, 1>(axes.data(), half), f, both.out().slice(0, 20),
                       both.out().slice(20, 40));
    return both;
  };
  std::vector<Job> jobs{{"rotary tables", [=](Context&) { return tables(); }}};
  for (const ops::RotaryPairs pairs : {ops::RotaryPairs::halves, ops::RotaryPairs::adjacent})
    jobs.push_back({"rotary", [=](Context& ctx) {
                      const Matrix both = tables();
                      Matrix out = *x;
                      ops::rotary(ctx, out.heads_out(heads), {both.in().slice(0, 20), both.in().slice(20, 40), pairs},
                                  View<const std::int32_t, 1>(places.data(), t));
                      return out;
                    }});
  return jobs;
}

/// Every operation, every epilogue, activation, pooling mode and kind of attention, at least once.
inline std::vector<Job> drawn_jobs(std::uint64_t seed) {
  Random random(seed);
  std::vector<Job> jobs;
  const auto join = [&](std::vector<Job> more) {
    for (Job& j : more) jobs.push_back(std::move(j));
  };
  for (int parts = 0; parts < 16; ++parts) jobs.push_back(linear_job(random, static_cast<Activation>(parts % 7), parts));
  for (int act = 0; act < 7; ++act) jobs.push_back(linear_job(random, static_cast<Activation>(act), 7));
  for (const int parts : {1, 7}) jobs.push_back(linear_job(random, Activation::gelu_tanh, parts, true));
  for (int i = 0; i < 4; ++i) join(row_jobs(random)), join(token_jobs(random));
  for (int i = 0; i < 3; ++i) join(patch_jobs(random)), join(rotary_jobs(random));
  for (const auto& p : {ops::AttentionParams{},
                        {.scale = 0.3f},
                        {.causal = true},
                        {.window_left = 4, .window_right = 3},
                        {.causal = true, .window_left = 20},
                        {.window_right = 0},
                        {.softcap = 1.5f}})
    for (const bool weighted : {false, true})
      for (const DType type : {DType::f32, DType::bf16}) {
        ops::AttentionParams of = p;
        of.compute = type;
        jobs.push_back(attention_job(random, of, weighted));
      }
  for (const DType type : {DType::f32, DType::bf16}) jobs.push_back(attention_job(random, {.compute = type}, false, true));
  for (int i = 0; i < 3; ++i) join(merge_jobs(random));
  for (const Filter f : {Filter::box, Filter::bilinear, Filter::hamming, Filter::bicubic, Filter::lanczos})
    jobs.push_back(resample_job(random, f, ops::ResampleArithmetic::pillow));
  for (const Filter f : {Filter::bilinear, Filter::bicubic})
    jobs.push_back(resample_job(random, f, ops::ResampleArithmetic::torchvision)),
        jobs.push_back(resample_values_job(random, f));
  for (const DType weights : {DType::bf16, DType::i8})
    for (int parts = 0; parts < 16; ++parts)
      jobs.push_back(linear_job(random, static_cast<Activation>(parts % 7), parts, parts % 8 == 5, weights));
  return jobs;
}

}  // namespace tessera::test
