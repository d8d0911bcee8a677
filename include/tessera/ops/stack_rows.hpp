// Packed rows of several matrices as one matrix, without unpacking them.
#pragma once
#include <span>

#include <tessera/core/packed_weight.hpp>

namespace tessera::ops {

/// The rows of all parts, those of each below those of the parts before it, as pack_weight() and BitRows::pack() have them:
/// products and distances keep their bits. \param parts of one K and type: f32, bf16, i8 or boolean; none is gated.
/// \throws Error kBadArgument, kLimit.
PackedWeight stack_rows(std::span<const PackedWeight> parts);

}  // namespace tessera::ops

#ifndef TESSERA_COMPILED
#include <tessera/ops/stack_rows-inl.hpp>
#endif
