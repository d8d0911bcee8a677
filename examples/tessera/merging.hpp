// --merge: token merging by a line of text.
#pragma once
#include <charconv>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <tessera/models/token_merging.hpp>

#include "tool.hpp"

namespace tool {

inline constexpr const char* kMergeHelp =
    "token merging: r=8 (tokens a layer; r=8,inflect=-1; r=16+8+0), pitome,keep=0.9, tofu,r=8,prune=4, "
    "evit,keep=0.7,layers=3+6+9,\n"
    "attention,r=8 (drops what the class token attends to least), random,r=8,seed=1; ,proportional=0 counts merged keys "
    "once";

/// The values of one --merge, each asked for once.
class MergeText {
 public:
  explicit MergeText(const std::string& text) : text_(text) {
    for (std::size_t at = 0; at <= text.size();) {
      const std::size_t comma = std::min(text.find(',', at), text.size());
      const std::string part = text.substr(at, comma - at);
      const std::size_t equals = part.find('=');
      if (at == 0 && equals == part.npos)
        policy_ = part;
      else if (equals == part.npos || equals == 0 ||
               !values_.emplace(part.substr(0, equals), part.substr(equals + 1)).second)
        fail("expected NAME=VALUE, each once, found '" + part + "'");
      at = comma + 1;
    }
  }
  const std::string& policy() const { return policy_; }
  double number(const char* name, double absent) {
    std::string value;
    return take(name, value) ? parsed<double>(name, value) : absent;
  }
  /// Numbers with + between them.
  std::vector<tessera::index_t> list(const char* name) {
    std::string value;
    if (!take(name, value)) fail(std::string("it needs ") + name + "=");
    std::vector<tessera::index_t> all;
    for (std::size_t at = 0; at <= value.size();) {
      const std::size_t plus = std::min(value.find('+', at), value.size());
      all.push_back(parsed<tessera::index_t>(name, value.substr(at, plus - at)));
      at = plus + 1;
    }
    return all;
  }
  /// r, the same for all layers or one number a layer, and how it falls or rises.
  tessera::models::MergeSchedule schedule() {
    const auto r = list("r");
    const double inflect = number("inflect", 0);
    if (r.size() == 1) return {r[0], inflect};
    if (inflect != 0) fail("inflect goes with one r");
    return r;
  }
  /// Everything was asked for.
  void done() const {
    if (!values_.empty()) fail("what is '" + values_.begin()->first + "'?");
  }
  [[noreturn]] void fail(const std::string& why) const { throw Failure{kUsage, "--merge " + text_ + ": " + why}; }

 private:
  bool take(const char* name, std::string& value) {
    const auto found = values_.find(name);
    if (found == values_.end()) return false;
    value = found->second;
    values_.erase(found);
    return true;
  }
  template <class T>
  T parsed(const char* name, const std::string& value) const {
    T number{};
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (error != std::errc() || end != value.data() + value.size() || !(number >= T(-1000000000) && number <= T(1000000000)))
      fail(std::string(name) + " is '" + value + "', not a number");
    return number;
  }
  std::string text_, policy_ = "tome";
  std::map<std::string, std::string> values_;
};

/// \throws Failure kUsage.
inline tessera::models::TokenMerging merging_of(const std::string& text) {
  using namespace tessera::models;
  MergeText t(text);
  const std::string& p = t.policy();
  TokenMerging m;
  m.proportional_attention = t.number("proportional", 1) != 0;
  try {
    if (p == "tome") {
      m.policy = tome(t.schedule());
    } else if (p == "pitome") {
      const double keep = t.number("keep", 0.9);
      m.policy = pitome(keep, t.number("margin", 0.9));
    } else if (p == "tofu") {
      const auto prune = static_cast<tessera::index_t>(t.number("prune", 0));
      m.policy = tofu(t.schedule(), prune);
    } else if (p == "evit") {
      const double keep = t.number("keep", 0.7);
      m.policy = evit(keep, t.list("layers"));
    } else if (p == "attention") {
      m.policy = importance_pruning(t.schedule(), class_attention);
    } else if (p == "random") {
      const auto seed = static_cast<std::uint64_t>(t.number("seed", 0));
      m.policy = random_pruning(t.schedule(), seed);
    } else {
      t.fail("the policies are tome, pitome, tofu, evit, attention, random");
    }
  } catch (const tessera::Error& e) {
    t.fail(e.what());
  }
  t.done();
  return m;
}

}  // namespace tool
