// From tokens back to text: the decoders of tokenizer.json.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <tessera/io/json_reader.hpp>

namespace tessera::text {

class Decoder {
 public:
  virtual ~Decoder() = default;
  /// Changes the list of texts; what is left at the end is joined.
  virtual void run(std::vector<std::string>& tokens) const = 0;
};

/// From a tokenizer.json's "decoder"; null for none. \throws Error kUnsupported naming an unknown type, kFormat.
std::unique_ptr<Decoder> make_decoder(const io::Json& json);
/// Bytes with U+FFFD for each maximal part that is not UTF-8.
std::string repaired(std::string_view bytes);

}  // namespace tessera::text

#ifndef TESSERA_COMPILED
#include <tessera/text/decoder-inl.hpp>
#endif
