#pragma once
#include <tessera/io/json_reader-inl.hpp>
#include <tessera/text/make_model.hpp>

namespace tessera::text {

inline std::string model_type(const io::Json& json) {
  if (!json.is_object()) throw Error(Code::kFormat, "tokenizer: no model");
  std::string type = io::get_string(json, "type", "");
  if (!type.empty()) return type;
  return io::has(json, "merges")                      ? "BPE"
         : io::has(json, "continuing_subword_prefix") ? "WordPiece"
         : io::has(json, "unk_id")                    ? "Unigram"
                                                      : "WordLevel";
}

inline std::unique_ptr<Model> make_model(const io::Json& json, Vocabulary& vocabulary, const ModelTables& tables) {
  const std::string type = model_type(json);
  if ((type == "Unigram") == tables.pieces.empty())
    throw Error(Code::kFormat, "tokenizer: the vocab of a Unigram model is a list of [text, score], of others an object");
  if (type == "BPE") return std::unique_ptr<Model>(new Bpe(vocabulary, tables.merges, bpe_settings(json)));
  if (type == "WordPiece")
    return std::unique_ptr<Model>(new WordPiece(
        vocabulary, io::get_string(json, "unk_token", "[UNK]"), io::get_string(json, "continuing_subword_prefix", "##"),
        static_cast<std::size_t>(io::get_int(json, "max_input_chars_per_word", 0, std::int64_t{1} << 30, 100))));
  if (type == "WordLevel")
    return std::unique_ptr<Model>(new WordLevel(vocabulary, io::get_string(json, "unk_token", "[UNK]")));
  if (type == "Unigram") {
    UnigramOptions options;
    if (io::detail::field(json, "unk_id"))
      options.unk = static_cast<std::size_t>(io::get_int(json, "unk_id", 0, std::int64_t{1} << 40));
    options.byte_fallback = io::get_bool(json, "byte_fallback", false);
    return make_unigram(tables.pieces, options, vocabulary);
  }
  throw Error(Code::kUnsupported,
              {"tokenizer: model '", type, "' is not supported; known: BPE, Unigram, WordLevel, WordPiece"});
}

}  // namespace tessera::text
