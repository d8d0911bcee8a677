// What the tests of the C interface share.
#pragma once
#include <tessera/capi.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace tessera {

namespace fs = std::filesystem;

/// The call failed with this status, and the sentence has these words in it.
#define EXPECT_STATUS(status, words, call)                                                               \
  do {                                                                                                   \
    EXPECT_EQ(call, status) << tessera_last_error();                                                     \
    EXPECT_NE(std::string(tessera_last_error()).find(words), std::string::npos) << tessera_last_error(); \
  } while (false)
#define ASSERT_OK(call) ASSERT_EQ(call, TESSERA_OK) << tessera_last_error()

struct CApi : ::testing::Test {
  void SetUp() override { ASSERT_OK(tessera_context_create(2, &context)); }
  void TearDown() override {
    tessera_text_encoder_destroy(text);
    tessera_image_encoder_destroy(image);
    tessera_corpus_destroy(corpus);
    tessera_context_destroy(context);
    if (!folder.empty()) fs::remove_all(folder);
  }
  tessera_context* context = nullptr;
  tessera_text_encoder* text = nullptr;
  tessera_image_encoder* image = nullptr;
  tessera_corpus* corpus = nullptr;
  fs::path folder;
};

inline std::vector<float> poisoned(std::int64_t size) { return std::vector<float>(static_cast<std::size_t>(size), -77.0f); }
inline bool untouched(const std::vector<float>& v) {
  return std::all_of(v.begin(), v.end(), [](float x) { return x == -77.0f; });
}

inline std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace tessera
