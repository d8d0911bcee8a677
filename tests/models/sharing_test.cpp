// core/context.hpp says what threads may share. tests/checks.cmake runs this under the thread sanitizer.
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <tessera/models/text_encoder.hpp>
#include "support/backends.hpp"
#include "support/stack.hpp"

namespace {

using namespace tessera;
using namespace tessera::test;

/// f(i) at once in four threads.
template <class F>
void at_once(const F& f) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back([&f, i] { f(i); });
  for (auto& t : threads) t.join();
}
Isa isa_for(int i) { return isas()[static_cast<std::size_t>(i) % isas().size()]; }

TEST(Sharing, ALoadedEncoder) {
  Context ctx(2);
  const auto encoder = models::TextEncoder::load(ctx, TESSERA_GOLDENS "/tiny_st/all_modes");
  const std::vector<std::string_view> texts{"one text", "another, longer text to share", "", "Ünïcode 東京", "one text"};
  const auto expected = encoder.embed(ctx, texts).values;
  std::vector<std::vector<float>> found(4);
  at_once([&](int i) {
    Context own(isa_for(i), 1 + i % 2);  // a context belongs to one thread
    for (int round = 0; round < 3; ++round) found[static_cast<std::size_t>(i)] = encoder.embed(own, texts).values;
  });
  for (const auto& f : found) EXPECT_EQ(f, expected);
}
TEST(Sharing, ATransformerAndItsPackedWeights) {
  models::TransformerConfig c;
  c.block.channels = 24, c.block.heads = c.block.kv_heads = 3, c.block.head_dim = 8, c.block.mlp_width = 40;
  c.layers = 2, c.vocab_size = 50, c.max_positions = 64, c.embedding_norm = true;
  const StackData data(c, {}, 3);
  const Texts texts({30, 1, 60, 60, 45, 20}, 50, 4);
  Context ctx(1);
  const auto model = data.model(ctx);
  const auto expected = forward(model, ctx, texts.inputs()).bits();
  std::vector<std::vector<std::uint32_t>> found(4);
  at_once([&](int i) {
    Context own(isa_for(i), 1 + i % 2);
    found[static_cast<std::size_t>(i)] = forward(model, own, texts.inputs()).bits();
  });
  for (const auto& f : found) EXPECT_EQ(f, expected);
}
TEST(Sharing, APackedWeightAndDisjointPartsOfABuffer) {
  const Matrix x = filled(40, 50, {.seed = 1}), w = filled(70, 50, {.seed = 2});
  Context ctx(1);
  const PackedWeight packed = ops::pack_weight(ctx, w.in());
  Matrix expected(40, 70, 0), found(40, 70, 0);
  ops::linear(ctx, x.in(), packed, {}, expected.out());
  at_once([&](int i) {
    Context own(isa_for(i), 2);
    ops::linear(own, x.in().slice(10 * i, 10 * i + 10), packed, {}, found.out().slice(10 * i, 10 * i + 10));
  });
  EXPECT_EQ(found.bits(), expected.bits());
}
TEST(Sharing, ContextsMadeAndEndedAtOnce) {
  at_once([&](int i) {
    for (int round = 0; round < 10; ++round) {
      Context own(isa_for(round), 1 + i % 3);
      int sum = 0;
      own.parallel_for(1, [&](index_t, int) { ++sum; });
      EXPECT_EQ(sum, 1);
    }
  });
}
TEST(Sharing, ATapsSinkIsCalledByTheThreadThatCalledTheModel) {
  models::TransformerConfig c;
  c.block.channels = 16, c.block.heads = c.block.kv_heads = 2, c.block.head_dim = 8, c.block.mlp_width = 20;
  c.layers = 2, c.vocab_size = 50, c.max_positions = 200, c.embedding_norm = true;
  const StackData data(c, {}, 3);
  const Texts texts({150, 150, 150, 150}, 50, 4);
  Context ctx(3);
  const auto model = data.model(ctx);
  struct Seen {
    std::thread::id caller = std::this_thread::get_id();
    int calls = 0, strangers = 0;
  } seen;
  const Taps taps{"*",
                  [](void* self, const char*, View<const float, 2>) {
                    auto& s = *static_cast<Seen*>(self);
                    ++s.calls;
                    s.strangers += std::this_thread::get_id() != s.caller;
                  },
                  &seen};
  models::ForwardOptions o;
  o.taps = &taps;
  forward(model, ctx, texts.inputs(), o);
  EXPECT_EQ(seen.calls, 12);
  EXPECT_EQ(seen.strangers, 0);
}

}  // namespace
