// Replaces every layer's attention by the user's own: here, the plain average of a sequence's values.
// Build: g++ -std=c++20 -O2 -Iinclude -Ikernels own_attention.cpp   Run: ./a.out FOLDER
#include <cstdio>

#include <tessera/tessera.hpp>

using namespace tessera;

static void average(void*, Context&, View<const float, 3>, View<const float, 3>, View<const float, 3> v,
                    const RaggedBatch& batch, const ops::AttentionParams&, View<float, 3> out) {
  for (index_t b = 0; b < batch.sequences(); ++b)
    for (index_t h = 0; h < out.extent[1]; ++h)
      for (index_t c = 0; c < out.extent[2]; ++c) {
        float sum = 0;
        for (index_t t = 0; t < batch.length(b); ++t) sum += v(batch.begin(b) + t, h, c);
        for (index_t t = 0; t < batch.length(b); ++t)
          out(batch.begin(b) + t, h, c) = sum / static_cast<float>(batch.length(b));
      }
}

int main(int argc, char** argv) try {
  if (argc != 2) return std::fprintf(stderr, "usage: %s MODEL_FOLDER\n", argv[0]), 2;
  Context context;
  const auto encoder = models::TextEncoder::load(context, argv[1]);
  models::EmbedOptions own;
  own.attention.run = average;
  const auto a = encoder.embed(context, {"A cat sleeps on the sofa."}),
             b = encoder.embed(context, {"A cat sleeps on the sofa."}, own);
  std::printf("cosine between attention and average: %.4f\n", static_cast<double>(models::cosine(a.row(0), b.row(0))));
} catch (const Error& error) {
  return std::fprintf(stderr, "%s\n", error.what()), 1;
}
