// Text cut into pieces, and what cuts it.
#pragma once
#include <string_view>
#include <vector>

#include <tessera/text/normalizer.hpp>

namespace tessera::text {

/// A byte range of the text, not empty.
struct Piece {
  std::size_t begin, end;
};

/// Text and its pieces between two pre-tokenizers, and memory for the next step.
struct PreTokens {
  NormalizedText text, next_text;
  std::vector<Piece> pieces, next;
};

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  /// Appends the pieces of text[begin, end), in order. For those that do not rewrite.
  virtual void split(std::string_view text, std::size_t begin, std::size_t end, std::vector<Piece>& out) const = 0;
  /// Whether it changes the text, so that only run() will do.
  virtual bool rewrites() const { return false; }
  /// Whether it asks where in the input a piece begins.
  virtual bool needs_origin() const { return false; }
  /// Replaces the pieces, and the text if it rewrites.
  virtual void run(PreTokens& t) const {
    t.next.clear();
    for (const Piece& p : t.pieces) split(t.text.bytes, p.begin, p.end, t.next);
    t.pieces.swap(t.next);
  }
};

}  // namespace tessera::text
