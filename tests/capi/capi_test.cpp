// The C interface: the bits of the C++ one, a status and a sentence for every mistake, and nothing written then.
#include <tessera/capi.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <tessera/io/digest.hpp>
#include <tessera/models/text_encoder.hpp>
#include <tessera/version.hpp>
#include "capi/capi_fixture.hpp"

namespace tessera {
namespace {

const std::string kText = TESSERA_GOLDENS "/tiny_st/max_vocab_txt",
                  kPrompts = TESSERA_GOLDENS "/tiny_st/weighted_last_prompt";
const std::string kScenes = TESSERA_GOLDENS "/../../examples/scenes/model";

/// tessera_text_options with the defaults that C cannot give.
struct Options {
  const char *prompt = nullptr, *prompt_name = nullptr;
  std::int64_t max_length = 0, dims = 0;
  std::int32_t raw = 0, force_dims = 0;
  tessera_text_options c() const { return {prompt, prompt_name, max_length, dims, raw, force_dims}; }
};

/// Texts as the interface takes them.
struct Texts {
  std::vector<std::string> all;
  std::vector<const char*> data;
  std::vector<std::int64_t> bytes;
  explicit Texts(std::vector<std::string> texts) : all(std::move(texts)) {
    for (const std::string& t : all) data.push_back(t.data()), bytes.push_back(static_cast<std::int64_t>(t.size()));
  }
  std::int64_t count() const { return static_cast<std::int64_t>(all.size()); }
  std::vector<std::string_view> views() const { return {all.begin(), all.end()}; }
};

TEST_F(CApi, VersionAndContext) {
  EXPECT_EQ(tessera_abi_version(), TESSERA_ABI_VERSION);
  EXPECT_EQ(tessera_context_threads(context), 2);
  EXPECT_EQ(tessera_context_threads(nullptr), 0);
  tessera_context* other = nullptr;
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "threads", tessera_context_create(-1, &other));
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "threads", tessera_context_create(1025, &other));
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "context is null", tessera_context_create(1, nullptr));
  EXPECT_EQ(other, nullptr);
  tessera_context_destroy(nullptr);
}

TEST_F(CApi, DigestsOfParts) {
  const Texts texts({"", "seven b", "eight by", "nine byte", std::string("a\0b", 3)});
  const auto digest = [&](std::int64_t from, std::int64_t count) {
    const std::vector<const void*> parts(texts.data.begin() + from, texts.data.begin() + from + count);
    char hex[17] = "0123456789abcdef";
    EXPECT_EQ(tessera_digest(parts.data(), texts.bytes.data() + from, count, hex), TESSERA_OK);
    io::Digest want;
    for (std::int64_t i = from; i < from + count; ++i) want.add(texts.all[static_cast<std::size_t>(i)]);
    EXPECT_EQ(hex, want.hex());
    return std::string(hex);
  };
  std::set<std::string> seen;
  for (std::int64_t i = 0; i <= texts.count(); ++i) seen.insert(digest(0, i)), seen.insert(digest(i, texts.count() - i));
  EXPECT_EQ(seen.size(), 10u);
  const void* none = nullptr;
  const std::int64_t one = 1;
  char hex[17] = "untouched";
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "parts, 0 is null", tessera_digest(&none, &one, 1, hex));
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "parts: -1", tessera_digest(&none, &one, -1, hex));
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "hex is null", tessera_digest(nullptr, nullptr, 0, nullptr));
  EXPECT_STREQ(hex, "untouched");
  int major = -1, minor = -1, patch = -1;
  EXPECT_EQ(std::sscanf(tessera_version(), "%d.%d.%d", &major, &minor, &patch), 3);
  EXPECT_EQ(std::tuple(major, minor, patch),
            std::tuple(TESSERA_VERSION_MAJOR, TESSERA_VERSION_MINOR, TESSERA_VERSION_PATCH));
}

TEST_F(CApi, TheLastErrorIsThatOfTheThread) {
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "context is null", tessera_context_create(1, nullptr));
  std::string elsewhere = "unset";
  std::thread([&] { elsewhere = tessera_last_error(); }).join();
  EXPECT_EQ(elsewhere, "");
  tessera_context* other = nullptr;
  ASSERT_OK(tessera_context_create(1, &other));
  EXPECT_STREQ(tessera_last_error(), "context is null") << "as errno: what works leaves it";
  tessera_context_destroy(other);
}

