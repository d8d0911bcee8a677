#pragma once
#include <algorithm>
#include <string_view>

#include <tessera/core/fp_mode.hpp>
#include <tessera/io/json.hpp>
#include <tessera/models/multi_vector_encoder.hpp>
#include <tessera/models/pickled_layer.hpp>
#include <tessera/models/sentence_folder-inl.hpp>  // modules of tokens, which compiled builds do not declare elsewhere
#include <tessera/ops/norm.hpp>
#include <tessera/text/tokenizer_config-inl.hpp>  // special tokens, likewise

namespace tessera::models {

namespace detail {

inline constexpr const char* kMultiVectorFile = "config_sentence_transformers.json";

inline bool has_architecture(const io::ModelFolder& folder, const char* name) {
  if (!folder.has("config.json")) return false;
  const io::Json config = folder.json("config.json");
  const io::Json& all = io::member(config, "architectures");
  return all.is_array() && std::find(all.begin(), all.end(), name) != all.end();
}

/// PyLate's knobs lie in config_sentence_transformers.json, and mean something only beside one another.
inline bool is_pylate(const io::Json& saved) {
  for (const char* key : {"query_prefix", "document_prefix", "query_length", "document_length", "do_query_expansion",
                          "attend_to_expansion_tokens", "skiplist_words"})
    if (io::has(saved, key)) return true;
  return false;
}

inline io::Json punctuation() {
  io::Json words = io::empty_list();
  for (char c = '!'; c <= '~'; ++c)
    if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'))) words.push_back(std::string(1, c));
  return words;
}

/// What artifact.metadata of the authors' code says, as PyLate would say it.
inline io::Json stanford_knobs(const io::ModelFolder& folder) {
  const io::Json said = folder.has("artifact.metadata") ? folder.json("artifact.metadata") : io::empty_object();
  const auto token = [&](const char* key, const char* absent) {
    const io::Json& v = io::member(said, key);
    return (v.is_string() && !v.get_ref<const std::string&>().empty() ? v.get<std::string>() : absent) + std::string(" ");
  };
  io::Json knobs = io::empty_object();
  knobs["query_prefix"] = token("query_token_id", "[unused0]");
  knobs["document_prefix"] = token("doc_token_id", "[unused1]");
  for (const auto& [from, to] : {std::pair("query_maxlen", "query_length"), {"doc_maxlen", "document_length"}})
    if (const io::Json& v = io::member(said, from); !v.is_null()) knobs[to] = v;
  knobs["attend_to_expansion_tokens"] = io::get_bool(said, "attend_to_mask_tokens", false);
  if (!io::get_bool(said, "mask_punctuation", true)) knobs["skiplist_words"] = io::empty_list();
  return knobs;
}

}  // namespace detail

inline bool MultiVectorEncoder::is_one(const SentenceFolder& f) {
  const io::Json& type = io::member(f.saved, "model_type");
  if (f.listed) return f.find("MultiVectorMask") || type == "ColBERT" || type == "MultiVectorEncoder";
  return detail::has_architecture(f.folder, "HF_ColBERT");
}

inline MultiVectorEncoder MultiVectorEncoder::load(Context& ctx, const std::string& path, const LoadOptions& options) {
  const FpModeScope mode;  // as in load_text_model
  const SentenceFolder folder = SentenceFolder::open(path);
  MultiVectorEncoder e;
  folder.folder.naming([&] { e.read(ctx, folder, options); });
  return e;
}

inline void MultiVectorEncoder::read(Context& ctx, const SentenceFolder& f, const LoadOptions& options) {
  const bool stanford = !f.listed && detail::has_architecture(f.folder, "HF_ColBERT");
  const bool pickled = !is_one(f) && detail::has_pickled_layer(f.folder, "colbert_linear");
  if (!is_one(f) && !pickled)
    throw Error(
        Code::kUnsupported,
        {f.folder.root(), ": not a model with an embedding a token: no MultiVectorMask among the modules, model_type of ",
         detail::kMultiVectorFile, " is not ColBERT, no architecture HF_ColBERT, no colbert_linear.pt"});
  base_ = TextBackbone::load(ctx, f, options);
  for (RoleTokens& r : roles_) r.length = base_.max_length;
  std::vector<std::int32_t> empty, letter;
  base_.tokenizer->encode_ids("", empty, 0), base_.tokenizer->encode_ids("a", letter, 0);
  marked_at_ = !empty.empty() && letter.front() == empty.front();
  std::string head;
  if (pickled) {
    Projection p;
    p.layer = detail::read_pickled_layer(ctx, f.folder, "colbert_linear", -1, base_.model.transformer->width(), options);
    p.in = p.layer.linear.weight.k(), p.out = p.layer.linear.weight.n();
    projections_.push_back(std::move(p));
    first_row_ = 1;
    head = "colbert_linear.safetensors";
  } else if (stanford) {
    read_projection_of_checkpoint(ctx, f, options);
    const io::Json knobs = detail::stanford_knobs(f.folder);
    read_marker(TextRole::query, io::get_string(knobs, "query_prefix"));
    read_marker(TextRole::document, io::get_string(knobs, "document_prefix"));
    skip(TextRole::document, io::has(knobs, "skiplist_words") ? knobs["skiplist_words"] : detail::punctuation());
    read_knobs(knobs, f.folder.path("artifact.metadata"), f.inner.root());
    head = "linear.weight, artifact.metadata";
  } else {
    read_saved(ctx, f, options);
    head = "modules.json, " + std::string(detail::kMultiVectorFile);
  }
  index_t d = base_.model.transformer->width();
  std::string steps;
  for (const Projection& p : projections_) {
    if (p.in != d)
      throw Error(Code::kShapeMismatch, {"a Dense module of this model takes ", std::to_string(p.in),
                                         " numbers, what comes before it gives ", std::to_string(d)});
    d = p.out;
    steps += ", Dense " + shown(p);
  }
  dim_ = d;
  base_.reasons.insert(base_.reasons.begin(), "an embedding a token" + steps + (unit_ ? ", unit length" : "") + ": " + head);
  for (RoleTokens& r : roles_) {
    if (r.length > base_.model.max_length) r.length = base_.model.max_length;
    if (r.expanded > base_.model.max_length)
      throw Error(Code::kUnsupported, {"queries are filled up to ", std::to_string(r.expanded),
                                       " tokens, the model has positions for ", std::to_string(base_.model.max_length)});
  }
}

inline void MultiVectorEncoder::read_projection_of_checkpoint(Context& ctx, const SentenceFolder& f,
                                                              const LoadOptions& options) {
  TensorSource source(ctx, f.folder.checkpoint(), {""}, "linear.weight", options);
  Projection p;
  p.layer = dense_layer(ctx, source, "linear", source.matrix({"linear.weight"}));
  p.layer.linear.bias = {};  // the authors' layer has none
  p.in = p.layer.linear.weight.k(), p.out = p.layer.linear.weight.n();
  projections_.push_back(std::move(p));
}

inline void MultiVectorEncoder::read_saved(Context& ctx, const SentenceFolder& f, const LoadOptions& options) {
  const io::Json& saved = f.saved;
  const bool pylate = io::member(saved, "model_type") == "ColBERT";
  const auto prompt = [&](std::initializer_list<const char*> names) {
    for (const char* name : names)
      if (const auto at = base_.prompts.find(name); at != base_.prompts.end()) return at->second;
    return std::string();
  };
  role(TextRole::query).prefix = prompt({"query"});
  role(TextRole::document).prefix = prompt({"document", "passage", "corpus"});
  for (const auto& [key, r] : {std::pair("query_prefix", TextRole::query), {"document_prefix", TextRole::document}})
    if (io::has(saved, key)) {
      const std::string rest = role(r).prefix, prefix = io::get_string(saved, key, "");
      read_marker(r, prefix + (rest.starts_with(prefix) ? rest.substr(prefix.size()) : rest));
    }
  unit_ = pylate;
  for (const SentenceFolder::Module& m : f.modules) {
    if (m.type == "Dense") {
      Projection p = read_projection(ctx, f, m, options, true);
      if (!p.of_tokens) throw Error(Code::kUnsupported, {f.config_path(m), ": a Dense of sentences in a model of tokens"});
      projections_.push_back(std::move(p));
    } else if (m.type == "Normalize") {
      if (!detail::is_of_tokens(f.config_of(m), f.config_path(m), false))
        throw Error(Code::kUnsupported, {f.folder.path("modules.json"), ": Normalize of sentences in a model of tokens"});
      unit_ = true;
    } else if (m.type == "MultiVectorMask") {
      const io::Json json = f.config_of(m);
      if (const io::Json& only = io::member(json, "keep_only_token_ids"); !only.is_null() && !only.empty())
        throw Error(Code::kUnsupported, {f.config_path(m), ": keep_only_token_ids is not supported"});
      const io::Json& tasks = io::member(json, "skiplist_tasks");
      const auto listed = [&](const char* task) {
        return tasks == task || (tasks.is_array() && std::find(tasks.begin(), tasks.end(), task) != tasks.end());
      };
      if (tasks.is_null() || listed("document")) skip(TextRole::document, io::member(json, "skiplist_words"));
      if (listed("query")) skip(TextRole::query, io::member(json, "skiplist_words"));
    } else if (m.type != "Dropout") {
      throw Error(Code::kUnsupported,
                  {f.folder.path("modules.json"), ": module '", m.type, "' is not supported in a model with an ",
                   "embedding a token; known: Transformer, Dense, MultiVectorMask, Normalize, Dropout"});
    }
  }
  if (pylate) {
    const io::Json& words = io::member(saved, "skiplist_words");
    skip(TextRole::document, words.is_array() ? words : detail::punctuation());
  }
  if (detail::is_pylate(saved)) return read_knobs(saved, f.folder.path(detail::kMultiVectorFile), f.inner.root());
  io::Json knobs = io::empty_object();
  if (f.limits) {
    for (const char* key : {"query_length", "document_length", "query_expansion"})
      if (io::has(*f.limits, key)) knobs[key] = (*f.limits)[key];
  }
  if (!io::has(knobs, "query_expansion")) knobs["query_expansion"] = nullptr;
  read_knobs(knobs, f.folder.path("sentence_bert_config.json"), f.inner.root());
}

// By the rules of sentence-transformers' _parse_model_config: PyLate's query_length is what queries are filled up to.
inline void MultiVectorEncoder::read_knobs(const io::Json& knobs, const std::string& file, const std::string& tokenizer) {
  RoleTokens &query = role(TextRole::query), &document = role(TextRole::document);
  const auto length = [&](const char* key, index_t absent) {
    return io::member(knobs, key).is_null() ? absent : io::get_int(knobs, key, 1, 1 << 24);
  };
  document.length = length("document_length", document.length);
  std::string token;
  if (io::has(knobs, "query_expansion")) {
    query.length = length("query_length", query.length);
    const io::Json& e = knobs["query_expansion"];
    if (e.is_null()) return;
    const std::string strategy = io::get_string(e, "strategy");
    if (strategy != "fixed" && strategy != "min")
      throw Error(Code::kUnsupported, {file, ": query_expansion of strategy '", strategy, "' is not supported"});
    query.expanded = io::get_int(e, "length", 1, 1 << 24);
    query.cuts = strategy == "fixed", query.attended = io::get_bool(e, "attend", false);
    if (!io::member(e, "token").is_null()) token = io::get_string(e, "token");
  } else if (!io::get_bool(knobs, "do_query_expansion", true)) {
    query.length = length("query_length", query.length);
    return;
  } else {
    query.expanded = length("query_length", 32);
    for (const char* key : {"attend_to_mask_tokens", "attend_to_expansion_tokens"})
      if (const io::Json& v = io::member(knobs, key); v.is_boolean()) query.attended = v.get<bool>();
  }
  if (query.cuts) query.length = query.expanded;
  const io::Json says = text::detail::read_config(tokenizer);
  if (token.empty())
    token = text::detail::config_token(says, "mask_token", base_.tokenizer->token_to_id("[MASK]") ? "[MASK]" : "");
  if (token.empty()) token = text::detail::config_token(says, "eos_token", "");
  const auto id = base_.tokenizer->token_to_id(token);
  if (!id) throw Error(Code::kFormat, {file, ": queries are filled up with '", token, "', which the tokenizer has not"});
  query.expansion = *id;
}

inline void MultiVectorEncoder::read_marker(TextRole r, const std::string& prefix) {
  const std::size_t space = prefix.find_first_of(" \t\n");
  RoleTokens& tokens = role(r);
  tokens.prefix = prefix;
  for (const std::size_t size : {prefix.size(), space})  // PyLate's "[Q] " is a token with its space
    if (size != prefix.npos && size > 0)
      if (const auto id = base_.tokenizer->token_to_id(prefix.substr(0, size))) {
        tokens.marker = *id, tokens.prefix = prefix.substr(size);
        return;
      }
}

inline void MultiVectorEncoder::skip(TextRole r, const io::Json& words) {
  for (const io::Json& word : words)
    if (const auto id = word.is_string() ? base_.tokenizer->token_to_id(word.get<std::string>()) : std::nullopt)
      role(r).skipped.push_back(*id);
}

inline TokenizedTexts MultiVectorEncoder::tokenize(Context& ctx, std::span<const std::string_view> texts, TextRole r,
                                                   const MultiVectorOptions& o) const {
  const RoleTokens& tokens = tokens_of(r);
  index_t most = base_.length_of(o.max_length > 0 ? o.max_length : tokens.length);
  if (tokens.expanded > 0 && tokens.cuts) most = tokens.expanded;
  const bool marked = tokens.marker >= 0;
  if (marked && most < 2) throw Error(Code::kBadArgument, "max length 1: no room for the marker of queries and documents");
  TokenizedTexts t;
  for (auto& row : base_.ids_of(ctx, texts, tokens.prefix, most - marked)) {
    if (marked) row.insert(row.begin() + std::min<index_t>(marked_at_, static_cast<index_t>(row.size())), tokens.marker);
    const auto missing = std::max<index_t>(0, tokens.expanded - static_cast<index_t>(row.size()));
    row.insert(row.end(), static_cast<std::size_t>(missing), tokens.expansion);
    t.add(row);
    t.added_tokens.push_back(missing);
  }
  return t;
}

inline TokenEmbeddings MultiVectorEncoder::encode_tokens(Context& ctx, const TokenizedTexts& t, TextRole r) const {
  const RoleTokens& role = tokens_of(r);
  const index_t all = t.cu_seqlens.back(), c = base_.model.transformer->width();
  TokenEmbeddings e;
  e.dim = dim_;
  if (t.texts() == 0) return e;
  std::vector<float> rows(static_cast<std::size_t>(all * c)), next, key_weights;
  TokenInputs in = t.inputs();
  if (role.expanded > 0 && !role.attended) {
    constexpr float kNothing = 0x1p-126f;
    for (index_t b = 0; b < t.texts(); ++b) {
      const auto at = static_cast<std::size_t>(b);
      key_weights.resize(static_cast<std::size_t>(t.cu_seqlens[at + 1] - t.added_tokens[at]), 1.f);
      key_weights.resize(static_cast<std::size_t>(t.cu_seqlens[at + 1]), kNothing);
    }
    in.batch.key_weights = View<const float, 1>(key_weights.data(), all);
  }
  base_.model.transformer->forward(ctx, in, View<float, 2>(rows.data(), all, c));
  std::size_t kept = 0;
  for (index_t b = 0; b < t.texts(); ++b) {
    const auto at = static_cast<std::size_t>(b);
    for (auto i = static_cast<std::size_t>(t.cu_seqlens[at] + first_row_);
         i < static_cast<std::size_t>(t.cu_seqlens[at + 1]); ++i) {
      if (std::find(role.skipped.begin(), role.skipped.end(), t.ids[i]) != role.skipped.end()) continue;
      std::copy_n(rows.begin() + static_cast<index_t>(i) * c, c, rows.begin() + static_cast<index_t>(kept++) * c);
      e.ids.push_back(t.ids[i]);
    }
    e.offsets.push_back(static_cast<index_t>(kept));
  }
  const auto n = static_cast<index_t>(kept);
  index_t width = c;
  for (const Projection& p : projections_) {
    next.resize(static_cast<std::size_t>(n * p.out));
    if (n > 0) apply(ctx, p, View<const float, 2>(rows.data(), n, width), View<float, 2>(next.data(), n, p.out));
    rows.swap(next), width = p.out;
  }
  rows.resize(static_cast<std::size_t>(n * width));
  const View<float, 2> made(rows.data(), n, width);
  if (unit_ && n > 0) ops::l2_normalize(ctx, made, made);
  e.values = std::move(rows);
  return e;
}

inline TokenEmbeddings MultiVectorEncoder::encode(Context& ctx, std::span<const std::string_view> texts, TextRole r,
                                                  const MultiVectorOptions& o) const {
  const TokenizedTexts tokens = tokenize(ctx, texts, r, o);
  TokenEmbeddings e;
  e.dim = dim_;
  tokens.for_batches(o.batch_tokens, [&](index_t b, index_t end) {
    const TokenEmbeddings part = encode_tokens(ctx, tokens.slice(b, end), r);
    for (index_t i = 0; i < part.texts(); ++i) {
      const index_t from = part.offsets[static_cast<std::size_t>(i)], to = part.offsets[static_cast<std::size_t>(i) + 1];
      if (!ops::all_finite(ctx, View<const float, 1>(part.values.data() + from * dim_, (to - from) * dim_)))
        throw Error(Code::kNonFinite, {"token embeddings: those of text ", std::to_string(b + i), " are not finite"});
      e.offsets.push_back(e.offsets.back() + to - from);
    }
    e.values.insert(e.values.end(), part.values.begin(), part.values.end());
    e.ids.insert(e.ids.end(), part.ids.begin(), part.ids.end());
  });
  return e;
}

}  // namespace tessera::models
