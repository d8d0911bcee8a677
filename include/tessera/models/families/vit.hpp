// Image transformers: ViT (arXiv:2010.11929), DeiT (arXiv:2012.12877), DINOv2 (arXiv:2304.07193) with and without registers
// (arXiv:2309.16588). Tensor names of transformers.
#pragma once
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <tessera/io/json.hpp>
#include <tessera/models/families/stack_config.hpp>
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

/// A model whose patches are known, its image size not yet.
inline ImageModel patch_model(const io::Json& json, const char* family, std::int64_t patch) {
  ImageModel m;
  m.family = family;
  m.patch.channels = io::get_int(json, "num_channels", 1, 64, 3);
  std::tie(m.patch.height, m.patch.width) = sides(json, "patch_size", patch);
  return m;
}

inline ImageModel image_model(const io::Json& json, const char* family, std::int64_t patch) {
  ImageModel m = patch_model(json, family, patch);
  std::tie(m.image_height, m.image_width) = sides(json, "image_size", 224);
  if (m.image_height < m.patch.height || m.image_width < m.patch.width)
    throw Error(Code::kFormat, "config.json: image_size is smaller than patch_size");
  return m;
}

/// Prefix tokens [n, C] one after the other, the first ones with positions of their own; the table of the patches, if it has
/// a name.
inline void read_tokens(ImageModel& m, TensorSource& source, index_t channels, const std::vector<const char*>& prefix,
                        const char* positions) {
  const View<const float, 2> table = positions ? source.by_last({positions}, true) : View<const float, 2>();
  const index_t rows = m.image_height / m.patch.height, columns = m.image_width / m.patch.width;
  const index_t own = positions ? table.extent[0] - rows * columns : 0;  // positions of prefix tokens
  const auto expect = [&](bool right, const char* what, View<const float, 2> found) {
    if (!right)
      throw Error(Code::kShapeMismatch, {"checkpoint: ", what, " [", std::to_string(found.extent[0]), ", ",
                                         std::to_string(found.extent[1]), "] do not fit ", std::to_string(rows), " x ",
                                         std::to_string(columns), " patches of ", std::to_string(channels), " channels"});
  };
  expect(!positions || (table.extent[1] == channels && own >= 0), "position embeddings", table);
  for (const char* name : prefix) {
    const View<const float, 2> t = source.by_last({name});
    expect(t.extent[1] == channels, "class or register tokens", t);
    for (index_t i = 0; i < t.extent[0]; ++i, ++m.prefix_tokens)
      for (index_t c = 0; c < channels; ++c)
        m.prefix.push_back(t(i, c) + (m.prefix_tokens < own ? table(m.prefix_tokens, c) : 0.f));
  }
  expect(own <= m.prefix_tokens, "position embeddings", table);
  if (positions) m.positions = View<const float, 3>(table.data + own * channels, rows, columns, channels);
}

inline void read_stack(Context& ctx, ImageModel& m, TensorSource& source, const TransformerConfig& config,
                       TransformerTensors t, const LayerNames& names, const std::string& layers) {
  t.layer = [&](index_t layer) {
    source.release();
    return read_layer(source, names, layers + std::to_string(layer) + ".", config.block);
  };
  t.keep_alive = source.keep_alive();
  m.transformer = std::make_unique<Transformer>(ctx, config, t);
}

/// Tokens, stack and final norm as ViT, DeiT and DINOv2 call them.
inline void read_vit(Context& ctx, ImageModel& m, TensorSource& source, TransformerConfig config,
                     const std::vector<const char*>& prefix, const LayerNames& names) {
  config.final_norm = true;
  m.projection = read_dense(ctx, source, "embeddings.patch_embeddings.projection", config.block.channels, m.patch.size());
  read_tokens(m, source, config.block.channels, prefix, "embeddings.position_embeddings");
  TransformerTensors t;
  t.final_norm = source.vector({"layernorm.weight"}, true), t.final_norm_bias = source.vector({"layernorm.bias"}, true);
  read_stack(ctx, m, source, config, t, names, "encoder.layer.");
}

}  // namespace detail

/// ViTModel and DeiTModel, with or without the prefix that task heads put before their tensors.
inline ImageModel load_vit(Context& ctx, const io::ModelFolder& folder, const io::Json& json, const LoadOptions& options) {
  const bool deit = io::get_string(json, "model_type", "") == "deit";
  const TransformerConfig config = pre_norm_config(json, "gelu", 1e-12, 768, 12);
  ImageModel m = detail::image_model(json, deit ? "deit" : "vit", 16);
  TensorSource source(ctx, folder.checkpoint(), {"", "vit.", "deit."}, "embeddings.patch_embeddings.projection.weight",
                      options);
  std::vector<const char*> prefix{"embeddings.cls_token"};
  if (deit) prefix.push_back("embeddings.distillation_token");
  detail::read_vit(ctx, m, source, config, prefix, kVitLayer);
  if (source.has("pooler.dense.weight")) {
    m.pooler = read_dense(ctx, source, "pooler.dense", -1, config.block.channels);
    m.pooler->act = activation_of(json, "pooler_act", "tanh");
  }
  return m;
}

/// Dinov2Model and Dinov2WithRegistersModel. pooler_output is the class token.
inline ImageModel load_dinov2(Context& ctx, const io::ModelFolder& folder, const io::Json& json,
                              const LoadOptions& options) {
  const bool registers = io::get_string(json, "model_type", "") == "dinov2_with_registers";
  TransformerConfig config = pre_norm_config(json, "gelu", 1e-6, 768, 12);
  const double width = static_cast<double>(config.block.channels) * io::get_number(json, "mlp_ratio", 4.0);
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
  std::vector<const char*> prefix{"embeddings.cls_token"};
  if (registers) {
    prefix.push_back("embeddings.register_tokens");
    m.interpolation = ops::PositionInterpolation::bicubic_antialias;
  }
  detail::read_vit(ctx, m, source, config, prefix, swiglu ? with_swiglu(kDinov2Layer) : kDinov2Layer);
  return m;
}

}  // namespace tessera::models
