#pragma once
#include <algorithm>
#include <utility>

#include <tessera/retrieval/document_filter.hpp>

namespace tessera::retrieval {

inline Condition Condition::parse(std::string_view text) {
  static constexpr std::pair<std::string_view, Relation> kRelations[] = {
      {"!=", Relation::not_equal}, {"<=", Relation::at_most}, {">=", Relation::at_least},
      {"=", Relation::equal},      {"<", Relation::less},     {">", Relation::more}};
  const std::size_t at = text.find_first_of("=<>!");
  for (const auto& [sign, relation] : kRelations) {
    if (at == text.npos || at == 0 || !text.substr(at).starts_with(sign)) continue;
    const std::string_view value = text.substr(at + sign.size());
    Condition c{std::string(text.substr(0, at)), relation, io::Json(std::string(value))};
    try {
      io::Json read = io::parse_json(value, "the value");
      if (!read.is_structured()) c.value = std::move(read);
    } catch (const Error&) {  // a string without its quotes
    }
    return c;
  }
  throw Error(Code::kBadArgument, {"filter '", text, "': expected FIELD=VALUE, or != < <= > >= in place of ="});
}

inline bool Condition::holds(const io::Json& document) const {
  const auto found = document.find(field);
  const auto one = [&](const io::Json& x) {
    const bool same_kind = x.is_number() ? value.is_number() : x.type() == value.type();
    const bool ordered = x.is_number() || x.is_string();
    switch (relation) {
      case Relation::equal:
      case Relation::not_equal: return same_kind && x == value;
      case Relation::less: return same_kind && ordered && x < value;
      case Relation::at_most: return same_kind && ordered && x <= value;
      case Relation::more: return same_kind && ordered && x > value;
      case Relation::at_least: return same_kind && ordered && x >= value;
    }
    return false;
  };
  const bool any =
      found != document.end() && (found->is_array() ? std::any_of(found->begin(), found->end(), one) : one(*found));
  return any != (relation == Relation::not_equal);
}

inline std::vector<std::uint64_t> rows_where(Context& ctx, const Corpus& corpus, std::span<const Condition> all) {
  std::vector<std::uint64_t> words(static_cast<std::size_t>((corpus.rows() + 63) / 64));
  ctx.parallel_for(static_cast<index_t>(words.size()), [&](index_t w, int) {
    for (index_t id = 64 * w; id < std::min(corpus.rows(), 64 * (w + 1)); ++id) {
      if (!corpus.has(id)) continue;
      const std::string_view text = corpus.document(id);
      io::Json document = io::empty_object();
      if (!text.empty() && !all.empty()) document = io::parse_json(text, "document " + std::to_string(id));
      if (!document.is_object()) throw Error(Code::kFormat, {"document ", std::to_string(id), ": not a JSON object"});
      const bool holds = std::all_of(all.begin(), all.end(), [&](const Condition& c) { return c.holds(document); });
      words[static_cast<std::size_t>(w)] |= std::uint64_t{holds} << (id % 64);
    }
  });
  return words;
}

}  // namespace tessera::retrieval
