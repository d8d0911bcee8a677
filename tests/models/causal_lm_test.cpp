// Decoders with their head: transformers' logits and what it decodes (make_generate.py), and passes with a cache of keys and
// values, whose bits are those of passes without.
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <tessera/io/json.hpp>
#include <tessera/models/auto_model.hpp>
#include <tessera/models/causal_lm.hpp>
#include "support/errors.hpp"
#include "support/isas.hpp"
#include "support/row_error.hpp"

namespace tessera::models {
namespace {

namespace fs = std::filesystem;

const std::string kGoldens = TESSERA_GOLDENS "/";

io::Json cases() {
  std::ifstream file(kGoldens + "generate.json");
  return io::Json::parse(file).at("cases");
}
View<const std::int32_t, 1> view(const std::vector<std::int32_t>& ids) {
  return View<const std::int32_t, 1>(ids.data(), static_cast<index_t>(ids.size()));
}
index_t channels(const TextModel& m) { return m.transformer->width(); }

/// Hidden states of tokens [first, first + more) of a text, with what a cache knows of those before them.
std::vector<float> read_on(Context& ctx, const TextModel& m, const std::vector<std::int32_t>& ids, index_t first,
                           index_t more, KeyValueCache* cache) {
  std::vector<std::int32_t> positions;
  for (index_t t = first; t < first + more; ++t) positions.push_back(static_cast<std::int32_t>(t));
  std::vector<float> hidden(static_cast<std::size_t>(more * channels(m)), NAN);
  const index_t cu[] = {0, more};
  TokenInputs in;
  in.ids = view(ids).slice(first, first + more);
  in.batch.cu_seqlens = View<const index_t, 1>(cu, 2);
  in.batch.positions = View<const std::int32_t, 2>(positions.data(), 1, more);
  ForwardOptions options;
  if (cache) options.attention = cache->hook();
  m.transformer->forward(ctx, in, View<float, 2>(hidden.data(), more, channels(m)), options);
  return hidden;
}

TEST(CausalLm, LogitsAndTokensOfTransformers) {
  Context ctx(2);
  int folders = 0;
  const io::Json recorded = cases();
  for (const auto& [name, all] : recorded.items()) {
    const CausalLm lm = CausalLm::load(ctx, kGoldens + name);
    ++folders;
    for (const io::Json& c : all) {
      const auto prompt = c.at("prompt").get<std::vector<std::int32_t>>(),
                 want = c.at("new").get<std::vector<std::int32_t>>();
      const auto logits = c.at("logits").get<std::vector<float>>();
      const auto count = static_cast<index_t>(prompt.size());
      const auto hidden = read_on(ctx, lm.model(), prompt, 0, count, nullptr);
      std::vector<float> row(logits.size(), NAN);
      ASSERT_EQ(static_cast<index_t>(row.size()), lm.vocabulary());
      const View<float, 2> out(row.data(), 1, lm.vocabulary());
      lm.logits(ctx, View<const float, 2>(hidden.data(), count, channels(lm.model())).slice(count - 1, count), out);
      EXPECT_LE(test::worst_row_error(out, logits.data()), test::kRowBound) << name << " " << count;
      const bool ends = c.contains("text");
      const GenerateOptions options{.max_new_tokens = ends ? 12 : static_cast<index_t>(want.size()), .stop_at_eos = ends};
      EXPECT_EQ(lm.generate(ctx, view(prompt), options), want) << name << " " << count;
      if (ends) {
        EXPECT_EQ(lm.generate(ctx, c.at("text").get<std::string>(), options), c.at("follows")) << name;
      }
    }
  }
  EXPECT_EQ(folders, 14);
}

TEST(CausalLm, EndsBehindAnEndTokenOrAtTheLastPosition) {
  Context ctx(1);
  const CausalLm lm = CausalLm::load(ctx, kGoldens + "tiny_rotary/opt_post_norm");  // 20 positions
  const std::vector<std::int32_t> prompt = {5, 9, 11};
  const auto all = lm.generate(ctx, view(prompt), {.max_new_tokens = 100, .stop_at_eos = false});
  EXPECT_EQ(all.size(), 20U - prompt.size() + 1);  // the last one is not read again
  EXPECT_TRUE(lm.generate(ctx, view(prompt), {.max_new_tokens = 0}).empty());
  EXPECT_EQ(lm.generate(ctx, view(prompt), {.max_new_tokens = 4, .stop_at_eos = false}),
            std::vector<std::int32_t>(all.begin(), all.begin() + 4));
  ASSERT_EQ(lm.generation().eos_token_ids, std::vector<std::int32_t>{2});
}

class Cached : public ::testing::TestWithParam<std::string> {};

TEST_P(Cached, PassesOverTheNextTokensHaveTheBitsOfOneOverAll) {
  for (const DType weights : {DType::f32, DType::bf16, DType::i8})
    for (const Isa isa : test::isas(weights)) {
      Context ctx(isa, 1), other(isa, 3);
      const TextModel m = load_text_model(ctx, io::ModelFolder::open(kGoldens + GetParam()), {.weights = weights});
      std::vector<std::int32_t> ids;
      for (std::int32_t t = 0; t < 19; ++t) ids.push_back(3 + t * 7 % 40);
      const auto whole = read_on(ctx, m, ids, 0, 19, nullptr);
      KeyValueCache cache(*m.transformer);
      std::vector<float> parts;
      index_t first = 0;
      for (const index_t more : {5, 1, 1, 9, 3}) {
        const auto next = read_on(first % 2 ? ctx : other, m, ids, first, more, &cache);
        parts.insert(parts.end(), next.begin(), next.end());
        EXPECT_EQ(cache.tokens(), first += more);
      }
      ASSERT_EQ(parts.size(), whole.size());
      EXPECT_EQ(std::memcmp(parts.data(), whole.data(), whole.size() * sizeof(float)), 0)
          << isa_name(isa) << " " << static_cast<int>(weights);
    }
}
TEST_P(Cached, AFailedPassLeavesNothing) {
  Context ctx(1);
  const TextModel m = load_text_model(ctx, io::ModelFolder::open(kGoldens + GetParam()));
  const std::vector<std::int32_t> ids = {4, 8, 15, 16, 23, 42, 7}, bad = {4, 8, 15, 1000, 23, 42, 7};
  const auto whole = read_on(ctx, m, ids, 0, 7, nullptr);
  KeyValueCache cache(*m.transformer);
  (void)read_on(ctx, m, ids, 0, 3, &cache);
  EXPECT_THROW((void)read_on(ctx, m, bad, 3, 2, &cache), Error);
  EXPECT_EQ(cache.tokens(), 3);
  (void)read_on(ctx, m, ids, 3, 3, &cache);
  cache.truncate(5);
  EXPECT_GE(cache.bytes(), 5 * sizeof(float));
  const auto last = read_on(ctx, m, ids, 5, 2, &cache);
  const auto c = static_cast<std::size_t>(channels(m));
  EXPECT_EQ(std::memcmp(last.data(), whole.data() + 5 * c, last.size() * sizeof(float)), 0);
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "so many tokens", cache.truncate(8));
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "so many tokens", cache.truncate(-1));
}
INSTANTIATE_TEST_SUITE_P(Folders, Cached,
                         ::testing::Values("tiny_rotary/llama_llama3", "tiny_rotary/mistral", "tiny_rotary/qwen2_windows",
                                           "tiny_rotary/gemma2", "tiny_rotary/gpt2", "tiny_rotary/opt_post_norm",
                                           "tiny_rotary/opt_projected_wider"),
                         [](const auto& p) { return p.param.substr(p.param.find('/') + 1); });

