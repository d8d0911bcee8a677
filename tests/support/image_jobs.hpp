// Jobs of operations on pictures: resampling and patches.
#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <tessera/ops.hpp>
#include "support/job.hpp"

namespace tessera::test {

inline Job resample_job(Random& random, Filter filter, ops::ResampleArithmetic arithmetic) {
  const index_t h = random.in(1, 90), w = random.in(1, 90), c = random.in(1, 4), nh = random.in(1, 70),
                nw = random.in(1, 70);
  std::vector<std::uint8_t> image;
  for (index_t i = 0; i < h * w * c; ++i) image.push_back(static_cast<std::uint8_t>(random.next()));
  return {"resample by filter " + std::to_string(static_cast<int>(filter)), [=](Context& ctx) {
            std::vector<std::uint8_t> bytes(static_cast<std::size_t>(nh * nw * c));
            ops::resample(ctx, View<const std::uint8_t, 3>(image.data(), h, w, c), filter, arithmetic,
                          View<std::uint8_t, 3>(bytes.data(), nh, nw, c));
            Matrix out(nh, nw * c, 2);
            for (index_t i = 0; i < nh * nw * c; ++i)
              out(i / (nw * c), i % (nw * c)) = static_cast<float>(bytes[static_cast<std::size_t>(i)]);
            return out;
          }};
}

inline Job resample_values_job(Random& random, Filter filter) {
  const index_t h = random.in(1, 90), w = random.in(1, 90), c = random.in(1, 4), nh = random.in(1, 70),
                nw = random.in(1, 70);
  std::vector<std::uint8_t> image;
  for (index_t i = 0; i < h * w * c; ++i) image.push_back(static_cast<std::uint8_t>(random.next()));
  const auto values = std::make_shared<Matrix>(wide(1, 256, random.next(), 5));
  return {"resample values by filter " + std::to_string(static_cast<int>(filter)), [=](Context& ctx) {
            Matrix out(nh, nw * c, 2);
            View<float, 3> to(out.data(), nh, nw, c);
            to.stride[0] = out.ld;
            ops::resample_values(ctx, View<const std::uint8_t, 3>(image.data(), h, w, c), values->row(), filter, to);
            return out;
          }};
}

inline std::vector<Job> patch_jobs(Random& random) {
  const index_t p = random.in(1, 9), h = random.in(1, 8), w = random.in(1, 8), n = random.in(1, 100);
  const auto pixels = std::make_shared<Matrix>(wide(3 * h * p, w * p, random.next(), 6));
  const auto weight = std::make_shared<Matrix>(wide(n, 3 * p * p, random.next(), 6)),
             table = std::make_shared<Matrix>(wide(h * w, n, random.next(), 3));
  const index_t nh = random.in(1, 9), nw = random.in(1, 9);
  const auto image = [=] {
    View<const float, 3> planes(pixels->data(), 3, h * p, w * p);
    planes.stride[0] = h * p * pixels->ld, planes.stride[1] = pixels->ld;
    return ops::Pixels{.planes = planes};
  };
  const auto positions = [=](Context& ctx, ops::PositionInterpolation how) {
    View<const float, 3> from(table->data(), h, w, n);
    from.stride[0] = w * table->ld, from.stride[1] = table->ld;
    Matrix out(nh * nw, n, 0);
    ops::interpolate_positions(ctx, how, from, View<float, 3>(out.data(), nh, nw, n));
    return out;
  };
  return {{"patch_embed",
           [=](Context& ctx) {
             const ops::Pixels one = image();
             Matrix out(h * w, n, 2);
             ops::patch_embed(ctx, {3, 1, p, p}, {&one, 1}, ops::pack_weight(ctx, weight->in()), {}, table->in(), out.out());
             return out;
           }},
          {"bicubic positions", [=](Context& ctx) { return positions(ctx, ops::PositionInterpolation::bicubic); }},
          {"antialiased positions",
           [=](Context& ctx) { return positions(ctx, ops::PositionInterpolation::bicubic_antialias); }}};
}

}  // namespace tessera::test
