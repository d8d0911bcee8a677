// Which documents of a corpus may be found: conditions on their fields.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tessera/io/json.hpp>
#include <tessera/retrieval/corpus.hpp>

namespace tessera::retrieval {

/// A condition on one field of a document. Numbers compare by value, strings by their bytes, true and false as equal or not;
/// a list has what one of its entries has. A field that is absent, or of another kind than the value, meets "!=" alone.
struct Condition {
  enum class Relation : unsigned char { equal, not_equal, less, at_most, more, at_least };
  std::string field;
  Relation relation = Relation::equal;
  io::Json value;

  /// FIELD=VALUE, or with != < <= > >=. A value that reads as a JSON number, string, true, false or null is one, another one
  /// is a string as it stands. \throws Error kBadArgument.
  static Condition parse(std::string_view text);
  bool holds(const io::Json& document) const;
};

/// Bit j of word i: whether row 64 i + j is there and its document meets all conditions. For SearchOptions::allowed.
/// \throws Error kFormat naming the row, for a document that is no JSON object.
std::vector<std::uint64_t> rows_where(Context& ctx, const Corpus& corpus, std::span<const Condition> all);

}  // namespace tessera::retrieval

#ifndef TESSERA_COMPILED
#include <tessera/retrieval/document_filter-inl.hpp>
#endif
