// From normalised text to the pieces that the model sees.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <tessera/io/json.hpp>
#include <tessera/text/unicode.hpp>

namespace tessera::text {

/// A byte range of the normalised text, not empty.
struct Piece {
  std::size_t begin, end;
};

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  /// Appends the pieces of text[begin, end), in order.
  virtual void split(std::string_view text, std::size_t begin, std::size_t end, std::vector<Piece>& out) const = 0;
};

/// From a tokenizer.json's "pre_tokenizer"; null for none. \throws Error kUnsupported naming an unknown type, kFormat.
std::unique_ptr<PreTokenizer> make_pre_tokenizer(const io::Json& json);

}  // namespace tessera::text

#ifndef TESSERA_COMPILED
#include <tessera/text/pre_tokenizer-inl.hpp>
#endif
