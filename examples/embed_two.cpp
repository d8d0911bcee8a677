// The cosine of two sentences by the embedding model in a folder.
// Build: g++ -std=c++20 -O2 -Iinclude -Ikernels embed_two.cpp   Run: ./a.out FOLDER
#include <cstdio>

#include <tessera/tessera.hpp>

int main(int argc, char** argv) try {
  if (argc != 2) return std::fprintf(stderr, "usage: %s MODEL_FOLDER\n", argv[0]), 2;
  tessera::Context context;  // the fastest instruction set of this machine, all its cores
  const auto encoder = tessera::models::TextEncoder::load(context, argv[1]);
  const auto e = encoder.embed(context, {"A cat sleeps on the sofa.", "The kitten is napping on the couch."});
  std::printf("%.4f\n", static_cast<double>(tessera::models::cosine(e.row(0), e.row(1))));
} catch (const tessera::Error& error) {
  return std::fprintf(stderr, "%s\n", error.what()), 1;
}
