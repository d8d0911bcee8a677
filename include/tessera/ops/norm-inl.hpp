#pragma once
#include <atomic>

#include <tessera/ops/detail/tables.hpp>
#include <tessera/ops/norm.hpp>

namespace tessera::ops {

namespace detail {

using NormKernel = void (*)(const kernels::NormArgs&, index_t, index_t) noexcept;

inline void norm_rows(Context& ctx, const char* op, NormKernel kernel, View<const float, 2> x, View<const float, 1> gamma,
                      View<const float, 1> beta, float eps, View<float, 2> out) {
  expect_same(op, x, out);
  if (!(eps >= 0.f)) fail(Code::kBadArgument, op, "eps must not be negative");
  for (const auto& w : {gamma, beta})
    if (w.data) expect(op, "channels of a parameter", w.extent[0], x.extent[1]), expect_rows(op, w);
  if (x.empty()) return;
  const kernels::NormArgs args{x.data, x.stride[0], out.data, out.stride[0], x.extent[1], gamma.data, beta.data, eps};
  for_rows(ctx, x.extent[0], 16, [&](index_t a, index_t b) { kernel(args, a, b); });
}

}  // namespace detail

inline void layer_norm(Context& ctx, View<const float, 2> x, View<const float, 1> gamma, View<const float, 1> beta,
                       float eps, View<float, 2> out) {
  if (!gamma.data || !beta.data) detail::fail(Code::kBadArgument, "layer_norm", "gamma and beta are required");
  detail::norm_rows(ctx, "layer_norm", detail::table<kernels::NormTable>(ctx).layer_norm, x, gamma, beta, eps, out);
}

inline void add_layer_norm(Context& ctx, View<const float, 2> x, View<const float, 1> gamma, View<const float, 1> beta,
                           float eps, View<float, 2> out) {
  if (!gamma.data || !beta.data) detail::fail(Code::kBadArgument, "add_layer_norm", "gamma and beta are required");
  detail::norm_rows(ctx, "add_layer_norm", detail::table<kernels::NormTable>(ctx).add_layer_norm, x, gamma, beta, eps, out);
}

inline void rms_norm(Context& ctx, View<const float, 2> x, View<const float, 1> gamma, float eps, View<float, 2> out) {
  if (!gamma.data) detail::fail(Code::kBadArgument, "rms_norm", "gamma is required");
  detail::norm_rows(ctx, "rms_norm", detail::table<kernels::NormTable>(ctx).rms_norm, x, gamma, {}, eps, out);
}

inline void add_rms_norm(Context& ctx, View<const float, 2> x, View<const float, 1> gamma, float eps, View<float, 2> out) {
  if (!gamma.data) detail::fail(Code::kBadArgument, "add_rms_norm", "gamma is required");
  detail::norm_rows(ctx, "add_rms_norm", detail::table<kernels::NormTable>(ctx).add_rms_norm, x, gamma, {}, eps, out);
}

inline void rms_norm_heads(Context& ctx, View<float, 3> x, View<const float, 1> gamma, float eps) {
  using namespace detail;
  constexpr const char* kOp = "rms_norm_heads";
  if (!gamma.data) fail(Code::kBadArgument, kOp, "gamma is required");
  if (!(eps >= 0.f)) fail(Code::kBadArgument, kOp, "eps must not be negative");
  expect(kOp, "numbers of gamma", gamma.extent[0], x.extent[2]);
  expect_rows(kOp, gamma), expect_rows(kOp, x);
  if (x.empty()) return;
  const auto kernel = table<kernels::NormTable>(ctx).rms_norm;
  for_rows(ctx, x.extent[0], 16, [&](index_t a, index_t b) {
    kernels::NormArgs args{x.data, x.stride[0], x.data, x.stride[0], x.extent[2], gamma.data, nullptr, eps};
    for (index_t h = 0; h < x.extent[1]; ++h, args.x += x.stride[1], args.y += x.stride[1]) kernel(args, a, b);
  });
}

inline void l2_normalize(Context& ctx, View<const float, 2> x, View<float, 2> out, float eps) {
  detail::norm_rows(ctx, "l2_normalize", detail::table<kernels::NormTable>(ctx).l2_normalize, x, {}, {}, eps, out);
}

inline bool all_finite(Context& ctx, View<const float, 1> x) {
  detail::expect_rows("all_finite", x);
  std::atomic<bool> finite{true};
  const auto kernel = detail::table<kernels::NormTable>(ctx).all_finite;
  detail::for_rows(ctx, x.extent[0], index_t{1} << 16, [&](index_t a, index_t b) {
    if (finite.load(std::memory_order_relaxed) && !kernel(x.data + a, b - a)) finite.store(false, std::memory_order_relaxed);
  });
  return finite.load();
}

}  // namespace tessera::ops
