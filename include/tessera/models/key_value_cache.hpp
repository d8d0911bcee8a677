// Keys and values of a text that a causal stack has read, so that the next token does not read it again.
#pragma once
#include <vector>

#include <tessera/models/transformer.hpp>

namespace tessera::models {

/// Of one sequence, in every layer, turned to their places: grows by each forward pass that gets hook(). A pass over the
/// next tokens, at positions that go on from those before, gives the bits that a pass over all of them gives for these.
class KeyValueCache {
 public:
  /// \param stack outlives the cache. \throws Error kUnsupported for one whose tokens see what comes after them, or that
  /// biases scores by distance.
  explicit KeyValueCache(const Transformer& stack);
  KeyValueCache(const KeyValueCache&) = delete;
  KeyValueCache& operator=(const KeyValueCache&) = delete;

  index_t tokens() const noexcept { return tokens_; }
  /// Keeps the first ones only: what a pass that failed has left is gone then, too. \throws Error kBadArgument for more than
  /// there are.
  void truncate(index_t tokens);
  /// ForwardOptions::attention of the next pass, whose batch is one sequence.
  ops::AttentionHook hook();
  std::size_t bytes() const noexcept;

 private:
  struct Layer {
    std::vector<float> keys, values;  // [tokens, Hkv, D]
  };
  void attend(Context& ctx, View<const float, 3> q, View<const float, 3> k, View<const float, 3> v, const RaggedBatch& batch,
              const ops::AttentionParams& params, View<float, 3> out);

  std::vector<Layer> layers_;
  index_t kv_heads_, head_dim_;
  index_t tokens_ = 0;
  std::size_t next_ = 0;  // the layer that the pass is at
};

}  // namespace tessera::models

#ifndef TESSERA_COMPILED
#include <tessera/models/key_value_cache-inl.hpp>
#endif
