// Named intermediate activations, for looking inside a model while it runs.
#pragma once
#include <tessera/core/view.hpp>

namespace tessera {

/// Hands out intermediates by name: "embeddings", "layers.3.attention.qkv", "layers.3.attention.context",
/// "layers.3.attention.output", "layers.3.mlp.hidden", "layers.3.output", "last_hidden_state" ...; a name is wanted when it
/// matches `pattern`, in which `*` stands for any characters. A view is [tokens, channels] and lives only during the call.
/// With taps the whole batch runs layer by layer; the bits are those of a run without.
struct Taps {
  const char* pattern = "*";
  void (*sink)(void* state, const char* name, View<const float, 2> value) = nullptr;
  void* state = nullptr;

  /// Whether `name` matches: linear in both, no recursion.
  bool wants(const char* name) const noexcept {
    if (!sink) return false;
    const char *p = pattern, *star = nullptr, *retry = nullptr;
    while (*name) {
      if (*p == '*') {
        star = ++p, retry = name;
      } else if (*p == *name) {
        ++p, ++name;
      } else if (star) {
        p = star, name = ++retry;
      } else {
        return false;
      }
    }
    while (*p == '*') ++p;
    return !*p;
  }
};

}  // namespace tessera
