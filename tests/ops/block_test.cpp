#include <tessera/ops/block.hpp>

#include <cstring>
#include <map>
#include <string>
#include <tuple>

#include <tessera/ops/norm.hpp>
#include "support/backends.hpp"
#include "support/layer.hpp"
#include "support/seen.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace tessera;
using namespace tessera::test;

struct Block : OpsTest {};
TESSERA_ON_EVERY_ISA(Block);

const std::vector<index_t> kCu{0, 1, 18, 18, 41};
constexpr index_t kTokens = 41;

struct Variant {
  const char* name;
  ops::BlockConfig config;
  LayerParts parts = {};
};
ops::BlockConfig config(index_t heads, index_t kv_heads, index_t d, index_t f, index_t c = 0) {
  ops::BlockConfig b;
  b.channels = c ? c : heads * d;
  b.heads = heads, b.kv_heads = kv_heads, b.head_dim = d, b.mlp_width = f, b.eps = 1e-5f;
  return b;
}
std::vector<Variant> variants() {
  std::vector<Variant> all;
  all.push_back({"post-norm, as BERT", config(5, 5, 8, 72)});
  all.push_back({"pre-norm, as ViT", config(3, 3, 16, 70)});
  all.back().config.pre_norm = true;
  all.push_back({"layer scale, as DINOv2", config(2, 2, 17, 66), {.scales = true}});
  all.back().config.pre_norm = true;
  all.push_back({"grouped, gated, rms, causal, no biases, as decoders", config(6, 2, 10, 50), {.biases = false}});
  all.back().config.pre_norm = true;
  all.back().config.norm = ops::NormKind::rms_norm;
  all.back().config.glu = true;
  all.back().config.act = Activation::silu;
  all.back().config.attention.causal = true;
  all.push_back({"gated with biases and scales, post-norm", config(4, 1, 9, 130), {.scales = true}});
  all.back().config.glu = true;
  all.back().config.act = Activation::gelu_tanh;
  all.push_back({"heads narrower than the channels", config(3, 3, 5, 31, 52)});
  all.back().config.act = Activation::quick_gelu;
  all.push_back({"norms of rows of queries and keys, and two behind attention, as JinaBERT",
                 config(6, 2, 9, 41),
                 {.row_norms = true}});
  all.back().config.glu = all.back().config.outer_norm = true;
  return all;
}
/// With those that the reference in double has not.
std::vector<Variant> all_variants() {
  std::vector<Variant> all = variants();
  all.push_back({"norms of heads and behind halves, as Gemma 3",
                 config(6, 2, 10, 50, 37),
                 {.biases = false, .head_norms = true, .post_norms = true}});
  all.back().config.pre_norm = all.back().config.glu = true;
  all.back().config.norm = ops::NormKind::rms_norm;
  return all;
}

RaggedBatch batch() {
  RaggedBatch b;
  b.cu_seqlens = View<const index_t, 1>(kCu.data(), static_cast<index_t>(kCu.size()));
  return b;
}
ref::Rows rows(const Matrix& m) {
  ref::Rows r(m.rows, m.columns);
  for (index_t i = 0; i < m.rows; ++i)
    for (index_t j = 0; j < m.columns; ++j) r(i, j) = m(i, j);
  return r;
}
void reserve(Context& ctx, const ops::BlockConfig& c) { ctx.arena().reserve(ops::block_scratch(ctx, c, kTokens, 23)); }

using Half = void (*)(Context&, const ops::BlockConfig&, const ops::BlockWeights&, const RaggedBatch&, View<float, 2>,
                      const ops::BlockOptions&);

TEST_P(Block, HalvesMatchTheReference) {
  std::uint64_t seed = 1;
  for (const Variant& v : variants()) {
    LayerData layer(v.config, v.parts, seed++);
    const ops::BlockWeights w = layer.weights(ctx);
    const Matrix x = filled(kTokens, v.config.channels, {.seed = 90 + seed});
    reserve(ctx, v.config);
    Matrix attended = x, fed = x;
    ops::attention_half(ctx, v.config, w, batch(), attended.out());
    ops::mlp_half(ctx, v.config, w, batch(), fed.out());
    EXPECT_TRUE(close("block", attended, ref::attention_half(shape_of(v.config), layer.reference(), rows(x), kCu).result()))
        << v.name;
    EXPECT_TRUE(close("block", fed, ref::mlp_half(shape_of(v.config), layer.reference(), rows(x)).result())) << v.name;
    EXPECT_EQ(ctx.arena().used(), 0U);
  }
}
/// Tables for heads of that size, and a place or none for each token.
struct Turns {
  Matrix cos, sin;
  std::vector<std::int32_t> places;
  explicit Turns(index_t head_dim) : cos(filled(9, head_dim / 2, {.seed = 8})), sin(filled(9, head_dim / 2, {.seed = 9})) {
    for (index_t t = 0; t < kTokens; ++t) places.push_back(static_cast<std::int32_t>(t * 7 % 10) - 1);
  }
  ops::Rotary tables() const { return {cos.in(), sin.in(), ops::RotaryPairs::halves}; }
  View<const std::int32_t, 2> positions() const { return View<const std::int32_t, 2>(places.data(), index_t{1}, kTokens); }
};

