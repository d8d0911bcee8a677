// Names out of files, made safe for sentences that end up on terminals.
#pragma once
#include <string>
#include <string_view>

namespace tessera::io::detail {

/// At most 200 bytes of `name`, control characters as '?'.
inline std::string printable(std::string_view name) {
  std::string s(name.substr(0, 200));
  for (char& c : s)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  return s;
}

}  // namespace tessera::io::detail
