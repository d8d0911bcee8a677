// JSON of one line, written by hand: numbers as short as they read back, whatever the locale.
#pragma once
#include <charconv>
#include <concepts>
#include <string>
#include <vector>

#include <tessera/io/json.hpp>

namespace tool {

/// A quoted string; bytes that are not UTF-8 become U+FFFD.
inline std::string json_of(const std::string& s) {
  return tessera::io::Json(s).dump(-1, ' ', false, tessera::io::Json::error_handler_t::replace);
}
template <std::floating_point T>
std::string json_of(T v) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, v).ptr};
}
inline std::string json_of(long long v) { return std::to_string(v); }

template <class T>
std::string json_of(const std::vector<T>& values) {
  std::string out = "[";
  for (const T& v : values) out += (out.size() > 1 ? ", " : "") + json_of(v);
  return out + "]";
}

}  // namespace tool
