// Scores of pairs against recorded ones of sentence-transformers and transformers, their bits, and the checks of the calls.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <tessera/tessera.hpp>
#include "support/errors.hpp"
#include "support/isas.hpp"
#include "support/row_error.hpp"

namespace tessera::models {
namespace {

namespace fs = std::filesystem;
const std::string kFolder = TESSERA_GOLDENS "/cross_encoder/";

/// The texts of pairs.jsonl, and views of them.
struct Pairs {
  std::vector<std::vector<std::string>> texts;
  std::vector<TextPair> views;
  Pairs() {
    std::ifstream file(kFolder + "pairs.jsonl");
    for (std::string line; std::getline(file, line);) texts.push_back(io::Json::parse(line));
    for (const auto& pair : texts) views.push_back({pair.at(0), pair.at(1)});
  }
};
const Pairs& pairs() {
  static const Pairs all;
  return all;
}

/// Worst error of what is recorded under `name`; of one label, the scores of all pairs are a row.
double worst(const CrossEncoder& model, std::vector<float> got, const std::string& folder, const char* name) {
  const auto file = io::SafeTensors::open(folder + "/golden.safetensors");
  const AnyView& want = file.at(name);
  if (want.size() != static_cast<index_t>(got.size()) || want.dtype != DType::f32) return INFINITY;
  const index_t columns = model.labels() > 1 ? model.labels() : want.size();
  return test::worst_row_error(View<const float, 2>(got.data(), want.size() / columns, columns),
                               reinterpret_cast<const float*>(want.data));
}

std::vector<float> logits(const CrossEncoder& model, Context& ctx) {
  return model.score(ctx, pairs().views, {.activation = false});
}

class TinyCrossEncoder : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Folders, TinyCrossEncoder,
                         testing::Values("one_label", "three_labels", "saved", "roberta", "electra", "distilbert", "mpnet",
                                         "jina", "deberta-v2", "modernbert", "modernbert_mean"),
                         [](const auto& p) {
                           std::string name = p.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST_P(TinyCrossEncoder, ScoresEqualTheRecordedOnes) {
  Context ctx(2);
  const std::string folder = kFolder + GetParam();
  const auto model = CrossEncoder::load(ctx, folder);
  ASSERT_GE(pairs().views.size(), 70u);
  std::ifstream file(folder + "/tokens.jsonl");
  std::size_t i = 0;
  for (std::string line; std::getline(file, line); ++i) {
    std::vector<std::int32_t> ids, types;
    const auto& [first, second] = pairs().views.at(i);
    model.tokenizer().encode_pair_ids(model.prompt() + std::string(first), second, ids, types, model.max_length());
    EXPECT_EQ(ids, io::Json::parse(line).get<std::vector<std::int32_t>>()) << i;
    EXPECT_EQ(ids.size(), types.size());
  }
  EXPECT_EQ(i, pairs().views.size());
  EXPECT_EQ(model.max_length(), io::read_json(folder + "/golden.json")["max_length"]);
  EXPECT_LE(worst(model, model.score(ctx, pairs().views), folder, "scores"), test::kRowBound);
  EXPECT_LE(worst(model, logits(model, ctx), folder, "logits"), test::kRowBound);
}

TEST_P(TinyCrossEncoder, APairHasItsBitsWhateverItsCompany) {
  Context plain(test::isas().front(), 1);
  const auto expected = CrossEncoder::load(plain, kFolder + GetParam()).score(plain, pairs().views);
  for (const Isa isa : test::isas())
    for (int threads = 1; threads <= 4; ++threads) {
      Context ctx(isa, threads);
      const auto model = CrossEncoder::load(ctx, kFolder + GetParam());
      EXPECT_EQ(model.score(ctx, pairs().views), expected) << isa_name(isa) << ' ' << threads;
      EXPECT_EQ(model.score(ctx, pairs().views, {.batch_tokens = 1}), expected) << isa_name(isa) << ' ' << threads;
      EXPECT_EQ(model.score(ctx, pairs().views, {.batch_tokens = 90}), expected) << isa_name(isa) << ' ' << threads;
      const auto n = static_cast<std::size_t>(model.labels());
      for (std::size_t i = 0; i < pairs().views.size(); i += 5) {
        const auto at = expected.begin() + static_cast<std::ptrdiff_t>(i * n);
        EXPECT_EQ(model.score(ctx, {pairs().views[i]}), std::vector<float>(at, at + static_cast<std::ptrdiff_t>(n))) << i;
      }
    }
}

/// A copy of a folder whose JSON files may be changed.
struct Changed : testing::Test {
  Context ctx{1};
  std::string root = testing::TempDir() + "cross_encoder_" + testing::UnitTest::GetInstance()->current_test_info()->name();
  void copy(const char* name) {
    fs::remove_all(root);
    fs::copy(kFolder + name, root);
  }
  void change(const char* file, const std::function<void(io::Json&)>& f) const {
    io::Json json = io::read_json(root + "/" + file);
    f(json);
    std::ofstream(root + "/" + file) << json;
  }
  void TearDown() override { fs::remove_all(root); }
};

TEST_F(Changed, TheActivationThatTheFolderNames) {
  copy("one_label");
  const std::string identity = "torch.nn.modules.linear.Identity", sigmoid = "torch.nn.modules.activation.Sigmoid";
  const auto scores = CrossEncoder::load(ctx, root).score(ctx, pairs().views);
  const auto raw = logits(CrossEncoder::load(ctx, root), ctx);
  ASSERT_NE(scores, raw);
  const auto with = [&](const io::Json& fields) {
    copy("one_label");
    change("config.json", [&](io::Json& json) { json.update(fields); });
    return CrossEncoder::load(ctx, root).score(ctx, pairs().views);
  };
  EXPECT_EQ(with({{"sbert_ce_default_activation_function", identity}}), raw);
  EXPECT_EQ(with({{"sentence_transformers", {{"activation_fn", identity}}}}), raw);
  EXPECT_EQ(
      with({{"sentence_transformers", {{"activation_fn", sigmoid}}}, {"sbert_ce_default_activation_function", identity}}),
      scores);
  EXPECT_EQ(
      with({{"sentence_transformers", {{"activation_fn", nullptr}}}, {"sbert_ce_default_activation_function", identity}}),
      scores);
  EXPECT_EQ(with({{"sbert_ce_default_activation_function", "own_code.Identity"}}), scores);
  TESSERA_EXPECT_ERROR(Code::kUnsupported, "torch.nn.modules.activation.GELU",
                       with({{"sbert_ce_default_activation_function", "torch.nn.modules.activation.GELU"}}));
  copy("saved");
  change("config.json", [&](io::Json& json) { json["sentence_transformers"] = {{"activation_fn", sigmoid}}; });
  EXPECT_EQ(CrossEncoder::load(ctx, root).score(ctx, pairs().views), logits(CrossEncoder::load(ctx, root), ctx));
}

TEST_F(Changed, WhatModernBertPools) {
  copy("modernbert_mean");
  const auto mean = logits(CrossEncoder::load(ctx, root), ctx);
  change("config.json", [](io::Json& j) { j["classifier_pooling"] = "cls"; });
  const auto first = logits(CrossEncoder::load(ctx, root), ctx);
  EXPECT_NE(first, mean);
  change("config.json", [](io::Json& j) { j.erase("classifier_pooling"); });
  EXPECT_EQ(logits(CrossEncoder::load(ctx, root), ctx), first);
  change("config.json", [](io::Json& j) { j["classifier_pooling"] = "max"; });
  TESSERA_EXPECT_ERROR(Code::kUnsupported, "classifier_pooling 'max'", (void)CrossEncoder::load(ctx, root));
}

TEST_F(Changed, TheActivationOfDebertasPooler) {
  copy("deberta-v2");
  const auto gelu = logits(CrossEncoder::load(ctx, root), ctx);
  change("config.json", [](io::Json& j) { j.erase("pooler_hidden_act"); });
  EXPECT_EQ(logits(CrossEncoder::load(ctx, root), ctx), gelu);
  change("config.json", [](io::Json& j) { j["pooler_hidden_act"] = "tanh"; });
  EXPECT_NE(logits(CrossEncoder::load(ctx, root), ctx), gelu);
  change("config.json", [](io::Json& j) { j["pooler_hidden_act"] = "maxout"; });
  TESSERA_EXPECT_ERROR(Code::kUnsupported, "maxout", (void)CrossEncoder::load(ctx, root));
}
TEST_F(Changed, WhatIsNoClassifierIsRefused) {
  const auto refused = [&](Code code, const char* says, const char* file, const std::function<void(io::Json&)>& f) {
    copy("saved");
    change(file, f);
    TESSERA_EXPECT_ERROR(code, says, (void)CrossEncoder::load(ctx, root));
  };
  refused(Code::kUnsupported, "known: bert", "config.json", [](io::Json& j) { j["model_type"] = "reformer"; });
  refused(Code::kShapeMismatch, "classifier", "config.json", [](io::Json& j) { j["id2label"]["1"] = "LABEL_1"; });
  refused(Code::kShapeMismatch, "classifier", "config.json", [](io::Json& j) { j.erase("id2label"); });  // 2 by default
  refused(Code::kFormat, "num_labels", "config.json", [](io::Json& j) { j["num_labels"] = -1; });
  refused(Code::kUnsupported, "one module", "modules.json", [](io::Json& j) { j.push_back(j[0]); });
  refused(Code::kUnsupported, "one module", "modules.json", [](io::Json& j) { j[0]["type"] = "models.LogitScore"; });
  refused(Code::kFormat, "type", "modules.json", [](io::Json& j) { j = {1}; });
  refused(Code::kFormat, "query", "config_sentence_transformers.json", [](io::Json& j) { j["prompts"] = 3; });
  for (const char* name : {"plain_h20", "no_pooler_h36"})
    TESSERA_EXPECT_ERROR(Code::kNotFound, "classifier.weight",
                         (void)CrossEncoder::load(ctx, std::string(TESSERA_GOLDENS "/tiny_bert/") + name));
  TESSERA_EXPECT_ERROR(Code::kNotFound, "nowhere", (void)CrossEncoder::load(ctx, kFolder + "nowhere"));
}

TEST_F(Changed, RefusesWhatItCannotScore) {
  copy("one_label");
  const auto model = CrossEncoder::load(ctx, root);
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "pair 1: the text is not valid UTF-8 at byte 2",
                       model.score(ctx, {{"a", "b"}, {"a", "bb\xff"}}));
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "positions for 64", model.score(ctx, {{"a", "b"}}, {.max_length = 65}));
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "no room for the 3", model.score(ctx, {{"a", "b"}}, {.max_length = 2}));
  EXPECT_EQ(model.score(ctx, {{"a b", "c d"}}, {.max_length = 3}), model.score(ctx, {{"", ""}}));
  EXPECT_TRUE(model.score(ctx, std::span<const TextPair>{}).empty());
  change("tokenizer_config.json", [](io::Json& j) { j["model_max_length"] = -3; });
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "position", CrossEncoder::load(ctx, root).score(ctx, pairs().views));
  // A type that the model's table has no row for.
  change("tokenizer.json", [](io::Json& j) { j["post_processor"]["pair"][3]["Sequence"]["type_id"] = 2; });
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "segment", CrossEncoder::load(ctx, root).score(ctx, {{"a", "b"}}));
  // Without special tokens an empty pair has no token at all.
  change("tokenizer.json", [](io::Json& j) { j["post_processor"] = nullptr; });
  EXPECT_EQ(CrossEncoder::load(ctx, root).score(ctx, {{"", ""}, {"a", "b"}}).size(), 2u);
}

}  // namespace
}  // namespace tessera::models
