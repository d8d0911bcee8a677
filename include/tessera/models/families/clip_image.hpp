// The image towers of CLIP (Radford et al., arXiv:2103.00020), SigLIP (Zhai et al., arXiv:2303.15343) and SigLIP 2
// (Tschannen et al., arXiv:2502.14786). Tensor names of transformers.
#pragma once
#include <tessera/models/families/vit.hpp>

namespace tessera::models {

namespace detail {

/// Tokens and stack as both call them; what differs is the projection, the class token and the norms.
inline void read_clip(Context& ctx, ImageModel& m, TensorSource& source, const TransformerConfig& config,
                      const std::vector<const char*>& prefix, const TransformerTensors& norms) {
  read_tokens(m, source, config.block.channels, prefix, "embeddings.position_embedding.weight");
  read_stack(ctx, m, source, config, norms, kClipLayer, "encoder.layers.");
}

inline void read_attention_pool(Context& ctx, ImageModel& m, TensorSource& source) {
  AttentionPool& a = m.attention_pool.emplace();
  const auto keep = [&](View<const float, 1> v) {
    const auto& kept = a.storage.emplace_back(v.data, v.data + v.extent[0]);
    return View<const float, 1>(kept.data(), v.extent[0]);
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
    DenseLayer layer = read_dense(ctx, source, name, n, k);
    a.storage.push_back(std::move(layer.bias_storage));
    return std::move(layer.linear);
  };
  a.block.qkv = {ops::pack_weight(ctx, in.slice(c, 3 * c)), keep(in_bias.slice(c, 3 * c))};
  a.block.attention_out = linear("head.attention.out_proj", c, c);
  a.block.mlp_norm = {keep(source.vector({"head.layernorm.weight"})), keep(source.vector({"head.layernorm.bias"}))};
  a.block.mlp_in = linear("head.mlp.fc1", f, c), a.block.mlp_out = linear("head.mlp.fc2", c, f);
}

}  // namespace detail

/// The image tower alone: of a folder with both, or of a CLIPVisionModel.
inline ImageModel load_clip_image(Context& ctx, const io::ModelFolder& folder, const io::Json& json,
                                  const LoadOptions& options) {
  const io::Json own = detail::tower_config(json, "vision_config");
  TransformerConfig config = pre_norm_config(own, "quick_gelu", 1e-5, 768, 12);
  config.embedding_norm = true;
  const index_t c = config.block.channels;
  ImageModel m = detail::image_model(own, "clip", 32);
  const auto checkpoint = folder.checkpoint();
  TensorSource source(ctx, checkpoint, {"vision_model.", ""}, "embeddings.patch_embedding.weight", options);
  TransformerTensors norms;
  norms.embedding_norm = source.vector({"pre_layrnorm.weight"}, true);  // transformers' own spelling
  norms.embedding_norm_bias = source.vector({"pre_layrnorm.bias"}, true);
  m.projection = read_dense(ctx, source, "embeddings.patch_embedding", c, m.patch.size());
  detail::read_clip(ctx, m, source, config, {"embeddings.class_embedding"}, norms);
  const auto gamma = source.vector({"post_layernorm.weight"}), beta = source.vector({"post_layernorm.bias"});
  m.pooled_norm_storage.assign(gamma.data, gamma.data + gamma.extent[0]);
  m.pooled_norm_storage.insert(m.pooled_norm_storage.end(), beta.data, beta.data + beta.extent[0]);
  const float* kept = m.pooled_norm_storage.data();
  m.pooled_norm = ops::NormWeights{View<const float, 1>(kept, gamma.extent[0]),
                                   View<const float, 1>(kept + gamma.extent[0], beta.extent[0])};
  if (checkpoint->find("visual_projection.weight")) {
    TensorSource whole(ctx, checkpoint, {""}, "visual_projection.weight", options);
    m.projection_out = read_dense(ctx, whole, "visual_projection", -1, c);
  }
  return m;
}

namespace detail {

/// How both SigLIPs patch images. Source: transformers, modeling_siglip.py and modeling_siglip2.py.
inline DenseLayer siglip_projection(Context& ctx, const ImageModel& m, TensorSource& source, index_t channels) {
  constexpr const char* kName = "embeddings.patch_embedding";
  if (m.family != "siglip2") return read_dense(ctx, source, kName, channels, m.patch.size());
  // A linear layer over patches as rows, columns, channels, which patch_embed takes channels first.
  const View<const float, 2> weight = source.by_last({"embeddings.patch_embedding.weight"});
  expect_matrix(kName, -1, weight, channels, m.patch.size());
  std::vector<float> ordered(static_cast<std::size_t>(weight.size()));
  const index_t pixels = m.patch.height * m.patch.width;
  for (index_t n = 0; n < channels; ++n)
    for (index_t c = 0; c < m.patch.channels; ++c)
      for (index_t i = 0; i < pixels; ++i)
        ordered[static_cast<std::size_t>((n * m.patch.channels + c) * pixels + i)] = weight(n, i * m.patch.channels + c);
  return dense_layer(ctx, source, kName, View<const float, 2>(ordered.data(), channels, m.patch.size()));
}

/// SigLIP has a size in pixels; SigLIP 2 with NaFlex a number of patches, of which its square table of positions is.
inline ImageModel siglip_model(const io::Json& json, bool naflex) {
  if (!naflex) return image_model(json, "siglip", 16);
  ImageModel m = patch_model(json, "siglip2", 16);
  const index_t patches = io::get_int(json, "num_patches", 1, 1 << 24, 256);
  index_t side = 1;
  while ((side + 1) * (side + 1) <= patches) ++side;
  if (side * side != patches)
    throw Error(Code::kFormat, {"config.json: num_patches ", std::to_string(patches), " is not a square"});
  m.image_height = side * m.patch.height, m.image_width = side * m.patch.width;
  m.interpolation = ops::PositionInterpolation::bilinear_antialias;
  return m;
}

}  // namespace detail

/// The same of SigLIP and SigLIP 2 (arXiv:2502.14786), whose models of one resolution are SigLIPs by their model_type; those
/// of any, NaFlex, are "siglip2".
inline ImageModel load_siglip_image(Context& ctx, const io::ModelFolder& folder, const io::Json& json,
                                    const LoadOptions& options) {
  const io::Json own = detail::tower_config(json, "vision_config");
  TransformerConfig config = pre_norm_config(own, "gelu_pytorch_tanh", 1e-6, 768, 12);
  config.final_norm = true;
  ImageModel m = detail::siglip_model(own, io::get_string(json, "model_type", "").starts_with("siglip2"));
  TensorSource source(ctx, folder.checkpoint(), {"vision_model.", ""}, "embeddings.patch_embedding.weight", options);
  m.projection = detail::siglip_projection(ctx, m, source, config.block.channels);
  TransformerTensors norms;
  norms.final_norm = source.vector({"post_layernorm.weight"}, true);
  norms.final_norm_bias = source.vector({"post_layernorm.bias"}, true);
  detail::read_clip(ctx, m, source, config, {}, norms);
  if (io::get_bool(own, "vision_use_head", true)) detail::read_attention_pool(ctx, m, source);
  return m;
}

}  // namespace tessera::models
