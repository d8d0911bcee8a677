#pragma once
#include <algorithm>
#include <mutex>

#include <tessera/text/piece_cache.hpp>
#include <tessera/text/pre_tokenizer-inl.hpp>  // what compiled builds do not declare elsewhere
#include <tessera/text/tokenizer.hpp>

namespace tessera::text {

struct Tokenizer::Scratch {
  NormalizedText raw, text;
  PreTokens pre;
  PieceCache cache;
  std::vector<PieceToken> tokens;
  ModelScratch model;
};

struct Tokenizer::ScratchPool {
  std::mutex mutex;
  std::vector<std::unique_ptr<Scratch>> idle;
};

/// Scratch for the length of a call.
class Tokenizer::Lease {
 public:
  explicit Lease(ScratchPool& pool) : pool_(pool) {
    const std::lock_guard lock(pool_.mutex);
    if (pool_.idle.empty()) {
      scratch_ = std::make_unique<Scratch>();
    } else {
      scratch_ = std::move(pool_.idle.back());
      pool_.idle.pop_back();
    }
  }
  ~Lease() {
    // What a huge text made grow is not kept.
    if (scratch_->raw.bytes.capacity() + scratch_->text.bytes.capacity() > std::size_t{8} << 20) return;
    const std::lock_guard lock(pool_.mutex);
    if (pool_.idle.size() < 64) pool_.idle.push_back(std::move(scratch_));
  }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  Scratch& operator*() const noexcept { return *scratch_; }

