// The JSON reader as a stream of events.
#pragma once
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include <tessera/io/detail/printable.hpp>

namespace tessera::io::detail {

/// What takes the events of a text. Through nlohmann's interface class, so that one instance of its reader, which is large,
/// serves all. An event that returns false stops the reading.
class JsonEvents : public nlohmann::json_sax<nlohmann::json> {
 public:
  /// Whether the whole text is JSON and every event was taken.
  bool read(std::string_view text) {
    // To nlohmann a byte order mark is blank and a NUL the end; in JSON both are errors.
    if (text.starts_with("\xef\xbb\xbf")) return stopped(0, "a byte order mark");
    if (const std::size_t nul = text.find('\0'); nul != text.npos) return stopped(nul, "a NUL byte");
    // Not json::sax_parse, which compiles the readers of five binary formats as well.
    using Bytes = decltype(nlohmann::detail::input_adapter(text.data(), text.data()));
    nlohmann::detail::parser<nlohmann::json, Bytes> parser(
        nlohmann::detail::input_adapter(text.data(), text.data() + text.size()));
    return parser.sax_parse(static_cast<nlohmann::json_sax<nlohmann::json>*>(this));
  }
  bool binary(binary_t&) final { return false; }
  bool parse_error(std::size_t at, const std::string&, const nlohmann::detail::exception& e) final {
    std::string_view why(e.what());  // "[json.exception...] parse error at line 1, column 2: ...; last read: '...'; ..."
    if (const std::size_t colon = why.find(": "); why.starts_with('[') && colon != why.npos) why.remove_prefix(colon + 2);
    constexpr std::size_t kLongest = 200;  // beyond, it quotes all of a string
    if (why.size() > kLongest) why = why.substr(0, std::min(why.find("; last read"), kLongest));
    return stopped(at, printable(why));
  }
  /// What stopped the reading, once it has.
  const std::string& problem() const { return problem_; }

 protected:
  /// Stops at what the handler does not take.
  bool bad(std::string why) { return problem_ = std::move(why), false; }

 private:
  /// Stops at bytes that are not JSON.
  bool stopped(std::size_t at, const std::string& why) { return bad("at byte " + std::to_string(at) + ": " + why); }

  std::string problem_;
};

}  // namespace tessera::io::detail
