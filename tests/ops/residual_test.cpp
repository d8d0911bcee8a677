#include <tessera/ops/residual.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include <tessera/io/safetensors.hpp>
#include <tessera/ops/gemm.hpp>
#include <tessera/ops/norm.hpp>
#include "support/backends.hpp"
#include "support/jobs.hpp"
#include "support/packed.hpp"

namespace {

using namespace tessera;
using namespace tessera::test;

struct Residual : OpsTest {};
TESSERA_ON_EVERY_ISA(Residual);

constexpr float kInf = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();

template <class T>
View<const T, 1> view(const std::vector<T>& v) {
  return View<const T, 1>(v.data(), static_cast<index_t>(v.size()));
}

/// A codec whose cutoffs are not evenly apart, tokens on and between them, and what the definition makes of these.
struct Case {
  int bits;
  Matrix centroids, x;
  std::vector<float> cutoffs, weights;
  std::vector<std::int32_t> ids;
  std::vector<std::uint8_t> codes;  ///< packed
  Matrix decoded;                   ///< before its lengths are 1

  Case(int b, index_t rows, index_t channels) : bits(b), centroids(filled(9, channels, {.seed = 1})), x(rows, channels, 3) {
    for (int i = 1; i < 1 << bits; ++i) cutoffs.push_back(static_cast<float>(i * i - (1 << (2 * bits - 2))) / 256.f);
    for (int i = 0; i < 1 << bits; ++i) weights.push_back(static_cast<float>(i) / 8.f - 0.75f);
    Random random(3);
    decoded = Matrix(rows, channels, 2);
    std::vector<int> stream;
    for (index_t t = 0; t < rows; ++t) {
      ids.push_back(static_cast<std::int32_t>(random.in(0, 8)));
      for (index_t c = 0; c < channels; ++c) {
        const float center = centroids(ids.back(), c);
        const float on = cutoffs[static_cast<std::size_t>(random.in(0, (1 << bits) - 2))];
        x(t, c) = c % 3 == 0 ? center + on : random.unit();
        const float rest = x(t, c) - center;
        const auto code = std::count_if(cutoffs.begin(), cutoffs.end(), [&](float cut) { return cut < rest; });
        for (int p = 0; p < bits; ++p) stream.push_back(static_cast<int>(code >> p & 1));
        decoded(t, c) = center + weights[static_cast<std::size_t>(code)];
      }
    }
    for (std::size_t i = 0; i < stream.size(); i += 8) {
      int byte = 0;
      for (std::size_t j = 0; j < 8; ++j) byte = byte * 2 + stream[i + j];
      codes.push_back(static_cast<std::uint8_t>(byte));
    }
  }
  ops::ResidualCodec codec() const {
    return {View<const float, 2>(centroids.data(), centroids.rows, centroids.columns), view(cutoffs), view(weights)};
  }
  View<const std::uint8_t, 2> packed() const { return View<const std::uint8_t, 2>(codes.data(), x.rows, codec().bytes()); }
};

TEST_P(Residual, CodesAreCountsOfCutoffsBelow) {
  for (const int bits : {2, 4})
    for (const index_t channels : {4, 20, 32, 128})
      for (const index_t rows : {0, 1, 70}) {
        const Case in(bits, rows, channels);
        const auto check = [&](Context& on) {
          std::vector<std::uint8_t> codes(in.codes.size() + 1, 0xee);
          ops::residual_encode(on, in.codec(), in.x.in(), view(in.ids),
                               View<std::uint8_t, 2>(codes.data(), rows, in.codec().bytes()));
          EXPECT_EQ(codes.back(), 0xee);
          codes.pop_back();
          EXPECT_EQ(codes, in.codes) << bits << " bits, " << rows << " x " << channels;
        };
        check(ctx);
        with_threads(check);
      }
}
TEST_P(Residual, DecodedAreCentroidsPlusWeightsOfLengthOne) {
  for (const int bits : {2, 4})
    for (const index_t channels : {4, 20, 128})
      for (const index_t rows : {0, 1, 70, 300}) {
        const Case in(bits, rows, channels);
        Matrix want = in.decoded;
        ops::l2_normalize(ctx, in.decoded.in(), want.out());
        const auto check = [&](Context& on) {
          Matrix out = poisoned(rows, channels, 2);
          ops::residual_decode(on, in.codec(), view(in.ids), in.packed(), out.out());
          EXPECT_EQ(out.bits(), want.bits()) << bits << " bits, " << rows << " x " << channels;
          if (rows == 0) return;
          poison_arena(on);
          const PackedWeight packed = ops::pack_weight(on, want.in());
          Buffer room(packed.bytes() + 64);
          std::memset(room.data(), 0xee, room.bytes());
          const PackedWeight got =
              ops::residual_decode_packed(on, in.codec(), view(in.ids), in.packed(), {room.data(), room.bytes()});
          ASSERT_EQ(got.bytes(), packed.bytes());
          EXPECT_EQ(std::memcmp(got.data(), packed.data(), got.bytes()), 0);
          EXPECT_EQ(room.data()[packed.bytes()], std::byte{0xee});
        };
        check(ctx);
        with_threads(check);
      }
}
TEST_P(Residual, IsWhatAnOracleOfThePapersHas) {
  const auto golden = io::SafeTensors::open(TESSERA_GOLDENS "/late_interaction.safetensors");
  const auto x = golden.at("tokens").as<float, 2>(), centroids = golden.at("centroids").as<float, 2>();
  const auto ids = golden.at("ids").as<std::int32_t, 1>();
  for (const int bits : {2, 4}) {
    const std::string end = "." + std::to_string(bits);
    const auto want_cutoffs = golden.at("cutoffs" + end).as<float, 1>(),
               want_weights = golden.at("weights" + end).as<float, 1>();
    std::vector<float> cutoffs(static_cast<std::size_t>(want_cutoffs.size())), weights(cutoffs.size() + 1);
    ops::residual_buckets(ctx, x, centroids, ids, View<float, 1>(cutoffs.data(), want_cutoffs.size()),
                          View<float, 1>(weights.data(), want_weights.size()));
    for (std::size_t i = 0; i < weights.size(); ++i) EXPECT_NEAR(weights[i], want_weights(static_cast<index_t>(i)), 1e-7f);
    for (std::size_t i = 0; i < cutoffs.size(); ++i) EXPECT_NEAR(cutoffs[i], want_cutoffs(static_cast<index_t>(i)), 1e-7f);
    const ops::ResidualCodec codec{centroids, want_cutoffs, want_weights};
    const auto want = golden.at("codes" + end).as<std::uint8_t, 2>();
    std::vector<std::uint8_t> codes(static_cast<std::size_t>(want.size()));
    ops::residual_encode(ctx, codec, x, ids, View<std::uint8_t, 2>(codes.data(), want.extent));
    EXPECT_EQ(std::memcmp(codes.data(), want.data, codes.size()), 0) << bits;
    Matrix out = poisoned(x.extent[0], x.extent[1]);
    ops::residual_decode(ctx, codec, ids, want, out.out());
    const auto decoded = golden.at("decoded" + end).as<float, 2>();
    for (index_t t = 0; t < out.rows; ++t)
      for (index_t c = 0; c < out.columns; ++c) ASSERT_NEAR(out(t, c), decoded(t, c), 3e-7f);
  }
}
TEST_P(Residual, InteractionIsItsDefinition) {
  constexpr float kNone = -std::numeric_limits<float>::infinity();
  Random random(9);
  std::vector<index_t> cu{0};
  for (int i = 0; i < 150; ++i) cu.push_back(cu.back() + (i % 7 == 0 ? 0 : random.in(1, 30)));
  std::vector<std::int32_t> ids;
  for (index_t t = 0; t < cu.back(); ++t) ids.push_back(static_cast<std::int32_t>(random.in(0, 39)));
  std::vector<index_t> documents{5, 5, 149, 0};
  for (index_t d = 0; d < 150; d += 2) documents.push_back(d);
  for (const index_t tokens : {0, 1, 16, 17, 33, 70}) {
    const index_t width = (tokens + 15) / 16 * 16;
    Matrix scores = filled(40, width, {.seed = 2, .pad = 5});
    if (tokens > 1) scores(3, 1) = kNan, scores(4, 0) = kInf;
    std::vector<float> peaks;
    for (index_t c = 0; c < 40; ++c) {
      peaks.push_back(kNone);
      for (index_t q = 0; q < tokens; ++q) peaks.back() = scores(c, q) > peaks.back() ? scores(c, q) : peaks.back();
    }
    peaks[7] = kNan;
    for (const float threshold : {kNone, peaks[11], 2.f}) {
      std::vector<float> want;
      for (const index_t d : documents) {
        float sum = 0;
        for (index_t q = 0; q < tokens; ++q) {
          float most = kNone;
          for (index_t t = cu[static_cast<std::size_t>(d)]; t < cu[static_cast<std::size_t>(d) + 1]; ++t) {
            const auto c = static_cast<std::size_t>(ids[static_cast<std::size_t>(t)]);
            const float s = scores(static_cast<index_t>(c), q);
            if (peaks[c] >= threshold && s > most) most = s;
          }
          sum += most;
        }
        want.push_back(sum);
      }
      const auto check = [&](Context& on) {
        poison_arena(on);
        std::vector<float> out(documents.size(), kNan);
        ops::centroid_interaction(on, scores.in(), tokens, view(peaks), threshold, view(ids), offsets(cu), view(documents),
                                  View<float, 1>(out.data(), static_cast<index_t>(out.size())));
        EXPECT_EQ(out, want) << tokens << " tokens, " << threshold;
      };
      check(ctx);
      with_threads(check);
    }
  }
}
TEST_P(Residual, RefusesWhatDoesNotFit) {
  const Case in(2, 5, 8);
  Matrix out = poisoned(5, 8);
  std::vector<std::uint8_t> codes(10, 0xee);
  const View<std::uint8_t, 2> to(codes.data(), index_t{5}, index_t{2});
  for (const std::int32_t bad : {-1, 9}) {
    std::vector<std::int32_t> ids = in.ids;
    ids[4] = bad;
    TESSERA_EXPECT_ERROR(Code::kBadArgument, "no centroid", ops::residual_encode(ctx, in.codec(), in.x.in(), view(ids), to));
    TESSERA_EXPECT_ERROR(Code::kBadArgument, "no centroid",
                         ops::residual_decode(ctx, in.codec(), view(ids), in.packed(), out.out()));
    const std::vector<index_t> cu{0, 3, 5}, documents{1}, none{2};
    const Matrix scores = filled(9, 16);
    const std::vector<float> peaks(9);
    float found = 7;
    const View<float, 1> one(&found, index_t{1});
    TESSERA_EXPECT_ERROR(
        Code::kBadArgument, "no centroid",
        ops::centroid_interaction(ctx, scores.in(), 9, view(peaks), 0, view(ids), offsets(cu), view(documents), one));
    TESSERA_EXPECT_ERROR(
        Code::kBadArgument, "a document that is none",
        ops::centroid_interaction(ctx, scores.in(), 9, view(peaks), 0, view(in.ids), offsets(cu), view(none), one));
    TESSERA_EXPECT_ERROR(
        Code::kShapeMismatch, "whole sixteens",
        ops::centroid_interaction(ctx, scores.in(), 17, view(peaks), 0, view(in.ids), offsets(cu), view(documents), one));
    EXPECT_EQ(found, 7);
  }
  ops::ResidualCodec odd = in.codec();
  const std::vector<float> seven(7), eight(8);
  odd.cutoffs = view(seven), odd.weights = view(eight);
  TESSERA_EXPECT_ERROR(Code::kUnsupported, "2 or 4 bits", ops::residual_encode(ctx, odd, in.x.in(), view(in.ids), to));
  const Case narrow(2, 5, 8);
  odd = in.codec();
  odd.centroids = View<const float, 2>(in.centroids.data(), index_t{9}, index_t{6});
  TESSERA_EXPECT_ERROR(Code::kUnsupported, "whole bytes", ops::residual_encode(ctx, odd, in.x.in(), view(in.ids), to));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "channels",
                       ops::residual_encode(ctx, in.codec(), filled(5, 7).in(), view(in.ids), to));
  TESSERA_EXPECT_ERROR(Code::kShapeMismatch, "bytes of codes",
                       ops::residual_encode(ctx, in.codec(), in.x.in(), view(in.ids),
                                            View<std::uint8_t, 2>(codes.data(), index_t{5}, index_t{1})));
  Buffer small(64);
  TESSERA_EXPECT_ERROR(
      Code::kBadArgument, "too small",
      ops::residual_decode_packed(ctx, in.codec(), view(in.ids), in.packed(), {small.data(), small.bytes()}));
  std::vector<float> cutoffs(3), weights(4);
  Matrix bad = in.x;
  bad(2, 1) = kInf;
  TESSERA_EXPECT_ERROR(
      Code::kBadArgument, "NaN or infinity",
      ops::residual_buckets(ctx, bad.in(), in.codec().centroids, view(in.ids), View<float, 1>(cutoffs.data(), index_t{3}),
                            View<float, 1>(weights.data(), index_t{4})));
  TESSERA_EXPECT_ERROR(
      Code::kBadArgument, "no rows",
      ops::residual_buckets(ctx, View<const float, 2>(nullptr, index_t{0}, index_t{8}), in.codec().centroids,
                            View<const std::int32_t, 1>(nullptr, index_t{0}), View<float, 1>(cutoffs.data(), index_t{3}),
                            View<float, 1>(weights.data(), index_t{4})));
  EXPECT_TRUE(is_poison(out(0, 0)));
  EXPECT_EQ(codes[0], 0xee);
}

}  // namespace
