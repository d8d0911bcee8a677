// The stack without a folder: from a config struct and the caller's own buffers, against a double-precision reference.
#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <string>

#include "support/backends.hpp"
#include "support/seen.hpp"
#include "support/stack.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace tessera;
using namespace tessera::test;
using models::ForwardOptions;
using models::TransformerConfig;

struct Stack : OpsTest {};
TESSERA_ON_EVERY_ISA(Stack);

TransformerConfig bert() { return small_stacks()[0].config; }
TransformerConfig vit() { return small_stacks()[1].config; }
const std::vector<index_t> kLengths{1, 17, 0, 33, 8};

TEST_P(Stack, MatchesTheReference) {
  for (const SmallStack& v : small_stacks()) {
    const StackData data(v.config, v.parts, 3);
    const Texts texts(kLengths, 40, 5);
    const Matrix out = forward(data.model(ctx), ctx, texts.inputs());
    EXPECT_TRUE(close("encoder", out, data.reference(texts.ids, texts.cu).result())) << v.name;
  }
}
TEST_P(Stack, TakesGivenPositionsAndSegments) {
  const StackData data(bert(), {}, 3);
  const Texts texts(kLengths, 40, 5);
  std::vector<std::int32_t> positions, segments;
  for (index_t t = 0; t < texts.tokens(); ++t) {
    positions.push_back(static_cast<std::int32_t>((7 * t + 3) % 64));
    segments.push_back(static_cast<std::int32_t>(t / 3 % 2));
  }
  auto in = texts.inputs();
  in.batch.positions = View<const std::int32_t, 2>(positions.data(), index_t{1}, texts.tokens());
  in.batch.segment_ids = View<const std::int32_t, 1>(segments.data(), texts.tokens());
  const auto model = data.model(ctx);
  EXPECT_TRUE(close("encoder", forward(model, ctx, in), data.reference(texts.ids, texts.cu, positions, segments).result()));
}
TEST_P(Stack, KeepsItsOwnCopyOfAllButTheTables) {
  const Texts texts(kLengths, 40, 5);
  auto data = std::make_unique<StackData>(bert(), LayerParts{}, 3);
  auto t = data->tensors();
  const Matrix word = data->word();
  auto rest = std::make_unique<StackData>(bert(), LayerParts{}, 3);
  t.tables.word = word.in();  // lives on; the others' tables belong to `data`
  const auto layers = [&](index_t i) { return rest->tensors().layer(i); };
  t.layer = layers;
  const models::Transformer model(ctx, bert(), t);
  const auto before = forward(model, ctx, texts.inputs()).bits();
  rest.reset();  // an address sanitizer sees a read of it
  EXPECT_EQ(before, forward(model, ctx, texts.inputs()).bits());
}
TEST_P(Stack, RunsTheFirstLayersOnly) {
  const Texts texts(kLengths, 40, 5);
  TransformerConfig one = bert();
  one.layers = 1;
  const StackData data(bert(), {}, 3), short_data(one, {}, 3);
  const auto model = data.model(ctx);
  ForwardOptions o;
  o.layers = 1;
  EXPECT_EQ(forward(model, ctx, texts.inputs(), o).bits(), forward(short_data.model(ctx), ctx, texts.inputs()).bits());
  o.layers = 99;
  EXPECT_EQ(forward(model, ctx, texts.inputs(), o).bits(), forward(model, ctx, texts.inputs()).bits());
}

TEST_P(Stack, TapsNameEveryIntermediate) {
  const Texts texts(kLengths, 40, 5);
  const StackData data(vit(), {.scales = true}, 3);
  const auto model = data.model(ctx);
  Seen seen;
  const Taps taps{"*", Seen::sink, &seen};
  ForwardOptions o;
  o.taps = &taps;
  const Matrix out = forward(model, ctx, texts.inputs(), o);
  EXPECT_EQ(out.bits(), forward(model, ctx, texts.inputs()).bits());
  std::vector<std::string> expected{"embeddings", "last_hidden_state"}, names;
  for (const char* layer : {"layers.0.", "layers.1.", "layers.2."})
    for (const char* what : {"attention.qkv", "attention.context", "attention.output", "mlp.hidden", "output"})
      expected.push_back(std::string(layer) + what);
  for (const auto& [name, value] : seen.values) {
    names.push_back(name);
    EXPECT_EQ(value.rows, texts.tokens()) << name;
  }
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(names, expected);
  EXPECT_EQ(seen.values["last_hidden_state"].bits(), out.bits());
  for (index_t layers = 0; layers < 3;
       ++layers) {  // without the final norm a prefix of the stack ends in that layer's output
    TransformerConfig prefix = vit();
    prefix.layers = layers, prefix.final_norm = false;
    const StackData part(prefix, {.scales = true}, 3);
    const std::string name = layers == 0 ? "embeddings" : "layers." + std::to_string(layers - 1) + ".output";
    EXPECT_EQ(seen.values[name].bits(), forward(part.model(ctx), ctx, texts.inputs()).bits()) << name;
  }
}

