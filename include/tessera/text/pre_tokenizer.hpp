// From normalised text to the pieces that the model sees.
#pragma once
#include <memory>

#include <tessera/io/json_reader.hpp>
#include <tessera/text/pre_tokens.hpp>

namespace tessera::text {

/// From a tokenizer.json's "pre_tokenizer"; null for none. \throws Error kUnsupported naming an unknown type, kFormat.
/// \param raw_bytes the model takes bytes as they are, so that a last ByteLevel need not spell them in its alphabet.
std::unique_ptr<PreTokenizer> make_pre_tokenizer(const io::Json& json, bool raw_bytes = false);
/// Whether the last step is a ByteLevel.
bool ends_in_byte_level(const io::Json& pre_tokenizer);

}  // namespace tessera::text

#ifndef TESSERA_COMPILED
#include <tessera/text/pre_tokenizer-inl.hpp>
#endif