TEST_F(CApi, TextsHaveTheBitsOfTheEncoder) {
  const Texts texts({"a cat", "", std::string("the dog\0a tree", 14), "the cat and the dog and a tree"});
  Context own(1);
  for (const auto& [dtype, weights] :
       {std::pair{TESSERA_F32, DType::f32}, {TESSERA_BF16, DType::bf16}, {TESSERA_INT8, DType::i8}}) {
    tessera_text_encoder_destroy(std::exchange(text, nullptr));
    ASSERT_OK(tessera_text_encoder_load(context, kPrompts.c_str(), dtype, &text));
    const auto direct = models::TextEncoder::load(own, kPrompts, {.weights = weights});
    for (const Options& given :
         {Options{}, Options{.prompt = ""}, Options{.prompt = "a: "}, Options{.prompt_name = "passage"},
          Options{.max_length = 4}, Options{.dims = 5}, Options{.dims = 2, .force_dims = 1}, Options{.raw = 1}}) {
      const tessera_text_options o = given.c();
      models::EmbedOptions same;
      same.max_length = o.max_length, same.dims = o.dims, same.normalize = o.raw == 0, same.force_dims = o.force_dims != 0;
      if (o.prompt) same.prompt = o.prompt;
      if (o.prompt_name) same.prompt_name = o.prompt_name;
      std::int64_t dim = 0;
      ASSERT_OK(tessera_text_encoder_dim(text, &o, &dim));
      ASSERT_EQ(dim, direct.dim(same));
      auto out = poisoned(texts.count() * dim);
      ASSERT_OK(tessera_text_encoder_embed(context, text, texts.data.data(), texts.bytes.data(), texts.count(), &o,
                                           out.data(), texts.count() * dim));
      EXPECT_EQ(out, direct.embed(own, texts.views(), same).values);
    }
  }
  std::int64_t dim = 0;
  ASSERT_OK(tessera_text_encoder_dim(text, nullptr, &dim));
  EXPECT_EQ(tessera_text_encoder_embed(context, text, nullptr, nullptr, 0, nullptr, nullptr, 0), TESSERA_OK);
}

TEST_F(CApi, TextMistakes) {
  const auto load = [&](const char* path, std::int32_t dtype) {
    return tessera_text_encoder_load(context, path, dtype, &text);
  };
  EXPECT_STATUS(TESSERA_NOT_FOUND, "/no/such", load("/no/such/model", 0));
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "path is null", load(nullptr, 0));
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "dtype: 3", load(kText.c_str(), 3));
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "dtype: -1", load(kText.c_str(), -1));
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "encoder is null", tessera_text_encoder_load(context, kText.c_str(), 0, nullptr));
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "context is null", tessera_text_encoder_load(nullptr, kText.c_str(), 0, &text));
  ASSERT_EQ(text, nullptr);
  ASSERT_OK(load(kText.c_str(), 0));

  std::int64_t dim = 0;
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "encoder is null", tessera_text_encoder_dim(nullptr, nullptr, &dim));
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "dim is null", tessera_text_encoder_dim(text, nullptr, nullptr));
  ASSERT_OK(tessera_text_encoder_dim(text, nullptr, &dim));

  const Texts two({"a cat", "the dog"}), wrong({"a cat", "\xff"});
  const char* holes[] = {"a cat", nullptr};
  const std::int64_t negative[] = {5, -1};
  auto out = poisoned(2 * dim);
  const auto embed = [&](const char* const* data, const std::int64_t* bytes, std::int64_t count, std::int64_t room,
                         const Options& given = {}) {
    const tessera_text_options o = given.c();
    return tessera_text_encoder_embed(context, text, data, bytes, count, &o, out.data(), room);
  };
  const auto *data = two.data.data(), *const *texts = &data;
  const std::int64_t* bytes = two.bytes.data();
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "text 1", embed(wrong.data.data(), wrong.bytes.data(), 2, 2 * dim));
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "texts, 1 is null", embed(holes, bytes, 2, 2 * dim));
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "texts, 1: -1", embed(*texts, negative, 2, 2 * dim));
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "texts is null", embed(nullptr, bytes, 2, 2 * dim));
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "bytes is null", embed(*texts, nullptr, 2, 2 * dim));
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "texts: -1", embed(*texts, bytes, -1, 2 * dim));
  for (const std::int64_t room : {2 * dim - 1, 2 * dim + 1, std::int64_t{0}, std::int64_t{-1}})
    EXPECT_STATUS(TESSERA_SHAPE_MISMATCH, "2 rows of " + std::to_string(dim), embed(*texts, bytes, 2, room));
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "dims: -1", embed(*texts, bytes, 2, 2 * dim, {.dims = -1}));
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "dims 2", embed(*texts, bytes, 2, 4, {.dims = 2}));
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, std::to_string(dim), embed(*texts, bytes, 2, 2 * (dim + 1), {.dims = dim + 1}));
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "max_length: -1", embed(*texts, bytes, 2, 2 * dim, {.max_length = -1}));
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "tokens", embed(*texts, bytes, 2, 2 * dim, {.max_length = 1 << 30}));
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "nobody", embed(*texts, bytes, 2, 2 * dim, {.prompt_name = "nobody"}));
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "not both", embed(*texts, bytes, 2, 2 * dim, {.prompt = "", .prompt_name = "a"}));
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "out is null",
                tessera_text_encoder_embed(context, text, *texts, bytes, 2, nullptr, nullptr, 2 * dim));
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "context is null",
                tessera_text_encoder_embed(nullptr, text, *texts, bytes, 2, nullptr, out.data(), 2 * dim));
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "encoder is null",
                tessera_text_encoder_embed(context, nullptr, *texts, bytes, 2, nullptr, out.data(), 2 * dim));
  EXPECT_TRUE(untouched(out));
}

