// Inputs one line at a time, so that a file larger than memory works.
#pragma once
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>

#include "signals.hpp"
#include "tool.hpp"

namespace tool {

inline constexpr const char* kJsonlHelp =
    R"(each line is a JSON string, or an object with one as "text": a text may then hold newlines)";

/// Lines of a file, or of standard input for "-". With jsonl each line is a JSON string, or an object with one as "text".
class Lines {
 public:
  Lines(const std::string& path, bool jsonl) : name_(path == "-" ? "standard input" : path), jsonl_(jsonl) {
    file_.reset(path == "-" ? stdin : std::fopen(path.c_str(), "rb"));
    struct stat st {};
    if (!file_) throw Failure{kOther, name_ + ": cannot read: " + std::strerror(errno) + "; check the path"};
    if (fstat(fileno(file_.get()), &st) == 0) {
      if (S_ISDIR(st.st_mode)) throw Failure{kOther, name_ + ": a folder, expected a text file with one text a line"};
      regular_ = S_ISREG(st.st_mode);
      if (regular_) bytes_ = static_cast<double>(st.st_size);
    }
  }
  /// The next line, without its end. False at the end of the input or once interrupted. \throws Failure when reading fails.
  bool next_raw(std::string& line) {
    ssize_t n = -1;
    while (!interrupted()) {
      char* buffer = buffer_.release();
      n = getline(&buffer, &capacity_, file_.get());
      buffer_.reset(buffer);
      if (n >= 0 || !std::ferror(file_.get()) || errno != EINTR) break;
      std::clearerr(file_.get());
    }
    if (n >= 0 && interrupted() && buffer_.get()[n - 1] != '\n') return false;  // a signal cut it off
    if (n < 0) {
      if (!interrupted() && std::ferror(file_.get()))
        throw Failure{kOther, name_ + ": cannot read: " + std::strerror(errno)};
      return false;
    }
    ++number_;
    read_ += static_cast<double>(n);
    std::size_t size = static_cast<std::size_t>(n);
    if (size > 0 && buffer_.get()[size - 1] == '\n') --size;
    if (size > 0 && buffer_.get()[size - 1] == '\r') --size;
    line.assign(buffer_.get(), size);
    return true;
  }
  /// The JSON of a line, or why it is none.
  static bool json(const std::string& line, tessera::io::Json& json, std::string& why) {
    try {
      json = tessera::io::parse_json(line, "the line");
      return true;
    } catch (const tessera::Error& e) {
      return why = e.what(), false;
    }
  }
  /// The text of a line, or why it is none.
  bool text(const std::string& line, std::string& text, std::string& why) const {
    constexpr std::size_t kLongest = std::size_t{1} << 29;  // half of what a tokenizer takes: room for a prompt
    if (line.size() > kLongest) return why = "longer than 512 MiB; is it a text file?", false;
    if (jsonl_) {
      tessera::io::Json j;
      if (!json(line, j, why)) return false;
      if (j.is_object()) j = tessera::io::Json(tessera::io::member(j, "text"));
      if (!j.is_string())
        return why = R"(not a JSON string in quotes, nor an object with one as "text"; --jsonl takes one a line)", false;
      text = j.get<std::string>();
      return true;
    }
    std::size_t bad = 0;
    const std::size_t at = tessera::text::unicode::valid_prefix(line, 0, bad);
    if (at != line.size())
      return why = "not valid UTF-8 at byte " + std::to_string(at) + "; convert the file, for example with iconv", false;
    text = line;
    return true;
  }
  /// Where the last line came from, for messages.
  std::string where() const { return name_ + ", line " + std::to_string(number_); }
  /// Whether it can be read a second time.
  bool regular() const { return regular_; }
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
  std::string name_;
  bool jsonl_, regular_ = false;
  std::unique_ptr<std::FILE, Close> file_;
  std::unique_ptr<char, Free> buffer_;
  std::size_t capacity_ = 0;
  long long number_ = 0;
  double bytes_ = -1, read_ = 0;
};

}  // namespace tool
