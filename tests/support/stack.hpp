// A whole random model from a config struct and memory of its own: no folder, no file.
#pragma once
#include <memory>
#include <utility>
#include <vector>

#include "support/layer.hpp"

namespace tessera::test {

/// Owns every tensor of a stack.
class StackData {
 public:
  StackData(const models::TransformerConfig& c, LayerParts parts, std::uint64_t seed, DType weights = DType::f32)
      : config_(c),
        weights_(weights),
        word_(filled(c.vocab_size, width(), {.seed = seed})),
        position_(filled(c.max_positions, width(), {.seed = seed + 1})),
        segment_(filled(c.segment_types, width(), {.seed = seed + 2})),
        gamma_(filled(1, c.block.channels, {.seed = seed + 3, .scale = 0.5f, .shift = 1.f})),
        beta_(filled(1, c.block.channels, {.seed = seed + 4, .scale = 0.5f})),
        projection_(filled(c.block.channels, width(), {.seed = seed + 5})),
        relative_(filled(c.relative_buckets, c.block.heads, {.seed = seed + 6, .scale = 2.f})),
        places_(filled(c.block.position_rows, c.block.channels, {.seed = seed + 7})),
        convolution_(
            filled(c.convolution > 0 ? c.block.channels : 0, c.block.channels * c.convolution, {.seed = seed + 8})) {
    for (index_t i = 0; i < c.layers; ++i) layers_.emplace_back(c.block, parts, seed + 10 + static_cast<std::uint64_t>(i));
  }
  Matrix& word() { return word_; }
  /// Whether it matters how far apart tokens stand.
  bool has_distances() const {
    return config_.relative_buckets > 0 || config_.alibi || config_.block.position_rows > 0 || !config_.kinds.empty() ||
           config_.convolution > 0;
  }

  models::TransformerTensors tensors() const {
    models::TransformerTensors t;
    t.tables.word = word_.in();
    if (config_.max_positions > 0) t.tables.position = position_.in();
    if (config_.segment_types > 0) t.tables.segment = segment_.in();
    t.embedding_norm = t.final_norm = gamma_.row();
    t.embedding_norm_bias = t.final_norm_bias = beta();
    if (config_.embedding_width > 0) {
      t.embedding_norm = t.embedding_norm.slice(0, width()), t.embedding_norm_bias = t.embedding_norm_bias.slice(0, width());
      t.embedding_projection = WeightView(projection_.in());
      t.embedding_projection.packed = weights_;
      t.embedding_projection_bias = beta();
    }
    if (config_.relative_buckets > 0) t.relative_bias = relative_.in();
    if (config_.block.position_rows > 0)
      t.relative_positions = places_.in(), t.relative_norm = gamma_.row(), t.relative_norm_bias = beta();
    if (config_.convolution > 0) {
      t.convolution = WeightView(convolution_.in());
      t.convolution.packed = weights_;
      t.convolution_bias = beta(), t.convolution_norm = gamma_.row(), t.convolution_norm_bias = beta();
    }
    t.layer = [this](index_t layer) {
      models::LayerTensors l = layers_[static_cast<std::size_t>(layer)].tensors();
      for (WeightView* w : {&l.q, &l.k, &l.v, &l.attention_out, &l.mlp_gate, &l.mlp_in, &l.mlp_out}) w->packed = weights_;
      if (config_.block.position_rows > 0) {  // of the weights of keys, and of some of their own
        l.position_key = l.k, l.position_key_bias = l.k_bias;
        l.position_query = l.v, l.position_query_bias = l.v_bias;
      }
      return l;
    };
    return t;
  }
  models::Transformer model(Context& ctx) const { return models::Transformer(ctx, config_, tensors()); }

