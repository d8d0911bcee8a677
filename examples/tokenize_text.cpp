// Tokens of a text by the tokenizer.json in a folder: ids, the bytes they stand for, and the text again.
// Build: g++ -std=c++20 -O2 -Iinclude -Ikernels tokenize_text.cpp   Run: ./a.out FOLDER "some text"
#include <cstdio>

#include <tessera/text.hpp>

int main(int argc, char** argv) try {
  if (argc != 3) return std::fprintf(stderr, "usage: %s TOKENIZER_FOLDER TEXT\n", argv[0]), 2;
  const auto tokenizer = tessera::text::Tokenizer::load(argv[1]);
  const auto e = tokenizer.encode(argv[2], {.bytes = true});
  for (std::size_t i = 0; i < e.size(); ++i)
    std::printf("%d\t%lld-%lld\n", e.ids[i], static_cast<long long>(e.offsets[i][0]),
                static_cast<long long>(e.offsets[i][1]));
  std::printf("%s\n", tokenizer.decode(e.ids).c_str());
} catch (const tessera::Error& error) {
  return std::fprintf(stderr, "%s\n", error.what()), 1;
}
