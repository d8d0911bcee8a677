// Patch embedding of one image from bytes: what each image encoder does before its first layer.
#include <tessera/ops/gemm.hpp>
#include <tessera/ops/patch.hpp>

#include "check.hpp"
#include "measure.hpp"

namespace tessera::bench {
namespace {

struct Shape {
  const char* name;
  index_t image, patch, channels;
};
constexpr Shape kShapes[] = {
    {"vit_b32", 224, 32, 768}, {"vit_b16", 224, 16, 768}, {"dinov2_s", 224, 14, 384}, {"vit_l14_336", 336, 14, 1024}};

void run(benchmark::State& state, Isa isa, int threads, const Shape& s) {
  Context ctx(isa, threads);
  const ops::PatchShape shape{3, 1, s.patch, s.patch};
  const index_t side = s.image / s.patch, tokens = side * side, k = shape.size();
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(3 * s.image * s.image));
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i * 2654435761u >> 24);
  const Data values(3, 256, 1), weight(s.channels, k, 2, 1 / std::sqrt(static_cast<float>(k))), bias(1, s.channels, 3),
      positions(tokens, s.channels, 4), out(tokens, s.channels, 5);
  ops::Pixels pixels;
  pixels.bytes = View<const std::uint8_t, 3>(bytes.data(), s.image, s.image, 3);
  pixels.values = values.input();
  const PackedWeight w = ops::pack_weight(ctx, weight.input());
  const auto call = [&] { ops::patch_embed(ctx, shape, {&pixels, 1}, w, bias.flat(), positions.input(), out.view()); };
  call();
  const auto want = [&](index_t t, index_t j) {
    double sum = static_cast<double>(bias(0, j)) + static_cast<double>(positions(t, j));
    for (index_t i = 0; i < k; ++i) {
      const index_t c = i / (s.patch * s.patch), y = t / side * s.patch + i / s.patch % s.patch,
                    x = t % side * s.patch + i % s.patch;
      sum += static_cast<double>(weight(j, i)) * static_cast<double>(values(c, pixels.bytes(y, x, c)));
    }
    return sum;
  };
  if (!accept(state, near(tokens, s.channels, 1e-5, out, want))) return;
  measure_flops(state, ctx, 2.0 * static_cast<double>(tokens * k * s.channels), call);
}

void add_rows(const Rows& rows) {
  for_machines("patch_embed", "f32", [&](Isa isa, int threads, const std::string& prefix) {
    for (const Shape& s : kShapes)
      rows.add(prefix + s.name, is_best(isa), [=](benchmark::State& state) { run(state, isa, threads, s); });
  });
}
const Family kFamily(add_rows);

}  // namespace
}  // namespace tessera::bench
