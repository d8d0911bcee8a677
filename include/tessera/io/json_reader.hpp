// JSON configuration files: nlohmann-json behind the checks that hostile files need. Here without nlohmann's classes, whose
// definitions take longer to compile than most of what reads a field; io/json.hpp has them.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include <tessera/core/error.hpp>

namespace tessera::io {

using Json = nlohmann::json;

struct JsonLimits {
  std::size_t bytes = std::size_t{64} << 20;
  int depth = 128;
};

/// Strict JSON: duplicate keys, depth beyond the limit, a byte order mark and invalid UTF-8 are refused.
/// \param name what errors call the text. \throws Error kFormat, kLimit.
Json parse_json(std::string_view text, const std::string& name, const JsonLimits& limits = {});
/// The same from a file. \throws also kNotFound, kIo.
Json read_json(const std::string& path, const JsonLimits& limits = {});

/// A value as a sentence shows it: numbers, words and short strings themselves; null: "absent".
std::string shown(const Json* value);

/// Empty ones. Not Json::object() and Json::array(), which compile what turns nested initializer lists into documents.
Json empty_object();
Json empty_list();

/// Fields of an object, checked. \throws Error kFormat naming the key, what was found and what is allowed.
bool has(const Json& object, const char* key);            ///< whether it is an object with this field, null or not
const Json& member(const Json& object, const char* key);  ///< the field, or null
std::int64_t get_int(const Json& object, const char* key, std::int64_t least, std::int64_t most);
std::int64_t get_int(const Json& object, const char* key, std::int64_t least, std::int64_t most, std::int64_t absent);
double get_number(const Json& object, const char* key, double absent);
bool get_bool(const Json& object, const char* key, bool absent);
std::string get_string(const Json& object, const char* key);
std::string get_string(const Json& object, const char* key, const char* absent);

}  // namespace tessera::io

#ifndef TESSERA_COMPILED
#include <tessera/io/json_reader-inl.hpp>
#endif
