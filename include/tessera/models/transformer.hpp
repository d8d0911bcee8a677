// The one configurable transformer stack. A family file reads config.json and maps tensor names to it.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <tessera/models/rotary_angles.hpp>
#include <tessera/models/token_merging.hpp>
#include <tessera/ops/block.hpp>
#include <tessera/ops/embed.hpp>

namespace tessera::models {

/// What the layers of one kind have of their own, in stacks whose layers are of several.
struct LayerKind {
  index_t window_left = -1, window_right = -1;  ///< places before and after its own that a token sees; -1: all
  RotaryAngles rotary = {};
};

/// The shape of a stack. What a family does not have stays at its default.
struct TransformerConfig {
  ops::BlockConfig block;
  index_t layers = 0;
  index_t vocab_size = 0;      ///< V
  index_t max_positions = 0;   ///< rows of the position table; 0: none
  index_t segment_types = 0;   ///< rows of the segment table; 0: none
  index_t first_position = 0;  ///< position of a sequence's first token: 2 in RoBERTa and XLM-R
  /// A token that is not counted: it stands at first_position - 1, and the next ones as if it were not there (RoBERTa's
  /// padding, which a text may contain). Negative: none.
  std::int32_t uncounted_token = -1;
  bool counts_masked = true;        ///< default positions count the tokens that a mask leaves out (not so in OPT)
  index_t embedding_width = 0;      ///< of the tables and their norm, where a projection to C follows (ELECTRA); 0: C
  bool positions_projected = true;  ///< or the position table is of C, and added behind that projection (OPT)
  index_t output_width = 0;      ///< of the last hidden state, where a projection of it follows the last layer (OPT); 0: C
  index_t relative_buckets = 0;  ///< rows of a table of biases by distance, which all layers share (T5, MPNet); 0: none
  index_t relative_max_distance = 128;      ///< the first distance of the last bucket: ops/distance_bias.hpp
  bool alibi = false;                       ///< a bias by distance that falls off in a line, in place of such a table
  index_t position_log_distance = 0;        ///< of block.position_rows, the scale of ops/position_rows.hpp; 0: none
  std::vector<LayerKind> kinds = {};        ///< empty: all layers are as `block` says, and nothing turns
  std::vector<unsigned char> kind_of = {};  ///< [layers] which of the kinds a layer is; empty: the first
  bool norms_from_one = false;              ///< checkpoints hold the weights of norms less 1 (Gemma)
  /// Tokens that a convolution sees: of the embeddings, added behind the first layer and normalised (DeBERTa-v2-xlarge). 0:
  /// none.
  index_t convolution = 0;
  Activation convolution_act = Activation::tanh;
  bool embedding_norm = false;  ///< normalises the sum of the embeddings (BERT)
  bool final_norm = false;      ///< normalises after the last layer (pre-norm stacks)
};

/// Unpacked tensors of one layer, row-major (out, in) as in checkpoints; matrices f32, f16 or bf16, vectors f32. Borrowed
/// while the layer is packed; norms, biases and scales are copied.
struct LayerTensors {
  WeightView q, k, v, attention_out, mlp_in, mlp_gate, mlp_out;  ///< mlp_gate only when gated
  View<const float, 1> q_bias, k_bias, v_bias, attention_out_bias, mlp_in_bias, mlp_gate_bias, mlp_out_bias;
  View<const float, 1> attention_norm, attention_norm_bias, mlp_norm, mlp_norm_bias;
  View<const float, 1> attention_scale, mlp_scale;
  View<const float, 1> attention_post_norm, mlp_post_norm, q_norm, k_norm;        ///< as ops::BlockWeights has them
  View<const float, 1> q_row_norm, q_row_norm_bias, k_row_norm, k_row_norm_bias;  ///< the same
  View<const float, 1> attention_outer_norm, attention_outer_norm_bias;           ///< the same
  WeightView position_key, position_query;  ///< [H D, C], what makes tables of places of the stack's positions; or absent
  View<const float, 1> position_key_bias, position_query_bias;
};

/// The rest of the stack. `tables` are read in place for as long as the model lives: keep_alive holds their memory.
struct TransformerTensors {
  ops::EmbeddingTables tables;
  View<const float, 1> embedding_norm, embedding_norm_bias, final_norm, final_norm_bias;
  WeightView embedding_projection;  ///< [C, embedding_width]
  View<const float, 1> embedding_projection_bias;
  WeightView output_projection;  ///< [output_width, C]
  WeightView convolution;        ///< [C, C convolution], or [C, C, convolution] of a checkpoint
  View<const float, 1> convolution_bias, convolution_norm, convolution_norm_bias;
  View<const float, 2> relative_bias;                      ///< [relative_buckets, H], copied
  View<const float, 2> relative_positions;                 ///< [block.position_rows, C], read while layers are packed
  View<const float, 1> relative_norm, relative_norm_bias;  ///< [C] of them, or empty
  std::function<LayerTensors(index_t layer)> layer;        ///< called once a layer, in order; may reuse its memory
  std::shared_ptr<const void> keep_alive;
};

/// The position of each token of a sequence when none are given. \param ids [T].  \param positions [T].
void default_positions(const TransformerConfig& config, View<const std::int32_t, 1> ids, std::int32_t* positions);

/// Tokens of a ragged batch. Positions in the batch override default_positions(), and first_position is not added to them.
struct TokenInputs {
  View<const std::int32_t, 1> ids = {};  ///< [sum T]; not read where embed is given
  RaggedBatch batch = {};
  /// Turns queries and keys of every layer by the positions of the batch, where the stack's own kinds do not.
  ops::Rotary rotary = {};
  /// Makes the tokens of sequences [b0, b1) in place of the tables: fills x [their tokens, C]. Called once a group of
  /// sequences, by several threads at a time, each with a context of its own, with nothing carved from its arena.
  std::function<void(Context& ctx, index_t b0, index_t b1, View<float, 2> x)> embed = {};
};

namespace detail {
/// Throws kShapeMismatch, naming the tensor (and its layer, if that is not negative), unless v is [n, k].
void expect_matrix(const char* what, index_t layer, const WeightView& v, index_t n, index_t k);
}  // namespace detail

/// What a caller may change about one forward pass.
struct ForwardOptions {
  index_t layers = -1;                ///< run only the first ones; -1: all
  const Taps* taps = nullptr;         ///< see core/taps.hpp
  ops::AttentionHook attention = {};  ///< replaces every layer's attention
  /// Called between the halves of each layer with the tokens as they are; may change x in place.
  void (*between)(void* state, Context& ctx, index_t layer, const RaggedBatch& batch, View<float, 2> x) = nullptr;
  void* between_state = nullptr;
};

/// A loaded stack: const after construction, shared by any number of threads, each with its own Context.
class Transformer {
 public:
  /// Packs all weights. \throws Error kShapeMismatch naming the tensor whose shape is not the config's.
  Transformer(Context& ctx, const TransformerConfig& config, const TransformerTensors& tensors);

