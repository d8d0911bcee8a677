#pragma once
#include <algorithm>
#include <map>
#include <utility>

#include <tessera/models/image_model.hpp>
#include <tessera/ops/pool.hpp>

namespace tessera::models {

inline std::vector<index_t> ImageModel::offsets(std::span<const ops::Pixels> images) const {
  std::vector<index_t> cu{0};
  for (const ops::Pixels& image : images) {
    const ops::PatchGrid grid = ops::patch_grid(patch, {&image, 1});
    if (grid.tokens() < 1)
      throw Error(Code::kBadArgument, {"image model: an image of ", std::to_string(image.height()), " x ",
                                       std::to_string(image.width()), " pixels is smaller than a patch"});
    cu.push_back(cu.back() + prefix_tokens + grid.tokens());
  }
  return cu;
}

namespace detail {

/// Axial rotary positions of the images of a batch: the tables of each grid once, one after the other, and the places of
/// all tokens in them. Prefix tokens have none.
struct GridRotary {
  std::vector<std::int32_t> places;

  /// \param frequencies [F] of each axis.  \param grids rows and columns of patches of each image.
  GridRotary(const std::vector<float>& frequencies, index_t prefix_tokens,
             const std::vector<std::pair<index_t, index_t>>& grids) {
    const auto f = static_cast<index_t>(frequencies.size());
    std::vector<float> both(frequencies);
    both.insert(both.end(), frequencies.begin(), frequencies.end());
    std::vector<std::int32_t> axes(static_cast<std::size_t>(2 * f), 0);
    std::fill(axes.begin() + f, axes.end(), 1);
    std::map<std::pair<index_t, index_t>, std::int32_t> first;
    std::vector<float> coordinates;
    for (const auto& [height, width] : grids) {
      const auto begin = static_cast<std::int32_t>(coordinates.size() / 2);
      const auto [found, is_new] = first.try_emplace({height, width}, begin);
      if (is_new) {
        coordinates.resize(coordinates.size() + static_cast<std::size_t>(2 * height * width));
        ops::rotary_grid(height, width, View<float, 2>(coordinates.data() + 2 * begin, height * width, index_t{2}));
      }
      places.insert(places.end(), static_cast<std::size_t>(prefix_tokens), -1);
      for (index_t i = 0; i < height * width; ++i) places.push_back(found->second + static_cast<std::int32_t>(i));
    }
    rows_ = static_cast<index_t>(coordinates.size() / 2), half_ = 2 * f;
    cos_.resize(static_cast<std::size_t>(rows_ * half_)), sin_.resize(cos_.size());
    ops::rotary_tables(View<const float, 2>(coordinates.data(), rows_, index_t{2}),
                       View<const std::int32_t, 1>(axes.data(), half_), View<const float, 1>(both.data(), half_),
                       View<float, 2>(cos_.data(), rows_, half_), View<float, 2>(sin_.data(), rows_, half_));
  }
  ops::Rotary tables() const {
    return {View<const float, 2>(cos_.data(), rows_, half_), View<const float, 2>(sin_.data(), rows_, half_),
            ops::RotaryPairs::halves};
  }

