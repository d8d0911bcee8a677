// What a contrastive model learned beside its towers.
#pragma once
#include <tessera/ops/contrastive.hpp>

namespace tessera::models {

/// How unit vectors of images and texts become logits and probabilities.
struct ContrastiveHead {
  float logit_scale = 0.f, logit_bias = 0.f;
  bool sigmoid = false;  ///< SigLIP asks each pair on its own; CLIP takes a softmax over the texts

  /// As ops::contrastive_logits(). \param images [I, E].  \param texts [T, E].  \param out [I, T].
  void logits(Context& ctx, View<const float, 2> images, View<const float, 2> texts, View<float, 2> out) const {
    ops::contrastive_logits(ctx, images, texts, logit_scale, logit_bias, out);
  }
  /// As ops::softmax() or ops::sigmoid() of logits [I, T].
  void probabilities(View<const float, 2> logits, View<float, 2> out) const {
    (sigmoid ? ops::sigmoid : ops::softmax)(logits, out);
  }
};

}  // namespace tessera::models
