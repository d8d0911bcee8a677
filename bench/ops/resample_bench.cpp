// Resizing RGB images to what models take.
#include <cmath>

#include <tessera/ops/resample.hpp>

#include "measure.hpp"

namespace tessera::bench {
namespace {

struct Resize {
  const char* name;
  index_t width, height, new_width, new_height;
};
constexpr Resize kResizes[] = {
    {"4032x3024-224", 4032, 3024, 298, 224}, {"640x480-224", 640, 480, 298, 224}, {"224-384", 224, 224, 384, 384}};

double filter(Filter f, double x) {
  x = std::abs(x);
  if (f == Filter::bilinear) return x < 1 ? 1 - x : 0;
  if (f == Filter::bicubic) return x < 1 ? (1.5 * x - 2.5) * x * x + 1 : x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
  const double a = 3.14159265358979323846 * x;
  return x == 0 ? 1 : x < 3 ? 3 * std::sin(a) * std::sin(a / 3) / (a * a) : 0;
}

// Sample `to` of `many` that become `few` (or more), from at(i).
template <class At>
double resampled(Filter f, index_t to, index_t many, index_t few, const At& at) {
  const double ratio = static_cast<double>(many) / static_cast<double>(few), wide = std::max(ratio, 1.0);
  double sum = 0, weights = 0;
  for (index_t i = 0; i < many; ++i)
    if (const double w = filter(f, (static_cast<double>(i) + 0.5 - (static_cast<double>(to) + 0.5) * ratio) / wide); w != 0)
      sum += w * at(i), weights += w;
  return sum / weights;
}

void run(benchmark::State& state, Isa isa, int threads, Filter f, ops::ResampleArithmetic arithmetic, const Resize& s) {
  Context ctx(isa, threads);
  std::vector<std::uint8_t> in(static_cast<std::size_t>(3 * s.width * s.height)),
      out(static_cast<std::size_t>(3 * s.new_width * s.new_height));
  for (std::size_t i = 0; i < in.size(); ++i)
    in[i] = static_cast<std::uint8_t>(100 + 80 * std::sin(static_cast<double>(i) / 97) +
                                      static_cast<double>(i * 0x9e3779b9u >> 7 & 31));
  const View<const std::uint8_t, 3> from(in.data(), s.height, s.width, 3);
  const View<std::uint8_t, 3> to(out.data(), s.new_height, s.new_width, 3);
  const auto call = [&] { ops::resample(ctx, from, f, arithmetic, to); };
  call();
  // Two roundings to bytes on the way, and lobes that enlarge the first.
  for (const index_t y : {index_t{0}, s.new_height / 3, s.new_height - 1})
    for (const index_t x : {index_t{0}, s.new_width / 2, s.new_width - 1}) {
      const double want = resampled(f, y, s.height, s.new_height, [&](index_t i) {
        return std::clamp(
            resampled(f, x, s.width, s.new_width, [&](index_t j) { return static_cast<double>(from(i, j, 1)); }), 0.0,
            255.0);
      });
      if (!accept(state, std::abs(std::clamp(want, 0.0, 255.0) - static_cast<double>(to(y, x, 1))) <= 1.5)) return;
    }
  measure_bytes(state, ctx, static_cast<double>(in.size() + out.size()), call);
}

void run_values(benchmark::State& state, Isa isa, int threads, Filter f, const Resize& s) {
  Context ctx(isa, threads);
  std::vector<std::uint8_t> in(static_cast<std::size_t>(3 * s.width * s.height));
  std::vector<float> values, out(static_cast<std::size_t>(3 * s.new_width * s.new_height));
  for (std::size_t i = 0; i < in.size(); ++i) in[i] = static_cast<std::uint8_t>(i * 0x9e3779b9u >> 7);
  for (int v = 0; v < 256; ++v) values.push_back(static_cast<float>(v));
  const View<const std::uint8_t, 3> from(in.data(), s.height, s.width, 3);
  const View<float, 3> to(out.data(), s.new_height, s.new_width, 3);
  const auto call = [&] { ops::resample_values(ctx, from, View<const float, 1>(values.data(), 256), f, to); };
  call();
  for (const index_t y : {index_t{0}, s.new_height / 3, s.new_height - 1})
    for (const index_t x : {index_t{0}, s.new_width / 2, s.new_width - 1}) {
      const double want = resampled(f, y, s.height, s.new_height, [&](index_t i) {
        return resampled(f, x, s.width, s.new_width, [&](index_t j) { return static_cast<double>(from(i, j, 1)); });
      });
      if (!accept(state, std::abs(want - static_cast<double>(to(y, x, 1))) <= 0.02)) return;  // f32 places of 4032 pixels
    }
  measure_bytes(state, ctx, static_cast<double>(in.size() + 4 * out.size()), call);
}

void add_rows(const Rows& rows) {
  constexpr std::pair<const char*, Filter> kFilters[] = {
      {"bilinear", Filter::bilinear}, {"bicubic", Filter::bicubic}, {"lanczos", Filter::lanczos}};
  for_machines("resample", "u8", [&](Isa isa, int threads, const std::string& prefix) {
    for (const Resize& s : kResizes)
      for (const auto& [name, filter] : kFilters)
        for (const bool pillow : {true, false}) {
          if (!pillow && filter == Filter::lanczos) continue;
          rows.add(prefix + s.name + "/" + name + (pillow ? "/pillow" : "/torchvision"),
                   is_best(isa) && filter == Filter::bicubic, [=, f = filter](benchmark::State& state) {
                     run(state, isa, threads, f,
                         pillow ? ops::ResampleArithmetic::pillow : ops::ResampleArithmetic::torchvision, s);
                   });
        }
  });
}
void add_value_rows(const Rows& rows) {
  for_machines("resample_values", "f32", [&](Isa isa, int threads, const std::string& prefix) {
    for (const Resize& s : kResizes)
      for (const auto& [name, filter] : {std::pair{"bilinear", Filter::bilinear}, {"bicubic", Filter::bicubic}})
        rows.add(prefix + s.name + "/" + name, is_best(isa) && filter == Filter::bilinear,
                 [=, f = filter](benchmark::State& state) { run_values(state, isa, threads, f, s); });
  });
}
const Family kFamily(add_rows), kValueFamily(add_value_rows);

}  // namespace
}  // namespace tessera::bench
