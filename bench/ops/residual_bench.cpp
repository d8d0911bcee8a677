// Residual codes: tokens of 128 numbers decoded into packed panels, as a search by late interaction does before it scores,
// and documents of 180 tokens scored by their centroids for queries of 32 tokens.
#include <tessera/ops/gemm.hpp>
#include <tessera/ops/residual.hpp>

#include "check.hpp"
#include "measure.hpp"

namespace tessera::bench {
namespace {

constexpr index_t kChannels = 128, kCentroids = 4096, kTokens = 180, kQueryTokens = 32;

std::vector<std::int32_t> drawn_ids(index_t tokens) {
  std::vector<std::int32_t> ids(static_cast<std::size_t>(tokens));
  std::uint32_t state = 1;
  for (std::int32_t& id : ids) id = static_cast<std::int32_t>((state = state * 1664525U + 1013904223U) >> 20);
  return ids;
}
View<const std::int32_t, 1> view(const std::vector<std::int32_t>& ids) {
  return View<const std::int32_t, 1>(ids.data(), static_cast<index_t>(ids.size()));
}

void decode(benchmark::State& state, Isa isa, int threads, int bits, index_t tokens) {
  Context ctx(isa, threads);
  const Data centroids(kCentroids, kChannels, 1), cutoffs(1, (1 << bits) - 1, 2), weights(1, 1 << bits, 3, 0.25f);
  const ops::ResidualCodec codec{centroids.input(), cutoffs.flat(), weights.flat()};
  const std::vector<std::int32_t> ids = drawn_ids(tokens);
  std::vector<std::uint8_t> codes(static_cast<std::size_t>(tokens * codec.bytes()));
  for (std::size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<std::uint8_t>(i * 37);
  const View<const std::uint8_t, 2> packed(codes.data(), tokens, codec.bytes());
  Buffer room(ops::packed_bytes(tokens, kChannels, DType::f32));
  const auto call = [&] { ops::residual_decode_packed(ctx, codec, view(ids), packed, {room.data(), room.bytes()}); };
  call();
  const auto coded = [&](index_t t, index_t c) {  // before its length is 1
    int code = 0;
    for (int b = 0; b < bits; ++b) {
      const index_t at = c * bits + b;
      code |= (packed(t, at / 8) >> (7 - at % 8) & 1) << b;
    }
    return static_cast<double>(centroids(ids[static_cast<std::size_t>(t)], c)) + static_cast<double>(weights(0, code));
  };
  const auto want = [&](index_t t, index_t c) {
    double squares = 0;
    for (index_t j = 0; j < kChannels; ++j) squares += coded(t, j) * coded(t, j);
    return coded(t, c) / std::sqrt(squares);
  };
  const auto got = [&](index_t t, index_t c) { return room.as<float>()[(t / 16 * kChannels + c) * 16 + t % 16]; };
  if (!accept(state, near(tokens, kChannels, 1e-6, got, want))) return;
  measure_bytes(state, ctx, static_cast<double>(room.bytes()), call);
}

void interact(benchmark::State& state, Isa isa, int threads, index_t documents) {
  Context ctx(isa, threads);
  const Data scores(kCentroids, kQueryTokens, 1), out(1, documents, 2);
  std::vector<float> peaks;
  for (index_t c = 0; c < kCentroids; ++c) peaks.push_back(*std::max_element(&scores(c, 0), &scores(c, 0) + kQueryTokens));
  const std::vector<std::int32_t> ids = drawn_ids(documents * kTokens);
  std::vector<index_t> cu, all;
  for (index_t d = 0; d <= documents; ++d) cu.push_back(d * kTokens), all.push_back(d);
  const View<const index_t, 1> offsets(cu.data(), documents + 1), which(all.data(), documents);
  const View<float, 1> to(out.data(), documents);
  const auto call = [&] {
    ops::centroid_interaction(ctx, scores.input(), kQueryTokens, View<const float, 1>(peaks.data(), kCentroids), -2.f,
                              view(ids), offsets, which, to);
  };
  call();
  const auto want = [&](index_t, index_t d) {
    double sum = 0;
    for (index_t q = 0; q < kQueryTokens; ++q) {
      double most = -2;
      for (index_t t = d * kTokens; t < (d + 1) * kTokens; ++t)
        most = std::max(most, static_cast<double>(scores(ids[static_cast<std::size_t>(t)], q)));
      sum += most;
    }
    return sum;
  };
  if (!accept(state, near(1, documents, 1e-5, out, want))) return;
  measure_bytes(state, ctx, static_cast<double>(documents * kTokens * kQueryTokens) * sizeof(float), call);
}

void add_rows(const Rows& rows) {
  for (const Isa isa : test::isas_of<kernels::ResidualTable>())
    for (const int threads : {1, 2}) {
      const std::string end = std::string(isa_name(isa)) + "/t" + std::to_string(threads) + "/";
      for (const int bits : {2, 4})
        rows.add("residual_decode/" + std::to_string(bits) + "bits/" + end + "8192x128", is_best(isa),
                 [=](benchmark::State& state) { decode(state, isa, threads, bits, 8192); });
      rows.add("centroid_interaction/f32/" + end + "32x4096x180", is_best(isa),
               [=](benchmark::State& state) { interact(state, isa, threads, 4096); });
    }
}
const Family kFamily(add_rows);

}  // namespace
}  // namespace tessera::bench
