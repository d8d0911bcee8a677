#pragma once
#include <tessera/models/key_value_cache.hpp>
#include <tessera/ops/attention.hpp>

namespace tessera::models {

inline KeyValueCache::KeyValueCache(const Transformer& stack)
    : layers_(static_cast<std::size_t>(stack.config().layers)),
      kv_heads_(stack.config().block.kv_heads),
      head_dim_(stack.config().block.head_dim) {
  const TransformerConfig& c = stack.config();
  if (!c.block.attention.causal || c.relative_buckets > 0 || c.alibi || c.block.position_rows > 0)
    throw Error(Code::kUnsupported,
                "key-value cache: for stacks whose tokens see only those before them, by rotary or learned positions");
}

inline void KeyValueCache::truncate(index_t tokens) {
  if (tokens < 0 || tokens > tokens_) throw Error(Code::kBadArgument, "key-value cache: it does not hold so many tokens");
  tokens_ = tokens;
}

inline ops::AttentionHook KeyValueCache::hook() {
  next_ = 0;
  ops::AttentionHook hook;
  hook.run = [](void* state, Context& ctx, View<const float, 3> q, View<const float, 3> k, View<const float, 3> v,
                const RaggedBatch& batch, const ops::AttentionParams& params,
                View<float, 3> out) { static_cast<KeyValueCache*>(state)->attend(ctx, q, k, v, batch, params, out); };
  hook.state = this;
  hook.more_keys = tokens_;
  return hook;
}

inline void KeyValueCache::attend(Context& ctx, View<const float, 3> q, View<const float, 3> k, View<const float, 3> v,
                                  const RaggedBatch& batch, const ops::AttentionParams& params, View<float, 3> out) {
  if (batch.sequences() != 1 || batch.columns.data || batch.key_weights.data || next_ >= layers_.size())
    throw Error(Code::kBadArgument, "key-value cache: a pass has one sequence without a mask, and a hook() of its own");
  const index_t width = kv_heads_ * head_dim_, all = tokens_ + k.extent[0];
  const auto joined = [&](std::vector<float>& held, View<const float, 3> more) {
    held.resize(static_cast<std::size_t>(all * width));
    for (index_t t = 0; t < more.extent[0]; ++t)  // the heads of a token lie side by side
      __builtin_memcpy(held.data() + (tokens_ + t) * width, more.data + t * more.stride[0],
                       static_cast<std::size_t>(width) * sizeof(float));
    return View<const float, 3>(held.data(), all, kv_heads_, head_dim_);
  };
  Layer& layer = layers_[next_];
  const auto keys = joined(layer.keys, k), values = joined(layer.values, v);
  const index_t cu_k[] = {0, all};
  ops::attention(ctx, q, keys, values, batch.cu_seqlens, View<const index_t, 1>(cu_k, 2), params, out);
  if (++next_ == layers_.size()) tokens_ = all;
}

inline std::size_t KeyValueCache::bytes() const noexcept {
  std::size_t n = 0;
  for (const Layer& l : layers_) n += (l.keys.capacity() + l.values.capacity()) * sizeof(float);
  return n;
}

}  // namespace tessera::models