void halves_are_the_ops_one_by_one(Context& ctx, bool turned) {
  for (const Variant& v : all_variants()) {
    const auto& c = v.config;
    const Turns turns(c.head_dim);
    RaggedBatch placed = batch();
    if (turned) placed.positions = turns.positions();
    ops::BlockOptions options;
    if (turned) options.rotary = turns.tables();
    LayerData layer(c, v.parts, 7);
    const ops::BlockWeights w = layer.weights(ctx);
    const Matrix x = filled(kTokens, c.channels, {.seed = 5});
    const auto norm = [&](const ops::NormWeights& n, const Matrix& in) {
      Matrix out(in.rows, in.columns, 0);
      if (c.norm == ops::NormKind::rms_norm) {
        ops::rms_norm(ctx, in.in(), n.gamma, c.eps, out.out());
      } else {
        ops::layer_norm(ctx, in.in(), n.gamma, n.beta, c.eps, out.out());
      }
      return out;
    };
    const View<const float, 2> residual = v.parts.post_norms ? View<const float, 2>() : x.in();
    const auto added = [&](View<const float, 1> gamma, const Matrix& what) {
      Matrix sum = x;
      ops::add_rms_norm(ctx, what.in(), gamma, c.eps, sum.out());
      return sum;
    };
    Matrix in = c.pre_norm ? norm(w.attention_norm, x) : x;
    const index_t nq = c.heads * c.head_dim, nkv = c.kv_heads * c.head_dim;
    Matrix qkv(kTokens, nq + 2 * nkv, 0), context(kTokens, nq, 0), out(kTokens, c.channels, 0),
        hidden(kTokens, c.mlp_width, 0);
    ops::linear(ctx, in.in(), w.qkv.weight, {.bias = w.qkv.bias}, qkv.out());
    const auto part = [&](index_t from, index_t heads) {
      View<const float, 3> p(qkv.data() + from, kTokens, heads, c.head_dim);
      p.stride[0] = qkv.ld;
      return p;
    };
    View<float, 3> both(qkv.data(), kTokens, c.heads + c.kv_heads, c.head_dim);
    both.stride[0] = qkv.ld;
    if (v.parts.head_norms) {
      View<float, 3> q = both, k = both;
      q.extent[1] = c.heads, k.extent[1] = c.kv_heads, k.data += nq;
      ops::rms_norm_heads(ctx, q, w.q_norm, c.eps), ops::rms_norm_heads(ctx, k, w.k_norm, c.eps);
    }
    if (v.parts.row_norms)
      for (const auto& [n, from, width] : {std::tuple(w.q_row_norm, index_t{0}, nq), std::tuple(w.k_row_norm, nq, nkv)}) {
        View<float, 2> row(qkv.data() + from, kTokens, width);
        row.stride[0] = qkv.ld;
        ops::layer_norm(ctx, row, n.gamma, n.beta, c.eps, row);
      }
    if (turned) {
      ops::rotary(ctx, both, turns.tables(), turns.positions()[0]);
    }
    const auto cu = batch().cu_seqlens;
    ops::attention(ctx, part(0, c.heads), part(nq, c.kv_heads), part(nq + nkv, c.kv_heads), cu, cu, c.attention,
                   context.heads_out(c.heads));
    ops::linear(ctx, context.in(), w.attention_out.weight,
                {.bias = w.attention_out.bias, .channel_scale = w.attention_scale, .residual = residual}, out.out());
    if (v.parts.post_norms) out = added(w.attention_post_norm, out);
    if (!c.pre_norm && !c.outer_norm) out = norm(w.attention_norm, out);
    if (c.outer_norm) {
      Matrix sum = x;
      ops::add_layer_norm(ctx, out.in(), w.attention_norm.gamma, w.attention_norm.beta, c.eps, sum.out());
      out = norm(w.attention_outer_norm, sum);
    }
    Matrix half = x;
    reserve(ctx, c);
    ops::attention_half(ctx, c, w, placed, half.out(), options);
    EXPECT_EQ(half.bits(), out.bits()) << v.name;

    in = c.pre_norm ? norm(w.mlp_norm, x) : x;
    ops::linear(ctx, in.in(), w.mlp_in.weight, {.bias = w.mlp_in.bias, .act = c.act, .glu = c.glu}, hidden.out());
    ops::linear(ctx, hidden.in(), w.mlp_out.weight,
                {.bias = w.mlp_out.bias, .channel_scale = w.mlp_scale, .residual = residual}, out.out());
    if (v.parts.post_norms) out = added(w.mlp_post_norm, out);
    if (!c.pre_norm) out = norm(w.mlp_norm, out);
    half = x;
    ops::mlp_half(ctx, c, w, batch(), half.out());
    EXPECT_EQ(half.bits(), out.bits()) << v.name;
  }
}
TEST_P(Block, HalvesAreTheOpsOneByOne) {  // whatever schedule a backend has: the bits are those of the contracts
  halves_are_the_ops_one_by_one(ctx, false);
}
TEST_P(Block, QueriesAndKeysTurnByTheirPlaces) {
  halves_are_the_ops_one_by_one(ctx, true);
  const Variant v = variants()[0];
  LayerData layer(v.config, v.parts, 3);
  const Turns turns(v.config.head_dim);
  Matrix x = filled(kTokens, v.config.channels);
  reserve(ctx, v.config);
  ops::BlockOptions options;
  options.rotary = turns.tables();
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "positions",
                       ops::attention_half(ctx, v.config, layer.weights(ctx), batch(), x.out(), options));
}
TEST_P(Block, APreNormHalfWithoutANormTakesItsInputAsItIs) {  // ModernBERT's first
  const Variant v = variants()[1];
  LayerData layer(v.config, v.parts, 3);
  ops::BlockWeights w = layer.weights(ctx);
  w.attention_norm = w.mlp_norm = {};
  const Matrix x = filled(kTokens, v.config.channels, {.seed = 4});
  Matrix out = x, hidden(kTokens, v.config.mlp_width, 0), expected(kTokens, v.config.channels, 0);
  reserve(ctx, v.config);
  ops::mlp_half(ctx, v.config, w, batch(), out.out());
  ops::linear(ctx, x.in(), w.mlp_in.weight, {.bias = w.mlp_in.bias, .act = v.config.act}, hidden.out());
  ops::linear(ctx, hidden.in(), w.mlp_out.weight, {.bias = w.mlp_out.bias, .residual = x.in()}, expected.out());
  EXPECT_EQ(out.bits(), expected.bits());
  Matrix attended = x, qkv(kTokens, 3 * v.config.channels, 0), seen = poisoned(kTokens, 3 * v.config.channels);
  ops::linear(ctx, x.in(), w.qkv.weight, {.bias = w.qkv.bias}, qkv.out());
  ops::BlockOptions options;
  options.qkv = seen.out();
  ops::attention_half(ctx, v.config, w, batch(), attended.out(), options);
  EXPECT_EQ(seen.bits(), qkv.bits());
}
TEST_P(Block, ThreadsChangeNoBit) {
  for (const Variant& v : all_variants()) {
    LayerData layer(v.config, v.parts, 3);
    const ops::BlockWeights w = layer.weights(ctx);
    const auto run = [&](Context& c) {
      Matrix x = filled(kTokens, v.config.channels, {.seed = 4});
      reserve(c, v.config);
      for (const Half half : {ops::attention_half, ops::mlp_half}) half(c, v.config, w, batch(), x.out(), {});
      return x.bits();
    };
    const auto one = run(ctx);
    with_threads([&](Context& many) { EXPECT_EQ(one, run(many)) << v.name; });
  }
}

