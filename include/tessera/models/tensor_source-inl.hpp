#pragma once
#include <cstring>

#include <tessera/models/tensor_source.hpp>
#include <tessera/ops/norm.hpp>

namespace tessera::models {

namespace detail {

/// IEEE binary16 to binary32 by integer operations: exact, and the same whatever the floating-point mode.
inline std::uint32_t widen_f16(std::uint16_t h) noexcept {
  const std::uint32_t sign = static_cast<std::uint32_t>(h & 0x8000u) << 16, exponent = (h >> 10) & 31u;
  std::uint32_t mantissa = h & 0x3ffu;
  if (exponent == 31) return sign | 0x7f800000u | mantissa << 13;
  if (exponent != 0) return sign | (exponent + 112) << 23 | mantissa << 13;
  if (mantissa == 0) return sign;
  std::uint32_t e = 113;  // subnormal: shift the leading one into place
  while (!(mantissa & 0x400u)) mantissa <<= 1, --e;
  return sign | e << 23 | (mantissa & 0x3ffu) << 13;
}

}  // namespace detail

inline TensorSource::TensorSource(Context& ctx, std::shared_ptr<const io::Checkpoint> checkpoint,
                                  std::initializer_list<const char*> prefixes, const char* probe, const LoadOptions& options)
    : ctx_(ctx), hold_(std::make_shared<Hold>()), allow_nonfinite_(options.allow_nonfinite) {
  hold_->checkpoint = std::move(checkpoint);
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

inline const float* TensorSource::floats(const AnyView& v, const std::string& name, bool stay) {
  const index_t n = v.size();
  const float* result = nullptr;
  if (v.dtype == DType::f32 && v.aligned_for<float>()) {
    result = reinterpret_cast<const float*>(v.data);
    if (!stay) read_.push_back(v);
  } else {
    read_.push_back(v);
    auto& into = stay ? hold_->widened : passing_;
    into.emplace_back(static_cast<std::size_t>(n) * sizeof(float));
    auto* out = into.back().as<std::uint32_t>();
    const auto half = [&](index_t i) {
      std::uint16_t h = 0;
      std::memcpy(&h, v.data + 2 * i, sizeof h);
      return h;
    };
    switch (v.dtype) {
      case DType::f32: std::memcpy(out, v.data, static_cast<std::size_t>(v.bytes)); break;
      case DType::bf16:
        for (index_t i = 0; i < n; ++i) out[i] = static_cast<std::uint32_t>(half(i)) << 16;
        break;
      case DType::f16:
        for (index_t i = 0; i < n; ++i) out[i] = detail::widen_f16(half(i));
        break;
      default:
        throw Error(Code::kUnsupported, {"checkpoint: tensor ", name, " is ", dtype_name(v.dtype),
                                         "; weights must be F32, F16 or BF16 (quantised checkpoints are not read)"});
    }
    result = into.back().as<const float>();
  }
  if (!allow_nonfinite_ && !ops::all_finite(ctx_, View<const float, 1>(result, n)))
    throw Error(Code::kNonFinite, {"checkpoint: tensor ", name,
                                   " holds NaN or infinity: a damaged file? allow_nonfinite loads it all the same"});
  return result;
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

inline View<const float, 2> TensorSource::matrix(std::initializer_list<const char*> names, bool stay) {
  std::string name;
  const AnyView& v = required(names, name);
  detail::expect_rank(v, name, 2);
  return View<const float, 2>(floats(v, name, stay), v.extent[0], v.extent[1]);
}

inline View<const float, 2> TensorSource::by_first(std::initializer_list<const char*> names, bool stay) {
  std::string name;
  const AnyView& v = required(names, name);
  const index_t rows = v.rank > 0 ? v.extent[0] : 1;
  return View<const float, 2>(floats(v, name, stay), rows, rows > 0 ? v.size() / rows : 0);
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
