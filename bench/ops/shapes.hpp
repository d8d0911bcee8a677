// The encoders whose layers are measured. Rows of a benchmark are named after them.
#pragma once
#include <tessera/ops/activation.hpp>

namespace tessera::bench {

struct EncoderShape {
  const char* name;
  index_t tokens;    ///< T of one usual input
  index_t channels;  ///< C
  index_t heads;     ///< H
  index_t head_dim;  ///< D
  index_t mlp;       ///< F
  Activation act;
  bool pre_norm;
};

inline constexpr EncoderShape kEncoders[] = {
    {"bert_base", 128, 768, 12, 64, 3072, Activation::gelu_erf, false},
    {"minilm_l6", 128, 384, 12, 32, 1536, Activation::gelu_erf, false},
    {"vit_b32", 50, 768, 12, 64, 3072, Activation::quick_gelu, true},
    {"vit_b16", 197, 768, 12, 64, 3072, Activation::gelu_erf, true},
    {"vit_l14_336", 577, 1024, 16, 64, 4096, Activation::quick_gelu, true},
    {"siglip_so400m", 256, 1152, 16, 72, 4304, Activation::gelu_tanh, true},
};

/// Token counts of a linear layer: one word, short texts, one image, CLIP's 77, batches.
inline constexpr index_t kTokenCounts[] = {1, 8, 16, 50, 77, 128, 197, 256, 577, 4096, 6304};

/// What follows the product in that layer.
enum class Tail : unsigned char { bias, bias_act, bias_residual };

/// out [M, n] = x [M, k] W^T with its tail.
struct LinearShape {
  const char* name;
  index_t n, k;
  Tail tail;
};
struct LinearShapes {
  LinearShape layer[4];
};
constexpr LinearShapes linear_shapes(const EncoderShape& s) {
  return {{{"qkv", 3 * s.channels, s.channels, Tail::bias},
           {"proj", s.channels, s.channels, Tail::bias_residual},
           {"fc1", s.mlp, s.channels, Tail::bias_act},
           {"fc2", s.channels, s.mlp, Tail::bias_residual}}};
}

}  // namespace tessera::bench
