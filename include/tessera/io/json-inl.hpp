#pragma once
#include <algorithm>
#include <vector>

#include <tessera/core/mmap.hpp>
#include <tessera/io/detail/printable.hpp>
#include <tessera/io/json.hpp>

namespace tessera::io {

namespace detail {

/// Builds the document and stops at the first thing that the limits do not allow.
class StrictJson {
 public:
  StrictJson(Json& document, int depth) : root_(document), most_(depth) {}
  bool null() { return put(Json()) != nullptr; }
  bool boolean(bool v) { return put(Json(v)) != nullptr; }
  bool number_integer(std::int64_t v) { return put(Json(v)) != nullptr; }
  bool number_unsigned(std::uint64_t v) { return put(Json(v)) != nullptr; }
  bool number_float(double v, const std::string&) { return put(Json(v)) != nullptr; }
  bool string(std::string& v) { return put(Json(v)) != nullptr; }
  bool binary(Json::binary_t&) { return false; }
  bool start_object(std::size_t) { return open(Json::value_t::object); }
  bool start_array(std::size_t) { return open(Json::value_t::array); }
  bool end_object() { return stack_.pop_back(), true; }
  bool end_array() { return stack_.pop_back(), true; }
  bool key(std::string& k) {
    const auto [at, fresh] = stack_.back()->get_ref<Json::object_t&>().emplace(k, nullptr);
    member_ = &at->second;
    if (!fresh) problem_ = "key '" + printable(k) + "' stands twice in one object";
    return fresh;
  }
  bool parse_error(std::size_t at, const std::string&, const nlohmann::detail::exception& e) {
    std::string_view why(e.what());  // "[json.exception...] parse error at line 1, column 2: ...; last read: '...'; ..."
    if (const std::size_t colon = why.find(": "); why.starts_with('[') && colon != why.npos) why.remove_prefix(colon + 2);
    constexpr std::size_t kLongest = 200;  // beyond, it quotes all of a string
    if (why.size() > kLongest) why = why.substr(0, std::min(why.find("; last read"), kLongest));
    problem_ = "at byte " + std::to_string(at) + ": " + printable(why);
    return false;
  }
  const std::string& problem() const { return problem_; }

 private:
  Json* put(Json&& v) {
    if (stack_.empty()) return &(root_ = std::move(v));
    if (stack_.back()->is_object()) return &(*member_ = std::move(v));
    return &stack_.back()->get_ref<Json::array_t&>().emplace_back(std::move(v));
  }
  bool open(Json::value_t type) {
    if (stack_.size() >= static_cast<std::size_t>(most_)) {
      problem_ = "nested deeper than " + std::to_string(most_);
      return false;
    }
    stack_.push_back(put(Json(type)));  // stays where it is until it is closed
    return true;
  }
  Json& root_;
  std::vector<Json*> stack_;
  Json* member_ = nullptr;
  std::string problem_;
  int most_;
};

[[noreturn]] inline void bad_field(const char* key, const Json* found, const std::string& expected) {
  std::string text = found ? found->dump(-1, ' ', true, Json::error_handler_t::replace) : "absent";
  if (text.size() > 60) text = text.substr(0, 60) + "...";
  throw Error(Code::kFormat, std::string("config: ") + key + " is " + text + ", expected " + expected);
}

inline const Json* field(const Json& object, const char* key) {
  if (!object.is_object()) throw Error(Code::kFormat, std::string("config: no object around ") + key);
  const auto at = object.find(key);
  return at == object.end() || at->is_null() ? nullptr : &*at;
}

}  // namespace detail

inline Json parse_json(std::string_view text, const std::string& name, const JsonLimits& limits) {
  if (text.size() > limits.bytes)
    throw Error(Code::kLimit,
                name + ": " + std::to_string(text.size()) + " bytes of JSON, the limit is " + std::to_string(limits.bytes));
  if (text.starts_with("version https://git-lfs"))
    throw Error(Code::kFormat, name + ": a Git-LFS pointer, not the file itself; run 'git lfs pull' in the model folder");
  Json root;
  detail::StrictJson handler(root, limits.depth);
  // To nlohmann a byte order mark is blank and a NUL the end; in JSON both are errors.
  const bool odd = text.starts_with("\xef\xbb\xbf") || text.find('\0') != text.npos;
  if (odd || !Json::sax_parse(text.begin(), text.end(), &handler))
    throw Error(Code::kFormat, name + ": not valid JSON: " + (odd ? "a byte order mark or NUL byte" : handler.problem()));
  return root;
}

inline Json read_json(const std::string& path, const JsonLimits& limits) {
  const MappedFile file = MappedFile::open(path.c_str());
  return parse_json({reinterpret_cast<const char*>(file.data()), file.bytes()}, path, limits);
}

inline std::int64_t get_int(const Json& object, const char* key, std::int64_t least, std::int64_t most) {
  const Json* v = detail::field(object, key);
  const bool fits = v && v->is_number_integer() &&
                    (!v->is_number_unsigned() || v->get<std::uint64_t>() <= static_cast<std::uint64_t>(INT64_MAX));
  if (!fits || v->get<std::int64_t>() < least || v->get<std::int64_t>() > most)
    detail::bad_field(key, v, "an integer from " + std::to_string(least) + " to " + std::to_string(most));
  return v->get<std::int64_t>();
}
inline std::int64_t get_int(const Json& object, const char* key, std::int64_t least, std::int64_t most,
                            std::int64_t absent) {
  return detail::field(object, key) ? get_int(object, key, least, most) : absent;
}
inline double get_number(const Json& object, const char* key, double absent) {
  const Json* v = detail::field(object, key);
  if (v && !v->is_number()) detail::bad_field(key, v, "a number");
  return v ? v->get<double>() : absent;
}
inline bool get_bool(const Json& object, const char* key, bool absent) {
  const Json* v = detail::field(object, key);
  if (v && !v->is_boolean()) detail::bad_field(key, v, "true or false");
  return v ? v->get<bool>() : absent;
}
inline std::string get_string(const Json& object, const char* key) {
  const Json* v = detail::field(object, key);
  if (!v || !v->is_string()) detail::bad_field(key, v, "a string");
  return v->get<std::string>();
}
inline std::string get_string(const Json& object, const char* key, const char* absent) {
  return detail::field(object, key) ? get_string(object, key) : std::string(absent);
}

}  // namespace tessera::io
