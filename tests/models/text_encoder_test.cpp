// From raw text to embeddings against recorded sentence-transformers outputs, and the checks of the public calls.
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <tessera/tessera.hpp>

namespace tessera::models {
namespace {

namespace fs = std::filesystem;
const std::string kGoldens = TESSERA_GOLDENS;
constexpr double kBound = 2e-5;  // of a row's largest value

std::vector<std::string> read_texts(const std::string& path) {
  std::vector<std::string> texts;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) texts.push_back(io::Json::parse(line).get<std::string>());
  return texts;
}
std::vector<std::string_view> views(const std::vector<std::string>& texts) { return {texts.begin(), texts.end()}; }

double worst_row(const Embeddings& got, const std::string& path) {
  const auto file = io::NpyFile::open(path);
  const auto want = file.array().as<float, 2>();
  if (want.extent[0] != got.rows || want.extent[1] != got.dim) return INFINITY;
  double worst = 0;
  for (index_t r = 0; r < got.rows; ++r) {
    double top = 0, error = 0;
    for (index_t c = 0; c < got.dim; ++c) {
      const auto at = static_cast<std::size_t>(c);
      top = std::max(top, std::abs(static_cast<double>(want(r, c))));
      error = std::max(error, std::abs(static_cast<double>(want(r, c)) - static_cast<double>(got.row(r)[at])));
    }
    worst = std::max(worst, top > 0 ? error / top : error);
  }
  return worst;
}

void check_tokens(const TextEncoder& model, Context& ctx, const std::vector<std::string>& texts, const std::string& path) {
  // Recorded without a prompt; the model's default one would come first.
  std::ifstream file(path);
  std::size_t i = 0;
  for (std::string line; std::getline(file, line); ++i) {
    std::vector<text::TokenId> ids;
    model.tokenizer().encode_ids(texts.at(i), ids, model.max_length());
    EXPECT_EQ(ids, io::Json::parse(line).get<std::vector<text::TokenId>>()) << path << " line " << i;
  }
  EXPECT_EQ(i, texts.size());
  (void)ctx;
}

class TinySentenceTransformer : public ::testing::TestWithParam<std::string> {};
TEST_P(TinySentenceTransformer, EmbeddingsEqualTheRecordedOnes) {
  Context ctx(2);
  const std::string folder = kGoldens + "/tiny_st/" + GetParam();
  const auto model = TextEncoder::load(ctx, folder);
  const auto texts = read_texts(kGoldens + "/tiny_st/texts.jsonl");
  check_tokens(model, ctx, texts, folder + "/tokens.jsonl");
  EXPECT_LE(worst_row(model.embed(ctx, views(texts)), folder + "/embeddings.npy"), kBound);
  int prompts = 0;
  for (const auto& [name, prompt] : model.prompts()) {
    const std::string golden = folder + "/embeddings.prompt." + name + ".npy";
    if (!fs::exists(golden)) continue;
    EmbedOptions o;
    o.prompt_name = name;
    EXPECT_LE(worst_row(model.embed(ctx, views(texts), o), golden), kBound) << name;
    ++prompts;
  }
  EXPECT_EQ(prompts > 0, !model.prompts().empty());
}
INSTANTIATE_TEST_SUITE_P(Folders, TinySentenceTransformer,
                         ::testing::Values("all_modes", "cls_dense_tanh", "max_vocab_txt", "mean_sqrt_len",
                                           "weighted_last_prompt"),
                         [](const auto& p) { return p.param; });

TEST(MiniLM, EqualsSentenceTransformersOnMultilingualTexts) {
  const char* folder = std::getenv("TESSERA_MODEL_DIR");
  ASSERT_TRUE(folder && fs::exists(std::string(folder) + "/model.safetensors"))
      << "TESSERA_MODEL_DIR must name the folder of all-MiniLM-L6-v2; tests/run sets it";
  Context ctx(2);
  const auto model = TextEncoder::load(ctx, folder);
  EXPECT_EQ(model.max_length(), 256);
  const auto texts = read_texts(kGoldens + "/minilm_texts.jsonl");
  EXPECT_GE(texts.size(), 200u);
  check_tokens(model, ctx, texts, kGoldens + "/minilm_tokens.jsonl");
  const auto e = model.embed(ctx, views(texts));
  const double worst = worst_row(e, kGoldens + "/minilm_embeddings.npy");
  std::cout << texts.size() << " texts, largest error " << worst << " of the row's largest value\n";
  EXPECT_LE(worst, kBound);

  const auto hidden = io::SafeTensors::open(kGoldens + "/minilm_hidden.safetensors");
  int rows = 0;
  for (const auto& name : hidden.names()) {
    if (!name.ends_with(".input_ids")) continue;
    const std::string stem = name.substr(0, name.size() - std::string("input_ids").size());
    const AnyView& ids = hidden.at(name);
    std::vector<std::int32_t> tokens;
    for (index_t i = 0; i < ids.size(); ++i)
      tokens.push_back(ids.dtype == DType::i64 ? static_cast<std::int32_t>(ids.as<std::int64_t, 1>()(i))
                                               : ids.as<std::int32_t, 1>()(i));
    const index_t t = ids.size(), cu[] = {0, t};
    TokenInputs in;
    in.ids = View<const std::int32_t, 1>(tokens.data(), t);
    in.batch.cu_seqlens = View<const index_t, 1>(cu, 2);
    std::vector<float> out(static_cast<std::size_t>(t * 384), NAN);
    model.model().transformer->forward(ctx, in, View<float, 2>(out.data(), t, 384));
    const auto want = hidden.at(stem + "last_hidden_state").as<float, 2>();
    double worst_token = 0;
    for (index_t r = 0; r < t; ++r) {
      double top = 0, error = 0;
      for (index_t c = 0; c < 384; ++c) {
        const double w = static_cast<double>(want(r, c)),
                     g = static_cast<double>(out[static_cast<std::size_t>(r * 384 + c)]);
        top = std::max(top, std::abs(w)), error = std::max(error, std::abs(w - g));
      }
      worst_token = std::max(worst_token, error / top);
    }
    EXPECT_LE(worst_token, kBound) << stem;
    ++rows;
  }
  EXPECT_EQ(rows, 5);
}

struct Encoder : ::testing::Test {
  Context ctx{2};
  TextEncoder model = TextEncoder::load(ctx, kGoldens + "/tiny_st/all_modes");
};

TEST_F(Encoder, ARowDoesNotDependOnItsNeighbours) {
  const auto texts = read_texts(kGoldens + "/tiny_st/texts.jsonl");
  const auto all = model.embed(ctx, views(texts));
  EmbedOptions small;
  small.batch_tokens = 1;
  EXPECT_EQ(model.embed(ctx, views(texts), small).values, all.values);
  Context one(1);
  for (std::size_t i = 0; i < texts.size(); i += 7) {
    const auto alone = model.embed(one, {texts[i]});
    const auto row = all.row(static_cast<index_t>(i));
    EXPECT_EQ(std::vector<float>(row.begin(), row.end()), alone.values) << i;
  }
}

double length(std::span<const float> row) {
  double squares = 0;
  for (const float x : row) squares += static_cast<double>(x) * static_cast<double>(x);
  return std::sqrt(squares);
}

TEST_F(Encoder, DimsKeepTheFirstAndNormaliseAgainWhereTheModelNormalises) {
  EmbedOptions o;
  o.dims = 7;
  o.force_dims = true;
  const auto normalising = TextEncoder::load(ctx, kGoldens + "/tiny_st/weighted_last_prompt");
  for (const TextEncoder* m : {&std::as_const(model), &normalising}) {
    const auto full = m->embed(ctx, {"a small text"}), e = m->embed(ctx, {"a small text"}, o);
    ASSERT_EQ(e.dim, 7);
    const double scale = m == &normalising ? length(full.row(0).first(7)) : 1.0;
    for (std::size_t i = 0; i < 7; ++i)
      EXPECT_NEAR(static_cast<double>(e.values[i]) * scale, static_cast<double>(full.values[i]), 1e-6);
  }
  EXPECT_NEAR(length(normalising.embed(ctx, {"a small text"}, o).row(0)), 1.0, 1e-6);
}

Code code_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.code();
  }
  ADD_FAILURE() << "nothing was thrown";
  return Code::kCancelled;
}

