// Rotary angles as config.json says them, against transformers' own, and their tables for a batch.
#include <tessera/models/rotary_angles.hpp>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <tessera/models/families/gemma.hpp>
#include <tessera/models/families/modern_bert.hpp>
#include "support/errors.hpp"

namespace tessera::models {
namespace {

io::Json parsed(const char* text) { return io::parse_json(text, "test"); }

// make_rotary_angles.py: parameters, sizes, and what ROPE_INIT_FUNCTIONS makes of them, for short texts and long ones.
TEST(RotaryAngles, AreThoseOfTransformers) {
  const io::Json golden = io::read_json(TESSERA_GOLDENS "/rotary_angles.json");
  int kinds = 0;
  for (const io::Json& c : golden["cases"]) {
    const RotaryBase base{.head_dim = io::get_int(c, "head_dim", 1, 1024),
                          .positions = io::get_int(c, "max_position_embeddings", 1, 1 << 30),
                          .share = 1.0};
    const RotaryAngles a = rotary_angles(c["rope_parameters"], base);
    const auto compare = [&](const std::vector<float>& own, const io::Json& theirs) {
      ASSERT_EQ(own.size(), theirs.size()) << c;
      for (std::size_t i = 0; i < own.size(); ++i)  // its power and its sums may be some units in the last place off
        EXPECT_NEAR(double{own[i]}, theirs[i].get<double>(), 4e-7 * theirs[i].get<double>()) << c << ", " << i;
    };
    compare(a.frequencies, c["frequencies"]);
    EXPECT_NEAR(double{a.scale}, c["scale"].get<double>(), 1e-7);
    if (c.contains("long_frequencies")) {
      compare(a.long_frequencies, c["long_frequencies"]);
      EXPECT_EQ(a.most_places, c["rope_parameters"]["original_max_position_embeddings"].get<index_t>());
    }
    ++kinds;
  }
  EXPECT_GE(kinds, 10);
}

TEST(RotaryAngles, RefusesWhatIsNone) {
  const auto refused = [](Code code, const char* word, const char* text,
                          RotaryBase base = {.head_dim = 8, .positions = 64}) {
    TESSERA_EXPECT_ERROR(code, word, (void)rotary_angles(parsed(text), base));
  };
  refused(Code::kUnsupported, "mrope", R"({"rope_type": "mrope"})");
  refused(Code::kFormat, "no object", "[1]");
  refused(Code::kFormat, "rope_theta", R"({"rope_theta": 0})");
  refused(Code::kFormat, "factor is absent", R"({"rope_type": "linear"})");
  refused(Code::kFormat, "factor is out", R"({"rope_type": "linear", "factor": 0})");
  refused(Code::kFormat, "factor is out", R"({"type": "linear", "factor": -1})");
  refused(Code::kFormat, "equals", R"({"rope_type": "llama3", "factor": 2, "low_freq_factor": 2, "high_freq_factor": 2})");
  refused(Code::kFormat, "list of 4",
          R"({"rope_type": "longrope", "long_factor": [1, 1, 1], "short_factor": [1, 1, 1, 1]})");
  refused(Code::kFormat, "no factor", R"({"rope_type": "longrope", "long_factor": [1, 1, 1, 0]})");
  refused(Code::kFormat, "no factor", R"({"rope_type": "longrope", "long_factor": [1, 1, 1, "x"]})");
  refused(Code::kFormat, "angles that are none", R"({"rope_type": "yarn", "rope_theta": 1, "factor": 2, "beta_fast": 1})");
  refused(Code::kUnsupported, "partial_rotary_factor", R"({"partial_rotary_factor": 0.5})");
  refused(Code::kFormat, "no pairs", "{}", {.head_dim = 7});
  refused(Code::kFormat, "no pairs", R"({"partial_rotary_factor": 0.4})", {.head_dim = 8, .share = 1.0});
}

struct Batch {
  std::vector<index_t> cu;
  std::vector<std::int32_t> places;
  RotaryTables tables(const std::vector<const RotaryAngles*>& kinds) const {
    RaggedBatch b;
    b.cu_seqlens = View<const index_t, 1>(cu.data(), static_cast<index_t>(cu.size()));
    return RotaryTables(kinds, b, View<const std::int32_t, 1>(places.data(), static_cast<index_t>(places.size())));
  }
};

TEST(RotaryTables, HaveARowForEachPlaceThatOccurs) {
  const RotaryAngles global{.frequencies = {1.f, 0.125f}, .scale = 1.5f}, none;
  const Batch batch{{0, 3, 3, 7}, {0, 7, 900000, -3, 0, 7, 8}};
  const RotaryTables tables = batch.tables({&none, &global});
  EXPECT_FALSE(tables.of(0).cos.data);
  EXPECT_FALSE(tables.of(2).cos.data);
  const ops::Rotary r = tables.of(1);
  EXPECT_EQ(r.cos.extent[0], 5);
  for (std::size_t t = 0; t < batch.places.size(); ++t)
    for (index_t j = 0; j < 2; ++j) {
      const double angle = static_cast<double>(batch.places[t]) * double{global.frequencies[static_cast<std::size_t>(j)]};
      EXPECT_NEAR(double{r.cos(tables.rows()[t], j)}, 1.5 * std::cos(angle), 1e-6);
      EXPECT_NEAR(double{r.sin(tables.rows()[t], j)}, 1.5 * std::sin(angle), 1e-6);
    }
  EXPECT_TRUE(batch.tables({&none}).empty());
  EXPECT_TRUE(batch.tables({}).empty());
  TESSERA_EXPECT_ERROR(Code::kBadArgument, "2^20", (Batch{{0, 1}, {1 << 21}}.tables({&global})));
}

TEST(RotaryTables, LongSequencesTurnByAnglesOfTheirOwnWhateverIsBesideThem) {
  const RotaryAngles stretched{.frequencies = {1.f}, .most_places = 4, .long_frequencies = {0.5f}},
      plain{.frequencies = {0.25f}};
  const Batch batch{{0, 4, 9, 11}, {0, 1, 2, 3, 0, 1, 2, 3, 4, 1, 9}};
  const RotaryTables tables = batch.tables({&stretched, &plain});
  for (std::size_t t = 0; t < batch.places.size(); ++t) {
    const double place = static_cast<double>(batch.places[t]);
    EXPECT_NEAR(double{tables.of(0).sin(tables.rows()[t], 0)}, std::sin(t < 4 ? place : place / 2), 1e-6) << t;
    EXPECT_NEAR(double{tables.of(1).sin(tables.rows()[t], 0)}, std::sin(place / 4), 1e-6) << t;
  }
  const RotaryAngles growing{.frequencies = {1.f}, .most_places = 4};
  EXPECT_NO_THROW((void)(Batch{{0, 4}, {0, 1, 2, 3}}.tables({&growing})));
  TESSERA_EXPECT_ERROR(Code::kUnsupported, "5 places", batch.tables({&growing}));
}

TEST(DecoderConfigs, RefuseWhatDoesNotFit) {
  const auto refused = [](Code code, const char* word, const char* text) {
    const io::Json json = parsed(text);
    const std::string type = io::get_string(json, "model_type");
    TESSERA_EXPECT_ERROR(code, word, {
      if (type == "modernbert")
        (void)modern_bert_config(json);
      else if (type.starts_with("gemma"))
        (void)gemma_config(json);
      else
        (void)llama_config(json);
    });
  };
  refused(Code::kFormat, "multiple of num_key_value_heads", R"({"model_type": "llama", "num_key_value_heads": 5})");
  refused(Code::kFormat, "layer_types must be a list",
          R"({"model_type": "qwen2", "num_hidden_layers": 2, "layer_types": ["full_attention"]})");
  refused(Code::kUnsupported, "chunked",
          R"({"model_type": "qwen3", "num_hidden_layers": 1, "layer_types": ["chunked_attention"]})");
  refused(Code::kFormat, "no sliding_window",
          R"({"model_type": "qwen3", "num_hidden_layers": 1, "layer_types": ["sliding_attention"]})");
  refused(Code::kFormat, "sliding_window", R"({"model_type": "mistral", "sliding_window": 0})");
  refused(Code::kFormat, "global_attn_every_n_layers", R"({"model_type": "modernbert", "global_attn_every_n_layers": 0})");
  refused(Code::kFormat, "softcapping", R"({"model_type": "gemma2", "attn_logit_softcapping": -1})");
  refused(Code::kFormat, "softcapping", R"({"model_type": "gemma2", "query_pre_attn_scalar": 0})");
  refused(Code::kUnsupported, "use_bidirectional", R"({"model_type": "gemma2", "use_bidirectional_attention": true})");
}

}  // namespace
}  // namespace tessera::models