  const TransformerConfig& config() const noexcept { return config_; }
  /// E: numbers of a token of the last hidden state. C but for config().output_width.
  index_t width() const noexcept { return config_.output_width > 0 ? config_.output_width : config_.block.channels; }
  const ops::NormWeights& final_norm() const noexcept { return final_norm_; }  ///< of config().final_norm
  /// Parameters counted as the checkpoint has them.
  index_t parameters() const noexcept { return parameters_; }
  /// f(layer, name, weight) for each matrix; names are those of taps behind "layers.N.".
  template <class F>
  void for_matrices(const F& f) const {
    for (index_t i = 0; i < static_cast<index_t>(blocks_.size()); ++i) {
      const ops::BlockWeights& b = blocks_[static_cast<std::size_t>(i)];
      f(i, "attention.qkv", b.qkv.weight), f(i, "attention.output", b.attention_out.weight);
      f(i, "mlp.hidden", b.mlp_in.weight), f(i, "output", b.mlp_out.weight);
    }
  }
  /// Bytes held: packed weights and vectors, without the tables read in place.
  std::size_t bytes() const noexcept;

  /// The last hidden state of every token.
  /// \param out [sum T, E] f32 packed.
  /// \throws Error kBadArgument for ids or positions outside their tables; `out` is then unspecified.
  /// Determinism: same bits for any batch, grouping, thread count, ISA.
  void forward(Context& ctx, const TokenInputs& in, View<float, 2> out, const ForwardOptions& options = {}) const;
  /// The same with tokens merged or dropped on the way: out begins with the rows that are left, packed end to end; the rest
  /// of it is unspecified.
  /// \throws Error kUnsupported for a stack to which places matter: causal, windowed, by distance, with a convolution; and
  /// for one with a projection behind its last layer.
  MergedTokens forward_merged(Context& ctx, const TokenInputs& in, View<float, 2> out, const TokenMerging& merging,
                              const ForwardOptions& options = {}) const;

