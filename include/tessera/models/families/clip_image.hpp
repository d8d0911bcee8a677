// The image towers of CLIP (Radford et al., arXiv:2103.00020) and SigLIP (Zhai et al., arXiv:2303.15343). Tensor names of
// transformers.
#pragma once
#include <tessera/models/families/vit.hpp>

namespace tessera::models {

namespace detail {

inline TensorSource image_source(Context& ctx, const io::ModelFolder& folder, const LoadOptions& options) {
  return TensorSource(ctx, folder.checkpoint(), {"vision_model.", ""}, "embeddings.patch_embedding.weight", options);
}

inline ImageModel clip_image_tower(Context& ctx, const io::ModelFolder& folder, const io::Json& json,
                                   const LoadOptions& options) {
  TransformerConfig config = pre_norm_config(json, "quick_gelu", 1e-5, 768, 12);
  config.embedding_norm = true;
  const index_t c = config.block.channels;
  ImageModel m = image_model(json, "clip", 32);
  TensorSource source = image_source(ctx, folder, options);
  read_projection(ctx, m, source, "embeddings.patch_embedding", c);
  read_tokens(m, source, c, {{"embeddings.class_embedding"}}, "embeddings.position_embedding.weight");
  TransformerTensors t;
  t.embedding_norm = source.vector({"pre_layrnorm.weight"}, true);  // transformers' own spelling
  t.embedding_norm_bias = source.vector({"pre_layrnorm.bias"}, true);
  read_stack(ctx, m, source, config, t, kClipLayer, "encoder.layers.");
  const auto gamma = source.vector({"post_layernorm.weight"}), beta = source.vector({"post_layernorm.bias"});
  keep_vector(m.pooled_norm_storage, gamma);
  m.pooled_norm_storage.insert(m.pooled_norm_storage.end(), beta.data, beta.data + beta.extent[0]);
  const auto both = view_of(m.pooled_norm_storage);
  m.pooled_norm = ops::NormWeights{both.slice(0, gamma.extent[0]), both.slice(gamma.extent[0], both.extent[0])};
  TensorSource whole(ctx, folder.checkpoint(), {""}, nullptr, options);
  if (whole.has("visual_projection.weight")) {
    const auto w = whole.matrix({"visual_projection.weight"});
    expect_matrix("visual_projection", -1, w, w.extent[0], c);
    m.projection_out.emplace().weight = ops::pack_weight(ctx, w);
  }
  return m;
}

inline void read_attention_pool(Context& ctx, ImageModel& m, TensorSource& source) {
  AttentionPool& a = m.attention_pool.emplace();
  a.storage.reserve(8);
  const auto keep = [&](View<const float, 1> v) {
    keep_vector(a.storage.emplace_back(), v);
    return view_of(a.storage.back());
  };
  const index_t c = m.channels();
  const auto in = source.matrix({"head.attention.in_proj_weight"});
  const auto in_bias = source.vector({"head.attention.in_proj_bias"});
  const auto probe = source.by_last({"head.probe"});
  expect_matrix("head.attention.in_proj_weight", -1, in, 3 * c, c);
  expect_matrix("head.probe", -1, probe, 1, c);
  if (in_bias.extent[0] != 3 * c)
    throw Error(Code::kShapeMismatch, "checkpoint: head.attention.in_proj_bias has another size");
  a.query.resize(static_cast<std::size_t>(c));
  ops::linear(ctx, probe, ops::pack_weight(ctx, in.slice(0, c)), {.bias = in_bias.slice(0, c)},
              View<float, 2>(a.query.data(), index_t{1}, c));
  const index_t f = m.transformer->config().block.mlp_width;
  const auto linear = [&](const char* name, index_t n, index_t k) {
    const std::string at = std::string("head.") + name;
    const auto w = source.matrix({(at + ".weight").c_str()});
    expect_matrix(name, -1, w, n, k);
    return ops::LinearWeights{ops::pack_weight(ctx, w), keep(source.vector({(at + ".bias").c_str()}))};
  };
  a.block.qkv = {ops::pack_weight(ctx, in.slice(c, 3 * c)), keep(in_bias.slice(c, 3 * c))};
  a.block.attention_out = linear("attention.out_proj", c, c);
  a.block.mlp_norm = {keep(source.vector({"head.layernorm.weight"})), keep(source.vector({"head.layernorm.bias"}))};
  a.block.mlp_in = linear("mlp.fc1", f, c), a.block.mlp_out = linear("mlp.fc2", c, f);
}

inline ImageModel siglip_image_tower(Context& ctx, const io::ModelFolder& folder, const io::Json& json,
                                     const LoadOptions& options) {
  TransformerConfig config = pre_norm_config(json, "gelu_pytorch_tanh", 1e-6, 768, 12);
  config.final_norm = true;
  const index_t c = config.block.channels;
  ImageModel m = image_model(json, "siglip", 16);
  TensorSource source = image_source(ctx, folder, options);
  read_projection(ctx, m, source, "embeddings.patch_embedding", c);
  read_tokens(m, source, c, {}, "embeddings.position_embedding.weight");
  TransformerTensors t;
  t.final_norm = source.vector({"post_layernorm.weight"}, true);
  t.final_norm_bias = source.vector({"post_layernorm.bias"}, true);
  read_stack(ctx, m, source, config, t, kClipLayer, "encoder.layers.");
  if (io::get_bool(json, "vision_use_head", true)) read_attention_pool(ctx, m, source);
  return m;
}

}  // namespace detail

/// The image tower alone: of a folder with both, or of a CLIPVisionModel or SiglipVisionModel.
inline ImageModel load_clip_image(Context& ctx, const io::ModelFolder& folder, const io::Json& json,
                                  const LoadOptions& options) {
  return detail::clip_image_tower(ctx, folder, detail::tower_config(json, "vision_config"), options);
}
inline ImageModel load_siglip_image(Context& ctx, const io::ModelFolder& folder, const io::Json& json,
                                    const LoadOptions& options) {
  return detail::siglip_image_tower(ctx, folder, detail::tower_config(json, "vision_config"), options);
}

}  // namespace tessera::models
