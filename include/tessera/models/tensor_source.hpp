// Checkpoint tensors as f32 views, checked on the way.
#pragma once
#include <initializer_list>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include <tessera/core/context.hpp>
#include <tessera/io/checkpoint.hpp>

namespace tessera::models {

/// How a model is loaded.
struct LoadOptions {
  bool allow_nonfinite = false;  ///< accept NaN and infinity in weights
};

/// Reads named tensors of one checkpoint as f32. An f32 tensor is a view of the mapped file; f16 and bf16 are widened
/// (exactly) into memory that lives until release(), or as long as keep_alive() when asked to stay.
class TensorSource {
 public:
  /// `prefixes`: name prefixes to try, in order, until `probe` is found under one. \throws Error kNotFound.
  TensorSource(Context& ctx, std::shared_ptr<const io::Checkpoint> checkpoint, std::initializer_list<const char*> prefixes,
               const char* probe, const LoadOptions& options);
  TensorSource(const TensorSource&) = delete;
  TensorSource& operator=(const TensorSource&) = delete;
  ~TensorSource() { release(); }

  /// The tensor of the first of these names (without prefix) that exists. \throws Error kNotFound naming all of them,
  /// kShapeMismatch for another rank, kUnsupported for another element type, kNonFinite.
  View<const float, 2> matrix(std::initializer_list<const char*> names, bool stay = false);
  View<const float, 1> vector(std::initializer_list<const char*> names, bool stay = false);
  /// A tensor of any rank as a matrix: the first extent by the rest (a convolution's weight), or the rest by the last one
  /// (tokens and tables of positions, whose leading extents of 1 mean nothing).
  View<const float, 2> by_first(std::initializer_list<const char*> names, bool stay = false);
  View<const float, 2> by_last(std::initializer_list<const char*> names, bool stay = false);
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
  const float* floats(const AnyView& v, const std::string& name, bool stay);

  Context& ctx_;
  std::shared_ptr<Hold> hold_;
  std::list<Buffer> passing_;
  std::vector<AnyView> read_;  // since the last release, from pages that are needed no more
  std::string prefix_;
  bool allow_nonfinite_;
};

}  // namespace tessera::models

#ifndef TESSERA_COMPILED
#include <tessera/models/tensor_source-inl.hpp>
#endif
