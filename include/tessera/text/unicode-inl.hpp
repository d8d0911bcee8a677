#pragma once
#include <tessera/text/unicode.hpp>

namespace tessera::text::unicode {

inline std::optional<CategoryMask> category_by_name(std::string_view name) {
  struct Name {
    std::string_view brief, full;
    CategoryMask mask;
  };
  static constexpr Name kNames[] = {
      {"l", "letter", kL},
      {"lu", "uppercaseletter", kLu},
      {"ll", "lowercaseletter", kLl},
      {"lt", "titlecaseletter", kLt},
      {"lm", "modifierletter", kLm},
      {"lo", "otherletter", kLo},
      {"lc", "casedletter", kCased},
      {"m", "mark", kM},
      {"combiningmark", "combiningmark", kM},
      {"mn", "nonspacingmark", kMn},
      {"mc", "spacingmark", kMc},
      {"me", "enclosingmark", kMe},
      {"n", "number", kN},
      {"nd", "decimalnumber", kNd},
      {"nl", "letternumber", kNl},
      {"no", "othernumber", kNo},
      {"digit", "digit", kNd},
      {"p", "punctuation", kP},
      {"punct", "punct", kP},
      {"pc", "connectorpunctuation", kPc},
      {"pd", "dashpunctuation", kPd},
      {"ps", "openpunctuation", kPs},
      {"pe", "closepunctuation", kPe},
      {"pi", "initialpunctuation", kPi},
      {"pf", "finalpunctuation", kPf},
      {"po", "otherpunctuation", kPo},
      {"s", "symbol", kS},
      {"sm", "mathsymbol", kSm},
      {"sc", "currencysymbol", kSc},
      {"sk", "modifiersymbol", kSk},
      {"so", "othersymbol", kSo},
      {"z", "separator", kZ},
      {"zs", "spaceseparator", kZs},
      {"zl", "lineseparator", kZl},
      {"zp", "paragraphseparator", kZp},
      {"c", "other", kC},
      {"cc", "control", kCc},
      {"cntrl", "cntrl", kCc},
      {"cf", "format", kCf},
      {"co", "privateuse", kCo},
      {"cn", "unassigned", kCn},
  };
  for (const Name& n : kNames)
    if (name == n.brief || name == n.full) return n.mask;
  if (name == "any") return kL | kM | kN | kP | kS | kZ | kC;
  if (name == "assigned") return kL | kM | kN | kP | kS | kZ | (kC & ~kCn);
  return std::nullopt;
}

inline CodePoint compose(CodePoint first, CodePoint second) noexcept {
  if (first - kLeadingJamo < 19 && second - kVowelJamo < kVowels)
    return kSyllables + ((first - kLeadingJamo) * kVowels + second - kVowelJamo) * kTrailings;
  if (first - kSyllables < kSyllableCount && (first - kSyllables) % kTrailings == 0)
    if (second > kTrailingJamo && second < kTrailingJamo + kTrailings) return first + second - kTrailingJamo;
  std::size_t low = 0, high = std::size(kComposed) / 3;
  while (low < high) {
    const std::size_t mid = (low + high) / 2;
    const std::uint32_t* pair = kComposed + mid * 3;
    if (pair[0] < first || (pair[0] == first && pair[1] < second))
      low = mid + 1;
    else
      high = mid;
  }
  if (low == std::size(kComposed) / 3) return 0;
  const std::uint32_t* pair = kComposed + low * 3;
  return pair[0] == first && pair[1] == second ? pair[2] : 0;
}

}  // namespace tessera::text::unicode
