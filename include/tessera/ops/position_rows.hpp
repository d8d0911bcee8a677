// Which row of a table of relative positions a distance has.
#pragma once
#include <tessera/core/view.hpp>

namespace tessera::ops {

/// DeBERTa's row, of a table of 2 S, for a distance (place of the key - place of the query): S - distance, cut to the table.
/// With log_distance > 0 distances beyond S / 2 stand close together, on a logarithmic scale on which log_distance - 1 is
/// the last of S - 1 (version 2).
/// \param rows 2 S. \throws Error kBadArgument unless rows is a positive even number, and, on the logarithmic scale, S at
/// least 2 and log_distance - 1 above S / 2.
/// Source: He et al., arXiv:2006.03654, equation 3; transformers' make_log_bucket_position, whose logarithms are f32.
index_t position_row(index_t distance, index_t rows, index_t log_distance);

/// out[R + d] = position_row(d) for distances d from -R to R: AttentionParams::position_row_of.
/// \param out [2 R + 1]. \throws Error kShapeMismatch, and as position_row().
void position_rows(index_t rows, index_t log_distance, View<std::int32_t, 1> out);

}  // namespace tessera::ops

#ifndef TESSERA_COMPILED
#include <tessera/ops/position_rows-inl.hpp>
#endif
