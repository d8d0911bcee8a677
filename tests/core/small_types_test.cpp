// RaggedBatch, Taps and Error.
#include <functional>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include <tessera/core/ragged_batch.hpp>
#include <tessera/core/taps.hpp>

#include "support/errors.hpp"

namespace {

using namespace tessera;

RaggedBatch batch_of(const std::vector<index_t>& cu) {
  RaggedBatch b;
  b.cu_seqlens = View<const index_t, 1>(cu.data(), static_cast<index_t>(cu.size()));
  return b;
}

TEST(RaggedBatch, CountsSequencesAndTokens) {
  const std::vector<index_t> cu{0, 3, 3, 10};
  const RaggedBatch b = batch_of(cu);
  EXPECT_NO_THROW(b.check());
  EXPECT_EQ(b.sequences(), 3);
  EXPECT_EQ(b.tokens(), 10);
  EXPECT_EQ(b.begin(2), 3);
  EXPECT_EQ(b.length(1), 0);
  EXPECT_EQ(b.length(2), 7);
  EXPECT_EQ(b.max_length(), 7);
  const std::vector<index_t> none{0};
  EXPECT_NO_THROW(batch_of(none).check());
  EXPECT_EQ(batch_of(none).sequences(), 0);
  EXPECT_EQ(batch_of(none).tokens(), 0);
  EXPECT_EQ(RaggedBatch{}.sequences(), 0);
}
TEST(RaggedBatch, CheckRefusesWhatIsNoPartition) {
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "start with 0", RaggedBatch{}.check());
  for (const std::vector<index_t>& cu : {std::vector<index_t>{1}, {1, 3}, {-1, 3}})
    TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "start with 0", batch_of(cu).check());
  for (const std::vector<index_t>& cu : {std::vector<index_t>{0, 3, 2}, {0, -1}, {0, 5, 4, 6}})
    TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "decreases", batch_of(cu).check());
}
TEST(RaggedBatch, CheckRefusesViewsOfAnotherLength) {
  const std::vector<index_t> cu{0, 3, 5};
  const std::vector<std::int32_t> n(20);
  const std::vector<float> w(20);
  const auto with = [&](const std::function<void(RaggedBatch&)>& set) {
    RaggedBatch b = batch_of(cu);
    set(b);
    b.check();
  };
  EXPECT_NO_THROW(with([&](RaggedBatch& b) {
    b.positions = View<const std::int32_t, 2>(n.data(), 3, 5);
    b.segment_ids = View<const std::int32_t, 1>(n.data(), 5);
    b.key_weights = View<const float, 1>(w.data(), 5);
  }));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "positions",
                       with([&](RaggedBatch& b) { b.positions = View<const std::int32_t, 2>(n.data(), 1, 4); }));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "segment_ids",
                       with([&](RaggedBatch& b) { b.segment_ids = View<const std::int32_t, 1>(n.data(), 6); }));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "key_weights",
                       with([&](RaggedBatch& b) { b.key_weights = View<const float, 1>(w.data(), 4); }));
}

bool wants(const std::string& pattern, const std::string& name) {
  Taps taps;
  taps.pattern = pattern.c_str();
  taps.sink = [](void*, const char*, View<const float, 2>) {};
  return taps.wants(name.c_str());
}
// What a pattern means, by trying every length of every star.
bool matches(const char* p, const char* s) {
  if (*p == '*') return matches(p + 1, s) || (*s && matches(p, s + 1));
  return *p == *s && (!*p || matches(p + 1, s + 1));
}

TEST(Taps, WantsWhatMatches) {
  EXPECT_TRUE(wants("*", "layers.0.output"));
  EXPECT_TRUE(wants("layers.*.output", "layers.11.output"));
  EXPECT_FALSE(wants("layers.*.output", "layers.11.outputs"));
  EXPECT_FALSE(wants("layers.*.output", "layer.1.output"));
  EXPECT_TRUE(wants("layers.1.*", "layers.1.attention.qkv"));
  EXPECT_FALSE(wants("layers.1.*", "layers.11.attention.qkv"));
  EXPECT_TRUE(wants("last_hidden_state", "last_hidden_state"));
  EXPECT_FALSE(wants("", "embeddings"));
  EXPECT_FALSE(Taps{}.wants("embeddings"));  // no sink
}
TEST(Taps, EveryShortPatternAndName) {
  const auto words = [](const std::string& letters, std::size_t most) {
    std::vector<std::string> all{""};
    for (std::size_t from = 0, length = 0; length < most; ++length) {
      const std::size_t end = all.size();
      for (; from < end; ++from)
        for (const char c : letters) all.push_back(all[from] + c);
    }
    return all;
  };
  int matched = 0;
  for (const std::string& p : words("ab*", 4))
    for (const std::string& s : words("ab", 5)) {
      EXPECT_EQ(wants(p, s), matches(p.c_str(), s.c_str())) << p << " " << s;
      matched += matches(p.c_str(), s.c_str());
    }
  EXPECT_GT(matched, 500);
}
TEST(Taps, ManyStarsStayLinear) {  // a matcher that tries all ways would not come back
  std::string pattern, name(5000, 'a');
  for (int i = 0; i < 1000; ++i) pattern += "*a";
  EXPECT_FALSE(wants(pattern + "b", name));
  EXPECT_TRUE(wants(pattern, name));
}

static_assert(std::is_nothrow_copy_constructible_v<Error>);
static_assert(std::is_base_of_v<std::exception, Error>);

TEST(Error, SaysWhatItWasGiven) {
  const Error plain(Code::kIo, "a file"), text(Code::kFormat, std::string("a longer sentence, ") + std::string(200, 'x'));
  EXPECT_EQ(plain.code(), Code::kIo);
  EXPECT_STREQ(plain.what(), "a file");
  EXPECT_EQ(std::string(text.what()).size(), 219U);
  EXPECT_STREQ(Error(Code::kLimit, "").what(), "");
}
TEST(Error, CopiesShareTheTextAndOutliveTheFirst) {
  const char* text = nullptr;
  std::vector<Error> copies;
  {
    const Error first(Code::kNotFound, std::string("gone"));
    text = first.what();
    copies.push_back(first);
    copies.emplace_back(copies.front());  // NOLINT(performance-inefficient-vector-operation)
  }
  for (const Error& e : copies) {
    EXPECT_EQ(e.what(), text);
    EXPECT_STREQ(e.what(), "gone");
    EXPECT_EQ(e.code(), Code::kNotFound);
  }
  try {
    throw copies.front();
  } catch (const std::exception& e) {
    EXPECT_STREQ(e.what(), "gone");
  }
}
TEST(Error, CopiesMeetInThreads) {  // an exception_ptr hands one error to several threads
  const Error first(Code::kIo, "shared");
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([first] {
      for (int i = 0; i < 1000; ++i) {
        const Error copy(first);
        EXPECT_STREQ(copy.what(), "shared");
      }
    });
  for (auto& t : threads) t.join();
}
TEST(Error, EveryCodeHasItsWord) {
  std::vector<std::string> words;
  for (int c = 0; c <= static_cast<int>(Code::kCancelled); ++c) {
    const std::string word = code_name(static_cast<Code>(c));
    EXPECT_NE(word, "unknown") << c;
    for (const auto& other : words) EXPECT_NE(word, other);
    words.push_back(word);
  }
  EXPECT_STREQ(code_name(static_cast<Code>(200)), "unknown");
}

}  // namespace
