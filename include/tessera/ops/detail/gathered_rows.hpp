// Where few rows of a panel may be found: those of several panels, put together in one.
#pragma once
#include <bit>

#include <tessera/ops/detail/product.hpp>

namespace tessera::ops::detail {

/// A panel that is filled row by row. In a panel a row is a lane, so that copying it touches as many cache lines as reading
/// its slice does, and no more; what is saved is arithmetic, and the slices without such a row. No bit of a score depends on
/// the panel that its row is in.
class GatheredRows {
 public:
  /// Of all lanes.
  struct Room {
    index_t words;      ///< of a row
    float* panels;      ///< [lanes, 64, words]
    float* of_columns;  ///< [lanes, 3, 64]: scale, bias, slack
    std::uint32_t* ids;
    Room(Context& ctx, Arena& arena, const PackedWeight& corpus)
        : words(packed_words(corpus.dtype(), corpus.k())),
          panels(arena.carve<float>(ctx.threads() * kernels::kPanel * words)),
          of_columns(arena.carve<float>(ctx.threads() * 3 * kernels::kPanel)),
          ids(arena.carve<std::uint32_t>(ctx.threads() * kernels::kPanel)) {}
  };

  GatheredRows(const PackedWeight& corpus, const Room& room, int lane)
      : from_(reinterpret_cast<const float*>(corpus.data())),
        stored_(packed_words(corpus.dtype(), corpus.stored_k())),
        words_(room.words),
        panel_(room.panels + lane * kernels::kPanel * room.words),
        scale_(room.of_columns + lane * 3 * kernels::kPanel),
        bias_(scale_ + kernels::kPanel),
        slack_(bias_ + kernels::kPanel),
        ids_(room.ids + lane * kernels::kPanel) {}

  /// The rows of panel p that may be found, of n in all.
  static std::uint64_t open(std::uint64_t allowed, index_t p, index_t n) noexcept {
    const index_t left = n - p * kernels::kPanel;
    return left >= kernels::kPanel ? allowed : allowed & ((std::uint64_t{1} << left) - 1);
  }
  /// Whether copying them and multiplying less costs less than multiplying all: a copy of a row takes as long as kCopy
  /// products of it. On AVX2, rows of 384 floats, a tenth of the rows then takes 64 queries a tenth of the instructions; a
  /// twentieth one query 0.4 of them, a tenth nothing less.
  static bool pays(std::uint64_t open, index_t batch) noexcept {
    constexpr index_t kCopy = 16;
    const index_t rows = std::popcount(open);
    return rows * (kCopy + batch) < kernels::kPanel * batch;
  }

  index_t count() const noexcept { return count_; }
  bool fits(std::uint64_t open) const noexcept { return count_ + std::popcount(open) <= kernels::kPanel; }
  void clear() noexcept { count_ = 0; }
  /// \param of the product that they are taken from.
  void take(std::uint64_t open, index_t p, const kernels::GemmArgs& of) noexcept {
    using kernels::kSlice;
    for (; open != 0; open &= open - 1, ++count_) {
      const index_t row = p * kernels::kPanel + std::countr_zero(open);
      const float* source = from_ + row / kSlice * stored_ * kSlice + row % kSlice;
      float* to = panel_ + count_ / kSlice * words_ * kSlice + count_ % kSlice;
      for (index_t i = 0; i < words_; ++i) __builtin_memcpy(to + i * kSlice, source + i * kSlice, sizeof *to);
      ids_[count_] = static_cast<std::uint32_t>(row);
      if (of.channel_scale) scale_[count_] = of.channel_scale[row];
      if (of.bias) bias_[count_] = of.bias[row];
      if (of.selection->slack_of) slack_[count_] = of.selection->slack_of[row];
    }
  }
  /// The same product with these rows alone. \param into a copy of its selection, which is made to fit.
  kernels::GemmArgs product(const kernels::GemmArgs& of, kernels::Selection& into) const noexcept {
    kernels::GemmArgs g = of;
    g.w = panel_, g.n = count_, g.row_words = 0;
    if (g.channel_scale) g.channel_scale = scale_;
    if (g.bias) g.bias = bias_;
    into.allowed = nullptr, into.ids = ids_;
    if (into.slack_of) into.slack_of = slack_;
    g.selection = &into;
    return g;
  }

 private:
  const float* from_;
  index_t stored_, words_;
  float *panel_, *scale_, *bias_, *slack_;
  std::uint32_t* ids_;
  index_t count_ = 0;
};

}  // namespace tessera::ops::detail
