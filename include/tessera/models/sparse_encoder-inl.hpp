#pragma once
#include <algorithm>

#include <tessera/core/fp_mode.hpp>
#include <tessera/io/json.hpp>
#include <tessera/models/pickled_layer.hpp>
#include <tessera/models/sentence_folder.hpp>
#include <tessera/models/sparse_encoder.hpp>
#include <tessera/models/text_backbone-inl.hpp>  // offsets_of, which compiled builds do not declare elsewhere

namespace tessera::models {

inline std::span<const std::int32_t> SparseRows::ids_of(index_t row) const noexcept {
  const auto at = static_cast<std::size_t>(row);
  return std::span<const std::int32_t>(ids).subspan(static_cast<std::size_t>(offsets[at]),
                                                    static_cast<std::size_t>(offsets[at + 1] - offsets[at]));
}
inline std::span<const float> SparseRows::weights_of(index_t row) const noexcept {
  const auto at = static_cast<std::size_t>(row);
  return std::span<const float>(weights).subspan(static_cast<std::size_t>(offsets[at]),
                                                 static_cast<std::size_t>(offsets[at + 1] - offsets[at]));
}

inline float sparse_dot(std::span<const std::int32_t> a_ids, std::span<const float> a, std::span<const std::int32_t> b_ids,
                        std::span<const float> b) noexcept {
  // Products of two floats are exact in double: a compiler that fuses them into the sums changes nothing.
  const FpModeScope mode;
  double sum = 0;
  for (std::size_t i = 0, j = 0; i < a_ids.size() && j < b_ids.size();) {
    if (a_ids[i] == b_ids[j]) sum += static_cast<double>(a[i]) * static_cast<double>(b[j]);
    const std::int32_t id = std::min(a_ids[i], b_ids[j]);
    i += a_ids[i] == id, j += b_ids[j] == id;
  }
  const volatile float result = static_cast<float>(sum);
  return result;
}

inline SparseEncoder SparseEncoder::load(Context& ctx, const std::string& path, const LoadOptions& options) {
  const FpModeScope mode;  // as in load_text_model
  const SentenceFolder folder = SentenceFolder::open(path);
  SparseEncoder e;
  folder.folder.naming([&] { e.read(ctx, folder, options); });
  return e;
}

inline void SparseEncoder::read(Context& ctx, const SentenceFolder& f, const LoadOptions& options) {
  std::vector<std::string> reasons;
  const SentenceFolder::Module* const splade = f.find("SpladePooling");
  const bool lexical = !splade && detail::has_pickled_layer(f.folder, "sparse_linear");
  if (f.listed && !splade && !lexical)
    throw Error(Code::kUnsupported, {f.folder.path("modules.json"),
                                     ": not a sparse model: no SpladePooling behind the "
                                     "transformer, and no sparse_linear.pt beside it"});
  if (splade) {
    if (f.modules.size() != 1 || !f.fill_mask)
      throw Error(Code::kUnsupported, {f.folder.path("modules.json"),
                                       ": expected a transformer for fill-mask and SpladePooling, ", "nothing else"});
    const io::Json json = f.config_of(*splade);
    const std::string pooling = io::get_string(json, "pooling_strategy", "max"),
                      act = io::get_string(json, "activation_function", "relu");
    if ((pooling != "max" && pooling != "sum") || (act != "relu" && act != "log1p_relu"))
      throw Error(Code::kUnsupported, {f.config_path(*splade), ": ", pooling, " of ", act,
                                       " is not supported; known: max and sum of relu and log1p_relu"});
    pooling_ = {pooling == "sum", act == "log1p_relu"};
    reasons.push_back("sparse: " + pooling + " over tokens of log(1 + " + act + "(logits)): " + splade->path +
                      "config.json");
  } else {
    reasons.push_back(lexical ? "sparse: the heaviest token of each id: sparse_linear.safetensors"
                              : "sparse: max over tokens of log(1 + relu(logits)): there is no modules.json");
  }
  base_ = TextBackbone::load(ctx, f, options);
  base_.reasons.insert(base_.reasons.begin(), reasons.begin(), reasons.end());
  if (lexical) {
    read_lexical(ctx, f.folder, options);
  } else {
    head_ = MaskedLmHead::read(ctx, f.inner, base_.model, options);
    vocabulary_ = head_->vocabulary();
  }
}

inline void SparseEncoder::read_lexical(Context& ctx, const io::ModelFolder& folder, const LoadOptions& options) {
  const TransformerConfig& config = base_.model.transformer->config();
  lexical_ = detail::read_pickled_layer(ctx, folder, "sparse_linear", 1, base_.model.transformer->width(), options);
  lexical_.act = Activation::relu;
  vocabulary_ = config.vocab_size;
  // As FlagEmbedding leaves out: the tokens that its tokenizer calls cls, eos, pad and unk.
  const io::Json says = text::detail::read_config(folder.root());
  for (const auto& [key, absent] :
       {std::pair("cls_token", "<s>"), {"eos_token", "</s>"}, {"pad_token", "<pad>"}, {"unk_token", "<unk>"}})
    if (const auto id = base_.tokenizer->token_to_id(text::detail::config_token(says, key, absent)))
      unweighed_.push_back(*id);
}

inline TokenizedTexts SparseEncoder::tokenize(Context& ctx, std::span<const std::string_view> texts,
                                              const SparseOptions& o) const {
  TokenizedTexts t;
  for (const auto& row : base_.ids_of(ctx, texts, base_.prompt_of(o.prompt, o.prompt_name), base_.length_of(o.max_length)))
    t.add(row);
  return t;
}

inline void SparseEncoder::add_row(SparseRows& rows, std::vector<std::pair<std::int32_t, float>> found, index_t top) const {
  if (top > 0 && static_cast<index_t>(found.size()) > top) {
    std::partial_sort(found.begin(), found.begin() + top, found.end(), [](const auto& a, const auto& b) {
      const bool a_nan = a.second != a.second, b_nan = b.second != b.second;  // first, so that a row keeps one
      if (a_nan != b_nan) return a_nan;
      return !a_nan && a.second != b.second ? a.second > b.second : a.first < b.first;
    });
    found.resize(static_cast<std::size_t>(top));
    std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  }
  for (const auto& [id, weight] : found) rows.ids.push_back(id), rows.weights.push_back(weight);
  rows.offsets.push_back(static_cast<index_t>(rows.ids.size()));
}

inline SparseRows SparseEncoder::encode_tokens(Context& ctx, const TokenizedTexts& t, const SparseOptions& o) const {
  const index_t tokens = t.cu_seqlens.back(), c = base_.model.transformer->width();
  SparseRows rows;
  if (t.texts() == 0) return rows;
  const Buffer memory(static_cast<std::size_t>(tokens * c) * sizeof(float));
  const View<float, 2> hidden(memory.as<float>(), tokens, c);
  base_.model.transformer->forward(ctx, t.inputs(), hidden);
  std::vector<std::pair<std::int32_t, float>> found;
  if (!head_) {
    std::vector<float> weights(static_cast<std::size_t>(tokens));
    ops::linear(ctx, hidden, lexical_.linear.weight, {.bias = lexical_.linear.bias, .act = lexical_.act},
                View<float, 2>(weights.data(), tokens, 1));
    for (index_t b = 0; b < t.texts(); ++b) {
      found.clear();
      for (auto i = static_cast<std::size_t>(t.cu_seqlens[static_cast<std::size_t>(b)]);
           i < static_cast<std::size_t>(t.cu_seqlens[static_cast<std::size_t>(b) + 1]); ++i)
        if (!(weights[i] <= 0) && std::find(unweighed_.begin(), unweighed_.end(), t.ids[i]) == unweighed_.end())
          found.emplace_back(t.ids[i], weights[i]);
      // The heaviest of each id first, and a NaN before all.
      std::sort(found.begin(), found.end(), [](const auto& x, const auto& y) {
        return x.first != y.first ? x.first < y.first
                                  : x.second > y.second || (x.second != x.second && y.second == y.second);
      });
      found.erase(std::unique(found.begin(), found.end(), [](const auto& x, const auto& y) { return x.first == y.first; }),
                  found.end());
      add_row(rows, found, o.top);
    }
    return rows;
  }
  const Buffer transformed(static_cast<std::size_t>(tokens * head_->width()) * sizeof(float));
  const View<float, 2> x(transformed.as<float>(), tokens, head_->width());
  head_->transform.run(ctx, hidden, x);
  // Not all texts at once: a row of the vocabulary is long, and a text may be short.
  const index_t most = std::max<index_t>(1, (index_t{1} << 24) / vocabulary_);
  std::vector<float> dense(static_cast<std::size_t>(std::min(most, t.texts()) * vocabulary_));
  for (index_t b0 = 0; b0 < t.texts(); b0 += most) {
    const TokenizedTexts part = t.slice(b0, std::min(b0 + most, t.texts()));
    const index_t first = t.cu_seqlens[static_cast<std::size_t>(b0)];
    const View<float, 2> weights(dense.data(), part.texts(), vocabulary_);
    ops::splade(ctx, x.slice(first, first + part.cu_seqlens.back()), detail::offsets_of(part.cu_seqlens), head_->decoder,
                View<const float, 1>(head_->bias.data(), vocabulary_), pooling_, weights);
    for (index_t b = 0; b < part.texts(); ++b) {
      found.clear();
      for (index_t v = 0; v < vocabulary_; ++v)
        if (!(weights(b, v) <= 0)) found.emplace_back(static_cast<std::int32_t>(v), weights(b, v));
      add_row(rows, found, o.top);
    }
  }
  return rows;
}

inline SparseRows SparseEncoder::encode(Context& ctx, std::span<const std::string_view> texts,
                                        const SparseOptions& o) const {
  const TokenizedTexts all = tokenize(ctx, texts, o);
  SparseRows rows;
  all.for_batches(o.batch_tokens, [&](index_t b, index_t end) {
    const SparseRows part = encode_tokens(ctx, all.slice(b, end), o);
    for (index_t i = 0; i < part.rows(); ++i) {
      for (const float w : part.weights_of(i))
        if (!(w - w == 0))
          throw Error(Code::kNonFinite, {"sparse embedding: that of text ", std::to_string(b + i), " is not finite"});
      rows.offsets.push_back(rows.offsets.back() + static_cast<index_t>(part.ids_of(i).size()));
    }
    rows.ids.insert(rows.ids.end(), part.ids.begin(), part.ids.end());
    rows.weights.insert(rows.weights.end(), part.weights.begin(), part.weights.end());
  });
  return rows;
}

}  // namespace tessera::models