TEST(CausalLm, RefusesWhatItCannotDo) {
  Context ctx(1);
  TESSERA_EXPECT_ERROR(Code::kUnsupported, "see only those before",
                       (void)CausalLm::load(ctx, kGoldens + "tiny_rotary/gemma_seeing_all"));
  TESSERA_EXPECT_ERROR(Code::kUnsupported, "head for the next token",
                       (void)CausalLm::load(ctx, kGoldens + "tiny_rotary/modernbert"));
  TESSERA_EXPECT_ERROR(Code::kNotFound, "lm_head.weight", (void)CausalLm::load(ctx, kGoldens + "tiny_rotary/qwen3"));
  const TextModel euro = load_text_model(ctx, io::ModelFolder::open(kGoldens + "tiny_rotary/eurobert"));
  TESSERA_EXPECT_ERROR(Code::kUnsupported, "key-value cache", (void)KeyValueCache(*euro.transformer));

  const CausalLm lm = CausalLm::load(ctx, kGoldens + "tiny_rotary/gpt2");  // 40 positions, 61 tokens, no tokenizer
  const std::vector<std::int32_t> none, unknown = {3, 61}, much(41, 3);
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "at least one token", (void)lm.generate(ctx, view(none)));
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "ids", (void)lm.generate(ctx, view(unknown)));
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "41 tokens; the model takes 40", (void)lm.generate(ctx, view(much)));
  TESSERA_EXPECT_ERROR(Code::kNotFound, "no tokenizer", (void)lm.generate(ctx, "a cat"));
}