 private:
  ScratchPool& pool_;
  std::unique_ptr<Scratch> scratch_;
};

namespace detail {

/// Characters of white space, the byte-level blank among them, at both ends of a token.
inline std::array<std::uint32_t, 2> blanks(std::string_view token) {
  std::array<std::uint32_t, 2> count{};
  const auto blank = [](unicode::CodePoint c) { return c == 0x120 || unicode::is(c, unicode::kWhitespace); };
  for (std::size_t i = 0, n = 0; i < token.size() && blank(unicode::decode(token, i, n)); i += n) ++count[0];
  for (std::size_t i = token.size(), n = 0; i > 0 && blank(unicode::decode_before(token, i, n)); i -= n) ++count[1];
  return count;
}

}  // namespace detail

inline std::string_view Tokenizer::checked(std::string_view text, bool replace, std::string& storage) const {
  constexpr std::size_t kMost = std::size_t{1} << 30;  // offsets are 32 bits
  if (text.size() > kMost)
    throw Error(Code::kLimit, {"tokenizer: a text of ", std::to_string(text.size()), " bytes, the limit is 1 GiB"});
  std::size_t bad = 0;
  const std::size_t at = unicode::valid_prefix(text, 0, bad);
  if (at == text.size()) return text;
  if (!replace) throw Error(Code::kBadArgument, {"the text is not valid UTF-8 at byte ", std::to_string(at)});
  return storage = repaired(text);
}

// Calls f(id, span of input bytes, the text matched if an added token) for each token: added tokens of the raw text, then,
// between them, normalisation, added tokens of the normalised text, pre-tokenisation, the model.
template <class F>
void Tokenizer::each_token(std::string_view text, bool split_special, Scratch& s, const F& f) const {
  const bool tracked = s.raw.tracked || (pre_tokenizer_ && pre_tokenizer_->needs_origin());
  const bool rewrites = pre_tokenizer_ && pre_tokenizer_->rewrites();
  const auto pieces = [&](const NormalizedText& in, const std::vector<Piece>& list) {
    const std::string_view now = in.bytes;
    for (const Piece& p : list) {
      s.tokens.clear();
      s.cache.tokenize(*model_, now.substr(p.begin, p.end - p.begin), s.model, s.tokens);
      for (const PieceToken& t : s.tokens) f(t.id, in.range(p.begin + t.begin, p.begin + t.end), std::string_view());
    }
  };
  s.raw.tracked = s.text.tracked = s.pre.text.tracked = tracked;
  raw_.split(text, split_special, [&](std::size_t begin, std::size_t end, const AddedToken* found) {
    const std::string_view part = text.substr(begin, end - begin);
    if (found) return f(found->id, Span{static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(end)}, part);
    s.raw.assign(part, static_cast<std::uint32_t>(begin));
    if (normalizer_)
      normalizer_->normalize(s.raw, s.text);
    else
      std::swap(s.raw, s.text);
    const std::string_view now = s.text.bytes;
    normalized_.split(now, split_special, [&](std::size_t from, std::size_t to, const AddedToken* token) {
      if (token) return f(token->id, s.text.range(from, to), now.substr(from, to - from));
      s.pre.pieces.clear();
      if (rewrites) {
        s.pre.text.clear();
        s.pre.text.append(s.text, from, to);
        s.pre.pieces.push_back({0, to - from});
        pre_tokenizer_->run(s.pre);
        return pieces(s.pre.text, s.pre.pieces);
      }
      if (pre_tokenizer_)
        pre_tokenizer_->split(now, from, to, s.pre.pieces);
      else
        s.pre.pieces.push_back({from, to});
      pieces(s.text, s.pre.pieces);
    });
  });
}

/// The tokens of the text itself.
inline std::vector<TokenId> Tokenizer::ids_of(std::string_view text) const {
  std::string storage;
  text = checked(text, false, storage);
  const Lease lease(*pool_);
  Scratch& scratch = *lease;
  scratch.raw.tracked = false;
  std::vector<TokenId> own;
  each_token(text, false, scratch, [&](TokenId id, Span, std::string_view) { own.push_back(id); });
  return own;
}

/// Tokens of texts that max_length leaves beside the special ones.
inline std::size_t Tokenizer::room(std::int64_t max_length, bool pair) const {
  if (max_length <= 0) return std::size_t(-1);
  const auto most = static_cast<std::size_t>(max_length), added = post_.added(pair);
  if (most < added)
    throw Error(Code::kBadArgument, {"tokenizer: max_length ", std::to_string(most), " leaves no room for the ",
                                     std::to_string(added), " special tokens"});
  return most - added;
}

inline void Tokenizer::cut(std::vector<TokenId>& ids, std::size_t keep) const {
  if (ids.size() <= keep) return;
  if (truncation_ && truncation_->left)
    ids.erase(ids.begin(), ids.end() - static_cast<std::ptrdiff_t>(keep));
  else
    ids.resize(keep);
}

inline void Tokenizer::encode_ids(std::string_view text, std::vector<TokenId>& ids, std::int64_t max_length) const {
  std::vector<TokenId> own = ids_of(text);
  cut(own, room(max_length, false));
  for (const PostProcessor::Part& p : post_.single()) {
    const std::vector<TokenId>& part = p.kind == PostProcessor::Part::kSpecial ? p.ids : own;
    if (p.kind != PostProcessor::Part::kSecond) ids.insert(ids.end(), part.begin(), part.end());
  }
}

inline void Tokenizer::encode_pair_ids(std::string_view first, std::string_view second, std::vector<TokenId>& ids,
                                       std::vector<std::int32_t>& type_ids, std::int64_t max_length) const {
  std::vector<TokenId> a = ids_of(first), b = ids_of(second);
  const auto [keep_a, keep_b] = longest_first(a.size(), b.size(), room(max_length, true));
  cut(a, keep_a), cut(b, keep_b);
  for (const PostProcessor::Part& p : post_.pair()) {
    using Part = PostProcessor::Part;
    const std::vector<TokenId>& part = p.kind == Part::kSpecial ? p.ids : p.kind == Part::kFirst ? a : b;
    ids.insert(ids.end(), part.begin(), part.end());
    type_ids.insert(type_ids.end(), part.size(), p.type_id);
  }
}

inline Encoding Tokenizer::tokens_of(std::string_view text, const EncodeOptions& o) const {
  std::string storage;
  text = checked(text, o.replace_invalid, storage);
  const Lease lease(*pool_);
  Scratch& scratch = *lease;
  scratch.raw.tracked = true;
  Encoding e;
  each_token(text, o.split_special_tokens, scratch, [&](TokenId id, Span s, std::string_view matched) {
    e.push(id, 0, false, {s.begin, s.end});
    if (post_.trims()) e.blanks.push_back(detail::blanks(matched.data() ? matched : vocabulary_->token(id)));
  });
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
    throw Error(Code::kBadArgument,
                {"tokenizer: truncation stride ", std::to_string(t->stride), " is beyond max_length ",
                 std::to_string(t->max_length), " minus the ", std::to_string(post_.added(false)), " special tokens"});
  truncation_ = t;
}

inline void Tokenizer::set_contract(TextContract contract) {
  const bool clip = contract == TextContract::clip || contract == TextContract::open_clip;
  Padding p;
  p.length = clip ? 77 : 64;
  p.id = contract == TextContract::siglip ? 1 : 0;
  if (contract == TextContract::clip) {
    const auto& last = post_.single().back();
    if (last.kind != PostProcessor::Part::kSpecial || last.ids.empty())
      throw Error(Code::kBadArgument, "tokenizer: CLIP's contract needs an end token, and the post-processor adds none");
    p.id = last.ids.back();
  }
  set_truncation(Truncation{.max_length = p.length});
  set_padding(p);
}

inline std::optional<TokenId> Tokenizer::token_to_id(std::string_view token) const {
  const TokenId id = vocabulary_->find(token);
  return id < 0 ? std::nullopt : std::optional<TokenId>(id);
}

inline std::string Tokenizer::decode(std::span<const TokenId> ids, bool skip_special_tokens) const {
  std::vector<std::string> tokens;
  for (const TokenId id : ids) {
    const std::string_view token = vocabulary_->token(id);
    if (!token.data()) continue;
    const auto added = decoded_.find(id);
    if (skip_special_tokens && added != decoded_.end() && added->second.skipped) continue;
    tokens.emplace_back(added != decoded_.end() && added->second.normalized ? added->second.content : token);
  }
  if (decoder_) decoder_->run(tokens);
  std::string text;
  for (std::size_t i = 0; i < tokens.size(); ++i) text.append(i > 0 && !decoder_ ? " " : "").append(tokens[i]);
  return text;
}

}  // namespace tessera::text
