// The model that a tokenizer.json describes.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include <tessera/io/json_reader.hpp>
#include <tessera/text/bpe.hpp>
#include <tessera/text/unigram.hpp>
#include <tessera/text/word_level.hpp>
#include <tessera/text/word_piece.hpp>

namespace tessera::text {

/// The large parts of a "model", read apart from its other fields.
struct ModelTables {
  MergeList merges;
  HostVector<ScoredPiece> pieces;  ///< of Unigram
};

/// From a tokenizer.json's "model"; its "vocab" and "merges" are in `vocabulary` and `tables`. Without a "type" it is
/// inferred from the fields, as the tokenizers package does. \throws Error kUnsupported naming an unknown type, kFormat.
std::unique_ptr<Model> make_model(const io::Json& json, Vocabulary& vocabulary, const ModelTables& tables);
/// The type of a "model" object.
std::string model_type(const io::Json& json);

}  // namespace tessera::text

#ifndef TESSERA_COMPILED
#include <tessera/text/make_model-inl.hpp>
#endif