TEST_P(Block, TapsHandOutWhatTheyName) {
  const Variant v = variants()[0];
  LayerData layer(v.config, v.parts, 3);
  const ops::BlockWeights w = layer.weights(ctx);
  const Matrix x = filled(kTokens, v.config.channels, {.seed = 4});
  reserve(ctx, v.config);
  Matrix plain = x, tapped = x;
  ops::attention_half(ctx, v.config, w, batch(), plain.out());
  const Matrix after_attention = plain;
  ops::mlp_half(ctx, v.config, w, batch(), plain.out());
  Seen seen;
  const Taps taps{"*", Seen::sink, &seen};
  for (const Half half : {ops::attention_half, ops::mlp_half}) half(ctx, v.config, w, batch(), tapped.out(), {&taps, 3});
  EXPECT_EQ(plain.bits(), tapped.bits());
  const std::vector<std::string> expected{"layers.3.attention.context", "layers.3.attention.output",
                                          "layers.3.attention.qkv", "layers.3.mlp.hidden"};
  ASSERT_EQ(seen.names(), expected);
  EXPECT_EQ(seen.values["layers.3.attention.output"].bits(), after_attention.bits());
  EXPECT_EQ(seen.values["layers.3.mlp.hidden"].columns, 72);
  Matrix qkv(kTokens, 120, 0);
  ops::linear(ctx, x.in(), w.qkv.weight, {.bias = w.qkv.bias}, qkv.out());
  EXPECT_EQ(seen.values["layers.3.attention.qkv"].bits(), qkv.bits());

  Seen one;
  const Taps narrow{"*.context", Seen::sink, &one};
  ops::attention_half(ctx, v.config, w, batch(), tapped.out(), {&narrow, 0});
  EXPECT_EQ(one.names(), std::vector<std::string>{"layers.0.attention.context"});
}

