// What is in the file of an index for late interaction, checked: see late_interaction.hpp.
#pragma once
#include <string>
#include <vector>

#include <tessera/core/context.hpp>
#include <tessera/io/safetensors.hpp>
#include <tessera/ops/norm.hpp>

namespace tessera::retrieval::detail {

inline constexpr const char* kLateInteraction = "tessera.late_interaction";
inline constexpr const char* kLateInteractionVersion = "1";

template <class T>
View<T, 1> view_of(std::vector<T>& v) {
  return View<T, 1>(v.data(), static_cast<index_t>(v.size()));
}
template <class T>
View<const T, 1> view_of(const std::vector<T>& v) {
  return View<const T, 1>(v.data(), static_cast<index_t>(v.size()));
}

/// Tensors of an index, with errors that name the file.
class LateInteractionReader {
 public:
  explicit LateInteractionReader(const io::SafeTensors& file) : file_(file) {
    const auto said = file.metadata();
    const auto version = said.find(kLateInteraction);
    if (version == said.end()) throw Error(Code::kFormat, {file.name(), ": not an index for late interaction"});
    if (version->second != kLateInteractionVersion)
      throw Error(Code::kUnsupported, {file.name(), ": an index of another version of tessera; write it again"});
  }
  [[noreturn]] void refuse(const char* name, const char* why) const {
    throw Error(Code::kFormat, {file_.name(), ": a damaged index: '", name, "' ", why});
  }
  template <class T, int Rank>
  View<const T, Rank> tensor(const char* name) const {
    const AnyView* const v = file_.find(name);
    if (!v) refuse(name, "is missing");
    if (v->dtype != dtype_of<T> || v->rank != Rank) refuse(name, "has another type or rank");
    if (!v->aligned_for<T>()) refuse(name, "is not aligned for its type");
    return v->as<T, Rank>();
  }
  View<const index_t, 1> offsets(const char* name, index_t of) const {
    const auto v = tensor<index_t, 1>(name);
    if (v.extent[0] < 1 || v(0) != 0 || v(v.extent[0] - 1) != of) refuse(name, "does not cover what it divides");
    for (index_t i = 0; i + 1 < v.extent[0]; ++i)
      if (v(i + 1) < v(i)) refuse(name, "decreases");
    return v;
  }
  View<const std::int32_t, 1> ids(const char* name, index_t end) const {
    const auto v = tensor<std::int32_t, 1>(name);
    for (index_t i = 0; i < v.extent[0]; ++i)
      if (v(i) < 0 || v(i) >= end) refuse(name, "has an id that is out of range");
    return v;
  }
  View<const float, 1> numbers(Context& ctx, const char* name, index_t count) const {
    const auto v = tensor<float, 1>(name);
    if (v.extent[0] != count) refuse(name, "has another length than its bits ask for");
    if (!ops::all_finite(ctx, v)) refuse(name, "holds NaN or infinity");
    return v;
  }

 private:
  const io::SafeTensors& file_;
};

}  // namespace tessera::retrieval::detail