TEST_F(CApi, Images) {
  const tessera_status loaded = tessera_image_encoder_load(context, kScenes.c_str(), TESSERA_F32, &image);
#ifndef TESSERA_CAPI_IMAGE
  EXPECT_EQ(loaded, TESSERA_UNSUPPORTED);
  return;
#endif
  ASSERT_EQ(loaded, TESSERA_OK) << tessera_last_error();
  std::int64_t dim = 0;
  ASSERT_OK(tessera_image_encoder_dim(image, nullptr, &dim));
  const std::string images = TESSERA_GOLDENS "/images/";
  const std::string jpeg = bytes_of(images + "420.jpg"), bmp = bytes_of(images + "565.bmp"),
                    cut = bytes_of(images + "cut-rgb.png");
  std::vector<const void*> files;
  std::vector<std::int64_t> bytes;
  for (int i = 0; i < 260; ++i) {  // of 65 tokens: more than the 252 that go through the model at once
    const std::string& file = i == 258 ? bmp : jpeg;
    files.push_back(file.data()), bytes.push_back(static_cast<std::int64_t>(file.size()));
  }
  const auto embed = [&](std::size_t first, std::int64_t count, std::vector<float>& out,
                         const tessera_image_options* o = nullptr) {
    return tessera_image_encoder_embed(context, image, &files[first], &bytes[first], count, o, out.data(),
                                       static_cast<std::int64_t>(out.size()));
  };
  auto all = poisoned(260 * dim), alone = poisoned(2 * dim), raw = poisoned(dim);
  ASSERT_OK(embed(0, 260, all));
  ASSERT_OK(embed(258, 2, alone));
  EXPECT_TRUE(std::equal(alone.begin(), alone.end(), all.end() - 2 * dim));
  EXPECT_FALSE(std::equal(alone.begin(), alone.begin() + dim, alone.begin() + dim));
  EXPECT_TRUE(std::equal(all.begin(), all.begin() + dim, alone.begin() + dim));
  const tessera_image_options as_given{0, 1}, few{3, 0}, wrong{-1, 0};
  ASSERT_OK(embed(0, 1, raw, &as_given));
  double length = 0;
  for (const float x : raw) length += static_cast<double>(x) * static_cast<double>(x);
  EXPECT_GT(std::abs(length - 1), 1e-3);
  std::int64_t dims = 0;
  ASSERT_OK(tessera_image_encoder_dim(image, &few, &dims));
  EXPECT_EQ(dims, 3);

  auto out = poisoned(2 * dim);
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "dims: -1", embed(0, 2, out, &wrong));
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "dims: -1", tessera_image_encoder_dim(image, &wrong, &dims));
  bytes[1] = 0;
  EXPECT_STATUS(TESSERA_FORMAT, "file 1: not an image", embed(0, 2, out));
  bytes[1] = static_cast<std::int64_t>(jpeg.size());
  files[1] = cut.data(), bytes[1] = static_cast<std::int64_t>(cut.size());
  EXPECT_STATUS(TESSERA_FORMAT, "file 1: PNG", embed(0, 2, out));
  files[259] = files[1], bytes[259] = bytes[1], files[1] = files[0], bytes[1] = bytes[0];
  all = poisoned(260 * dim);
  EXPECT_STATUS(TESSERA_FORMAT, "file 259: PNG", embed(0, 260, all));
  EXPECT_TRUE(untouched(all));
  files[1] = nullptr;
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "files, 1 is null", embed(0, 2, out));
  EXPECT_STATUS(TESSERA_SHAPE_MISMATCH, "1 rows of", embed(0, 1, out));
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "encoder is null",
                tessera_image_encoder_embed(context, nullptr, files.data(), bytes.data(), 1, nullptr, out.data(), dim));
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "context is null",
                tessera_image_encoder_embed(nullptr, image, files.data(), bytes.data(), 1, nullptr, out.data(), dim));
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "encoder is null", tessera_image_encoder_load(context, kScenes.c_str(), 0, nullptr));
  EXPECT_STATUS(TESSERA_BAD_ARGUMENT, "path is null", tessera_image_encoder_load(context, nullptr, 0, &image));
  EXPECT_TRUE(untouched(out));
}

}  // namespace
}  // namespace tessera
