// Arbitrary bytes as a config.json: refused, or a configuration within its bounds.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include <tessera/models/families/bert.hpp>
#include <tessera/models/families/clip_image.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tessera;
  try {
    const io::Json json = io::parse_json(std::string_view(reinterpret_cast<const char*>(data), size), "fuzz");
    const models::TransformerConfig c = models::bert_config(json);
    if (c.block.heads < 1 || c.block.head_dim * c.block.heads != c.block.channels || c.layers < 0 || c.layers > 4096)
      std::abort();
  } catch (const Error&) {}
  try {
    const io::Json json = io::parse_json(std::string_view(reinterpret_cast<const char*>(data), size), "fuzz");
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
