#pragma once
#include <string>

#include <tessera/ops/detail/tables.hpp>
#include <tessera/ops/embed.hpp>

namespace tessera::ops {

namespace detail {
inline void check_indices(const char* what, View<const std::int32_t, 1> at, index_t tokens, index_t rows) {
  expect("embed", what, at.extent[0], tokens);
  for (index_t t = 0; t < tokens; ++t)
    if (at(t) < 0 || at(t) >= rows)
      throw Error(Code::kBadArgument, {"embed: ", what, "[", std::to_string(t), "] is ", std::to_string(at(t)),
                                       ", its table has ", std::to_string(rows), " rows"});
}
}  // namespace detail

inline void embed(Context& ctx, const EmbeddingTables& tables, View<const std::int32_t, 1> ids,
                  View<const std::int32_t, 1> positions, View<const std::int32_t, 1> segments, View<float, 2> out) {
  using namespace detail;
  constexpr const char* kOp = "embed";
  const index_t tokens = ids.extent[0], c = tables.word.extent[1];
  expect(kOp, "rows of out", out.extent[0], tokens);
  expect(kOp, "channels of out", out.extent[1], c);
  expect_rows(kOp, out);
  for (const auto& t : {tables.word, tables.position, tables.segment})
    if (t.data) {
      expect(kOp, "channels of a table", t.extent[1], c);
      if (!t.packed()) fail(Code::kBadStride, kOp, "tables must be packed");
    }
  if (!tables.word.data) fail(Code::kBadArgument, kOp, "the word table is required");
  for (const auto& v : {ids, positions, segments})
    if (v.data && v.extent[0] > 1 && v.stride[0] != 1) fail(Code::kBadStride, kOp, "indices must be contiguous");
  check_indices("ids", ids, tokens, tables.word.extent[0]);
  if (tables.position.data) check_indices("positions", positions, tokens, tables.position.extent[0]);
  if (tables.segment.data && segments.data) check_indices("segments", segments, tokens, tables.segment.extent[0]);
  const kernels::EmbedArgs args{ids.data,
                                tables.segment.data ? segments.data : nullptr,
                                positions.data,
                                tables.word.data,
                                tables.segment.data,
                                tables.position.data,
                                c,
                                out.data,
                                out.stride[0],
                                tables.scale};
  const auto kernel = detail::table<kernels::EmbedTable>(ctx).embed;
  for_rows(ctx, tokens, 32, [&](index_t a, index_t b) { kernel(args, a, b); });
}

}  // namespace tessera::ops
