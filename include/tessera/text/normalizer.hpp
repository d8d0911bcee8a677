// The normalizers of a tokenizer.json.
#pragma once
#include <memory>
#include <string_view>

#include <tessera/io/json_reader.hpp>
#include <tessera/text/normalized_text.hpp>

namespace tessera::text {

struct NormalizerOptions {
  /// Precompiled replaces the longest known prefix, as sentencepiece does, and not, as the tokenizers package does, grapheme
  /// clusters of less than 6 bytes by the shortest.
  bool longest_charsmap_match = false;
};

/// From a tokenizer.json's "normalizer"; null for none. \throws Error kUnsupported naming an unknown type, kFormat.
std::unique_ptr<Normalizer> make_normalizer(const io::Json& json, const NormalizerOptions& options = {});
/// The same before another one (sentence-transformers' do_lower_case), or alone.
std::unique_ptr<Normalizer> lowercase_then(std::unique_ptr<Normalizer> next);
/// Precompiled of Charsmap's bytes. \throws Error kFormat.
std::unique_ptr<Normalizer> charsmap_normalizer(std::string_view bytes, const NormalizerOptions& options = {});
/// BertNormalizer with these settings.
std::unique_ptr<Normalizer> bert_normalizer(bool clean_text, bool chinese_chars, bool strip_accents, bool lowercase);

}  // namespace tessera::text

#ifndef TESSERA_COMPILED
#include <tessera/text/normalizer-inl.hpp>
#endif
