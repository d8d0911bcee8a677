#pragma once
#include <algorithm>

#include <tessera/core/widen.hpp>
#include <tessera/models/tensor_source.hpp>
#include <tessera/ops/norm.hpp>

namespace tessera::models {

inline TensorSource::TensorSource(Context& ctx, std::shared_ptr<const io::Checkpoint> checkpoint,
                                  std::initializer_list<const char*> prefixes, const char* probe, const LoadOptions& options)
    : ctx_(ctx), hold_(std::make_shared<Hold>()), allow_nonfinite_(options.allow_nonfinite), packed_(options.weights) {
  hold_->checkpoint = std::move(checkpoint);
  if (options.cache && !allow_nonfinite_) store_ = options.cache->open(ctx, hold_->checkpoint);
  std::string tried;
  for (const char* prefix : prefixes) {
    if (hold_->checkpoint->find(std::string(prefix) + probe)) {
      prefix_ = prefix;
      return;
    }
    tried += (tried.empty() ? "" : ", ") + std::string(prefix) + probe;
  }
  throw Error(Code::kNotFound,
              {"checkpoint: no tensor ", tried, "; the weights are of another architecture than config.json says"});
}

inline const AnyView* TensorSource::lookup(std::initializer_list<const char*> names, std::string& found) const {
  for (const char* name : names) {
    found = prefix_ + name;
    if (const AnyView* v = hold_->checkpoint->find(found)) return v;
  }
  return nullptr;
}

inline void TensorSource::release() {
  for (const AnyView& v : read_) hold_->checkpoint->drop(v);
  read_.clear();
  passing_.clear();
}

inline bool TensorSource::has(const char* name) const { return hold_->checkpoint->find(prefix_ + name) != nullptr; }

inline void TensorSource::check(const AnyView& v, const std::string& name) {
  if (!widens(v.dtype))
    throw Error(Code::kUnsupported, {"checkpoint: tensor ", name, " is ", dtype_name(v.dtype),
                                     "; weights must be F32, F16 or BF16 (quantised checkpoints are not read)"});
  if (allow_nonfinite_ || (store_ && store_->checked(v))) return;
  const index_t n = v.size();
  bool finite = true;
  if (v.dtype == DType::f32 && v.aligned_for<float>()) {
    finite = ops::all_finite(ctx_, View<const float, 1>(reinterpret_cast<const float*>(v.data), n));
  } else {
    constexpr index_t kPart = 4096;
    float part[kPart];
    for (index_t i = 0; i < n && finite; i += kPart) {
      const index_t m = std::min(kPart, n - i);
      widen(v.dtype, v.data + i * bit_width(v.dtype) / 8, m, part);
      finite = ops::all_finite(ctx_, View<const float, 1>(part, m));
    }
  }
  if (!finite)
    throw Error(Code::kNonFinite, {"checkpoint: tensor ", name,
                                   " holds NaN or infinity: a damaged file? allow_nonfinite loads it all the same"});
  if (store_) store_->keep_checked(v);
}

inline WeightView TensorSource::weight(const AnyView& v, const std::string& name, index_t n, index_t k) {
  check(v, name);
  read_.push_back(v);
  WeightView w;
  w.data = v.data, w.dtype = v.dtype, w.space = v.space, w.store = store_.get(), w.packed = packed_;
  w.extent[0] = n, w.extent[1] = k, w.stride[0] = k, w.stride[1] = 1;
  return w;
}

inline const float* TensorSource::floats(const AnyView& v, const std::string& name, bool stay) {
  check(v, name);
  if (v.dtype == DType::f32 && v.aligned_for<float>()) {
    if (!stay) read_.push_back(v);
    return reinterpret_cast<const float*>(v.data);
  }
  read_.push_back(v);
  auto& into = stay ? hold_->widened : passing_;
  into.emplace_back(static_cast<std::size_t>(v.size()) * sizeof(float));
  widen(v.dtype, v.data, v.size(), into.back().as<float>());
  return into.back().as<const float>();
}

namespace detail {
inline std::string all_names(const std::string& prefix, std::initializer_list<const char*> names) {
  std::string all;
  for (const char* n : names) all += (all.empty() ? "" : " or ") + prefix + n;
  return all;
}
inline void expect_rank(const AnyView& v, const std::string& name, int rank) {
  if (v.rank != rank)
    throw Error(Code::kShapeMismatch,
                {"checkpoint: tensor ", name, " has rank ", std::to_string(v.rank), ", expected ", std::to_string(rank)});
}
}  // namespace detail

inline const AnyView& TensorSource::required(std::initializer_list<const char*> names, std::string& found) const {
  const AnyView* v = lookup(names, found);
  if (!v) throw Error(Code::kNotFound, {"checkpoint: tensor ", detail::all_names(prefix_, names), " is missing"});
  return *v;
}

inline WeightView TensorSource::matrix(std::initializer_list<const char*> names) {
  std::string name;
  const AnyView& v = required(names, name);
  detail::expect_rank(v, name, 2);
  return weight(v, name, v.extent[0], v.extent[1]);
}

inline WeightView TensorSource::turned(std::initializer_list<const char*> names) {
  std::string name;
  const AnyView& v = required(names, name);
  detail::expect_rank(v, name, 2);
  const index_t k = v.extent[0], n = v.extent[1];
  const float* const from = floats(v, name, false);
  auto* const to = passing_.emplace_back(static_cast<std::size_t>(v.size()) * sizeof(float)).as<float>();
  for (index_t i = 0; i < k; ++i)
    for (index_t j = 0; j < n; ++j) to[j * k + i] = from[i * n + j];
  WeightView w(View<const float, 2>(to, n, k));
  w.packed = packed_;
  return w;
}

inline WeightView TensorSource::by_first(std::initializer_list<const char*> names) {
  std::string name;
  const AnyView& v = required(names, name);
  const index_t rows = v.rank > 0 ? v.extent[0] : 1;
  return weight(v, name, rows, rows > 0 ? v.size() / rows : 0);
}

inline View<const float, 2> TensorSource::table(std::initializer_list<const char*> names) {
  std::string name;
  detail::expect_rank(required(names, name), name, 2);
  return by_last(names, true);
}

inline View<const float, 2> TensorSource::by_last(std::initializer_list<const char*> names, bool stay) {
  std::string name;
  const AnyView& v = required(names, name);
  const index_t columns = v.rank > 0 ? v.extent[v.rank - 1] : 1;
  return View<const float, 2>(floats(v, name, stay), columns > 0 ? v.size() / columns : 0, columns);
}

inline View<const float, 1> TensorSource::optional_vector(std::initializer_list<const char*> names, bool stay) {
  std::string name;
  const AnyView* v = lookup(names, name);
  if (!v) return {};
  detail::expect_rank(*v, name, 1);
  return View<const float, 1>(floats(*v, name, stay), v->extent[0]);
}

inline View<const float, 1> TensorSource::vector(std::initializer_list<const char*> names, bool stay) {
  const auto v = optional_vector(names, stay);
  if (!v.data) throw Error(Code::kNotFound, {"checkpoint: tensor ", detail::all_names(prefix_, names), " is missing"});
  return v;
}

}  // namespace tessera::models