struct Between {
  std::vector<index_t> layers;
  bool zero = false;
  static void run(void* self, Context&, index_t layer, const RaggedBatch& batch, View<float, 2> x) {
    auto& b = *static_cast<Between*>(self);
    b.layers.push_back(layer);
    EXPECT_EQ(batch.tokens(), x.extent[0]);
    for (index_t r = 0; b.zero && layer == 2 && r < x.extent[0]; ++r)
      for (index_t c = 0; c < x.extent[1]; ++c) x(r, c) = 0.f;
  }
};

TEST_P(Stack, TheHookBetweenTheHalvesSeesAndChangesTheTokens) {
  const Texts texts(kLengths, 40, 5);
  const StackData data(bert(), {}, 3);
  const auto model = data.model(ctx);
  Between between;
  ForwardOptions o;
  o.between = Between::run, o.between_state = &between;
  EXPECT_EQ(forward(model, ctx, texts.inputs(), o).bits(), forward(model, ctx, texts.inputs()).bits());
  EXPECT_EQ(between.layers, (std::vector<index_t>{0, 1, 2}));
  between.zero = true;  // all tokens are equal before the last half: so they are after it
  const Matrix out = forward(model, ctx, texts.inputs(), o);
  for (index_t r = 1; r < out.rows; ++r) EXPECT_EQ(out.row_bits(r), out.row_bits(0));
}
TEST_P(Stack, TheHookReplacesTheAttentionOfEveryLayer) {
  const Texts texts(kLengths, 40, 5);
  const StackData data(bert(), {}, 3);
  const auto model = data.model(ctx);
  int calls = 0;
  ForwardOptions o;
  o.attention.state = &calls;
  o.attention.run = [](void* n, Context& c, View<const float, 3> q, View<const float, 3> k, View<const float, 3> v,
                       const RaggedBatch& batch, const ops::AttentionParams& p, View<float, 3> out) {
    ++*static_cast<int*>(n);
    ops::attention(c, q, k, v, batch.cu_seqlens, batch.cu_seqlens, p, out);
  };
  EXPECT_EQ(forward(model, ctx, texts.inputs(), o).bits(), forward(model, ctx, texts.inputs()).bits());
  EXPECT_EQ(calls, 3);
  o.attention.run = [](void*, Context&, View<const float, 3>, View<const float, 3>, View<const float, 3>, const RaggedBatch&,
                       const ops::AttentionParams&, View<float, 3> out) {
    for (index_t t = 0; t < out.extent[0]; ++t)
      for (index_t h = 0; h < out.extent[1]; ++h)
        for (index_t d = 0; d < out.extent[2]; ++d) out(t, h, d) = 0.f;
  };
  // Without attention a token depends on itself and its position alone.
  const Texts one({1}, 40, 9), two({1, 1}, 40, 9);
  EXPECT_EQ(forward(model, ctx, one.inputs(), o).row_bits(0), forward(model, ctx, two.inputs(), o).row_bits(0));
  EXPECT_NE(forward(model, ctx, one.inputs(), o).bits(), forward(model, ctx, one.inputs()).bits());
}
TEST_P(Stack, CountsParametersAndBytes) {
  const StackData data(bert(), {}, 3);
  const auto model = data.model(ctx);
  constexpr index_t kC = 30, kF = 50, kTables = (40 + 64 + 2) * kC;
  constexpr index_t kLayer = 4 * (kC * kC + kC) + kC * kF + kF + kF * kC + kC + 4 * kC;
  EXPECT_EQ(model.parameters(), kTables + 2 * kC + 3 * kLayer);
  EXPECT_GE(model.bytes(), static_cast<std::size_t>(3 * kLayer) * sizeof(float));
}
TEST_P(Stack, RefusesInputsThatDoNotFit) {
  const Texts texts({5, 3}, 40, 5);
  const StackData data(bert(), {}, 3);
  const auto model = data.model(ctx);
  const auto refused = [&](Code code, const char* word, const std::function<void(Texts&)>& change) {
    Texts t = texts;
    change(t);
    Matrix out(8, 30, 0);
    TESSERA_EXPECT_ERROR(code, word, model.forward(ctx, t.inputs(), out.out()));
  };
  refused(Code::kBadArgument, "ids[2] is 40", [](Texts& t) { t.ids[2] = 40; });
  refused(Code::kBadArgument, "ids[2] is -1", [](Texts& t) { t.ids[2] = -1; });
  refused(Code::kShapeMismatch, "decreases", [](Texts& t) { t.cu = {0, 9, 8}; });
  refused(Code::kShapeMismatch, "ids must be [tokens]", [](Texts& t) { t.cu = {0, 5, 9}; });
  refused(Code::kShapeMismatch, "start with 0", [](Texts& t) { t.cu = {1, 5, 8}; });
  const Texts longer({65}, 40, 5);
  Matrix out(65, 30, 0), thin(65, 29, 0), padded(8, 30, 2);
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "positions[64] is 64", model.forward(ctx, longer.inputs(), out.out()));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "out a packed", model.forward(ctx, longer.inputs(), thin.out()));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "out a packed", model.forward(ctx, texts.inputs(), padded.out()));
  EXPECT_NO_THROW(forward(model, ctx, Texts().inputs()));
  // Also in a batch that runs in groups a token is named by its place in the batch.
  Texts many(std::vector<index_t>(40, 20), 40, 5);
  many.ids[777] = 1000;
  Matrix all(800, 30, 0);
  Context two(GetParam(), 2);
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "ids[777] is 1000", model.forward(two, many.inputs(), all.out()));
}
TEST_P(Stack, ConstructionNamesTheTensorThatDoesNotFit) {
  const StackData data(bert(), {}, 3), gated(
                                           [] {
                                             TransformerConfig c = bert();
                                             c.block.glu = true;
                                             return c;
                                           }(),
                                           {}, 3);
  const auto refused = [&](const StackData& from, TransformerConfig c, const char* word,
                           const std::function<void(models::TransformerTensors&, models::LayerTensors&)>& change) {
    auto t = from.tensors();
    const auto whole = t.layer;
    models::LayerTensors second = whole(1);
    change(t, second);
    t.layer = [&](index_t i) { return i == 1 ? second : whole(i); };
    TESSERA_EXPECT_ERROR(Code::kShapeMismatch, word, models::Transformer(ctx, c, t));
  };
  using T = models::TransformerTensors;
  using L = models::LayerTensors;
  refused(data, bert(), "word embeddings", [](T& t, L&) { t.tables.word.extent[0] = 39; });
  refused(data, bert(), "position embeddings is absent", [](T& t, L&) { t.tables.position = {}; });
  refused(data, bert(), "segment embeddings", [](T& t, L&) { t.tables.segment.extent[1] = 29; });
  refused(data, bert(), "embedding norm", [](T& t, L&) { t.embedding_norm.extent[0] = 29; });
  refused(data, bert(), "layer 1 query is [29, 30]", [](T&, L& l) { l.q.extent[0] = 29; });
  refused(data, bert(), "layer 1 key", [](T&, L& l) { l.k = {}; });
  refused(data, bert(), "layer 1 value", [](T&, L& l) { l.v.extent[1] = 29; });
  refused(data, bert(), "layer 1 attention output", [](T&, L& l) { l.attention_out.extent[1] = 29; });
  refused(data, bert(), "layer 1 mlp in", [](T&, L& l) { l.mlp_in.extent[0] = 49; });
  refused(data, bert(), "layer 1 mlp out", [](T&, L& l) { l.mlp_out.extent[1] = 49; });
  refused(data, bert(), "layer 1 attention norm", [](T&, L& l) { l.attention_norm.extent[0] = 29; });
  refused(data, bert(), "layer 1 query/key/value bias", [](T&, L& l) { l.k_bias.extent[0] = 29; });
  TransformerConfig c = bert();
  c.block.glu = true;
  refused(data, c, "layer 0 mlp gate is absent", [](T&, L&) {});
  refused(gated, c, "layer 1 mlp gate", [](T&, L& l) { l.mlp_gate.extent[0] = 49; });
  for (const auto& change : std::vector<std::function<void(TransformerConfig&)>>{
           [](auto& b) { b.block.channels = 0; }, [](auto& b) { b.block.heads = 0; }, [](auto& b) { b.block.kv_heads = 2; },
           [](auto& b) { b.block.head_dim = -1; }, [](auto& b) { b.block.mlp_width = 0; }, [](auto& b) { b.layers = -1; }}) {
    c = bert();
    change(c);
    TESSERA_EXPECT_ERROR(Code::kBadArgument, "transformer", models::Transformer(ctx, c, data.tensors()));
  }
}

}  // namespace
