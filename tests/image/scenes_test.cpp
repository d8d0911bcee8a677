// The model and the gallery of examples/scenes, from image files and texts to answers, against transformers.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <tessera/image.hpp>
#include <tessera/io.hpp>
#include <tessera/models/dual_model.hpp>
#include <tessera/models/image_encoder.hpp>
#include <tessera/models/text_encoder.hpp>
#include <tessera/ops/similarity.hpp>
#include "support/row_error.hpp"

namespace tessera {
namespace {

#define SCENES TESSERA_GOLDENS "/../../examples/scenes"

// The pictures of an uncompressed tar, by name.
std::map<std::string, image::Image> pictures_of(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  const std::string file((std::istreambuf_iterator<char>(stream)), {});
  std::map<std::string, image::Image> pictures;
  for (std::size_t at = 0; at + 512 <= file.size() && file[at] != '\0';) {
    const std::string name = file.substr(at, 100).c_str();
    const std::size_t size = std::strtoul(file.substr(at + 124, 12).c_str(), nullptr, 8);
    const auto* data = reinterpret_cast<const std::byte*>(file.data() + at + 512);
    pictures.emplace(name, image::decode({data, std::min(size, file.size() - at - 512)}, {}, name));
    at += 512 + (size + 511) / 512 * 512;
  }
  return pictures;
}

// Lines of two columns.
std::vector<std::pair<std::string, std::string>> pairs_of(const std::string& path) {
  std::ifstream stream(path);
  std::vector<std::pair<std::string, std::string>> pairs;
  for (std::string line; std::getline(stream, line);) {
    const std::size_t tab = line.find('\t');
    pairs.emplace_back(line.substr(0, tab), tab == std::string::npos ? "" : line.substr(tab + 1));
  }
  return pairs;
}

class Scenes : public ::testing::Test {
 protected:
  models::Embeddings images(const std::vector<std::string>& names, const std::map<std::string, image::Image>& from) {
    std::vector<image::Image> chosen;
    for (const auto& name : names) chosen.push_back(from.at(name));
    return image_.embed(ctx_, chosen);
  }
  models::Embeddings texts(const std::vector<std::string>& lines) {
    const std::vector<std::string_view> views(lines.begin(), lines.end());
    return text_.embed(ctx_, views);
  }
  std::vector<float> similarity(const models::Embeddings& a, const models::Embeddings& b) {
    std::vector<float> out(static_cast<std::size_t>(a.rows * b.rows), NAN);
    ops::similarity(ctx_, a.view(), b.view(), View<float, 2>(out.data(), a.rows, b.rows));
    return out;
  }
  Context ctx_{2};
  io::Json golden_ = io::read_json(TESSERA_GOLDENS "/scenes.json");
  models::ImageEncoder image_ = models::ImageEncoder::load(ctx_, SCENES "/model");
  models::TextEncoder text_ = models::TextEncoder::load(ctx_, SCENES "/model");
};

TEST_F(Scenes, EmbeddingsAndLogitsEqualTransformers) {
  const auto recorded = io::SafeTensors::open(TESSERA_GOLDENS "/scenes.safetensors");
  const auto lines = golden_["texts"].get<std::vector<std::string>>();
  const std::vector<std::string_view> views(lines.begin(), lines.end());
  const auto tokens = text_.tokenize(ctx_, views);
  std::vector<std::int32_t> ids;
  for (const auto& row : golden_["input_ids"])
    for (const std::int32_t id : row.get<std::vector<std::int32_t>>()) ids.push_back(id);
  EXPECT_EQ(tokens.ids, ids);

  const auto image = images(golden_["pictures"], pictures_of(SCENES "/gallery/scenes.tar"));
  const auto text = texts(lines);
  const auto want_image = recorded.at("image_embeds").as<float, 2>(), want_text = recorded.at("text_embeds").as<float, 2>();
  ASSERT_EQ(image.rows, want_image.extent[0]);
  ASSERT_EQ(image.dim, want_image.extent[1]);
  ASSERT_EQ(text.rows, want_text.extent[0]);
  EXPECT_LE(test::worst_row_error(image.view(), want_image.data), test::kRowBound);
  EXPECT_LE(test::worst_row_error(text.view(), want_text.data), test::kRowBound);

  const auto model = models::load_dual_model(ctx_, io::ModelFolder::open(SCENES "/model"));
  std::vector<float> logits(static_cast<std::size_t>(image.rows * text.rows), NAN);
  model.head.logits(ctx_, image.view(), text.view(), View<float, 2>(logits.data(), image.rows, text.rows));
  EXPECT_LE(test::worst_row_error(View<const float, 2>(logits.data(), image.rows, text.rows),
                                  recorded.at("logits_per_image").as<float, 2>().data),
            test::kRowBound);
}

TEST_F(Scenes, CaptionsFindTheirPictures) {
  const auto pictures = pictures_of(SCENES "/gallery/scenes.tar");
  std::vector<std::string> names, captions;
  for (const auto& [name, caption] : pairs_of(SCENES "/gallery/captions.tsv"))
    names.push_back(name), captions.push_back(caption);
  ASSERT_EQ(names.size(), pictures.size());
  ASSERT_EQ(static_cast<int>(names.size()), golden_["gallery"]["scenes"].get<int>());
  const auto scores = similarity(texts(captions), images(names, pictures));
  int first = 0, five = 0;
  const std::size_t n = names.size();
  for (std::size_t i = 0; i < n; ++i) {
    const float* row = &scores[i * n];
    const auto rank = std::count_if(row, row + n, [&](float v) { return v >= row[i]; });
    first += rank <= 1;
    five += rank <= 5;
  }
  EXPECT_EQ(first, golden_["gallery"]["text_to_image_first"].get<int>());
  EXPECT_EQ(five, golden_["gallery"]["text_to_image_first_five"].get<int>());
}

TEST_F(Scenes, PromptsNameSingleObjects) {
  const auto pictures = pictures_of(SCENES "/gallery/singles.tar");
  std::vector<std::string> names, truth, labels;
  for (const auto& [name, label] : pairs_of(SCENES "/gallery/singles.tsv")) names.push_back(name), truth.push_back(label);
  for (const auto& [label, rest] : pairs_of(SCENES "/gallery/labels.txt")) labels.push_back(label);
  ASSERT_EQ(names.size(), pictures.size());
  const auto scores = similarity(images(names, pictures), texts(labels));
  int right = 0;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const float* row = &scores[i * labels.size()];
    right += labels[static_cast<std::size_t>(std::max_element(row, row + labels.size()) - row)] == truth[i];
  }
  EXPECT_EQ(right, golden_["gallery"]["singles_right"].get<int>());
}

}  // namespace
}  // namespace tessera
