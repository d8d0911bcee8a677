#pragma once
#include <algorithm>
#include <set>
#include <vector>

#include <tessera/core/mmap.hpp>
#include <tessera/io/json.hpp>

namespace tessera::io {

namespace detail {

/// Builds the document and stops at the first thing that the limits do not allow.
class StrictJson : public nlohmann::detail::json_sax_dom_parser<Json> {
  using Base = nlohmann::detail::json_sax_dom_parser<Json>;

 public:
  StrictJson(Json& document, int depth) : Base(document, false), most_(depth) {}
  bool start_object(std::size_t n) {
    keys_.emplace_back();
    return deeper() && Base::start_object(n);
  }
  bool start_array(std::size_t n) { return deeper() && Base::start_array(n); }
  bool end_object() {
    keys_.pop_back();
    --depth_;
    return Base::end_object();
  }
  bool end_array() {
    --depth_;
    return Base::end_array();
  }
  bool key(std::string& k) {
    if (!keys_.back().insert(k).second) {
      problem_ = "key '" + k + "' stands twice in one object";
      return false;
    }
    return Base::key(k);
  }
  bool parse_error(std::size_t at, const std::string&, const nlohmann::detail::exception& e) {
    std::string why = e.what();  // "[json.exception...] parse error at line 1, column 2: ...; last read: '...'; ..."
    if (const std::size_t colon = why.find(": "); why.starts_with('[') && colon != why.npos) why.erase(0, colon + 2);
    constexpr std::size_t kLongest = 200;
    if (why.size() > kLongest) why.resize(std::min(why.find("; last read"), kLongest));  // it quotes all of a string
    problem_ = "at byte " + std::to_string(at) + ": " + why;
    return false;
  }
  const std::string& problem() const { return problem_; }

 private:
  bool deeper() {
    if (++depth_ <= most_) return true;
    problem_ = "nested deeper than " + std::to_string(most_);
    return false;
  }
  std::vector<std::set<std::string>> keys_;
  std::string problem_;
  int depth_ = 0, most_;
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
