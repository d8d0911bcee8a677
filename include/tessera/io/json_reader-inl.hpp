#pragma once
#include <cstdio>
#include <vector>

#include <tessera/core/lfs_pointer.hpp>
#include <tessera/core/mmap.hpp>
#include <tessera/io/detail/json_events.hpp>
#include <tessera/io/json_reader.hpp>

namespace tessera::io {

inline Json empty_object() { return Json(Json::value_t::object); }
inline Json empty_list() { return Json(Json::value_t::array); }

// Not Json::dump(), whose code every program would carry.
inline std::string shown(const Json* v) {
  if (!v) return "absent";
  if (v->is_string()) {
    const std::string text = detail::printable(v->get_ref<const std::string&>());
    return '"' + (text.size() > 60 ? text.substr(0, 60) + "..." : text) + '"';
  }
  if (v->is_boolean()) return v->get<bool>() ? "true" : "false";
  if (v->is_number_unsigned()) return std::to_string(v->get<std::uint64_t>());
  if (v->is_number_integer()) return std::to_string(v->get<std::int64_t>());
  if (v->is_number()) {
    char text[32];
    (void)std::snprintf(text, sizeof text, "%g", v->get<double>());
    return text;
  }
  return v->is_array() ? "a list" : v->is_object() ? "an object" : "null";
}

namespace detail {

/// Builds the document and stops at the first thing that the limits do not allow.
class StrictJson : public JsonEvents {
 public:
  StrictJson(Json& document, int depth) : root_(document), most_(depth) {}
  bool null() override { return put(Json()) != nullptr; }
  bool boolean(bool v) override { return put(Json(v)) != nullptr; }
  bool number_integer(std::int64_t v) override { return put(Json(v)) != nullptr; }
  bool number_unsigned(std::uint64_t v) override { return put(Json(v)) != nullptr; }
  bool number_float(double v, const std::string&) override { return put(Json(v)) != nullptr; }
  bool string(std::string& v) override { return put(Json(v)) != nullptr; }
  bool start_object(std::size_t) override { return open(Json::value_t::object); }
  bool start_array(std::size_t) override { return open(Json::value_t::array); }
  bool end_object() override { return stack_.pop_back(), true; }
  bool end_array() override { return stack_.pop_back(), true; }
  bool key(std::string& k) override {
    const auto [at, fresh] = stack_.back()->get_ref<Json::object_t&>().emplace(k, nullptr);
    member_ = &at->second;
    return fresh || bad("key '" + printable(k) + "' stands twice in one object");
  }

 private:
  Json* put(Json&& v) {
    if (stack_.empty()) return &(root_ = std::move(v));
    if (stack_.back()->is_object()) return &(*member_ = std::move(v));
    return &stack_.back()->get_ref<Json::array_t&>().emplace_back(std::move(v));
  }
  bool open(Json::value_t type) {
    if (stack_.size() >= static_cast<std::size_t>(most_)) return bad("nested deeper than " + std::to_string(most_));
    stack_.push_back(put(Json(type)));  // stays where it is until it is closed
    return true;
  }
  Json& root_;
  std::vector<Json*> stack_;
  Json* member_ = nullptr;
  int most_;
};

[[noreturn]] inline void bad_field(const char* key, const Json* found, const std::string& expected) {
  throw Error(Code::kFormat, {"config: ", key, " is ", shown(found), ", expected ", expected});
}

inline const Json* field(const Json& object, const char* key) {
  if (!object.is_object()) throw Error(Code::kFormat, {"config: no object around ", key});
  const auto at = object.find(key);
  return at == object.end() || at->is_null() ? nullptr : &*at;
}

}  // namespace detail

inline Json parse_json(std::string_view text, const std::string& name, const JsonLimits& limits) {
  if (text.size() > limits.bytes)
    throw Error(Code::kLimit,
                {name, ": ", std::to_string(text.size()), " bytes of JSON, the limit is ", std::to_string(limits.bytes)});
  refuse_lfs_pointer(text, name);
  Json root;
  detail::StrictJson handler(root, limits.depth);
  if (!handler.read(text)) throw Error(Code::kFormat, {name, ": not valid JSON: ", handler.problem()});
  return root;
}

inline Json read_json(const std::string& path, const JsonLimits& limits) {
  const MappedFile file = MappedFile::open(path.c_str());
  return parse_json({reinterpret_cast<const char*>(file.data()), file.bytes()}, path, limits);
}

inline bool has(const Json& object, const char* key) { return object.is_object() && object.find(key) != object.end(); }
inline const Json& member(const Json& object, const char* key) {
  static const Json null;
  const Json* v = detail::field(object, key);
  return v ? *v : null;
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