  /// The last hidden state in double, of stacks without a projection of embeddings and biases by distance. Absent indices:
  /// 0, 1, ... from the config's first position, and 0.
  ref::Rows reference(const std::vector<std::int32_t>& ids, const std::vector<index_t>& cu,
                      const std::vector<std::int32_t>& positions = {},
                      const std::vector<std::int32_t>& segments = {}) const {
    const auto& b = config_.block;
    const bool rms = b.norm == ops::NormKind::rms_norm;
    ref::Rows x(static_cast<index_t>(ids.size()), b.channels);
    for (std::size_t s = 0; s + 1 < cu.size(); ++s)
      for (index_t t = cu[s]; t < cu[s + 1]; ++t)
        for (index_t c = 0; c < b.channels; ++c) {
          const auto at = static_cast<std::size_t>(t);
          x(t, c) = word_(ids[at], c);
          if (config_.max_positions > 0)
            x(t, c) += position_(positions.empty() ? config_.first_position + t - cu[s] : positions[at], c);
          if (config_.segment_types > 0) x(t, c) += segment_(segments.empty() ? 0 : segments[at], c);
        }
    if (config_.embedding_norm) x = ref::norm(x, rms, b.eps, gamma_.row(), beta());
    for (const LayerData& layer : layers_) {
      x = ref::attention_half(shape_of(b), layer.reference(), x, cu);
      x = ref::mlp_half(shape_of(b), layer.reference(), x);
    }
    return config_.final_norm ? ref::norm(x, rms, b.eps, gamma_.row(), beta()) : x;
  }

 private:
  index_t width() const { return config_.embedding_width > 0 ? config_.embedding_width : config_.block.channels; }
  View<const float, 1> beta() const {
    return config_.block.norm == ops::NormKind::rms_norm ? View<const float, 1>() : beta_.row();
  }
  models::TransformerConfig config_;
  DType weights_;
  Matrix word_, position_, segment_, gamma_, beta_, projection_, relative_, places_, convolution_;
  std::vector<LayerData> layers_;
};

/// Sequences of drawn token ids.
struct Texts {
  std::vector<std::int32_t> ids;
  std::vector<index_t> cu{0};

  Texts() = default;
  Texts(const std::vector<index_t>& lengths, index_t vocabulary, std::uint64_t seed) {
    Random random(seed);
    for (const index_t n : lengths) {
      for (index_t t = 0; t < n; ++t) ids.push_back(static_cast<std::int32_t>(random.in(0, vocabulary - 1)));
      cu.push_back(static_cast<index_t>(ids.size()));
    }
  }
  index_t count() const { return static_cast<index_t>(cu.size()) - 1; }
  index_t tokens() const { return cu.back(); }
  /// Sequence b of `other` as one more of these.
  void append(const Texts& other, index_t b) {
    const auto at = static_cast<std::size_t>(b);
    ids.insert(ids.end(), other.ids.begin() + other.cu[at], other.ids.begin() + other.cu[at + 1]);
    cu.push_back(static_cast<index_t>(ids.size()));
  }
  models::TokenInputs inputs() const {
    models::TokenInputs in;
    in.ids = View<const std::int32_t, 1>(ids.data(), tokens());
    in.batch.cu_seqlens = View<const index_t, 1>(cu.data(), static_cast<index_t>(cu.size()));
    return in;
  }
};

inline Matrix forward(const models::Transformer& model, Context& ctx, const models::TokenInputs& in,
                      const models::ForwardOptions& options = {}) {
  Matrix out(in.batch.tokens(), model.config().block.channels, 0);
  model.forward(ctx, in, out.out(), options);
  return out;
}

/// Small stacks that have, between them, all that a stack can have.
struct SmallStack {
  const char* name;
  models::TransformerConfig config;
  LayerParts parts;
};
inline std::vector<SmallStack> small_stacks() {
  models::TransformerConfig bert;
  bert.block.channels = 30, bert.block.heads = bert.block.kv_heads = 3, bert.block.head_dim = 10, bert.block.mlp_width = 50;
  bert.layers = 3, bert.vocab_size = 40, bert.max_positions = 64, bert.segment_types = 2, bert.embedding_norm = true;
  models::TransformerConfig vit = bert;
  vit.block.pre_norm = vit.final_norm = true, vit.block.eps = 1e-6f, vit.block.act = Activation::gelu_tanh;
  vit.segment_types = 0, vit.embedding_norm = false, vit.first_position = 2;
  models::TransformerConfig decoder = vit;
  decoder.block.heads = 4, decoder.block.kv_heads = 2, decoder.block.head_dim = 7;  // H D != C
  decoder.block.norm = ops::NormKind::rms_norm, decoder.block.act = Activation::silu;
  decoder.block.glu = decoder.block.attention.causal = true;
  decoder.max_positions = decoder.first_position = 0;
  return {{"bert", bert, {}}, {"vit", vit, {.scales = true}}, {"decoder", decoder, {.biases = false}}};
}

}  // namespace tessera::test
