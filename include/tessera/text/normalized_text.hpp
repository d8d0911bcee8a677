// Text after normalisation, every byte of it tied to the input.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <tessera/text/unicode.hpp>

namespace tessera::text {

/// A byte range of the input.
struct Span {
  std::uint32_t begin = 0, end = 0;
};

/// A piece of text and, when asked for, the input bytes that each of its bytes stands for.
struct NormalizedText {
  std::string bytes;
  std::vector<Span> origin;  ///< as long as bytes, or empty when offsets are not wanted
  bool tracked = false;

  /// Empty, to become `in` changed.
  void begin_like(const NormalizedText& in) {
    clear();
    tracked = in.tracked;
    bytes.reserve(in.bytes.size() + 16);
  }
  void clear() {
    bytes.clear();
    origin.clear();
  }
  void append(unicode::CodePoint c, Span from) {
    unicode::append(bytes, c);
    if (tracked) origin.resize(bytes.size(), from);
  }
  /// Bytes that all stand for the same input.
  void append(std::string_view text, Span from) {
    bytes.append(text);
    if (tracked) origin.resize(bytes.size(), from);
  }
  /// Bytes [begin, end) of another text, tracked like this one.
  void append(const NormalizedText& from, std::size_t begin, std::size_t end) {
    bytes.append(from.bytes, begin, end - begin);
    if (tracked) origin.insert(origin.end(), from.origin.data() + begin, from.origin.data() + end);
  }
  /// The input of one byte, where it is tracked.
  Span at(std::size_t i) const { return tracked ? origin[i] : Span{}; }
  /// The input range of bytes [begin, end), which must not be empty when tracked.
  Span range(std::size_t begin, std::size_t end) const {
    return tracked && end > begin ? Span{origin[begin].begin, origin[end - 1].end} : Span{};
  }
  /// The piece as it is in the input.
  void assign(std::string_view text, std::uint32_t offset) {
    bytes.assign(text);
    origin.clear();
    if (!tracked) return;
    for (std::size_t i = 0; i < text.size();) {
      const std::size_t n = unicode::width(text[i]);
      const Span s{offset + static_cast<std::uint32_t>(i), offset + static_cast<std::uint32_t>(i + n)};
      origin.resize(origin.size() + n, s);
      i += n;
    }
  }
};

/// Changes text, keeping every byte's origin. A closed set; make_normalizer knows the names.
class Normalizer {
 public:
  virtual ~Normalizer() = default;
  /// \param in  valid UTF-8.  \param out  cleared first; `tracked` as in `in`.
  virtual void normalize(const NormalizedText& in, NormalizedText& out) const = 0;
};

}  // namespace tessera::text
