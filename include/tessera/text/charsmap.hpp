// sentencepiece's compiled normalisation rules: a double array over bytes, and the texts that it points to.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <tessera/core/error.hpp>

namespace tessera::text {

/// Source: Yata, darts-clone, 2008-2011 (the array's layout); Kudo, Richardson, arXiv:1808.06226, section 3.
class Charsmap {
 public:
  /// \param bytes the array's count of bytes (32 bits, little endian), the array, texts that each end at a NUL.
  /// \throws Error kFormat for what is no such thing. An array may still be nonsense: then it matches less, never outside
  /// itself.
  static Charsmap parse(std::string_view bytes);

  /// A key that a text begins with: its length, 0 when there is none, and what it stands for.
  struct Match {
    std::size_t length = 0;
    std::string_view text;
  };
  Match shortest(std::string_view text) const noexcept { return find(text, false); }
  Match longest(std::string_view text) const noexcept { return find(text, true); }
  /// Whether some key begins with this byte.
  bool begins(char first) const noexcept {
    const std::uint32_t at = offset(units_[0]) ^ static_cast<unsigned char>(first);
    return first != '\0' && at < units_.size() && (units_[at] & kLabel) == static_cast<unsigned char>(first);
  }

 private:
  // A unit: the label that leads to it; an offset to its children, which stand at (its place ^ offset ^ label); whether a
  // key ends here, whose value is then at (its place ^ offset).
  static constexpr std::uint32_t kLabel = 0x800000ffu, kEndsHere = 1u << 8, kValue = 0x7fffffffu;
  static constexpr std::uint32_t offset(std::uint32_t unit) noexcept { return (unit >> 10) << ((unit & (1u << 9)) >> 6); }
  Match find(std::string_view text, bool longest) const noexcept;
  std::vector<std::uint32_t> units_;
  std::string texts_;
};

}  // namespace tessera::text

#ifndef TESSERA_COMPILED
#include <tessera/text/charsmap-inl.hpp>
#endif
