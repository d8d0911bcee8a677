// What a tokenizer gives back, and how it is cut, joined and padded.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include <tessera/text/vocabulary.hpp>

namespace tessera::text {

/// One token a place in every list.
struct Encoding {
  std::vector<TokenId> ids;
  std::vector<std::int32_t> type_ids;             ///< 0 for the first text, 1 for the second, as the post-processor says
  std::vector<std::int32_t> attention_mask;       ///< 0 for padding
  std::vector<std::int32_t> special_tokens_mask;  ///< 1 for what the post-processor and padding added
  std::vector<std::array<std::int64_t, 2>>
      offsets;                        ///< [begin, end) in the text, in the unit asked for; 0, 0 for added ones
  std::vector<Encoding> overflowing;  ///< what truncation cut off, in windows of the same length
  /// White space at each token's ends, in characters: what a post-processor that trims offsets needs. Empty otherwise.
  std::vector<std::array<std::uint32_t, 2>> blanks;

  std::size_t size() const noexcept { return ids.size(); }
  void push(TokenId id, std::int32_t type, bool special, std::array<std::int64_t, 2> offset) {
    ids.push_back(id);
    type_ids.push_back(type);
    attention_mask.push_back(1);
    special_tokens_mask.push_back(special ? 1 : 0);
    offsets.push_back(offset);
  }
};

struct Truncation {
  enum class Strategy { longest_first, only_first, only_second } strategy = Strategy::longest_first;
  std::size_t max_length = 512;  ///< specials included
  std::size_t stride = 0;        ///< tokens that neighbouring windows share
  bool left = false;             ///< cuts the beginning
};

struct Padding {
  std::size_t length = 0;       ///< 0: the longest of the batch
  std::size_t multiple_of = 0;  ///< 0: any
  bool left = false;
  TokenId id = 0;
  std::int32_t type_id = 0;
};

/// Keeps max_length tokens; the rest becomes overflowing windows. \throws Error kBadArgument for stride >= max_length.
void truncate(Encoding& e, std::size_t max_length, std::size_t stride, bool left);
/// How many tokens of two texts are kept where both together have at most `most`: the longer one is cut first.
std::array<std::size_t, 2> longest_first(std::size_t first, std::size_t second, std::size_t most);
/// Both texts of a pair (second may be null) to `t.max_length` minus the `added` special tokens.
/// \throws Error kBadArgument when that is negative, or the strategy cannot do it.
void truncate_pair(Encoding& first, Encoding* second, const Truncation& t, std::size_t added);
/// `b` after `a`, and the overflow of each with the other's, in the tokenizers package's order.
void append(Encoding& a, const Encoding& b);
/// Pads to `length`, overflow included.
void pad(Encoding& e, std::size_t length, const Padding& p);
/// The length that a batch is padded to.
std::size_t padded_length(const std::vector<Encoding>& batch, const Padding& p);

}  // namespace tessera::text

#ifndef TESSERA_COMPILED
#include <tessera/text/encoding-inl.hpp>
#endif
