#pragma once
#include <algorithm>
#include <future>

#include <tessera/core/fp_mode.hpp>
#include <tessera/models/auto_model.hpp>
#include <tessera/models/families/clip_text.hpp>
#include <tessera/models/sentence_folder.hpp>
#include <tessera/models/text_backbone.hpp>
#include <tessera/text/tokenizer_config-inl.hpp>  // pad_token, which compiled builds do not declare elsewhere

namespace tessera::models {

namespace detail {

inline View<const index_t, 1> offsets_of(const std::vector<index_t>& cu) {
  return View<const index_t, 1>(cu.data(), static_cast<index_t>(cu.size()));
}

/// Tokens that a text is cut to by what the folder says, of `most` that the model has positions for. \param why what says
/// it.
inline index_t length_limit(const io::ModelFolder& folder, const std::optional<io::Json>& limits, index_t most,
                            std::string* why = nullptr) {
  index_t length = most;
  std::string by = "the model's positions";
  if (limits && !io::member(*limits, "max_seq_length").is_null()) {
    length = io::get_int(*limits, "max_seq_length", 1, std::int64_t{1} << 40);
    by = "max_seq_length of the folder";
  } else if (folder.has("tokenizer_config.json")) {
    const double said = io::get_number(folder.json("tokenizer_config.json"), "model_max_length", 1e30);  // 1e30: no limit
    if (said < static_cast<double>(most))
      length = static_cast<index_t>(said), by = "model_max_length of tokenizer_config.json";
  }
  if (why) *why = length > most ? "the model's positions" : by;
  return std::min(length, most);
}

}  // namespace detail

inline TextBackbone TextBackbone::load(Context& ctx, const SentenceFolder& f, const LoadOptions& options) {
  TextBackbone b;
  text::LoadOptions text_options;
  if (f.limits && io::get_bool(*f.limits, "do_lower_case", false)) {
    text_options.lowercase = true;
    b.reasons.push_back("texts are put in lower case: do_lower_case of the folder");
  }
  // What the tokenizer class of SigLIP 2 does, whatever tokenizer.json says.
  if (f.inner.has("config.json") && is_siglip2(f.inner.json("config.json"))) text_options.lowercase = true;
  // Read while the weights are: of a small model it is half of the time.
  std::future<text::Tokenizer> tokenizer =
      std::async(ctx.has_own_threads() ? std::launch::async | std::launch::deferred : std::launch::deferred, [&] {
        const FpModeScope own_mode;
        return text::Tokenizer::load(f.inner.root(), text_options);
      });
  b.model = load_text_model(ctx, f.inner, options);
  b.tokenizer = std::make_unique<text::Tokenizer>(tokenizer.get());
  std::string why;
  b.max_length = detail::length_limit(f.inner, f.limits, b.model.max_length, &why);
  b.reasons.push_back("texts are cut to " + std::to_string(b.max_length) + " tokens: " + why);
  if (const io::Json& said = io::member(f.saved, "prompts"); said.is_object())
    for (const auto& [name, prompt] : said.items())
      if (prompt.is_string()) b.prompts[name] = prompt.get<std::string>();
  if (const io::Json& name = io::member(f.saved, "default_prompt_name"); name.is_string())
    b.default_prompt = name.get<std::string>();
  if (!b.default_prompt.empty())
    b.reasons.push_back("prompt " + b.default_prompt + " unless another is asked for: default_prompt_name of the folder");
  return b;
}

inline std::string TextBackbone::prompt_of(const std::optional<std::string>& prompt, const std::string& asked) const {
  if (prompt) return *prompt;
  const std::string& name = asked.empty() ? default_prompt : asked;
  if (name.empty()) return {};
  const auto found = prompts.find(name);
  if (found != prompts.end()) return found->second;
  std::string known;
  for (const auto& [key, value] : prompts) known += (known.empty() ? "" : ", ") + key;
  throw Error(Code::kBadArgument,
              {"prompt '", name, "' is not one of the model's: ", (known.empty() ? "it has none" : known)});
}

inline index_t TextBackbone::length_of(index_t asked) const {
  const index_t most = asked > 0 ? asked : max_length;
  if (most > model.max_length)
    throw Error(Code::kBadArgument, {"max length ", std::to_string(most), ": this model has positions for ",
                                     std::to_string(model.max_length), " tokens"});
  return most;
}

inline std::vector<std::vector<std::int32_t>> TextBackbone::ids_of(Context& ctx, std::span<const std::string_view> texts,
                                                                   const std::string& prompt, index_t most) const {
  const auto n = static_cast<index_t>(texts.size());
  std::vector<std::vector<std::int32_t>> ids(texts.size());
  constexpr index_t kChunk = 16;
  ctx.parallel_for((n + kChunk - 1) / kChunk, [&](index_t chunk, int) {
    std::string joined;
    for (index_t i = chunk * kChunk; i < n && i < (chunk + 1) * kChunk; ++i) {
      const auto at = static_cast<std::size_t>(i);
      std::string_view text = texts[at];
      if (!prompt.empty()) text = joined.assign(prompt).append(text);
      try {
        tokenizer->encode_ids(text, ids[at], most);
      } catch (const Error& e) {
        throw Error(e.code(), {"text ", std::to_string(i), ": ", e.what()});
      }
    }
  });
  return ids;
}

inline TokenizedTexts TokenizedTexts::slice(index_t begin, index_t end) const {
  const auto at = [&](index_t i) { return cu_seqlens[static_cast<std::size_t>(i)]; };
  TokenizedTexts part;
  part.ids.assign(ids.begin() + at(begin), ids.begin() + at(end));
  for (index_t i = begin + 1; i <= end; ++i) part.cu_seqlens.push_back(at(i) - at(begin));
  if (!prompt_tokens.empty()) part.prompt_tokens.assign(prompt_tokens.begin() + begin, prompt_tokens.begin() + end);
  if (!added_tokens.empty()) part.added_tokens.assign(added_tokens.begin() + begin, added_tokens.begin() + end);
  return part;
}

inline TokenInputs TokenizedTexts::inputs() const {
  TokenInputs in;
  in.ids = View<const std::int32_t, 1>(ids.data(), cu_seqlens.back());
  in.batch.cu_seqlens = detail::offsets_of(cu_seqlens);
  return in;
}

}  // namespace tessera::models
