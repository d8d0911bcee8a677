#pragma once
#include <algorithm>

#include <tessera/text/tokenizer.hpp>

namespace tessera::text {

struct Tokenizer::Scratch {
  NormalizedText raw, text;
  std::vector<Piece> pieces;
  std::vector<PieceToken> tokens;
  ModelScratch model;
};

inline std::string_view Tokenizer::checked(std::string_view text, bool replace, std::string& storage) const {
  constexpr std::size_t kMost = std::size_t{1} << 30;  // offsets are 32 bits
  if (text.size() > kMost)
    throw Error(Code::kLimit, "tokenizer: a text of " + std::to_string(text.size()) + " bytes, the limit is 1 GiB");
  std::size_t bad = 0, at = unicode::valid_prefix(text, 0, bad);
  if (at == text.size()) return text;
  if (!replace) throw Error(Code::kBadArgument, "the text is not valid UTF-8 at byte " + std::to_string(at));
  storage.assign(text.substr(0, at));
  while (at < text.size()) {
    storage += "\xef\xbf\xbd";
    const std::size_t next = at + bad, end = unicode::valid_prefix(text, next, bad);
    storage.append(text.substr(next, end - next));
    at = end;
  }
  return storage;
}

// Calls f(id, span of input bytes) for each token: added tokens of the raw text, then, between them, normalisation, added
// tokens of the normalised text, pre-tokenisation, the model.
template <class F>
void Tokenizer::each_token(std::string_view text, bool split_special, Scratch& s, const F& f) const {
  const bool tracked = s.raw.tracked;
  raw_.split(text, split_special, [&](std::size_t begin, std::size_t end, const AddedToken* found) {
    if (found) return f(found->id, Span{static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(end)});
    s.raw.assign(text.substr(begin, end - begin), static_cast<std::uint32_t>(begin));
    if (normalizer_) {
      s.text.tracked = tracked;
      normalizer_->normalize(s.raw, s.text);
    } else {
      std::swap(s.raw, s.text);
      s.raw.tracked = tracked;
    }
    const std::string_view now = s.text.bytes;
    normalized_.split(now, split_special, [&](std::size_t from, std::size_t to, const AddedToken* token) {
      if (token) return f(token->id, s.text.range(from, to));
      s.pieces.clear();
      if (pre_tokenizer_)
        pre_tokenizer_->split(now, from, to, s.pieces);
      else
        s.pieces.push_back({from, to});
      for (const Piece& p : s.pieces) {
        s.tokens.clear();
        model_->tokenize(now.substr(p.begin, p.end - p.begin), s.model, s.tokens);
        for (const PieceToken& t : s.tokens) f(t.id, s.text.range(p.begin + t.begin, p.begin + t.end));
      }
    });
  });
}

inline void Tokenizer::encode_ids(std::string_view text, std::vector<TokenId>& ids, std::int64_t max_length) const {
  std::string storage;
  text = checked(text, false, storage);
  Scratch scratch;
  std::vector<TokenId> own;
  each_token(text, false, scratch, [&](TokenId id, Span) { own.push_back(id); });
  if (max_length > 0) {
    const auto most = static_cast<std::size_t>(max_length), added = post_.added(false);
    if (most < added)
      throw Error(Code::kBadArgument, "tokenizer: max_length " + std::to_string(most) + " leaves no room for the " +
                                          std::to_string(added) + " special tokens");
    const std::size_t keep = most - added;
    if (own.size() > keep) {
      if (truncation_ && truncation_->left)
        own.erase(own.begin(), own.end() - static_cast<std::ptrdiff_t>(keep));
      else
        own.resize(keep);
    }
  }
  for (const PostProcessor::Part& p : post_.single()) {
    const std::vector<TokenId>& part = p.kind == PostProcessor::Part::kSpecial ? p.ids : own;
    if (p.kind != PostProcessor::Part::kSecond) ids.insert(ids.end(), part.begin(), part.end());
  }
}

inline Encoding Tokenizer::tokens_of(std::string_view text, const EncodeOptions& o) const {
  std::string storage;
  text = checked(text, o.replace_invalid, storage);
  Scratch scratch;
  scratch.raw.tracked = true;
  Encoding e;
  each_token(text, o.split_special_tokens, scratch, [&](TokenId id, Span s) { e.push(id, 0, false, {s.begin, s.end}); });
  if (o.bytes) return e;
  // Bytes to code points: the number of characters that begin before.
  std::vector<std::uint32_t> points;
  const bool ascii = std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  if (ascii) return e;
  points.reserve(text.size() + 1);
  std::uint32_t n = 0;
  for (const char c : text) {
    if ((static_cast<unsigned char>(c) & 0xc0u) != 0x80) ++n;
    points.push_back(n - 1);
  }
  points.push_back(n);
  for (auto& [begin, end] : e.offsets) {
    begin = points[static_cast<std::size_t>(begin)];
    end = points[static_cast<std::size_t>(end)];
  }
  return e;
}

inline Encoding Tokenizer::finish_encoding(Encoding first, Encoding* second, const EncodeOptions& o) const {
  if (o.truncation && truncation_)
    truncate_pair(first, second, *truncation_, o.add_special_tokens ? post_.added(second != nullptr) : 0);
  return post_.process(first, second, o.add_special_tokens);
}

inline Encoding Tokenizer::encode(std::string_view text, const EncodeOptions& o) const {
  Encoding e = finish_encoding(tokens_of(text, o), nullptr, o);
  if (o.padding && padding_) pad(e, padded_length({e}, *padding_), *padding_);
  return e;
}

inline Encoding Tokenizer::encode_pair(std::string_view first, std::string_view second, const EncodeOptions& o) const {
  Encoding b = tokens_of(second, o);
  Encoding e = finish_encoding(tokens_of(first, o), &b, o);
  if (o.padding && padding_) pad(e, padded_length({e}, *padding_), *padding_);
  return e;
}

inline std::vector<Encoding> Tokenizer::encode_batch(Context& ctx, std::span<const std::string_view> texts,
                                                     const EncodeOptions& o) const {
  std::vector<Encoding> all(texts.size());
  ctx.parallel_for(static_cast<index_t>(texts.size()), [&](index_t i, int) {
    const auto at = static_cast<std::size_t>(i);
    all[at] = finish_encoding(tokens_of(texts[at], o), nullptr, o);
  });
  if (o.padding && padding_) {
    const std::size_t length = padded_length(all, *padding_);
    for (Encoding& e : all) pad(e, length, *padding_);
  }
  return all;
}

inline void Tokenizer::set_truncation(std::optional<Truncation> t) {
  if (t && t->max_length >= post_.added(false) && t->max_length - post_.added(false) < t->stride)
    throw Error(Code::kBadArgument, "tokenizer: truncation stride " + std::to_string(t->stride) + " is beyond max_length " +
                                        std::to_string(t->max_length) + " minus the " + std::to_string(post_.added(false)) +
                                        " special tokens");
  truncation_ = t;
}

inline std::optional<TokenId> Tokenizer::token_to_id(std::string_view token) const {
  const TokenId id = vocabulary_->find(token);
  return id < 0 ? std::nullopt : std::optional<TokenId>(id);
}

namespace detail {

inline void replace_all(std::string& s, std::string_view what, std::string_view with) {
  std::string out;
  std::size_t at = 0;
  for (std::size_t found; (found = s.find(what, at)) != s.npos; at = found + what.size())
    out.append(s, at, found - at).append(with);
  if (at > 0) s = out.append(s, at);
}

/// The WordPiece decoder's clean-up of one token.
inline void clean_up(std::string& s) {
  static constexpr const char* kRules[][2] = {{" .", "."},   {" ?", "?"},     {" !", "!"},    {" ,", ","},
                                              {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},  {" do not", " don't"},
                                              {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto& rule : kRules) replace_all(s, rule[0], rule[1]);
}

}  // namespace detail

inline std::string Tokenizer::decode(std::span<const TokenId> ids, bool skip_special_tokens) const {
  std::string text;
  bool first = true;
  for (const TokenId id : ids) {
    const std::string_view token = vocabulary_->token(id);
    if (!token.data()) continue;
    if (skip_special_tokens && std::binary_search(special_ids_.begin(), special_ids_.end(), id)) continue;
    const auto changed = normalized_content_.find(id);
    std::string piece(changed == normalized_content_.end() ? token : changed->second);
    if (!decoder_) {
      text.append(first ? "" : " ").append(piece);
    } else {
      if (!first && !decoder_prefix_.empty() && piece.starts_with(decoder_prefix_))
        piece.erase(0, decoder_prefix_.size());
      else if (!first)
        piece.insert(0, " ");
      if (cleanup_) detail::clean_up(piece);
      text += piece;
    }
    first = false;
  }
  return text;
}

}  // namespace tessera::text
