// Arbitrary bytes as a config.json: refused, or a configuration within its bounds.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include <tessera/models/families/bert.hpp>
#include <tessera/models/families/clip_image.hpp>
#include <tessera/models/families/t5.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tessera;
  try {
    const io::Json json = io::parse_json(std::string_view(reinterpret_cast<const char*>(data), size), "fuzz");
    for (const auto family : {models::bert_config, models::roberta_config, models::electra_config, models::distilbert_config,
                              models::mpnet_config, models::t5_config}) {
      try {
        const models::TransformerConfig c = family(json);
        if (c.block.heads < 1 || c.block.head_dim < 1 || c.layers < 0 || c.layers > 4096 || c.vocab_size < 1 ||
            c.first_position < 0 || (c.max_positions > 0 && c.first_position >= c.max_positions) || c.embedding_width < 0)
          std::abort();
        if (family != models::t5_config && c.block.head_dim * c.block.heads != c.block.channels) std::abort();
      } catch (const Error&) {}
    }
    const io::Json own = models::detail::tower_config(json, "vision_config");
    const models::TransformerConfig c = models::pre_norm_config(own, "gelu", 1e-6, 768, 12);
    const models::ImageModel m = models::detail::image_model(own, "fuzz", 16);
    if (c.block.head_dim * c.block.heads != c.block.channels || m.patch.size() < 1 || m.image_height < m.patch.height)
      std::abort();
    const models::ImageModel n = models::detail::siglip_model(own, true);
    if (n.image_height < n.patch.height || n.image_height % n.patch.height != 0) std::abort();
  } catch (const Error&) {}
  return 0;
}
