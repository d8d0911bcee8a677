// What config.json says of rotary positions and of layers of several kinds, as transformers' modeling_rope_utils.py and
// masking_utils.py read it.
#pragma once
#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include <tessera/core/fp_mode.hpp>
#include <tessera/io/json.hpp>
#include <tessera/models/transformer.hpp>
#include <tessera/ops/rotary_scaling.hpp>

namespace tessera::models {

/// What rotary angles depend on beside their parameters.
struct RotaryBase {
  double theta = 10000;   ///< where the parameters have none
  index_t head_dim = 0;   ///< D
  index_t positions = 0;  ///< max_position_embeddings
  index_t original = 0;   ///< original_max_position_embeddings beside the parameters, which then counts; 0: not there
  std::optional<double> share = {};  ///< of a head that turns, where the parameters do not say; absent: all of it, always
};

namespace detail {

[[noreturn]] inline void bad_rotary(const std::string& what) {
  throw Error(Code::kFormat, {"config.json: rotary positions: ", what});
}

/// rope_scaling, where a folder of before transformers 5 has one, else rope_parameters.
inline const io::Json& rotary_parameters(const io::Json& json) {
  const io::Json& older = io::member(json, "rope_scaling");
  return older.is_null() || older.empty() ? io::member(json, "rope_parameters") : older;
}

/// A number within bounds that keep what is made of it finite.
inline double rotary_number(const io::Json& parameters, const char* key, std::optional<double> absent, double least = 1e-6,
                            double most = 1e9) {
  if (!absent && io::member(parameters, key).is_null()) bad_rotary(std::string(key) + " is absent");
  const double x = io::get_number(parameters, key, absent.value_or(0));
  if (!(x >= least && x <= most)) bad_rotary(std::string(key) + " is out of range");
  return x;
}

/// frequencies / factors[i], one by one.
inline std::vector<float> divided(const std::vector<float>& frequencies, const io::Json& p, const char* key) {
  const io::Json& list = io::member(p, key);
  if (!list.is_array() || list.size() != frequencies.size())
    bad_rotary(std::string(key) + " must be a list of " + std::to_string(frequencies.size()) + " numbers");
  std::vector<float> out;
  for (const io::Json& f : list) {
    const double factor = f.is_number() ? f.get<double>() : 0.0;
    if (!(factor >= 1e-6 && factor <= 1e9)) bad_rotary(std::string(key) + " holds what is no factor");
    out.push_back(frequencies[out.size()] / static_cast<float>(factor));
  }
  return out;
}

}  // namespace detail

/// The angles of rope_parameters (or of the older rope_scaling): kinds default, linear, ntk,
/// dynamic, llama3, yarn, longrope.
/// \throws Error kFormat, kUnsupported for another kind.
inline RotaryAngles rotary_angles(const io::Json& parameters, const RotaryBase& base) {
  using namespace detail;
  const FpModeScope mode;
  const io::Json p = parameters.is_null() ? io::empty_object() : parameters;
  if (!p.is_object()) bad_rotary("parameters that are no object");
  const std::string kind = io::get_string(p, io::member(p, "rope_type").is_null() ? "type" : "rope_type", "default");
  double theta = rotary_number(p, "rope_theta", base.theta, 1e-3, 1e15);
  const double share = rotary_number(p, "partial_rotary_factor", base.share.value_or(1), 0, 1);
  if (!base.share && share != 1)
    throw Error(Code::kUnsupported, "config.json: partial_rotary_factor is not supported for this model_type");
  const auto turning = static_cast<index_t>(static_cast<double>(base.head_dim) * share);
  if (turning % 2 != 0 || turning < 1)
    bad_rotary(std::to_string(turning) + " numbers of a head of " + std::to_string(base.head_dim) +
               " turn, which are no pairs");
  RotaryAngles a;
  a.frequencies.resize(static_cast<std::size_t>(turning / 2));
  const View<float, 1> frequencies(a.frequencies.data(), turning / 2);
  const double stretch = kind == "ntk" ? rotary_number(p, "factor", {}, 1) : 1.0;  // GTE's: base and all frequencies
  theta *= stretch;
  ops::rotary_frequencies(theta, frequencies);
  if (kind == "default") return a;
  const auto positions = static_cast<double>(base.positions);
  const double original = base.original > 0 ? static_cast<double>(base.original)
                                            : rotary_number(p, "original_max_position_embeddings", positions, 1, 1e12);
  if (kind == "ntk") {
    const auto factor = static_cast<float>(std::pow(stretch, 2 / static_cast<double>(turning)));
    for (float& f : a.frequencies) f /= factor;
  } else if (kind == "linear") {
    const auto factor = static_cast<float>(rotary_number(p, "factor", {}));
    for (float& f : a.frequencies) f /= factor;
  } else if (kind == "dynamic") {
    (void)rotary_number(p, "factor", {});  // angles as by default, as far as they do not grow
    a.most_places = base.positions;
  } else if (kind == "llama3") {
    const ops::Llama3Scaling scaling{rotary_number(p, "factor", {}), rotary_number(p, "low_freq_factor", {}),
                                     rotary_number(p, "high_freq_factor", {}), original};
    if (scaling.low == scaling.high) bad_rotary("low_freq_factor equals high_freq_factor");
    ops::scale_frequencies(scaling, frequencies);
  } else if (kind == "yarn") {
    const double factor = rotary_number(p, "factor", positions / original);
    const double own = io::get_number(p, "mscale", 0), all = io::get_number(p, "mscale_all_dim", 0);
    const double scale = own != 0 && all != 0
                             ? ops::yarn_attention_scale(factor, own) / ops::yarn_attention_scale(factor, all)
                             : ops::yarn_attention_scale(factor);
    a.scale = static_cast<float>(rotary_number(p, "attention_factor", scale));
    ops::scale_frequencies(ops::YarnScaling{theta, factor, original, rotary_number(p, "beta_fast", 32),
                                            rotary_number(p, "beta_slow", 1), io::get_bool(p, "truncate", true)},
                           frequencies);
  } else if (kind == "longrope") {
    const double factor = rotary_number(p, "factor", positions / original);
    a.scale = static_cast<float>(rotary_number(p, "attention_factor", ops::longrope_attention_scale(factor, original)));
    a.most_places = static_cast<index_t>(original);
    a.long_frequencies = divided(a.frequencies, p, "long_factor");
    a.frequencies = divided(a.frequencies, p, "short_factor");
  } else {
    throw Error(Code::kUnsupported, {"config.json: rope_type '", kind,
                                     "' is not supported; known: default, linear, ntk, dynamic, "
                                     "llama3, yarn, longrope"});
  }
  for (const auto* const all : {&a.frequencies, &a.long_frequencies})
    for (const float f : *all)  // yarn's logarithm of a rope_theta of 1 is a divisor
      if (!(f >= 0.f && f < __builtin_inff())) bad_rotary("numbers of which " + kind + " makes angles that are none");
  return a;
}

/// Tokens that a text may have: positions that the model was trained for, as far as attention's scratch goes.
inline index_t longest_text(const io::Json& json, std::int64_t absent) {
  return std::min<index_t>(io::get_int(json, "max_position_embeddings", 1, std::int64_t{1} << 31, absent), index_t{1} << 17);
}

/// Which layers are local: layer_types where config.json has it, else what `absent` says of a layer.
template <class F>
std::vector<unsigned char> local_layers(const io::Json& json, index_t layers, const F& absent) {
  std::vector<unsigned char> local;
  const io::Json& types = io::member(json, "layer_types");
  if (types.is_null()) {
    for (index_t i = 0; i < layers; ++i) local.push_back(absent(i));
    return local;
  }
  if (!types.is_array() || static_cast<index_t>(types.size()) != layers)
    throw Error(Code::kFormat, {"config.json: layer_types must be a list of ", std::to_string(layers), " names"});
  for (const io::Json& type : types) {
    const bool sliding = type == "sliding_attention";
    if (!sliding && type != "full_attention")
      throw Error(Code::kUnsupported,
                  {"config.json: layer_types names ", io::shown(&type), "; known: full_attention, sliding_attention"});
    local.push_back(sliding);
  }
  return local;
}

/// What a window of so many places hides: of a causal layer all but its own and window - 1 before it, of another those
/// farther than `window` to either side, as transformers has it. \throws Error kFormat unless window > 0.
inline void set_window(LayerKind& kind, std::int64_t window, bool causal) {
  if (window < 1 || window > std::int64_t{1} << 40)
    throw Error(Code::kFormat, {"config.json: a window of ", std::to_string(window), " places"});
  kind.window_left = causal ? window - 1 : window;
  kind.window_right = causal ? -1 : window;
}

}  // namespace tessera::models
