// Clusters of rows by direction.
#pragma once
#include <tessera/core/context.hpp>
#include <tessera/core/packed_weight.hpp>

namespace tessera::ops {

struct KMeansOptions {
  int iterations = 10;
  std::uint64_t seed = 0;  ///< of the rows that are the first centroids
};

/// Spherical k-means: centroids are unit vectors, a row belongs to the one with the largest inner product, of equal ones the
/// first, and a centroid becomes the direction of the sum of its rows. A centroid without rows, or whose rows cancel,
/// becomes the row that fits its own centroid least and was not taken so before. \param x         [T, E] f32, none beyond
/// 2^100, rows may be padded; their lengths weigh. \param centroids [K, E] f32 out, 1 <= K <= T, disjoint from x. \throws
/// Error kShapeMismatch, kBadStride, kBadArgument (K, iterations, NaN or larger numbers in x), with `centroids` untouched.
/// Determinism: a seed gives the same bits for any thread count and ISA; sums are double, rows ascending.
/// Memory: of its own, proportional to T and to K E.
/// Source: Dhillon and Modha, "Concept decompositions for large sparse text data using clustering", Machine Learning 42
/// (2001), section 3.
void spherical_kmeans(Context& ctx, View<const float, 2> x, const KMeansOptions& options, View<float, 2> centroids);

/// ids[t] = the row of `centroids` [K, E] of pack_weight() with the largest inner product with x[t], of equal ones the
/// first; -1 where all are NaN. \param scores [T] f32, that product, optional.
/// \throws Error as top_k().
void nearest_rows(Context& ctx, View<const float, 2> x, const PackedWeight& centroids, View<index_t, 1> ids,
                  View<float, 1> scores = {});

/// Some of the numbers 0 .. n - 1, each once, in an order that the seed decides.
/// \throws Error kBadArgument for more rows than n.
void draw_rows(std::uint64_t seed, index_t n, View<index_t, 1> rows);

}  // namespace tessera::ops

#ifndef TESSERA_COMPILED
#include <tessera/ops/kmeans-inl.hpp>
#endif
