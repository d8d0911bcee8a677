// Image transformers: ViT (arXiv:2010.11929), DeiT (arXiv:2012.12877), DINOv2 (arXiv:2304.07193) with and without registers
// (arXiv:2309.16588). Tensor names of transformers.
#pragma once
#include <tuple>
#include <utility>

#include <tessera/io/json.hpp>
#include <tessera/models/families/pre_norm.hpp>
#include <tessera/models/image_model.hpp>
#include <tessera/models/layer_names.hpp>

namespace tessera::models {

namespace detail {

/// A side or [height, width].
inline std::pair<index_t, index_t> sides(const io::Json& json, const char* key, std::int64_t absent) {
  constexpr std::int64_t kMost = 1 << 16;
  const io::Json& v = io::member(json, key);
  if (!v.is_array()) {
    const index_t side = io::get_int(json, key, 1, kMost, absent);
    return {side, side};
  }
  const auto side = [&](std::size_t i) -> index_t {
    if (v.size() != 2 || !v[i].is_number_integer() || v[i].get<std::int64_t>() < 1 || v[i].get<std::int64_t>() > kMost)
      throw Error(Code::kFormat, {"config.json: ", key, " is ", io::shown(&v), ", not one or two sides in pixels"});
    return v[i].get<std::int64_t>();
  };
  return {side(0), side(1)};
}

inline ImageModel image_model(const io::Json& json, const char* family, std::int64_t patch) {
  ImageModel m;
  m.family = family;
  m.patch.channels = io::get_int(json, "num_channels", 1, 64, 3);
  std::tie(m.patch.height, m.patch.width) = sides(json, "patch_size", patch);
  std::tie(m.image_height, m.image_width) = sides(json, "image_size", 224);
  if (m.image_height < m.patch.height || m.image_width < m.patch.width)
    throw Error(Code::kFormat, "config.json: image_size is smaller than patch_size");
  return m;
}

/// Prefix tokens [n, C] one after the other, the first ones with positions of their own; then the table of the patches.
inline void read_tokens(ImageModel& m, TensorSource& source, index_t channels,
                        std::initializer_list<std::initializer_list<const char*>> prefix, const char* positions) {
  const View<const float, 2> table = source.by_last({positions}, true);
  const index_t rows = m.image_height / m.patch.height, columns = m.image_width / m.patch.width;
  const index_t own = table.extent[0] - rows * columns;  // positions of prefix tokens
  const auto expect = [&](bool right, const char* what, View<const float, 2> found) {
    if (!right)
      throw Error(Code::kShapeMismatch, {"checkpoint: ", what, " [", std::to_string(found.extent[0]), ", ",
                                         std::to_string(found.extent[1]), "] do not fit ", std::to_string(rows), " x ",
                                         std::to_string(columns), " patches of ", std::to_string(channels), " channels"});
  };
  expect(table.extent[1] == channels && own >= 0, "position embeddings", table);
  for (const auto& names : prefix) {
    const View<const float, 2> t = source.by_last(names);
    expect(t.extent[1] == channels, "class or register tokens", t);
    for (index_t i = 0; i < t.extent[0]; ++i, ++m.prefix_tokens)
      for (index_t c = 0; c < channels; ++c)
        m.prefix.push_back(t(i, c) + (m.prefix_tokens < own ? table(m.prefix_tokens, c) : 0.f));
  }
  expect(own <= m.prefix_tokens, "position embeddings", table);
  m.positions = View<const float, 3>(table.data + own * channels, rows, columns, channels);
}

inline void read_projection(Context& ctx, ImageModel& m, TensorSource& source, const std::string& name, index_t channels) {
  const View<const float, 2> w = source.by_first({(name + ".weight").c_str()});
  expect_matrix("patch projection", -1, w, channels, m.patch.size());
  m.projection.weight = ops::pack_weight(ctx, w);
  if (const auto bias = source.optional_vector({(name + ".bias").c_str()}); bias.data) {
    keep_vector(m.projection_bias, bias);
    m.projection.bias = view_of(m.projection_bias);
  }
}

inline void read_stack(Context& ctx, ImageModel& m, TensorSource& source, const TransformerConfig& config,
                       TransformerTensors t, const LayerNames& names, const std::string& layers) {
  t.layer = [&](index_t layer) {
    source.release();
    return read_layer(source, names, layers + std::to_string(layer) + ".");
  };
  t.keep_alive = source.keep_alive();
  m.transformer = std::make_unique<Transformer>(ctx, config, t);
}

}  // namespace detail

/// ViTModel and DeiTModel, with or without the prefix that task heads put before their tensors.
inline ImageModel load_vit(Context& ctx, const io::ModelFolder& folder, const io::Json& json, const LoadOptions& options) {
  const bool deit = io::get_string(json, "model_type", "") == "deit";
  TransformerConfig config = pre_norm_config(json, "gelu", 1e-12, 768, 12);
  config.final_norm = true;
  ImageModel m = detail::image_model(json, deit ? "deit" : "vit", 16);
  TensorSource source(ctx, folder.checkpoint(), {"", "vit.", "deit."}, "embeddings.patch_embeddings.projection.weight",
                      options);
  const index_t c = config.block.channels;
  detail::read_projection(ctx, m, source, "embeddings.patch_embeddings.projection", c);
  if (deit)
    detail::read_tokens(m, source, c, {{"embeddings.cls_token"}, {"embeddings.distillation_token"}},
                        "embeddings.position_embeddings");
  else
    detail::read_tokens(m, source, c, {{"embeddings.cls_token"}}, "embeddings.position_embeddings");
  TransformerTensors t;
  t.final_norm = source.vector({"layernorm.weight"}, true), t.final_norm_bias = source.vector({"layernorm.bias"}, true);
  detail::read_stack(ctx, m, source, config, t, kVitLayer, "encoder.layer.");
  if (source.has("pooler.dense.weight")) {
    DenseLayer& pooler = m.pooler.emplace();
    pooler.linear.weight = ops::pack_weight(ctx, source.matrix({"pooler.dense.weight"}));
    detail::keep_vector(pooler.bias_storage, source.vector({"pooler.dense.bias"}));
    pooler.linear.bias = detail::view_of(pooler.bias_storage);
    const std::string act = io::get_string(json, "pooler_act", "tanh");
    if (!ops::activation_from_name(act.c_str(), pooler.act))
      throw Error(Code::kUnsupported, {"config.json: pooler_act '", act, "' is not supported"});
  }
  return m;
}

/// Dinov2Model and Dinov2WithRegistersModel. pooler_output is the class token.
inline ImageModel load_dinov2(Context& ctx, const io::ModelFolder& folder, const io::Json& json,
                              const LoadOptions& options) {
  const bool registers = io::get_string(json, "model_type", "") == "dinov2_with_registers";
  TransformerConfig config = pre_norm_config(json, "gelu", 1e-6, 768, 12);
  config.final_norm = true;
  const index_t c = config.block.channels;
  const double width = static_cast<double>(c) * io::get_number(json, "mlp_ratio", 4.0);
  if (!(width >= 1 && width <= 1 << 20)) throw Error(Code::kFormat, "config.json: mlp_ratio gives no width");
  config.block.mlp_width = static_cast<index_t>(width);
  const bool swiglu = io::get_bool(json, "use_swiglu_ffn", false);
  if (swiglu) {  // two thirds of it, rounded up to a multiple of 8
    config.block.mlp_width = (static_cast<index_t>(static_cast<double>(config.block.mlp_width * 2) / 3.0) + 7) / 8 * 8;
    config.block.glu = true;
    config.block.act = Activation::silu;
  }
  ImageModel m = detail::image_model(json, registers ? "dinov2_with_registers" : "dinov2", registers ? 16 : 14);
  TensorSource source(ctx, folder.checkpoint(), {"", "dinov2.", "dinov2_with_registers."},
                      "embeddings.patch_embeddings.projection.weight", options);
  detail::read_projection(ctx, m, source, "embeddings.patch_embeddings.projection", c);
  if (registers) m.interpolation = ops::PositionInterpolation::bicubic_antialias;
  if (registers)
    detail::read_tokens(m, source, c, {{"embeddings.cls_token"}, {"embeddings.register_tokens"}},
                        "embeddings.position_embeddings");
  else
    detail::read_tokens(m, source, c, {{"embeddings.cls_token"}}, "embeddings.position_embeddings");
  TransformerTensors t;
  t.final_norm = source.vector({"layernorm.weight"}, true), t.final_norm_bias = source.vector({"layernorm.bias"}, true);
  detail::read_stack(ctx, m, source, config, t, swiglu ? with_swiglu(kDinov2Layer) : kDinov2Layer, "encoder.layer.");
  return m;
}

}  // namespace tessera::models
