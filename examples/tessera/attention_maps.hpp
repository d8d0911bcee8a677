// What an image transformer looks at: attention probabilities by layer and head, and attention rollout.
#pragma once
#include <cmath>
#include <string>
#include <vector>

#include <tessera/models/image_model.hpp>
#include <tessera/ops/attention.hpp>

namespace tool {

using tessera::index_t;

/// Of one image. T tokens are prefix tokens (class token first, then registers), then rows x columns patches.
class AttentionMaps {
 public:
  /// Runs layers 0 to `layer`. \throws tessera::Error as ImageModel::forward().
  AttentionMaps(tessera::Context& ctx, const tessera::models::ImageModel& model, const tessera::ops::Pixels& image,
                index_t height, index_t width, index_t layer)
      : heads_(model.transformer->config().block.heads),
        prefix_(model.prefix_tokens),
        rows_(height / model.patch.height),
        columns_(width / model.patch.width),
        tokens_(prefix_ + rows_ * columns_),
        last_(static_cast<std::size_t>(heads_ * tokens_ * tokens_)) {
    std::vector<float> hidden(static_cast<std::size_t>(tokens_ * model.channels()));
    tessera::models::ForwardOptions options;
    options.layers = layer + 1;
    options.attention = {keep, this};
    model.forward(ctx, {&image, 1}, tessera::View<float, 2>(hidden.data(), tokens_, model.channels()), options);
  }

  index_t heads() const { return heads_; }
  index_t rows() const { return rows_; }
  index_t columns() const { return columns_; }

  /// How much each patch is looked at in the last layer that ran: by the class token or, without one, by all patches in the
  /// mean. \param head which; negative: the mean of all. \returns [rows * columns].
  std::vector<float> map(index_t head) const {
    if (head < 0) return looked_at(mean_.back());
    const float* p = last_.data() + head * tokens_ * tokens_;
    return looked_at({p, p + tokens_ * tokens_});
  }

  /// The same through all layers that ran: row-normalised (A + I) / 2 of each, A the mean of its heads, multiplied.
  /// Source: Abnar, Zuidema, Quantifying Attention Flow in Transformers, arXiv:2005.00928, section 3.
  std::vector<float> rollout() const {
    // One row of the product is enough, so it is begun at the last layer.
    std::vector<double> row(static_cast<std::size_t>(tokens_), prefix_ > 0 ? 0.0 : 1.0 / static_cast<double>(tokens_));
    if (prefix_ > 0) row[0] = 1;
    for (std::size_t l = mean_.size(); l-- > 0;) {
      std::vector<double> next(row.size());
      for (std::size_t q = 0; q < row.size(); ++q) {
        next[q] = std::fma(0.5, row[q], next[q]);  // fma: rounded alike by every compiler
        const float* a = mean_[l].data() + static_cast<index_t>(q) * tokens_;
        for (std::size_t k = 0; k < row.size(); ++k) next[k] = std::fma(0.5 * row[q], static_cast<double>(a[k]), next[k]);
      }
      row.swap(next);
    }
    return {row.begin() + prefix_, row.end()};
  }

 private:
  static void keep(void* state, tessera::Context& ctx, tessera::View<const float, 3> q, tessera::View<const float, 3> k,
                   tessera::View<const float, 3> v, const tessera::RaggedBatch& batch,
                   const tessera::ops::AttentionParams& params, tessera::View<float, 3> out) {
    auto& me = *static_cast<AttentionMaps*>(state);
    tessera::ops::AttentionParams own = params;
    own.probabilities = tessera::View<float, 3>(me.last_.data(), me.heads_, me.tokens_, me.tokens_);
    tessera::ops::attention(ctx, q, k, v, batch.cu_seqlens, batch.cu_seqlens, own, out);
    const auto square = static_cast<std::size_t>(me.tokens_ * me.tokens_);
    std::vector<float>& mean = me.mean_.emplace_back(square);
    for (std::size_t i = 0; i < square; ++i) {
      double sum = 0;
      for (std::size_t h = 0; h < static_cast<std::size_t>(me.heads_); ++h)
        sum += static_cast<double>(me.last_[h * square + i]);
      mean[i] = static_cast<float>(sum / static_cast<double>(me.heads_));
    }
  }
  /// \param p [T, T]
  std::vector<float> looked_at(const std::vector<float>& p) const {
    if (prefix_ > 0) return {p.begin() + prefix_, p.begin() + tokens_};
    std::vector<float> mean;
    for (index_t k = 0; k < tokens_; ++k) {
      double sum = 0;
      for (index_t q = 0; q < tokens_; ++q) sum += static_cast<double>(p[static_cast<std::size_t>(q * tokens_ + k)]);
      mean.push_back(static_cast<float>(sum / static_cast<double>(tokens_)));
    }
    return mean;
  }

  index_t heads_, prefix_, rows_, columns_, tokens_;
  std::vector<float> last_;               // [H, T, T] of the layer that ran last
  std::vector<std::vector<float>> mean_;  // [T, T] a layer
};

}  // namespace tool
