// Rotary frequencies stretched so that a model serves longer texts than it was first trained on.
#pragma once
#include <tessera/core/view.hpp>

namespace tessera::ops {

/// Llama 3: of `original` places; waves longer than original / low of them are made `factor` times as long, those shorter
/// than original / high stay, with a ramp between. \param frequencies [n] radians a place, in place.
/// Source: Grattafiori et al., arXiv:2407.21783, 3.1; transformers, modeling_rope_utils.py.
struct Llama3Scaling {
  double factor = 8, low = 1, high = 4, original = 8192;
};
void scale_frequencies(const Llama3Scaling& scaling, View<float, 1> frequencies);

/// YaRN: pairs that turn more than `fast` times within the `original` places stay, those that turn less than `slow` times
/// are slowed down by `factor`, with a ramp between, whose ends are whole pairs unless told otherwise. \param base that of
/// the frequencies.  Source: Peng et al., arXiv:2309.00071, 3.2; transformers, modeling_rope_utils.py.
struct YarnScaling {
  double base = 10000, factor = 1, original = 4096, fast = 32, slow = 1;
  bool whole = true;
};
void scale_frequencies(const YarnScaling& scaling, View<float, 1> frequencies);

/// YaRN's factor of sines and cosines: 0.1 weight ln(factor) + 1, 1 where nothing is stretched. arXiv:2309.00071, 3.4.
double yarn_attention_scale(double factor, double weight = 1);
/// LongRoPE's: sqrt(1 + ln(factor) / ln(original)). Ding et al., arXiv:2402.13753, as transformers has it.
double longrope_attention_scale(double factor, double original);

}  // namespace tessera::ops

#ifndef TESSERA_COMPILED
#include <tessera/ops/rotary_scaling-inl.hpp>
#endif
