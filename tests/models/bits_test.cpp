// The bits promise on a whole encoder, by memcmp: instruction sets, threads, neighbours, grouping, padding, the caller's
// floating-point mode.
#include <algorithm>
#include <limits>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include <tessera/models/auto_model.hpp>
#include <tessera/models/padded.hpp>
#include <tessera/models/text_encoder.hpp>
#include "support/backends.hpp"
#include "support/fp_state.hpp"
#include "support/stack.hpp"

namespace {

using namespace tessera;
using namespace tessera::test;
using models::Transformer;
using models::TransformerConfig;

constexpr index_t kVocabulary = 50;

enum class Kind { post, pre, distances, alibi, places, decoder };
constexpr const char* kKinds[] = {"post", "pre", "distances", "alibi", "places", "decoder"};

TransformerConfig config(Kind kind) {
  const bool pre_norm = kind == Kind::pre;
  TransformerConfig c;
  c.block.channels = 24, c.block.heads = c.block.kv_heads = 3, c.block.head_dim = 8, c.block.mlp_width = 40;
  c.layers = 2, c.vocab_size = kVocabulary, c.max_positions = 64;
  c.block.pre_norm = c.final_norm = pre_norm, c.embedding_norm = !pre_norm;
  if (kind == Kind::distances) {
    c.embedding_width = 10, c.relative_buckets = 8, c.relative_max_distance = 20;
    c.first_position = 3, c.uncounted_token = 2;
  }
  if (kind == Kind::alibi) c.alibi = c.block.glu = c.block.outer_norm = true, c.max_positions = 0;
  if (kind == Kind::places) {
    c.max_positions = 0, c.block.position_rows = 16, c.position_log_distance = 30;
    c.convolution = 3;
  }
  if (kind == Kind::decoder) {  // layers of two kinds that turn by two sets of angles, all norms, capped scores
    c.block.heads = 6, c.block.kv_heads = 2, c.block.head_dim = 6, c.block.pre_norm = c.block.glu = c.final_norm = true;
    c.block.norm = ops::NormKind::rms_norm, c.block.act = Activation::silu;
    c.block.attention.causal = true, c.block.attention.softcap = 2.f;
    c.max_positions = 0, c.embedding_norm = false;
    c.kinds = {{.rotary = {.frequencies = {1.f, 0.25f}, .most_places = 30, .long_frequencies = {0.5f, 0.0625f}}},
               {.window_left = 4, .rotary = {.frequencies = {1.f, 0.5f, 0.125f}, .scale = 1.25f}}};
    c.kind_of = {0, 1};
  }
  return c;
}

// 32 sequences of 0 to 60 tokens, some 900 together: enough for groups on five threads, too few in part of them for one.
Texts batch() {
  std::vector<index_t> lengths;
  Random random(11);
  for (int i = 0; i < 32; ++i) lengths.push_back(i % 13 == 5 ? 0 : random.in(1, 60));
  return {lengths, kVocabulary, 4};
}

std::vector<std::uint32_t> bits_of(const Matrix& m, const Texts& t, index_t b) {
  const auto at = static_cast<std::size_t>(b);
  const auto all = m.bits();
  return {all.begin() + t.cu[at] * m.columns, all.begin() + t.cu[at + 1] * m.columns};
}

struct EncoderBits : testing::TestWithParam<std::tuple<Kind, DType>> {
  static LayerParts parts(Kind kind) {
    if (kind == Kind::decoder) return {.biases = false, .head_norms = true, .post_norms = true};
    return {.row_norms = kind == Kind::alibi};
  }
  StackData data{config(std::get<Kind>(GetParam())), parts(std::get<Kind>(GetParam())), 3, std::get<DType>(GetParam())};
  Texts texts = batch();
  Context plain{isas().front(), 1};
  Matrix expected = forward(data.model(plain), plain, texts.inputs());
};
std::string name_of(const testing::TestParamInfo<std::tuple<Kind, DType>>& p) {
  return std::string(kKinds[static_cast<int>(std::get<Kind>(p.param))]) + dtype_name(std::get<DType>(p.param));
}
INSTANTIATE_TEST_SUITE_P(Stacks, EncoderBits,
                         testing::Combine(testing::Values(Kind::post, Kind::pre, Kind::distances, Kind::alibi, Kind::places),
                                          testing::Values(DType::f32, DType::bf16, DType::i8)),
                         name_of);
INSTANTIATE_TEST_SUITE_P(Decoder, EncoderBits, testing::Values(std::tuple(Kind::decoder, DType::f32)), name_of);

TEST_P(EncoderBits, EveryIsaAndThreadCount) {
  EXPECT_GE(texts.tokens(), 96 * 5);  // or five threads would never take groups
  for (const Isa isa : isas(std::get<DType>(GetParam())))
    for (int threads = 1; threads <= 5; ++threads) {
      Context ctx(isa, threads);
      EXPECT_EQ(expected.bits(), forward(data.model(ctx), ctx, texts.inputs()).bits()) << isa_name(isa) << " " << threads;
    }
}
TEST_P(EncoderBits, ASequenceAloneIsItsRowsOfTheBatchInAnyOrder) {
  for (const Isa isa : isas(std::get<DType>(GetParam()))) {
    Context ctx(isa, 2);
    const Transformer model = data.model(ctx);
    for (index_t b = 0; b < texts.count(); ++b) {
      Texts alone;
      alone.append(texts, b);
      EXPECT_EQ(forward(model, ctx, alone.inputs()).bits(), bits_of(expected, texts, b)) << isa_name(isa) << " " << b;
    }
    std::vector<index_t> order;
    for (index_t b = 0; b < texts.count(); ++b) order.push_back(b);
    Random random(5);
    for (int round = 0; round < 3; ++round) {
      for (std::size_t i = order.size(); i > 1; --i)
        std::swap(order[i - 1], order[static_cast<std::size_t>(random.in(0, static_cast<index_t>(i) - 1))]);
      Texts shuffled;
      for (const index_t b : order) shuffled.append(texts, b);
      const Matrix out = forward(model, ctx, shuffled.inputs());
      for (std::size_t i = 0; i < order.size(); ++i)
        EXPECT_EQ(bits_of(out, shuffled, static_cast<index_t>(i)), bits_of(expected, texts, order[i])) << isa_name(isa);
    }
  }
}
TEST_P(EncoderBits, AnyGroupingOfTheSequences) {
  Random random(9);
  for (const Isa isa : isas(std::get<DType>(GetParam())))
    for (const int threads : {1, 3}) {
      Context ctx(isa, threads);
      const Transformer model = data.model(ctx);
      for (const index_t most : {2, 5, 20})
        for (index_t b = 0; b < texts.count();) {
          Texts part;
          const index_t end = std::min(texts.count(), b + random.in(1, most));
          for (index_t i = b; i < end; ++i) part.append(texts, i);
          const Matrix out = forward(model, ctx, part.inputs());
          for (index_t i = b; i < end; ++i) EXPECT_EQ(bits_of(out, part, i - b), bits_of(expected, texts, i));
          b = end;
        }
    }
}
TEST(RotaryBits, AnyGroupingThreadsAndIsa) {  // places follow their tokens into whatever group they go
  const SmallStack stack = small_stacks()[2];
  const StackData data(stack.config, stack.parts, 3);
  const Matrix cos = filled(50, 3, {.seed = 8}), sin = filled(50, 3, {.seed = 9});
  std::vector<index_t> lengths;
  Random random(4);
  for (int i = 0; i < 24; ++i) lengths.push_back(random.in(0, 60));
  const Texts texts(lengths, stack.config.vocab_size, 5);
  std::vector<std::int32_t> places;
  for (index_t t = 0; t < texts.tokens(); ++t) places.push_back(static_cast<std::int32_t>(random.in(-1, 49)));
  const auto inputs = [&](index_t b0, index_t b1, std::vector<index_t>& cu) {
    const index_t t0 = texts.cu[static_cast<std::size_t>(b0)], t1 = texts.cu[static_cast<std::size_t>(b1)];
    cu.clear();
    for (index_t b = b0; b <= b1; ++b) cu.push_back(texts.cu[static_cast<std::size_t>(b)] - t0);
    models::TokenInputs in;
    in.ids = View<const std::int32_t, 1>(texts.ids.data() + t0, t1 - t0);
    in.batch.cu_seqlens = View<const index_t, 1>(cu.data(), static_cast<index_t>(cu.size()));
    in.batch.positions = View<const std::int32_t, 2>(places.data() + t0, index_t{1}, t1 - t0);
    in.rotary = {cos.in(), sin.in(), ops::RotaryPairs::adjacent};
    return in;
  };
  std::vector<index_t> cu;
  Context plain(1);
  const models::Transformer model = data.model(plain);
  std::vector<std::uint32_t> alone;
  for (index_t b = 0; b < 24; ++b) {
    const auto bits = forward(model, plain, inputs(b, b + 1, cu)).bits();
    alone.insert(alone.end(), bits.begin(), bits.end());
  }
  for (const Isa isa : isas())
    for (const int threads : {1, 3}) {
      Context ctx(isa, threads);
      const models::Transformer own = data.model(ctx);
      EXPECT_EQ(forward(own, ctx, inputs(0, 24, cu)).bits(), alone) << isa_name(isa) << ", " << threads;
    }
  std::vector<index_t> all;
  models::TokenInputs none = inputs(0, 24, all);
  none.rotary = {};
  EXPECT_NE(forward(model, plain, none).bits(), alone);
}
TEST_P(EncoderBits, TapsAndHooksTakeAnotherScheduleToTheSameBits) {
  for (const Isa isa : isas()) {
    Context ctx(isa, 2);
    const Transformer model = data.model(ctx);
    const Taps none{"no such name", [](void*, const char*, View<const float, 2>) { FAIL(); }, nullptr};
    models::ForwardOptions taps, hook;
    taps.taps = &none;
    hook.between = [](void*, Context&, index_t, const RaggedBatch&, View<float, 2>) {};
    EXPECT_EQ(expected.bits(), forward(model, ctx, texts.inputs(), taps).bits()) << isa_name(isa);
    EXPECT_EQ(expected.bits(), forward(model, ctx, texts.inputs(), hook).bits()) << isa_name(isa);
  }
}
TEST_P(EncoderBits, PaddedInputIsTheRaggedOne) {
  const auto rows = texts.count();
  constexpr index_t kColumns = 64;
  const auto place = [&](auto column_of) {  // ids and mask of [rows, kColumns], positions counting each text's own tokens
    std::vector<std::int32_t> ids(static_cast<std::size_t>(rows * kColumns), 49), mask(ids.size(), 0),
        positions(ids.size(), 0);
    for (index_t b = 0; b < rows; ++b) {
      const index_t from = texts.cu[static_cast<std::size_t>(b)], n = texts.cu[static_cast<std::size_t>(b) + 1] - from;
      std::vector<std::int32_t> own(static_cast<std::size_t>(n));
      models::default_positions(data.model(plain).config(), View<const std::int32_t, 1>(texts.ids.data() + from, n),
                                own.data());
      for (index_t t = 0; t < n; ++t) {
        const auto at = static_cast<std::size_t>(b * kColumns + column_of(t, n));
        ids[at] = texts.ids[static_cast<std::size_t>(from + t)], mask[at] = 1,
        positions[at] = own[static_cast<std::size_t>(t)];
      }
    }
    const auto view = [&](const std::vector<std::int32_t>& v) {
      return View<const std::int32_t, 2>(v.data(), rows, kColumns);
    };
    return models::PaddedBatch(data.model(plain).config(), view(ids), view(mask), {}, view(positions));
  };
  const models::PaddedBatch right = place([](index_t t, index_t) { return t; }),
                            left = place([](index_t t, index_t n) { return kColumns - n + t; }),
                            holes = place([](index_t t, index_t n) { return n <= kColumns / 2 ? 2 * t : t; });
  for (const Isa isa : isas()) {
    Context ctx(isa, 2);
    const Transformer model = data.model(ctx);
    for (const models::PaddedBatch* p : {&right, &left, &holes}) {
      if (p == &holes && data.has_distances()) continue;  // which holes make larger
      ASSERT_EQ(p->tokens(), texts.tokens());
      EXPECT_EQ(expected.bits(), forward(model, ctx, p->inputs()).bits()) << isa_name(isa);
    }
  }
  Matrix spread = filled(rows * kColumns, 24, {.seed = 1});
  left.scatter(expected.in(), spread.out());
  for (index_t b = 0; b < rows; ++b) {
    const index_t from = texts.cu[static_cast<std::size_t>(b)], n = texts.cu[static_cast<std::size_t>(b) + 1] - from;
    for (index_t t = 0; t < kColumns; ++t)
      for (index_t c = 0; c < 24; ++c)
        EXPECT_EQ(spread(b * kColumns + t, c), t < kColumns - n ? 0.f : expected(from + t - kColumns + n, c));
  }
}
TEST_P(EncoderBits, TheCallersModeChangesNoneAndComesBack) {
  for (const Isa isa : isas())
    for (const int threads : {1, 2}) {
      Context ctx(isa, threads);
      const Transformer before = data.model(ctx);
      for (const CallerMode& m : kCallerModes) {
        const OtherFpMode other(m.bits);
        const FpState mode = fp_state();
        const Transformer inside = data.model(ctx);
        const Matrix one = forward(before, ctx, texts.inputs()), two = forward(inside, ctx, texts.inputs());
        EXPECT_TRUE(fp_state() == mode) << m.name;
        EXPECT_EQ(expected.bits(), one.bits()) << isa_name(isa) << ", " << m.name;
        EXPECT_EQ(expected.bits(), two.bits()) << isa_name(isa) << ", packed in " << m.name;
      }
    }
}
TEST_P(EncoderBits, OddNumbersInOneSequenceStayThere) {
  const float inf = std::numeric_limits<float>::infinity();
  const float odd[] = {
      0.f, -0.f, 1e-40f, -3e-45f, inf, -inf, std::numeric_limits<float>::max(), std::numeric_limits<float>::quiet_NaN()};
  for (std::int32_t& id : texts.ids) id = id == 7 ? 8 : id;
  expected = forward(data.model(plain), plain, texts.inputs());
  for (index_t c = 0; c < data.word().columns; ++c) data.word()(7, c) = odd[c % 8];
  const index_t at = 20;  // a sequence in the middle of a group
  ASSERT_GT(texts.cu[at + 1], texts.cu[at]);
  texts.ids[static_cast<std::size_t>(texts.cu[at])] = 7;
  for (const Isa isa : isas())
    for (const int threads : {1, 3}) {
      Context ctx(isa, threads);
      const Matrix out = forward(data.model(ctx), ctx, texts.inputs());
      for (index_t b = 0; b < texts.count(); ++b) {
        if (b == at) {
          EXPECT_FALSE(std::isfinite(out(texts.cu[at], 0)));
        } else {
          EXPECT_EQ(bits_of(out, texts, b), bits_of(expected, texts, b)) << isa_name(isa) << " " << b;
        }
      }
    }
}
TEST_P(EncoderBits, AnExecutorOfTheCallersGivesThem) {
  ContextOptions o;
  o.executor.parallel_for = [](void*, int n, void (*task)(void*, int), void* arg) {
    std::vector<std::thread> threads;
    for (int i = n - 1; i >= 0; --i) threads.emplace_back(task, arg, i);
    for (auto& t : threads) t.join();
  };
  o.executor.concurrency = 3;
  Context ctx(o);
  EXPECT_EQ(expected.bits(), forward(data.model(ctx), ctx, texts.inputs()).bits());
}

// From raw text: loading included.
const char* const kTexts[] = {
    "A cat sleeps on the sofa.", "",  "Zwei Sätze. Und noch einer!",
    "naïve 東京 text",           "x", "the the the the the the the the the the the the the the the the the the the the the"};

std::vector<std::uint32_t> embed(Context& ctx, const std::string& folder, index_t batch_tokens) {
  const auto encoder = models::TextEncoder::load(ctx, folder);
  std::vector<std::string_view> texts;
  for (int i = 0; i < 30; ++i) texts.emplace_back(kTexts[i % 6]);
  models::EmbedOptions o;
  o.batch_tokens = batch_tokens;
  const auto e = encoder.embed(ctx, texts, o);
  std::vector<std::uint32_t> bits;
  for (const float x : e.values) bits.push_back(__builtin_bit_cast(std::uint32_t, x));
  return bits;
}

TEST(TextBits, FromFolderToEmbeddingInEveryWay) {
  for (const char* name : {"all_modes", "cls_dense_tanh", "weighted_last_prompt"}) {
    const std::string folder = std::string(TESSERA_GOLDENS) + "/tiny_st/" + name;
    Context plain(isas().front(), 1);
    const auto expected = embed(plain, folder, 16384);
    for (const Isa isa : isas())
      for (const int threads : {1, 4}) {
        Context ctx(isa, threads);
        for (const index_t batch_tokens : {1, 50, 16384})
          EXPECT_EQ(expected, embed(ctx, folder, batch_tokens)) << name << " " << isa_name(isa);
        for (const CallerMode& m : kCallerModes) {  // also while the folder is read: its numbers must not round otherwise
          const OtherFpMode other(m.bits);
          const FpState mode = fp_state();
          const auto bits = embed(ctx, folder, 16384);
          EXPECT_TRUE(fp_state() == mode) << m.name;
          EXPECT_EQ(expected, bits) << name << ", " << isa_name(isa) << ", " << m.name;
        }
      }
  }
}
TEST(TextBits, NumbersOfAConfigRoundAsAlways) {
  const io::ModelFolder folder = io::ModelFolder::open(TESSERA_GOLDENS "/tiny_st/all_modes");
  Context ctx(1);
  const float usual = models::load_text_model(ctx, folder).transformer->config().block.eps;
  for (const CallerMode& m : kCallerModes) {
    const OtherFpMode other(m.bits);
    const float inside = models::load_text_model(ctx, folder).transformer->config().block.eps;
    EXPECT_EQ(__builtin_bit_cast(std::uint32_t, usual), __builtin_bit_cast(std::uint32_t, inside)) << m.name;
  }
}
TEST(TextBits, ATokenizersScoresAreAddedAsAlways) {
  // In the usual mode a + b is just as good as ab, which comes first; rounded up it would be better.
  const char* const json = R"({"version": "1.0", "model": {"type": "Unigram", "unk_id": 0, "vocab":
      [["<unk>", -10.0], ["a", -0.1], ["b", -0.2], ["ab", -0.30000000000000004]]}})";
  const auto ids = [&] {
    const auto tokenizer = text::Tokenizer::parse(json, "a test");
    std::vector<text::TokenId> found;
    tokenizer.encode_ids("ab", found, 10);
    return found;
  };
  const auto usual = ids();
  EXPECT_EQ(usual, std::vector<text::TokenId>{3});
  for (const CallerMode& m : kCallerModes) {
    const OtherFpMode other(m.bits);
    EXPECT_EQ(ids(), usual) << m.name;
  }
}
TEST(TextBits, ACosineIsTheSameInEveryMode) {
  const Matrix a = wide(1, 77, 3), b = wide(1, 77, 4);
  const std::span<const float> x(a.data(), 77), y(b.data(), 77);
  const float tiny[] = {1e-40f, -2e-41f}, usual = models::cosine(x, y), of_tiny = models::cosine(tiny, tiny);
  EXPECT_FLOAT_EQ(of_tiny, 1.f);
  for (const CallerMode& m : kCallerModes) {
    const OtherFpMode other(m.bits);
    const FpState mode = fp_state();
    const float inside = models::cosine(x, y), tiny_inside = models::cosine(tiny, tiny);
    EXPECT_TRUE(fp_state() == mode) << m.name;
    EXPECT_EQ(__builtin_bit_cast(std::uint32_t, usual), __builtin_bit_cast(std::uint32_t, inside)) << m.name;
    EXPECT_EQ(__builtin_bit_cast(std::uint32_t, of_tiny), __builtin_bit_cast(std::uint32_t, tiny_inside)) << m.name;
  }
}

}  // namespace
