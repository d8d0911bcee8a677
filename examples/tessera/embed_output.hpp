// Rows of one output file, and which inputs they came from.
#pragma once
#include <cstdio>
#include <string>
#include <vector>

#include "tool.hpp"

namespace tool {

/// A .npy file that grows row by row, and, when some input left no row, `.rows.jsonl` beside it: {"row": r, "input": i}.
class EmbedOutput {
 public:
  EmbedOutput(const std::string& path, tessera::index_t columns)
      : path_(path),
        columns_(columns),
        file_(or_exit(kOutput, [&] { return std::make_unique<tessera::io::NpyWriter>(path, columns); })) {}

  void row(long long input, const float* values) {
    or_exit(kOutput, [&] { file_->append(values, 1); });
    inputs_.push_back(input);
  }
  /// Names on stderr an input that leaves no row.
  void skip(long long input, const std::string& why) {
    std::fprintf(stderr, "tessera: input %lld skipped: %s\n", input, why.c_str());
    skipped_.push_back(input);
  }
  const std::vector<long long>& skipped() const { return skipped_; }
  long long rows() const { return static_cast<long long>(inputs_.size()); }
  long long seen() const { return rows() + static_cast<long long>(skipped_.size()); }

  void commit() {
    or_exit(kOutput, [&] {
      const std::string map = path_ + ".rows.jsonl";
      if (!skipped_.empty()) {
        tessera::io::AtomicFile rows(map);
        std::string text;
        for (std::size_t r = 0; r < inputs_.size(); ++r) {
          text += "{\"row\": " + std::to_string(r) + ", \"input\": " + std::to_string(inputs_[r]) + "}\n";
          if (text.size() > (1u << 16)) rows.write(text.data(), text.size()), text.clear();
        }
        rows.write(text.data(), text.size());
        rows.commit();
      } else {
        std::remove(map.c_str());  // of an earlier run
      }
      file_->commit();
    });
  }

 private:
  std::string path_;
  tessera::index_t columns_;
  std::unique_ptr<tessera::io::NpyWriter> file_;
  std::vector<long long> inputs_, skipped_;
};

}  // namespace tool
