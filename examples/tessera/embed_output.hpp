// Rows of one output file, and which inputs they came from.
#pragma once
#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tool.hpp"

namespace tool {

/// A .npy file that grows row by row, and, when some input left no row, `.rows.jsonl` beside it: {"row": r, "input": i}.
/// Inputs come in order, so only the skipped ones need be kept.
class EmbedOutput {
 public:
  /// \param first the number of the first input.
  EmbedOutput(const std::string& path, tessera::index_t columns, long long first)
      : path_(path),
        first_(first),
        file_(or_exit(kOutput, [&] { return std::make_unique<tessera::io::NpyWriter>(path, columns); })) {}

  void row(const float* values) {
    or_exit(kOutput, [&] { file_->append(values, 1); });
  }
  /// Names on stderr an input that leaves no row.
  void skip(long long input, const std::string& name, const std::string& why) {
    say(name + " skipped: " + why);
    skipped_.insert(std::upper_bound(skipped_.begin(), skipped_.end(), input), input);
  }
  /// In order.
  const std::vector<long long>& skipped() const { return skipped_; }
  long long rows() const { return file_->rows(); }
  long long seen() const { return rows() + static_cast<long long>(skipped_.size()); }
  static std::string map_of(const std::string& path) { return path + ".rows.jsonl"; }

  void commit() {
    or_exit(kOutput, [&] {
      const std::string name = map_of(path_);
      std::optional<tessera::io::AtomicFile> map;
      if (!skipped_.empty()) write_map(map.emplace(name));  // a full disk is found before anything is in place
      file_->commit();
      if (map)
        map->commit();
      else
        std::remove(name.c_str());  // of an earlier run
    });
  }

 private:
  void write_map(tessera::io::AtomicFile& map) const {
    std::string text;
    auto skipped = skipped_.begin();
    long long input = first_;
    for (long long r = 0; r < rows(); ++r, ++input) {
      for (; skipped != skipped_.end() && *skipped == input; ++skipped) ++input;
      text += "{\"row\": " + std::to_string(r) + ", \"input\": " + std::to_string(input) + "}\n";
      if (text.size() > (1u << 16)) map.write(text.data(), text.size()), text.clear();
    }
    map.write(text.data(), text.size());
  }

  std::string path_;
  long long first_;
  std::unique_ptr<tessera::io::NpyWriter> file_;
  std::vector<long long> skipped_;
};

}  // namespace tool