TEST(CausalLm, MergesNothingBeforeAProjection) {
  Context ctx(1);
  const LoadOptions all{.causal = false};
  const TextModel m = load_text_model(ctx, io::ModelFolder::open(kGoldens + "tiny_rotary/opt_projected"), all);
  EXPECT_EQ(m.transformer->width(), 10);
  const std::vector<std::int32_t> ids = {3, 4, 5};
  const index_t cu[] = {0, 3};
  TokenInputs in{.ids = view(ids)};
  in.batch.cu_seqlens = View<const index_t, 1>(cu, 2);
  std::vector<float> out(3 * 10, NAN);
  TESSERA_EXPECT_ERROR(
      Code::kUnsupported, "projection of the last layer",
      (void)m.transformer->forward_merged(ctx, in, View<float, 2>(out.data(), 3, 10), {.policy = tome({1})}));
  std::vector<float> wide(3 * 24, NAN);
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "width", m.transformer->forward(ctx, in, View<float, 2>(wide.data(), 3, 24)));
}

TEST(CausalLm, ReadsGenerationConfig) {
  Context ctx(1);
  const fs::path root = testing::TempDir() + "generation_config";
  const auto with = [&](const char* text) {
    fs::remove_all(root);
    fs::copy(kGoldens + "tiny_rotary/gpt2", root);
    std::ofstream(root / "generation_config.json") << text;
    return CausalLm::load(ctx, root.string()).generation();
  };
  EXPECT_EQ(with(R"({"eos_token_id": [4, 60], "num_beams": 1, "bad_words_ids": null, "do_sample": true})").eos_token_ids,
            (std::vector<std::int32_t>{4, 60}));
  EXPECT_EQ(with(R"({"repetition_penalty": 1.25, "suppress_tokens": []})").repetition_penalty, 1.25f);
  EXPECT_TRUE(with("{}").eos_token_ids.empty());
  for (const char* bad : {R"({"num_beams": 4})", R"({"no_repeat_ngram_size": 3})", R"({"suppress_tokens": [5]})",
                          R"({"forced_eos_token_id": 2})", R"({"min_length": 9})", R"({"guidance_scale": 1.5})"})
    TESSERA_EXPECT_ERROR(Code::kUnsupported, "chosen greedily", (void)with(bad));
  for (const char* bad : {R"({"eos_token_id": 3000000000})", R"({"eos_token_id": -1})", R"({"eos_token_id": "x"})",
                          R"({"eos_token_id": [2, 0.5]})", R"({"repetition_penalty": 0})"})
    TESSERA_EXPECT_ERROR(Code::kFormat, "generation_config.json", (void)with(bad));
  fs::remove_all(root);
}

}  // namespace
}  // namespace tessera::models