TEST_F(Encoder, RefusesWhatItCannotServe) {
  const auto with = [&](auto change) {
    EmbedOptions o;
    change(o);
    return code_of([&] { (void)model.embed(ctx, {"x"}, o); });
  };
  EXPECT_EQ(with([](EmbedOptions& o) { o.dims = 100000; }), Code::kBadArgument);
  EXPECT_EQ(with([](EmbedOptions& o) { o.max_length = 100000; }), Code::kBadArgument);
  EXPECT_EQ(with([](EmbedOptions& o) { o.max_length = 1; }), Code::kBadArgument);  // no room for [CLS] and [SEP]
  EXPECT_EQ(with([](EmbedOptions& o) { o.prompt_name = "none such"; }), Code::kBadArgument);
  EXPECT_EQ(code_of([&] { (void)model.embed(ctx, {"good", "bad \xff"}); }), Code::kBadArgument);
  EXPECT_EQ(code_of([&] { (void)TextEncoder::load(ctx, kGoldens + "/nowhere"); }), Code::kNotFound);
  EXPECT_EQ(model.embed(ctx, std::span<const std::string_view>{}).rows, 0);
}

TEST(Cosine, OfEqualOppositeAndZero) {
  const float a[] = {3, 4}, b[] = {-6, -8}, zero[] = {0, 0}, three[] = {1, 2, 3};
  EXPECT_FLOAT_EQ(cosine(a, a), 1.f);
  EXPECT_FLOAT_EQ(cosine(a, b), -1.f);
  EXPECT_FLOAT_EQ(cosine(a, zero), 0.f);
  EXPECT_THROW(cosine(a, three), Error);
}

}  // namespace
}  // namespace tessera::models