 private:
  index_t rows_ = 0, half_ = 0;
  std::vector<float> cos_, sin_;
};

}  // namespace detail

template <class F>
void ImageModel::with_tokens(Context& ctx, std::span<const ops::Pixels> images, const F& run) const {
  const std::vector<index_t> cu = offsets(images);
  const index_t c = channels();
  std::map<std::pair<index_t, index_t>, std::vector<float>> interpolated;
  const auto size_of = [&](index_t b) {
    const ops::PatchGrid g = ops::patch_grid(patch, images.subspan(static_cast<std::size_t>(b), 1));
    return std::pair(g.height, g.width);
  };
  if (positions.data)
    for (index_t b = 0; b + 1 < static_cast<index_t>(cu.size()); ++b) {
      const auto size = size_of(b);
      if (size == std::pair(positions.extent[0], positions.extent[1]) || interpolated.count(size)) continue;
      auto& table = interpolated[size];
      table.resize(static_cast<std::size_t>(size.first * size.second * c));
      ops::interpolate_positions(ctx, interpolation, positions, View<float, 3>(table.data(), size.first, size.second, c));
    }
  TokenInputs in;
  in.batch.cu_seqlens = View<const index_t, 1>(cu.data(), static_cast<index_t>(cu.size()));
  in.embed = [&](Context& own, index_t b0, index_t b1, View<float, 2> x) {
    for (index_t b = b0; b < b1; ++b) {
      const auto at = static_cast<std::size_t>(b);
      const index_t first = cu[at] - cu[static_cast<std::size_t>(b0)];
      std::copy(prefix.begin(), prefix.end(), x.data + first * c);
      View<const float, 2> table;
      if (positions.data) {
        const auto found = interpolated.find(size_of(b));
        table = View<const float, 2>(found == interpolated.end() ? positions.data : found->second.data(),
                                     cu[at + 1] - cu[at] - prefix_tokens, c);
      }
      ops::patch_embed(own, patch, images.subspan(at, 1), projection.linear.weight, projection.linear.bias, table,
                       x.slice(first + prefix_tokens, first + cu[at + 1] - cu[at]));
    }
  };
  std::optional<detail::GridRotary> turns;
  if (!rotary_frequencies.empty()) {
    std::vector<std::pair<index_t, index_t>> grids;
    for (index_t b = 0; b + 1 < static_cast<index_t>(cu.size()); ++b) grids.push_back(size_of(b));
    turns.emplace(rotary_frequencies, prefix_tokens, grids);
    in.rotary = turns->tables();
    in.batch.positions = View<const std::int32_t, 2>(turns->places.data(), index_t{1}, cu.back());
  }
  run(in);
}

inline void ImageModel::forward(Context& ctx, std::span<const ops::Pixels> images, View<float, 2> out,
                                const ForwardOptions& options) const {
  with_tokens(ctx, images, [&](const TokenInputs& in) { transformer->forward(ctx, in, out, options); });
}

inline MergedTokens ImageModel::forward_merged(Context& ctx, std::span<const ops::Pixels> images, View<float, 2> out,
                                               TokenMerging merging, const ForwardOptions& options) const {
  MergedTokens left;
  merging.prefix = prefix_tokens;
  with_tokens(ctx, images,
              [&](const TokenInputs& in) { left = transformer->forward_merged(ctx, in, out, merging, options); });
  return left;
}

namespace detail {

inline void pool_by_attention(Context& ctx, const AttentionPool& a, ops::BlockConfig config, View<const float, 2> hidden,
                              View<const index_t, 1> cu, View<const float, 1> sizes, View<float, 2> out) {
  const index_t images = out.extent[0], tokens = hidden.extent[0], c = config.channels;
  std::vector<float> kv(static_cast<std::size_t>(2 * tokens * c)), context(static_cast<std::size_t>(images * c)), queries;
  std::vector<index_t> cu_q{0};
  for (index_t b = 0; b < images; ++b) {
    queries.insert(queries.end(), a.query.begin(), a.query.end());
    cu_q.push_back(b + 1);
  }
  const View<float, 2> both(kv.data(), tokens, 2 * c), pooled(context.data(), images, c);
  ops::linear(ctx, hidden, a.block.qkv.weight, {.bias = a.block.qkv.bias}, both);
  const auto heads = [&](float* data, index_t rows, index_t ld) {
    View<float, 3> v(data, rows, config.heads, config.head_dim);
    v.stride[0] = ld;
    return v;
  };
  ops::attention(ctx, heads(queries.data(), images, c), heads(kv.data(), tokens, 2 * c), heads(kv.data() + c, tokens, 2 * c),
                 View<const index_t, 1>(cu_q.data(), images + 1), cu, {.key_weights = sizes},
                 heads(context.data(), images, c));
  ops::linear(ctx, pooled, a.block.attention_out.weight, {.bias = a.block.attention_out.bias}, out);
  config.pre_norm = true;
  ctx.arena().reserve(ops::block_scratch(ctx, config, images, 1, a.block.mlp_in.weight.dtype()));
  ops::mlp_half(ctx, config, a.block, {}, out);
}

}  // namespace detail

inline void ImageModel::pool(Context& ctx, View<const float, 2> hidden, View<const index_t, 1> cu, View<float, 2> out,
                             View<const float, 1> sizes) const {
  const ops::BlockConfig& config = transformer->config().block;
  if (attention_pool) return detail::pool_by_attention(ctx, *attention_pool, config, hidden, cu, sizes, out);
  if (!pooler) {
    ops::pool(ctx, ops::Pooling::cls, hidden, cu, {}, out);
    if (pooled_norm) ops::block_norm(ctx, config, *pooled_norm, out, out);
    return;
  }
  std::vector<float> first(static_cast<std::size_t>(out.extent[0] * channels()));
  const View<float, 2> x(first.data(), out.extent[0], channels());
  ops::pool(ctx, ops::Pooling::cls, hidden, cu, {}, x);
  ops::linear(ctx, x, pooler->linear.weight, {.bias = pooler->linear.bias, .act = pooler->act}, out);
}

inline void ImageModel::embed(Context& ctx, View<const float, 2> hidden, View<const index_t, 1> cu, View<float, 2> out,
                              View<const float, 1> sizes) const {
  if (!projection_out) return pool(ctx, hidden, cu, out, sizes);
  std::vector<float> rows(static_cast<std::size_t>(out.extent[0] * channels()));
  const View<float, 2> pooled(rows.data(), out.extent[0], channels());
  pool(ctx, hidden, cu, pooled, sizes);
  ops::linear(ctx, pooled, projection_out->linear.weight, {.bias = projection_out->linear.bias}, out);
}

}  // namespace tessera::models
