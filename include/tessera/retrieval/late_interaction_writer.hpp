// From token embeddings to the index of late_interaction.hpp.
#pragma once
#include <string>

#include <tessera/core/context.hpp>

namespace tessera::retrieval {

/// How many bits and centroids an index has, and how the latter are found.
struct LateInteractionFormat {
  int bits = 2;           ///< 2 or 4
  index_t centroids = 0;  ///< at most as many as tokens; 0: the power of two at or below 16 sqrt(T), as ColBERTv2 has it
  int iterations = 4;     ///< of spherical k-means
  index_t sample = 64;    ///< it sees so many tokens a centroid at most
  std::uint64_t seed = 0;
};

/// Writes the index of documents to `path`, aside and then by one rename. An index of the same tokens, format and seed has
/// the same bytes whatever the threads and ISA.
/// \param tokens [T, E] f32 of length 1: what is kept is their directions. They may be mapped.
/// \param cu_d   [N + 1] offsets of documents, N below 2^31.
/// \throws Error kShapeMismatch, kBadStride, kLimit, kBadArgument (no tokens, NaN or huge numbers, a format that cannot be),
/// kIo.
/// Memory: the sample, twice, and what the file will have.
void write_late_interaction_index(Context& ctx, const std::string& path, View<const float, 2> tokens,
                                  View<const index_t, 1> cu_d, const LateInteractionFormat& format);

}  // namespace tessera::retrieval

#ifndef TESSERA_COMPILED
#include <tessera/retrieval/late_interaction_writer-inl.hpp>
#endif
