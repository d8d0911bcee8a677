// Queries: a text itself, or the lines of a file.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "lines.hpp"
#include "tool.hpp"

namespace tool {

struct Queries {
  std::vector<std::string> texts;
  std::vector<long long> numbers;  ///< lines of the file, from 0
  std::vector<std::string> lines;  ///< of the file, as they stand; none where there is no file
  bool any_skipped = false;
};

/// The lines of a file of that name, or the text itself. A name that ends with .txt, or with .jsonl where each line is a
/// JSON string, is always a file. \param option what messages call it.
inline Queries read_queries(const char* option, const std::string& text, bool jsonl) {
  Queries q;
  std::error_code error;
  const bool named = text == "-" || text.ends_with(".txt") || (jsonl && text.ends_with(".jsonl"));
  if (!named && !std::filesystem::is_regular_file(text, error)) {
    if (!is_utf8(text)) throw Failure{kUsage, std::string(option) + ": not valid UTF-8, and no file of that name"};
    return {{text}, {0}, {}, false};
  }
  Lines lines(text, jsonl);
  std::string line, query, why;
  for (long long i = 0; lines.next_raw(line); ++i) {
    if (lines.text(line, query, why)) {
      q.texts.push_back(query), q.numbers.push_back(i), q.lines.push_back(line);
    } else {
      say(lines.where() + " (query " + std::to_string(i) + ") skipped: " + why);
      q.any_skipped = true;
    }
  }
  return q;
}

}  // namespace tool
