// Random folders of every text family, of odd sizes, against transformers in float64: every layer, every mask, every
// checkpoint layout.
#include <cmath>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <tessera/io.hpp>
#include <tessera/models/auto_model.hpp>
#include <tessera/models/padded.hpp>
#include "support/row_error.hpp"

namespace tessera::models {
namespace {

std::vector<std::int32_t> int_tensor(const io::SafeTensors& file, const char* name, index_t& rows, index_t& columns) {
  const auto v = file.at(name).as<std::int64_t, 2>();
  rows = v.extent[0], columns = v.extent[1];
  return std::vector<std::int32_t>(v.data, v.data + v.size());
}

struct Seen {
  std::map<std::string, std::vector<float>> values;
  static void sink(void* self, const char* name, View<const float, 2> v) {
    auto& into = static_cast<Seen*>(self)->values[name];
    for (index_t r = 0; r < v.extent[0]; ++r)
      for (index_t c = 0; c < v.extent[1]; ++c) into.push_back(v(r, c));
  }
};

class TinyText : public ::testing::TestWithParam<std::string> {
 protected:
  Context ctx_{2};
  io::ModelFolder folder_ = io::ModelFolder::open(TESSERA_GOLDENS "/" + GetParam());
  TextModel model_ = load_text_model(ctx_, folder_);

  void check(const std::string& suffix) {
    const auto in = io::SafeTensors::open(folder_.path("inputs" + suffix + ".safetensors"));
    const auto want = io::SafeTensors::open(folder_.path("outputs" + suffix + ".safetensors"));
    index_t rows = 0, columns = 0;
    const auto ids = int_tensor(in, "input_ids", rows, columns);
    std::map<std::string, std::vector<std::int32_t>> given;
    for (const char* name : {"attention_mask", "token_type_ids", "position_ids"})
      if (in.find(name)) given[name] = int_tensor(in, name, rows, columns);
    const auto view = [&](const char* name) {
      return given.count(name) ? View<const std::int32_t, 2>(given[name].data(), rows, columns)
                               : View<const std::int32_t, 2>();
    };
    const PaddedBatch batch(model_.transformer->config(), View<const std::int32_t, 2>(ids.data(), rows, columns),
                            view("attention_mask"), view("token_type_ids"), view("position_ids"));
    const index_t c = model_.transformer->width();
    std::vector<float> packed(static_cast<std::size_t>(batch.tokens() * c), NAN),
        padded(static_cast<std::size_t>(rows * columns * c), NAN);
    const View<float, 2> hidden(packed.data(), batch.tokens(), c), out(padded.data(), rows * columns, c);
    Seen seen;
    const Taps taps{"*", Seen::sink, &seen};
    ForwardOptions options;
    options.taps = &taps;
    model_.transformer->forward(ctx_, batch.inputs(), hidden, options);
    batch.scatter(hidden, out);
    EXPECT_LE(test::worst_row_error(out, want.at("last_hidden_state").as<float, 3>().data), test::kRowBound) << suffix;

    const auto compare = [&](const std::string& tap, const std::string& golden) {
      if (!want.find(golden)) return;
      ASSERT_TRUE(seen.values.count(tap)) << tap;
      const auto& v = seen.values[tap];
      const index_t width = static_cast<index_t>(v.size()) / batch.tokens();
      std::vector<float> spread(static_cast<std::size_t>(rows * columns * width));
      const View<float, 2> s(spread.data(), rows * columns, width);
      batch.scatter(View<const float, 2>(v.data(), batch.tokens(), width), s);
      EXPECT_LE(test::worst_row_error(s, want.at(golden).as<float, 3>().data), test::kRowBound) << golden;
      ++compared_;
    };
    for (const std::string& name : want.names())
      if (name.starts_with("hidden_states.")) ++expected_;
    compare("embeddings", "hidden_states.0");
    for (index_t l = 0; l < model_.transformer->config().layers; ++l)
      compare("layers." + std::to_string(l) + ".output", "hidden_states." + std::to_string(l + 1));
    compare("layers.0.attention.context", "layer0.attention_context");
    compare("layers.0.attention.output", "layer0.attention_out");
    compare("layers.0.mlp.hidden", "layer0.mlp_activated");

    if (want.find("pooler_output")) {
      ASSERT_TRUE(model_.pooler.has_value());
      std::vector<float> pooled(static_cast<std::size_t>(rows * c), NAN);
      const View<float, 2> p(pooled.data(), rows, c);
      model_.pool_first(ctx_, hidden, batch.cu_seqlens(), p);
      for (index_t b = 0; b < rows; ++b)
        if (!batch.has_first(b)) std::fill_n(p[b].data, c, 0.f);
      EXPECT_LE(test::worst_row_error(p, want.at("pooler_output").as<float, 2>().data), test::kRowBound) << suffix;
    } else {
      EXPECT_FALSE(model_.pooler.has_value());
    }
  }
  int compared_ = 0, expected_ = 0;
};

TEST_P(TinyText, EveryLayerUnderEveryMask) {
  check("");
  const bool detailed = GetParam().starts_with("tiny_bert");
  EXPECT_GE(expected_, model_.transformer->config().layers);
  EXPECT_EQ(compared_, expected_ + (detailed ? 3 : 0));
}
TEST_P(TinyText, GivenPositions) {
  if (folder_.has("inputs_positions.safetensors")) check("_positions");
}
TEST_P(TinyText, IdsAlone) { check("_ids_only"); }

std::vector<std::string> folders() {
  std::vector<std::string> names;
  for (const std::string of : {"tiny_bert", "tiny_text", "tiny_jina", "tiny_rotary", "tiny_deberta"})
    for (const auto& entry : std::filesystem::directory_iterator(TESSERA_GOLDENS "/" + of))
      if (entry.is_directory()) names.push_back(of + "/" + entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}
INSTANTIATE_TEST_SUITE_P(Folders, TinyText, ::testing::ValuesIn(folders()), [](const auto& p) {
  std::string name = p.param;
  std::replace(name.begin(), name.end(), '/', '_');
  return name;
});

}  // namespace
}  // namespace tessera::models
