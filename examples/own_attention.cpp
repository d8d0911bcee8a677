// Your own attention in every layer: here a token takes the average of the values so far. Built and run as embed_two.cpp.
#include <cstdio>

#include <tessera/tessera.hpp>

int main(int argc, char** argv) try {
  if (argc != 2) return std::fprintf(stderr, "usage: %s MODEL_FOLDER\n", argv[0]), 2;
  tessera::Context context;
  tessera::models::EmbedOptions own;
  own.attention.run = [](void*, auto&, auto, auto, auto v, auto& batch, auto&, auto out) {
    for (tessera::index_t b = 0, t = 0, n; b < batch.sequences(); ++b)
      for (n = 1; t < batch.begin(b + 1); ++t, ++n)
        for (int h = 0; h < out.extent[1]; ++h)
          for (int c = 0; c < out.extent[2]; ++c)
            out(t, h, c) = n == 1 ? v(t, h, c) : out(t - 1, h, c) + (v(t, h, c) - out(t - 1, h, c)) / static_cast<float>(n);
  };
  std::printf("%f\n", tessera::models::TextEncoder::load(context, argv[1]).embed(context, {"A cat sleeps."}, own).values[0]);
} catch (const tessera::Error& error) {
  return std::fprintf(stderr, "%s\n", error.what()), 1;
}