 private:
  ops::NormWeights keep_norm(const char* what, index_t layer, View<const float, 1> gamma, View<const float, 1> beta,
                             index_t n);
  View<const float, 1> keep(const char* what, index_t layer, View<const float, 1> v, index_t n);
  View<const float, 1> keep_joined(const char* what, index_t layer, const View<const float, 1>* parts, const index_t* n,
                                   int count);
  void check_kinds() const;
  const LayerKind* kind_of(index_t layer) const noexcept;
  void pack_layer(Context& ctx, const LayerTensors& t, View<const float, 2> relative_positions, index_t layer);
  View<const float, 2> table_of_places(Context& ctx, const char* what, index_t layer, const WeightView& weight,
                                       View<const float, 1> bias, View<const float, 2> positions);
  struct Merge {  // what runs beside forward() when tokens merge
    const TokenMerging& merging;
    MergedTokens& result;
    std::vector<index_t> begins, lengths;  // of what each sequence has left in `out`
    // By pointer: a program that merges nothing does not compile the kernels of merging.
    decltype(&detail::MergingGroup::step) step;
  };
  struct Pass {
    const TokenInputs& in;
    View<float, 2> out;
    const ForwardOptions& options;
    Merge* merge;
    std::vector<float> distance_bias;           // [H, its columns]
    std::vector<std::int32_t> positions;        // [sum T], and
    RotaryTables rotary;                        // what they turn by, where the stack has that
    std::vector<std::int32_t> position_row_of;  // by distance
  };
  void run(Context& ctx, Pass pass) const;
  void run_group(Context& ctx, const Pass& pass, index_t b0, index_t b1) const;
  void convolve(Context& ctx, View<const float, 2> embedded, const RaggedBatch& batch, View<float, 2> x) const;
  std::vector<float> distance_bias(const RaggedBatch& batch) const;
  std::vector<std::int32_t> position_row_of(const RaggedBatch& batch) const;
  std::vector<std::int32_t> positions(const TokenInputs& in) const;
  std::size_t scratch(Context& ctx, index_t tokens, index_t max_length, bool merging) const;

  TransformerConfig config_;
  ops::EmbeddingTables tables_;
  ops::NormWeights embedding_norm_, final_norm_, convolution_norm_;
  ops::LinearWeights embedding_projection_, convolution_, output_projection_;
  View<const float, 2> relative_bias_;
  std::vector<ops::BlockWeights> blocks_;
  std::vector<std::vector<float>> vectors_;  // norms, biases, scales
  std::shared_ptr<const void> keep_alive_;
  index_t parameters_ = 0;
};

}  // namespace tessera::models

#ifndef TESSERA_COMPILED
#include <tessera/models/transformer-inl.hpp>
#include <tessera/models/transformer_load-inl.hpp>
#endif
