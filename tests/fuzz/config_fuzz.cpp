// Arbitrary bytes as a config.json: refused, or a configuration within its bounds.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include <tessera/models/families/bert.hpp>
#include <tessera/models/families/clip_image.hpp>
#include <tessera/models/families/deberta.hpp>
#include <tessera/models/families/gemma.hpp>
#include <tessera/models/families/gpt2.hpp>
#include <tessera/models/families/jina_bert.hpp>
#include <tessera/models/families/modern_bert.hpp>
#include <tessera/models/families/rotary_bert.hpp>
#include <tessera/models/families/t5.hpp>
#include <tessera/ops/position_rows.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tessera;
  try {
    const io::Json json = io::parse_json(std::string_view(reinterpret_cast<const char*>(data), size), "fuzz");
    (void)models::names_jina_bert(json);
    for (const auto family : {models::bert_config, models::jina_bert_config, models::roberta_config, models::electra_config,
                              models::distilbert_config, models::mpnet_config, models::t5_config, models::deberta_config}) {
      try {
        const models::TransformerConfig c = family(json);
        if (c.block.heads < 1 || c.block.head_dim < 1 || c.layers < 0 || c.layers > 4096 || c.vocab_size < 1 ||
            c.first_position < 0 || (c.max_positions > 0 && c.first_position >= c.max_positions) || c.embedding_width < 0)
          std::abort();
        if (family != models::t5_config && c.block.head_dim * c.block.heads != c.block.channels) std::abort();
        if (c.block.position_rows > 0)
          for (const index_t distance : {-100000, -3, 0, 1, 700}) {
            const index_t row = ops::position_row(distance, c.block.position_rows, c.position_log_distance);
            if (row < 0 || row >= c.block.position_rows) std::abort();
          }
      } catch (const Error&) {}
    }
    // Rotary families: places enough for two tokens, so that what was read is also worked with.
    static constexpr index_t kCu[] = {0, 3};
    static constexpr std::int32_t kPlaces[] = {0, 1, 40};
    RaggedBatch batch;
    batch.cu_seqlens = View<const index_t, 1>(kCu, index_t{2});
    const auto llama = [](const io::Json& j) { return models::llama_config(j); };
    const auto gemma = [](const io::Json& j) { return models::gemma_config(j); };
    const auto gpt2 = [](const io::Json& j) { return models::gpt2_config(j); };
    const auto opt = [](const io::Json& j) { return models::opt_config(j); };
    using Family = models::TransformerConfig (*)(const io::Json&);
    for (const Family family : {Family{models::modern_bert_config}, Family{models::nomic_bert_config},
                                Family{models::gte_config}, Family{llama}, Family{gemma}, Family{gpt2}, Family{opt}}) {
      try {
        const models::TransformerConfig c = family(json);
        if (c.block.heads % c.block.kv_heads != 0 ||
            (!c.kind_of.empty() && static_cast<index_t>(c.kind_of.size()) != c.layers))
          std::abort();
        std::vector<const models::RotaryAngles*> angles;
        for (const models::LayerKind& kind : c.kinds) {
          if (2 * static_cast<index_t>(kind.rotary.frequencies.size()) > c.block.head_dim) std::abort();
          for (const float f : kind.rotary.frequencies)
            if (!(f >= 0.f && f < __builtin_inff())) std::abort();
          angles.push_back(&kind.rotary);
        }
        for (const unsigned char k : c.kind_of)
          if (k >= c.kinds.size()) std::abort();
        if (c.block.head_dim <= 4096)
          (void)models::RotaryTables(angles, batch, View<const std::int32_t, 1>(kPlaces, index_t{3}));
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
