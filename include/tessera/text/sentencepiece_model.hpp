// sentencepiece's .model files: the pieces of a vocabulary with their scores, and how text is normalised before.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <tessera/text/unigram.hpp>

namespace tessera::text {

/// What tokenizers take from a ModelProto.
/// Source: Kudo, Richardson, arXiv:1808.06226; the field numbers of sentencepiece_model.proto, version 0.2.
struct SentencePieceModel {
  HostVector<ScoredPiece> pieces;
  std::vector<std::size_t> control;       ///< the places of pieces that no text has, such as </s>
  std::vector<std::size_t> user_defined;  ///< of those that are found in a text as they are
  bool unigram = true;                    ///< the model of the scores; else they rank the merges of a BPE, or are none
  bool byte_fallback = false;
  std::size_t unk = 0;   ///< the place of the unknown token
  std::string charsmap;  ///< Charsmap's bytes; empty: text stays as it is

  /// \throws Error kFormat for what is no such file, naming the byte.
  static SentencePieceModel parse(std::string_view bytes);
};

}  // namespace tessera::text

#ifndef TESSERA_COMPILED
#include <tessera/text/sentencepiece_model-inl.hpp>
#endif
