#pragma once
#include <algorithm>

#include <tessera/io/json_reader-inl.hpp>  // strict reading, which compiled builds do not declare elsewhere
#include <tessera/text/post_processor.hpp>

namespace tessera::text {

namespace detail {

inline TokenId special_id(const io::Json& json, const char* key) {
  const io::Json* v = io::detail::field(json, key);
  if (!v || !v->is_array() || v->size() != 2 || !(*v)[1].is_number_integer())
    throw Error(Code::kFormat, {"tokenizer: the post-processor's ", key, " is not a token and its id"});
  return static_cast<TokenId>((*v)[1].get<std::int64_t>());
}

inline std::vector<PostProcessor::Part> template_parts(const io::Json& list, const io::Json& specials) {
  using Part = PostProcessor::Part;
  if (!list.is_array()) throw Error(Code::kFormat, "tokenizer: a template is not a list");
  std::vector<Part> parts;
  for (const io::Json& item : list) {
    if (!item.is_object() || item.size() != 1) throw Error(Code::kFormat, "tokenizer: a template's part is not one object");
    const std::string kind = item.begin().key();
    const io::Json& what = item.begin().value();
    Part part;
    part.type_id = static_cast<std::int32_t>(io::get_int(what, "type_id", 0, 1 << 30));
    const std::string id = io::get_string(what, "id");
    if (kind == "Sequence") {
      if (id != "A" && id != "B") throw Error(Code::kFormat, {"tokenizer: a template names the sequence '", id, "'"});
      part.kind = id == "A" ? Part::kFirst : Part::kSecond;
    } else if (kind == "SpecialToken") {
      part.kind = Part::kSpecial;
      const io::Json* special = io::detail::field(specials, id.c_str());
      const io::Json* ids = special ? io::detail::field(*special, "ids") : nullptr;
      if (!ids || !ids->is_array()) throw Error(Code::kFormat, {"tokenizer: a template uses '", id, "', which has no ids"});
      for (const io::Json& v : *ids) {
        if (!v.is_number_unsigned()) throw Error(Code::kFormat, {"tokenizer: an id of '", id, "' is not a natural number"});
        part.ids.push_back(static_cast<TokenId>(v.get<std::uint64_t>() & 0x7fffffff));
      }
    } else {
      throw Error(Code::kFormat, {"tokenizer: a template has a part '", kind, "'"});
    }
    parts.push_back(std::move(part));
  }
  return parts;
}

}  // namespace detail

inline PostProcessor PostProcessor::bert(TokenId cls, TokenId sep) {
  return {{{Part::kSpecial, 0, {cls}}, {Part::kFirst, 0, {}}, {Part::kSpecial, 0, {sep}}},
          {{Part::kSpecial, 0, {cls}},
           {Part::kFirst, 0, {}},
           {Part::kSpecial, 0, {sep}},
           {Part::kSecond, 1, {}},
           {Part::kSpecial, 1, {sep}}}};
}

inline PostProcessor PostProcessor::roberta(TokenId cls, TokenId sep) {
  return {{{Part::kSpecial, 0, {cls}}, {Part::kFirst, 0, {}}, {Part::kSpecial, 0, {sep}}},
          {{Part::kSpecial, 0, {cls}},
           {Part::kFirst, 0, {}},
           {Part::kSpecial, 0, {sep, sep}},
           {Part::kSecond, 0, {}},
           {Part::kSpecial, 0, {sep}}}};
}

inline PostProcessor PostProcessor::from_json(const io::Json& json) {
  PostProcessor out;
  bool has_template = false;
  if (!json.is_null()) out.add(json, has_template);
  return out;
}

inline void PostProcessor::add(const io::Json& json, bool& has_template) {
  const std::string type = io::get_string(json, "type");
  if (type == "Sequence") {
    const io::Json* list = io::detail::field(json, "processors");
    if (!list || !list->is_array()) throw Error(Code::kFormat, "tokenizer: a post-processor Sequence without its list");
    for (const io::Json& step : *list) add(step, has_template);
    return;
  }
  if ((type == "ByteLevel" || type == "RobertaProcessing") && io::get_bool(json, "trim_offsets", true))
    trims_.push_back(io::get_bool(json, "add_prefix_space", true));
  if (type == "ByteLevel") return;
  PostProcessor made;
  if (type == "BertProcessing") {
    made = bert(detail::special_id(json, "cls"), detail::special_id(json, "sep"));
  } else if (type == "RobertaProcessing") {
    made = roberta(detail::special_id(json, "cls"), detail::special_id(json, "sep"));
  } else if (type == "TemplateProcessing") {
    const io::Json none = io::empty_object();
    const io::Json& listed = io::member(json, "special_tokens");
    const io::Json& specials = listed.is_null() ? none : listed;
    made = {detail::template_parts(io::member(json, "single"), specials),
            detail::template_parts(io::member(json, "pair"), specials)};
  } else {
    throw Error(Code::kUnsupported, {"tokenizer: post-processor '", type,
                                     "' is not supported; known: BertProcessing, ByteLevel, RobertaProcessing, Sequence, "
                                     "TemplateProcessing"});
  }
  if (has_template)
    throw Error(Code::kUnsupported, "tokenizer: a post-processor Sequence with two steps that add tokens is not supported");
  has_template = true;
  single_ = std::move(made.single_);
  pair_ = std::move(made.pair_);
}

// A token's offsets without the white space at its ends. The one blank that a ByteLevel may have put before the text has no
// place in it and is not taken off.
inline void PostProcessor::trim(Encoding& e) const {
  for (Encoding& o : e.overflowing) trim(o);
  for (const bool prefix_space : trims_)
    for (std::size_t i = 0; i < e.blanks.size(); ++i) {
      auto& [begin, end] = e.offsets[i];
      std::int64_t leading = e.blanks[i][0];
      const std::int64_t trailing = e.blanks[i][1];
      if ((i == 0 || begin == 0) && prefix_space && leading == 1) leading = 0;
      begin = std::min(begin + leading, end);
      if (end >= trailing) end = std::max(end - trailing, begin);
    }
  e.blanks.clear();
}

inline std::size_t PostProcessor::added(bool pair) const noexcept {
  std::size_t n = 0;
  for (const Part& p : pair ? pair_ : single_) n += p.ids.size();
  return n;
}

inline Encoding PostProcessor::process(const Encoding& first, const Encoding* second, bool add_special_tokens) const {
  const std::vector<Part>& parts = second ? pair_ : single_;
  const auto typed = [this](Encoding e, std::int32_t type) {
    if (trims()) trim(e);
    std::fill(e.type_ids.begin(), e.type_ids.end(), type);
    for (Encoding& o : e.overflowing) std::fill(o.type_ids.begin(), o.type_ids.end(), type);
    return e;
  };
  Encoding out;
  bool begun = false;
  for (const Part& p : parts) {
    Encoding piece;
    if (p.kind == Part::kSpecial && !add_special_tokens) continue;
    if (p.kind == Part::kSpecial)
      for (const TokenId id : p.ids) piece.push(id, p.type_id, true, {0, 0});
    else if (p.kind == Part::kFirst)
      piece = typed(first, p.type_id);
    else if (second)
      piece = typed(*second, p.type_id);
    if (begun)
      append(out, piece);
    else
      out = std::move(piece);
    begun = true;
  }
  return out;
}

}  // namespace tessera::text
