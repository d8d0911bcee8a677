// DINOv3 (Siméoni et al., arXiv:2508.10104): class and register tokens, patches with axial rotary positions and no table, so
// that any size is one it knows. Tensor names of transformers.
#pragma once
#include <string>
#include <vector>

#include <tessera/models/families/vit.hpp>
#include <tessera/ops/rotary.hpp>

namespace tessera::models {

/// DINOv3ViTModel. pooler_output is the class token.
inline ImageModel load_dinov3(Context& ctx, const io::ModelFolder& folder, const io::Json& json,
                              const LoadOptions& options) {
  TransformerConfig config = pre_norm_config(json, "gelu", 1e-5, 384, 6);
  config.final_norm = true;
  config.block.glu = io::get_bool(json, "use_gated_mlp", false);
  LayerNames names = kDinov3Layer;
  if (config.block.glu) names.mlp_gate = "mlp.gate_proj";
  const index_t c = config.block.channels, d = config.block.head_dim;
  if (d % 4 != 0)
    throw Error(Code::kFormat,
                {"config.json: heads of ", std::to_string(d),
                 " numbers have no pairs for two axes: hidden_size / num_attention_heads is no multiple of 4"});
  ImageModel m = detail::image_model(json, "dinov3_vit", 16);
  m.rotary_frequencies.resize(static_cast<std::size_t>(d / 4));
  ops::rotary_frequencies(io::get_number(json, "rope_theta", 100.0), View<float, 1>(m.rotary_frequencies.data(), d / 4));
  TensorSource source(ctx, folder.checkpoint(), {""}, "embeddings.patch_embeddings.weight", options);
  m.projection = read_dense(ctx, source, "embeddings.patch_embeddings", c, m.patch.size());
  std::vector<const char*> prefix{"embeddings.cls_token"};
  if (io::get_int(json, "num_register_tokens", 0, 1 << 16, 0) > 0) prefix.push_back("embeddings.register_tokens");
  detail::read_tokens(m, source, c, prefix, nullptr);
  TransformerTensors t;
  t.final_norm = source.vector({"norm.weight"}, true), t.final_norm_bias = source.vector({"norm.bias"}, true);
  detail::read_stack(ctx, m, source, config, t, names, "layer.");
  return m;
}

}  // namespace tessera::models
