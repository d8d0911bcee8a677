// Checkpoint tensors as f32 views, checked on the way.
#pragma once
#include <initializer_list>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <tessera/core/context.hpp>
#include <tessera/core/packed_weight.hpp>
#include <tessera/io/checkpoint.hpp>

namespace tessera::models {

/// Packed weights of earlier loads: models/packed_cache.hpp keeps them in files.
class WeightCache {
 public:
  WeightCache() = default;
  WeightCache(const WeightCache&) = delete;
  WeightCache& operator=(const WeightCache&) = delete;
  virtual ~WeightCache() = default;
  /// What is known of this checkpoint; never null.
  virtual std::shared_ptr<PackedStore> open(Context& ctx, std::shared_ptr<const io::Checkpoint> checkpoint) = 0;
  /// Makes last what was packed since. \throws Error kIo; the models that were loaded are none the worse.
  virtual void save(Context& ctx) = 0;
};

/// How a model is loaded.
struct LoadOptions {
  bool allow_nonfinite = false;  ///< accept NaN and infinity in weights
  WeightCache* cache = nullptr;  ///< outlives the load; not used together with allow_nonfinite
  /// What matrices are packed as: f32, or bf16 or int8, for which the inputs of linear layers are rounded too (see
  /// ops::linear) and attention multiplies in bf16; embeddings, norms, biases and the residual stream stay f32.
  DType weights = DType::f32;
  /// Of decoders: whether a token sees only those before it, whatever the folder says. Other models are refused it.
  std::optional<bool> causal = {};
};

/// Reads named tensors of one checkpoint: matrices to be packed as they stand in the file, the rest as f32. An f32 tensor is
/// a view of the mapped file; f16 and bf16 are widened (exactly) into memory that lives until release(), or as long as
/// keep_alive() when asked to stay.
class TensorSource {
 public:
  /// `prefixes`: name prefixes to try, in order, until `probe` is found under one. \throws Error kNotFound.
  TensorSource(Context& ctx, std::shared_ptr<const io::Checkpoint> checkpoint, std::initializer_list<const char*> prefixes,
               const char* probe, const LoadOptions& options);
  TensorSource(const TensorSource&) = delete;
  TensorSource& operator=(const TensorSource&) = delete;
  ~TensorSource() { release(); }

  /// The tensor of the first of these names (without prefix) that exists, for ops::pack_weight. \throws Error kNotFound
  /// naming all of them, kShapeMismatch for another rank, kUnsupported for another element type, kNonFinite.
  WeightView matrix(std::initializer_list<const char*> names);
  /// The same of one that lies as [in, out]: turned in memory, until release(), and kept in no store.
  WeightView turned(std::initializer_list<const char*> names);
  /// A tensor of any rank as such a matrix, the first extent by the rest: a convolution's weight.
  WeightView by_first(std::initializer_list<const char*> names);
  /// A tensor of any rank, the rest by the last extent: tokens and tables, whose leading extents of 1 mean nothing.
  View<const float, 2> by_last(std::initializer_list<const char*> names, bool stay = false);
  /// The same of rank 2 alone.
  View<const float, 2> table(std::initializer_list<const char*> names);
  View<const float, 1> vector(std::initializer_list<const char*> names, bool stay = false);
  /// The same, or empty when none exists.
  View<const float, 1> optional_vector(std::initializer_list<const char*> names, bool stay = false);
  bool has(const char* name) const;
  /// Ends the views that were read without `stay`: what was widened is freed, pages of the file are given back, so that a
  /// loaded model holds packed weights and not the file beside them.
  void release();
  /// Keeps the mapped file and all that stays.
  std::shared_ptr<const void> keep_alive() const { return hold_; }
  const std::string& prefix() const noexcept { return prefix_; }

 private:
  struct Hold {
    std::shared_ptr<const io::Checkpoint> checkpoint;
    std::list<Buffer> widened;
  };
  const AnyView* lookup(std::initializer_list<const char*> names, std::string& found) const;
  const AnyView& required(std::initializer_list<const char*> names, std::string& found) const;
  /// Throws kUnsupported or kNonFinite, unless the store has seen the tensor.
  void check(const AnyView& v, const std::string& name);
  WeightView weight(const AnyView& v, const std::string& name, index_t n, index_t k);
  const float* floats(const AnyView& v, const std::string& name, bool stay);

  Context& ctx_;
  std::shared_ptr<Hold> hold_;
  std::shared_ptr<PackedStore> store_;  // null: none
  std::list<Buffer> passing_;
  std::vector<AnyView> read_;  // since the last release, from pages that are needed no more
  std::string prefix_;
  bool allow_nonfinite_;
  DType packed_;
};

}  // namespace tessera::models

#ifndef TESSERA_COMPILED
#include <tessera/models/tensor_source-inl.hpp>
#endif
