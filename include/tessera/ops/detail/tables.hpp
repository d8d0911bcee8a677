// From a Context to its kernels, and the checks that all contracts share.
#pragma once
#include <tessera/core/context.hpp>
#include <tessera/tables/tables.hpp>

namespace tessera::ops::detail {

/// A family's kernel table for this context's device and ISA.
template <class Table>
const Table& table(Context& ctx) noexcept;

/// Throws kShapeMismatch "op: what is found, expected expected".
[[noreturn]] void shape_error(const char* op, const char* what, index_t found, index_t expected);
[[noreturn]] void fail(Code code, const char* op, const char* sentence);

inline void expect(const char* op, const char* what, index_t found, index_t expected) {
  if (found != expected) shape_error(op, what, found, expected);
}
/// Channels must be contiguous and the memory the context's own.
template <class T, int R>
void expect_rows(const char* op, const View<T, R>& v) {
  if (v.extent[R - 1] > 1 && v.stride[R - 1] != 1) fail(Code::kBadStride, op, "the last dimension must be contiguous");
  if (v.space == Space::cuda) fail(Code::kBadArgument, op, "a cuda view in a cpu context");
}
/// Same shape, rows contiguous; outputs that overlap inputs other than exactly are the caller's fault and not looked for.
template <class A, class B>
void expect_same(const char* op, const View<A, 2>& a, const View<B, 2>& b) {
  expect(op, "rows", b.extent[0], a.extent[0]);
  expect(op, "channels", b.extent[1], a.extent[1]);
  expect_rows(op, a);
  expect_rows(op, b);
}

/// Offsets of sequences that make up `rows`.
inline void expect_offsets(const char* op, const char* what, const View<const index_t, 1>& cu, index_t rows) {
  if (cu.extent[0] < 1 || cu(0) != 0) fail(Code::kShapeMismatch, op, "offsets must start with 0");
  for (index_t i = 0; i + 1 < cu.extent[0]; ++i)
    if (cu(i + 1) < cu(i)) fail(Code::kShapeMismatch, op, "offsets decrease");
  expect(op, what, rows, cu(cu.extent[0] - 1));
}

/// Runs f(row0, row1) over [0, rows) in chunks of at least `grain` rows.
template <class F>
void for_rows(Context& ctx, index_t rows, index_t grain, const F& f) {
  const index_t wanted = index_t{4} * ctx.threads(), most = (rows + grain - 1) / grain;
  const index_t chunks = ctx.threads() == 1 ? (rows > 0) : most < wanted ? most : wanted;
  ctx.parallel_for(chunks, [&](index_t i, int) { f(rows * i / chunks, rows * (i + 1) / chunks); });
}

}  // namespace tessera::ops::detail

#ifndef TESSERA_COMPILED
#include <tessera/ops/detail/tables-inl.hpp>
#endif
