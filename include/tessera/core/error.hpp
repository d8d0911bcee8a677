// The one exception type of the library: a code to act on and a sentence to read.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstring>
#include <exception>
#include <initializer_list>
#include <new>
#include <string_view>

namespace tessera {

/// What kind of thing went wrong; the sentence in Error::what() says what, where, and what to do.
enum class Code : unsigned char {
  kBadArgument,    ///< a value outside what the function accepts
  kShapeMismatch,  ///< extents that do not fit each other
  kBadStride,      ///< a layout that the operation does not take
  kUnsupported,    ///< well-formed, but not something this build or machine can do
  kNotFound,       ///< a file, tensor or field that is not there
  kIo,             ///< the operating system refused to read or write
  kFormat,         ///< bytes that are not what their format demands
  kNonFinite,      ///< NaN or infinity where a finite number is required
  kLimit,          ///< larger than a stated limit
  kCancelled,      ///< stopped on request
};

/// The code as a word, for logs ("shape mismatch").
constexpr const char* code_name(Code code) noexcept {
  switch (code) {
    case Code::kBadArgument: return "bad argument";
    case Code::kShapeMismatch: return "shape mismatch";
    case Code::kBadStride: return "bad stride";
    case Code::kUnsupported: return "unsupported";
    case Code::kNotFound: return "not found";
    case Code::kIo: return "input/output";
    case Code::kFormat: return "bad format";
    case Code::kNonFinite: return "non-finite";
    case Code::kLimit: return "limit exceeded";
    case Code::kCancelled: return "cancelled";
  }
  return "unknown";
}

/// Thrown by every public call that fails. Copies share the text and never throw, as exceptions must not.
class Error : public std::exception {
 public:
  Error(Code code, std::string_view sentence) noexcept : Error(code, {sentence}) {}
  /// The sentence in parts. Joined here and not by the thrower, whose code would be several times as long.
  Error(Code code, std::initializer_list<std::string_view> parts) noexcept : code_(code), text_(make(parts)) {}
  Error(const Error& o) noexcept : std::exception(o), code_(o.code_), text_(o.text_) {
    if (text_) text_->users.fetch_add(1, std::memory_order_relaxed);
  }
  Error& operator=(const Error&) = delete;
  ~Error() override {
    if (text_ && text_->users.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      text_->~Text();
      ::operator delete(text_);
    }
  }

  Code code() const noexcept { return code_; }
  const char* what() const noexcept override { return text_ ? text_->data() : "out of memory while reporting an error"; }

 private:
  struct Text {
    std::atomic<int> users{1};
    char* data() noexcept { return reinterpret_cast<char*>(this + 1); }
  };
  static Text* make(std::initializer_list<std::string_view> parts) noexcept {
    std::size_t n = 1;
    for (const std::string_view p : parts) n += p.size();
    void* raw = ::operator new(sizeof(Text) + n, std::nothrow);
    if (!raw) return nullptr;
    Text* text = new (raw) Text;
    char* end = text->data();
    for (const std::string_view p : parts) {
      if (!p.empty()) std::memcpy(end, p.data(), p.size());
      end += p.size();
    }
    *end = '\0';
    return text;
  }

  Code code_;
  Text* text_;
};

}  // namespace tessera
