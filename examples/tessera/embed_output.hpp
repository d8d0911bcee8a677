// Rows of one output file, and which inputs they came from.
#pragma once
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "progress.hpp"
#include "signals.hpp"
#include "tool.hpp"

namespace tool {

/// Which inputs left a row. Inputs come in order, so only the skipped ones need be kept.
class RowMap {
 public:
  /// \param first the number of the first input.
  RowMap(const std::string& path, long long first) : name_(name_of(path)), first_(first) {}
  static std::string name_of(const std::string& path) { return path + ".rows.jsonl"; }

  /// Names on stderr an input that leaves no row.
  void skip(long long input, const std::string& name, const std::string& why) {
    say(name + " skipped: " + why);
    skip_quietly(input);
  }
  /// Of one that was named already.
  void skip_quietly(long long input) { skipped_.insert(std::upper_bound(skipped_.begin(), skipped_.end(), input), input); }
  /// In order.
  const std::vector<long long>& skipped() const { return skipped_; }

  /// Puts an output in place by commit(), and, when some input left no row, `.rows.jsonl` beside it: {"row": r, "input": i}.
  template <class F>
  void commit(long long rows, const F& commit) const {
    std::optional<tessera::io::AtomicFile> map;
    if (!skipped_.empty()) write(map.emplace(name_), 0, rows);  // a full disk is found before anything is in place
    commit();
    if (map)
      map->commit();
    else
      std::remove(name_.c_str());  // of an earlier run
  }
  /// The same for rows that were added behind others, of which the first is `row`: a map that is there goes on.
  void commit_behind(long long row, long long rows) const {
    std::error_code error;
    const bool goes_on = std::filesystem::exists(name_, error);
    if (!goes_on && skipped_.empty()) return;
    tessera::io::AtomicFile map(name_);
    if (goes_on) {
      const auto old = tessera::MappedFile::open(name_.c_str());
      map.write(old.data(), old.bytes());
    }
    write(map, row, rows);
    map.commit();
  }

 private:
  void write(tessera::io::AtomicFile& map, long long row, long long rows) const {
    std::string text;
    auto skipped = skipped_.begin();
    long long input = first_;
    for (long long r = row; r < row + rows; ++r, ++input) {
      for (; skipped != skipped_.end() && *skipped == input; ++skipped) ++input;
      text += "{\"row\": " + std::to_string(r) + ", \"input\": " + std::to_string(input) + "}\n";
      if (text.size() > (1u << 16)) map.write(text.data(), text.size()), text.clear();
    }
    map.write(text.data(), text.size());
  }

  std::string name_;
  long long first_;
  std::vector<long long> skipped_;
};

/// A .npy file that grows row by row, and its map.
class EmbedOutput {
 public:
  /// \param first the number of the first input.
  EmbedOutput(const std::string& path, tessera::index_t columns, long long first)
      : path_(path),
        map_(path, first),
        file_(or_exit(kOutput, [&] { return std::make_unique<tessera::io::NpyWriter>(path, columns); })) {}

  void row(const float* values) {
    or_exit(kOutput, [&] { file_->append(values, 1); });
  }
  void skip(long long input, const std::string& name, const std::string& why) { map_.skip(input, name, why); }
  void skip_quietly(long long input) { map_.skip_quietly(input); }
  const std::vector<long long>& skipped() const { return map_.skipped(); }
  long long rows() const { return file_->rows(); }
  long long seen() const { return rows() + static_cast<long long>(skipped().size()); }

  /// When a signal ends the work: an older output is not given up for no row at all.
  bool keeps_what_is_done() const {
    std::error_code error;
    return rows() > 0 || !std::filesystem::exists(path_, error);
  }
  const std::string& path() const { return path_; }

  void commit() {
    or_exit(kOutput, [&] { map_.commit(rows(), [&] { file_->commit(); }); });
  }

 private:
  std::string path_;
  RowMap map_;
  std::unique_ptr<tessera::io::NpyWriter> file_;
};

/// What happened, in one line: on a terminal only, as the bar is.
inline void summary(const EmbedOutput& out, const Progress& progress, const char* what) {
  if (!progress.shown()) return;
  char text[128];
  std::snprintf(text, sizeof text, "%lld %s in %.1f s (%.0f/s), %zu skipped", out.rows(), what, progress.seconds(),
                static_cast<double>(out.rows()) / progress.seconds(), out.skipped().size());
  say(text);
}

inline int outcome(bool skipped, bool nonfinite) { return nonfinite ? kNonFinite : skipped ? kSkipped : kDone; }

/// Says where a signal stopped the work, and whether what was done is kept. \returns the exit code.
inline int stopped(const EmbedOutput& out, bool kept) {
  if (kept)
    say("stopped by a signal; " + out.path() + " holds the rows that were done: " + std::to_string(out.rows()));
  else
    say("stopped by a signal before the first row; " + out.path() + " is as it was");
  return signal_exit();
}

}  // namespace tool
