// Late interaction of a text and an image: how near each token of one is to each patch of the other.
#pragma once
#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>
#include <vector>

#include <tessera/models/dual_encoder.hpp>
#include <tessera/ops/gemm.hpp>
#include <tessera/ops/maxsim.hpp>
#include <tessera/ops/norm.hpp>

namespace tool {

using tessera::index_t;

/// Vectors of unit length in the common space of a model of images and texts.
struct UnitRows {
  index_t rows = 0, dim = 0;
  std::vector<float> values;  ///< [rows, dim]

  tessera::View<float, 2> view() { return tessera::View<float, 2>(values.data(), rows, dim); }
  tessera::View<const float, 2> view() const { return tessera::View<const float, 2>(values.data(), rows, dim); }
};

/// The tokens of a text; special ones and padding take part in the forward pass and have no row here, as in FILIP.
struct TextTokens {
  std::vector<std::string> names;  ///< as the tokenizer writes them
  std::vector<std::string> texts;  ///< as one reads them
  UnitRows rows;
};

/// The patches of an image, from the top, from the left.
struct ImagePatches {
  index_t height = 0, width = 0;  ///< of the grid
  UnitRows rows;
};

namespace detail {

/// Sequences of one token each: [0, 1, ..., n].
inline std::vector<index_t> each_alone(index_t n) {
  std::vector<index_t> cu;
  for (index_t i = 0; i <= n; ++i) cu.push_back(i);
  return cu;
}
inline tessera::View<const index_t, 1> view_of(const std::vector<index_t>& cu) {
  return tessera::View<const index_t, 1>(cu.data(), static_cast<index_t>(cu.size()));
}

}  // namespace detail

/// What the model's own head makes of each token's last hidden state, as if that token alone were pooled, of unit length:
/// for CLIP and SigLIP the text projection of each. \throws Error as TextEncoder::tokenize(), kUnsupported for a text model
/// alone. Source: Yao et al., FILIP, arXiv:2111.07783, section 3.1, whose models were trained for it; CLIP and SigLIP were
/// not.
inline TextTokens embed_each_token(tessera::Context& ctx, const tessera::models::TextEncoder& encoder,
                                   std::string_view text) {
  using namespace tessera;
  const models::TextModel& model = encoder.model();
  if (!model.head) throw Error(Code::kUnsupported, "this model has no space of images and texts");
  const models::TokenizedTexts all = encoder.tokenize(ctx, {&text, 1});
  const index_t n = all.cu_seqlens.back(), c = model.transformer->config().block.channels;
  std::vector<float> hidden(static_cast<std::size_t>(n * c));
  models::TokenInputs in;
  in.ids = View<const std::int32_t, 1>(all.ids.data(), n);
  in.batch.cu_seqlens = detail::view_of(all.cu_seqlens);
  model.transformer->forward(ctx, in, View<float, 2>(hidden.data(), n, c));

  const text::Encoding plain = encoder.tokenizer().encode(text, {.truncation = false, .padding = false});
  const auto added = [&](std::int32_t id) {
    if (id == model.head->pad) return true;
    for (std::size_t i = 0; i < plain.size(); ++i)
      if (plain.special_tokens_mask[i] != 0 && plain.ids[i] == id) return true;
    return false;
  };
  TextTokens t;
  std::vector<std::int32_t> ids;
  std::vector<float> own;
  for (index_t i = 0; i < n; ++i) {
    const std::int32_t id = all.ids[static_cast<std::size_t>(i)];
    if (added(id)) continue;
    ids.push_back(id);
    own.insert(own.end(), hidden.data() + i * c, hidden.data() + (i + 1) * c);
    t.names.emplace_back(encoder.tokenizer().id_to_token(id));
    t.texts.push_back(encoder.tokenizer().decode({&id, 1}, false));
  }
  t.rows.rows = static_cast<index_t>(ids.size()), t.rows.dim = model.head->projection.linear.weight.n();
  t.rows.values.resize(static_cast<std::size_t>(t.rows.rows * t.rows.dim));
  if (ids.empty()) return t;
  const std::vector<index_t> cu = detail::each_alone(t.rows.rows);
  model.embed(ctx, View<const float, 2>(own.data(), t.rows.rows, c), View<const std::int32_t, 1>(ids.data(), t.rows.rows),
              detail::view_of(cu), t.rows.view());
  ops::l2_normalize(ctx, t.rows.view(), t.rows.view());
  return t;
}

/// The same of each patch: for CLIP the visual projection of its normalised state (post_layernorm), for SigLIP what the
/// attention pool gives where that patch is all there is to attend to. \throws Error as ImageModel::forward().
inline ImagePatches embed_each_patch(tessera::Context& ctx, const tessera::models::ImageModel& model,
                                     const tessera::ops::Pixels& image) {
  using namespace tessera;
  const ops::PatchGrid grid = ops::patch_grid(model.patch, {&image, 1});
  const index_t n = grid.tokens(), c = model.channels();
  std::vector<float> hidden(static_cast<std::size_t>((model.prefix_tokens + n) * c));
  const View<float, 2> states(hidden.data(), model.prefix_tokens + n, c);
  model.forward(ctx, {&image, 1}, states);
  ImagePatches p{grid.height, grid.width, {n, model.dim(), std::vector<float>(static_cast<std::size_t>(n * model.dim()))}};
  const std::vector<index_t> cu = detail::each_alone(n);
  model.embed(ctx, states.slice(model.prefix_tokens, model.prefix_tokens + n), detail::view_of(cu), p.rows.view());
  ops::l2_normalize(ctx, p.rows.view(), p.rows.view());
  return p;
}

/// MaxSim of a text and an image, with all that it is the largest of.
struct PatchMaps {
  float score = 0;            ///< sum over the tokens of the largest value of each
  std::vector<index_t> best;  ///< the patch that has it, of equal ones the first
  std::vector<float> values;  ///< [tokens, patches], inner products

  float value(std::size_t token) const {
    return values[token * (values.size() / best.size()) + static_cast<std::size_t>(best[token])];
  }
};

/// \throws Error kNonFinite where an embedding holds NaN or infinity.
inline PatchMaps patch_maps(tessera::Context& ctx, const UnitRows& tokens, const UnitRows& patches) {
  using namespace tessera;
  const PackedWeight packed = ops::pack_weight(ctx, patches.view());
  PatchMaps m;
  m.values.resize(static_cast<std::size_t>(tokens.rows * patches.rows));
  if (tokens.rows > 0)
    ops::linear(ctx, tokens.view(), packed, {}, View<float, 2>(m.values.data(), tokens.rows, patches.rows));
  if (!std::all_of(m.values.begin(), m.values.end(), [](float v) { return std::isfinite(v); }))
    throw Error(Code::kNonFinite, "an embedding of a token or a patch holds NaN or infinity");
  const index_t cu_q[] = {0, tokens.rows}, cu_d[] = {0, patches.rows};
  std::vector<std::int32_t> best(static_cast<std::size_t>(tokens.rows));
  ops::maxsim(ctx, tokens.view(), View<const index_t, 1>(cu_q, 2), packed, View<const index_t, 1>(cu_d, 2),
              View<float, 2>(&m.score, 1, 1), View<std::int32_t, 2>(best.data(), tokens.rows, index_t{1}));
  m.best.assign(best.begin(), best.end());
  return m;
}

}  // namespace tool