// The caller's attention: copies a multiple of the values of each token.
struct Own {
  float factor;
  int calls = 0;
  static void run(void* self, Context&, View<const float, 3> q, View<const float, 3> k, View<const float, 3> v,
                  const RaggedBatch& b, const ops::AttentionParams& params, View<float, 3> out) {
    auto& own = *static_cast<Own*>(self);
    ++own.calls;
    EXPECT_EQ(b.tokens(), kTokens);
    EXPECT_EQ(q.extent[1], 6);
    EXPECT_EQ(k.extent[1], 2);
    EXPECT_TRUE(params.causal);
    for (index_t t = 0; t < out.extent[0]; ++t)
      for (index_t h = 0; h < out.extent[1]; ++h)
        for (index_t d = 0; d < out.extent[2]; ++d) out(t, h, d) = own.factor * v(t, h / 3, d);
  }
};

TEST_P(Block, TheHookReplacesAttentionAndNothingElse) {
  const Variant v = variants()[3];
  LayerData layer(v.config, v.parts, 3);
  const ops::BlockWeights w = layer.weights(ctx);
  const Matrix x = filled(kTokens, v.config.channels, {.seed = 4});
  reserve(ctx, v.config);
  Own own{.factor = 0.f};
  Matrix still = x, doubled = x;
  ops::attention_half(ctx, v.config, w, batch(), still.out(), {.attention = {Own::run, &own}});
  EXPECT_EQ(own.calls, 1);
  EXPECT_EQ(still.bits(), x.bits());  // no bias: an attention of zeros adds nothing
  own.factor = 2.f;
  ops::attention_half(ctx, v.config, w, batch(), doubled.out(), {.attention = {Own::run, &own}});
  const ref::LayerShape s = shape_of(v.config);
  const ref::Layer l = layer.reference();
  const ref::Rows values = ref::dense(ref::norm(rows(x), true, s.eps, l.attention_norm, {}), l.v, {});
  ref::Rows context(kTokens, 60);
  for (index_t t = 0; t < kTokens; ++t)
    for (index_t c = 0; c < 60; ++c) context(t, c) = 2 * values(t, c / 30 * 10 + c % 10);
  EXPECT_TRUE(close("block", doubled, ref::sum(rows(x), ref::dense(context, l.out, {}), {}).result()));
}
TEST_P(Block, ReservedScratchIsEnough) {
  for (const Variant& v : variants())
    for (const int threads : {1, 3}) {
      Context many(GetParam(), threads);
      LayerData layer(v.config, v.parts, 3);
      const ops::BlockWeights w = layer.weights(many);
      Matrix x = filled(kTokens, v.config.channels, {.seed = 4});
      const std::size_t need = ops::block_scratch(many, v.config, kTokens, 23);
      many.arena().reserve(need);
      for (const Half half : {ops::attention_half, ops::mlp_half}) half(many, v.config, w, batch(), x.out(), {});
      EXPECT_LE(many.arena().peak(), need);
    }
}

}  // namespace
