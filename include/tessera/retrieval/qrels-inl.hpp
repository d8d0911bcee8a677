#pragma once
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <tuple>
#include <unordered_set>
#include <utility>

#include <tessera/core/mmap.hpp>
#include <tessera/io/detail/printable.hpp>
#include <tessera/io/json.hpp>
#include <tessera/retrieval/qrels.hpp>

namespace tessera::retrieval {

namespace detail {

/// Lines of a text, without their ends and without empty ones.
class TextLines {
 public:
  TextLines(std::string_view text, const std::string& name) : rest_(text), name_(&name) {}
  bool next(std::string_view& line) {
    while (!rest_.empty()) {
      const std::size_t end = rest_.find('\n');
      line = rest_.substr(0, end);
      rest_.remove_prefix(end == rest_.npos ? rest_.size() : end + 1);
      ++number_;
      if (line.ends_with('\r')) line.remove_suffix(1);
      if (line.find_first_not_of(" \t") != line.npos) return true;
    }
    return false;
  }
  long long number() const { return number_; }
  std::string where() const { return *name_ + ", line " + std::to_string(number_); }
  [[noreturn]] void refuse(std::string_view found, std::string_view expected) const {
    throw Error(Code::kFormat, {where(), ": ", found, ", expected ", expected});
  }

 private:
  std::string_view rest_;
  const std::string* name_;
  long long number_ = 0;
};

inline std::string in_quotes(std::string_view text) { return "'" + io::detail::printable(text) + "'"; }

/// Columns between tabs, or between blanks of any number.
inline std::vector<std::string_view> columns(std::string_view line, bool tabs) {
  std::vector<std::string_view> out;
  for (;;) {
    if (!tabs) line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
    if (!tabs && line.empty()) return out;
    const std::size_t end = tabs ? line.find('\t') : line.find_first_of(" \t");
    out.push_back(line.substr(0, end));
    if (end == line.npos) return out;
    line.remove_prefix(end + 1);
  }
}

inline std::vector<std::string_view> columns(const TextLines& lines, std::string_view line, bool tabs, std::size_t count,
                                             std::string_view expected) {
  auto all = columns(line, tabs);
  if (all.size() != count) lines.refuse(std::to_string(all.size()) + (all.size() == 1 ? " column" : " columns"), expected);
  if (std::any_of(all.begin(), all.end(), [](std::string_view c) { return c.empty(); }))
    lines.refuse("an empty column", expected);
  return all;
}

template <class T>
T number(const TextLines& lines, std::string_view text, const char* what, const char* expected) {
  T value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(static_cast<double>(value)))
    lines.refuse(what + in_quotes(text), expected);
  return value;
}

/// A name out of JSON, where a number is one by its decimal form.
inline std::string name_of(const TextLines& lines, const io::Json* v) {
  if (v && v->is_string()) return v->get<std::string>();
  if (!v || !v->is_number_integer()) lines.refuse("a name is " + io::shown(v), "a string or an integer");
  return io::shown(v);
}

/// The first document that stands there a second time, or null.
inline const std::string* repeated(const std::vector<Found>& list) {
  std::unordered_set<std::string_view> seen;
  for (const Found& f : list)
    if (!seen.insert(f.document).second) return &f.document;
  return nullptr;
}

inline Run parse_json_run(TextLines lines) {
  constexpr std::string_view kExpected = R"({"query": ..., "ids": [...], "scores": [...]}, as many scores as ids)";
  Run run;
  for (std::string_view line; lines.next(line);) {
    const io::Json json = io::parse_json(line, lines.where());
    if (!json.is_object()) lines.refuse(io::shown(&json), kExpected);
    const io::Json &ids = io::member(json, "ids"), &scores = io::member(json, "scores");
    if (!ids.is_array() || !scores.is_array() || ids.size() != scores.size())
      lines.refuse("ids and scores are no two lists of one length", kExpected);
    const auto [at, fresh] = run.try_emplace(name_of(lines, &io::member(json, "query")));
    if (!fresh) lines.refuse("query " + in_quotes(at->first) + " a second time", "each query once");
    for (std::size_t i = 0; i < ids.size(); ++i) {
      if (!scores[i].is_number()) lines.refuse("a score is " + io::shown(&scores[i]), "a number");
      at->second.push_back({name_of(lines, &ids[i]), scores[i].get<double>()});
    }
    if (const std::string* twice = repeated(at->second))
      lines.refuse("document " + in_quotes(*twice) + " twice for query " + in_quotes(at->first), "each document once");
  }
  return run;
}

inline Run parse_trec_run(TextLines lines) {
  struct Entry {
    double score;
    std::int64_t rank;
    long long line;
  };
  std::map<std::string, std::unordered_map<std::string, Entry>> all;
  for (std::string_view line; lines.next(line);) {
    const auto c =
        columns(lines, line, false, 6, "6: query, Q0, document, rank, score, tag (or JSON lines of tessera search)");
    const Entry entry{number<double>(lines, c[4], "score ", "a finite number"),
                      number<std::int64_t>(lines, c[3], "rank ", "an integer"), lines.number()};
    const auto [at, fresh] = all[std::string(c[0])].try_emplace(std::string(c[2]), entry);
    if (!fresh)
      lines.refuse("document " + in_quotes(c[2]) + " a second time for query " + in_quotes(c[0]) + " (the first is line " +
                       std::to_string(at->second.line) + ")",
                   "each document once");
  }
  Run run;
  for (auto& [query, found] : all) {
    std::vector<const std::pair<const std::string, Entry>*> order;
    for (const auto& f : found) order.push_back(&f);
    std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
      return std::tie(a->second.rank, a->second.line) < std::tie(b->second.rank, b->second.line);
    });
    for (const auto* f : order) run[query].push_back({f->first, f->second.score});
    found.clear();  // a run may be large
  }
  return run;
}

inline std::string_view bytes_of(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.data()), file.bytes()};
}

}  // namespace detail

inline Qrels parse_qrels(std::string_view text, const std::string& name) {
  detail::TextLines lines(text, name), first = lines;
  std::string_view line;
  const bool beir =
      first.next(line) && detail::columns(line, true) == std::vector<std::string_view>{"query-id", "corpus-id", "score"};
  if (beir) lines = first;
  Qrels qrels;
  while (lines.next(line)) {
    const auto c = beir ? detail::columns(lines, line, true, 3, "3 between tabs: query-id, corpus-id, score")
                        : detail::columns(lines, line, false, 4,
                                          "4: query, iteration, document, grade (or BEIR's: query-id, corpus-id, score "
                                          "between tabs under a line of these names)");
    const int grade = detail::number<int>(lines, c.back(), "grade ", "an integer");
    if (!qrels[std::string(c[0])].try_emplace(std::string(c[c.size() - 2]), grade).second)
      lines.refuse("document " + detail::in_quotes(c[c.size() - 2]) + " a second time for query " + detail::in_quotes(c[0]),
                   "one judgement");
  }
  return qrels;
}

inline Qrels read_qrels(const std::string& path) {
  return parse_qrels(detail::bytes_of(MappedFile::open(path.c_str())), path);
}

inline Run parse_run(std::string_view text, const std::string& name) {
  const detail::TextLines lines(text, name);
  std::string_view line;
  const bool json = detail::TextLines(lines).next(line) && line[line.find_first_not_of(" \t")] == '{';
  return json ? detail::parse_json_run(lines) : detail::parse_trec_run(lines);
}

inline Run read_run(const std::string& path) { return parse_run(detail::bytes_of(MappedFile::open(path.c_str())), path); }

}  // namespace tessera::retrieval
