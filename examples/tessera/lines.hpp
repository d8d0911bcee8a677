// Inputs one line at a time, so that a file larger than memory works.
#pragma once
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>

#include "tool.hpp"

namespace tool {

/// Lines of a file, or of standard input for "-". With jsonl each line is a JSON string.
class Lines {
 public:
  Lines(const std::string& path, bool jsonl) : path_(path), jsonl_(jsonl) {
    file_.reset(path == "-" ? stdin : std::fopen(path.c_str(), "rb"));
    struct stat st {};
    if (!file_) throw Failure{kOther, path + ": cannot read: " + std::strerror(errno)};
    if (fstat(fileno(file_.get()), &st) == 0) {
      if (S_ISDIR(st.st_mode)) throw Failure{kOther, path + ": a folder, expected a text file with one text a line"};
      if (S_ISREG(st.st_mode)) bytes_ = static_cast<double>(st.st_size);
    }
  }
  /// The next line, without its end. False at the end of the input. \throws Failure when reading fails.
  bool next_raw(std::string& line) {
    char* buffer = buffer_.release();
    const ssize_t n = getline(&buffer, &capacity_, file_.get());
    buffer_.reset(buffer);
    if (n < 0) {
      if (std::ferror(file_.get())) throw Failure{kOther, path_ + ": cannot read: " + std::strerror(errno)};
      return false;
    }
    read_ += static_cast<double>(n);
    std::size_t size = static_cast<std::size_t>(n);
    if (size > 0 && buffer[size - 1] == '\n') --size;
    if (size > 0 && buffer[size - 1] == '\r') --size;
    line.assign(buffer, size);
    return true;
  }
  /// The text of a line, or why it is none.
  bool text(const std::string& line, std::string& text, std::string& why) const {
    if (jsonl_) {
      try {
        const auto json = tessera::io::parse_json(line, "line");
        if (!json.is_string()) return why = "not a JSON string", false;
        text = json.get<std::string>();
      } catch (const tessera::Error& e) {
        return why = e.what(), false;
      }
      return true;
    }
    std::size_t bad = 0;
    const std::size_t at = tessera::text::unicode::valid_prefix(line, 0, bad);
    if (at != line.size()) return why = "not valid UTF-8 at byte " + std::to_string(at), false;
    text = line;
    return true;
  }
  /// Of the input's bytes, what has been read; negative when its size is not known.
  double fraction() const { return bytes_ > 0 ? read_ / bytes_ : -1; }

 private:
  struct Close {
    void operator()(std::FILE* f) const {
      if (f != stdin) std::fclose(f);
    }
  };
  struct Free {
    void operator()(char* p) const { std::free(p); }
  };
  std::string path_;
  bool jsonl_;
  std::unique_ptr<std::FILE, Close> file_;
  std::unique_ptr<char, Free> buffer_;
  std::size_t capacity_ = 0;
  double bytes_ = -1, read_ = 0;
};

}  // namespace tool
