// The Unigram language model: the likeliest way to cut a piece into vocabulary entries.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <tessera/text/model.hpp>
#include <tessera/text/unicode.hpp>
#include <tessera/text/vocabulary.hpp>

namespace tessera::text {

/// An entry of a Unigram vocabulary; its id is its place. Of equal texts the last one counts.
struct ScoredPiece {
  std::string text;
  double score;  ///< log probability
};

struct UnigramOptions {
  std::optional<std::size_t> unk;  ///< the id of the unknown token; without it unknown text is an error
  bool byte_fallback = false;      ///< unknown text becomes <0xNN> tokens when the vocabulary has all that it needs
};

/// Adds the pieces to the vocabulary. \throws Error kFormat for an unknown token that is not in the list, kLimit for more
/// than 2 GiB of text.
std::unique_ptr<Model> make_unigram(const HostVector<ScoredPiece>& pieces, const UnigramOptions& options,
                                    Vocabulary& vocabulary);

}  // namespace tessera::text

#ifndef TESSERA_COMPILED
#include <tessera/text/unigram-inl.hpp>
#endif
