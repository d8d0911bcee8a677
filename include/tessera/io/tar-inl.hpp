#pragma once
#include <algorithm>
#include <charconv>
#include <cstring>
#include <utility>

#include <tessera/io/tar.hpp>

namespace tessera::io {

namespace detail {

inline constexpr std::size_t kTarBlock = 512;
inline constexpr std::uint64_t kTarNames = 1 << 20;  // most bytes of a long name or of pax records

/// Octal digits between spaces, ended by a space or NUL; or, where the first bit is set, big-endian bytes (GNU).
inline bool tar_number(std::string_view field, std::uint64_t& value) {
  value = 0;
  if (static_cast<unsigned char>(field[0]) & 0x80) {
    for (std::size_t i = 0; i < field.size(); ++i) {
      const auto byte = static_cast<unsigned char>(i == 0 ? field[i] & 0x7f : field[i]);
      if (value >> 55 != 0) return false;  // beyond 2^63; a negative number begins with 0x7f here, and ends so too
      value = value << 8 | byte;
    }
    return true;
  }
  std::size_t i = field.find_first_not_of(' ');
  for (; i < field.size() && field[i] >= '0' && field[i] <= '7'; ++i)
    value = value << 3 | static_cast<std::uint64_t>(field[i] - '0');  // 12 digits: 36 bits
  return i >= field.size() || field[i] == ' ' || field[i] == '\0';
}

inline std::string_view until_nul(std::string_view s) { return s.substr(0, s.find('\0')); }

/// The sum of the header's bytes, its own field counted as spaces; some old programs took bytes as signed.
inline bool tar_checksum_holds(std::string_view header) {
  std::uint64_t want = 0;
  if (!tar_number(header.substr(148, 8), want)) return false;
  std::int64_t plain = 0, with_sign = 0;
  for (std::size_t i = 0; i < kTarBlock; ++i) {
    const char c = i >= 148 && i < 156 ? ' ' : header[i];
    plain += static_cast<unsigned char>(c), with_sign += static_cast<signed char>(c);
  }
  return static_cast<std::int64_t>(want) == plain || static_cast<std::int64_t>(want) == with_sign;
}

}  // namespace detail

inline void TarReader::fail(Code code, std::string_view what) const {
  throw Error(code, {name_, ": at byte ", std::to_string(header_), ": ", what});
}

inline std::string_view TarReader::take(std::uint64_t bytes, const char* what) {
  if (bytes > archive_.size() - at_)
    fail(Code::kFormat, std::string(what) + " of " + std::to_string(bytes) + " bytes reaches beyond the end of the archive");
  const std::string_view taken(reinterpret_cast<const char*>(archive_.data()) + at_, static_cast<std::size_t>(bytes));
  at_ += static_cast<std::size_t>(bytes);
  at_ += std::min(archive_.size() - at_, (detail::kTarBlock - at_ % detail::kTarBlock) % detail::kTarBlock);
  return taken;
}

/// Records "LENGTH KEY=VALUE\n", of which path and size matter here.
inline void TarReader::read_pax(std::string_view records, std::string& path, std::uint64_t& size, bool& sized) const {
  while (!records.empty()) {
    std::size_t length = 0;
    const auto [end, error] = std::from_chars(records.data(), records.data() + records.size(), length);
    const auto digits = static_cast<std::size_t>(end - records.data());
    if (error != std::errc() || length > records.size() || length < digits + 3 || *end != ' ' || records[length - 1] != '\n')
      fail(Code::kFormat, "a pax record that is none");
    const std::string_view record = records.substr(digits + 1, length - digits - 2);
    records.remove_prefix(length);
    const std::size_t equals = record.find('=');
    if (equals == std::string_view::npos) fail(Code::kFormat, "a pax record without '='");
    const std::string_view key = record.substr(0, equals), value = record.substr(equals + 1);
    if (key == "path") path = detail::until_nul(value);
    if (key.starts_with("GNU.sparse.")) fail(Code::kUnsupported, "a sparse file; make the archive without --sparse");
    if (key != "size") continue;
    const auto [last, bad] = std::from_chars(value.data(), value.data() + value.size(), size);
    if (bad != std::errc() || last != value.data() + value.size()) fail(Code::kFormat, "a pax size that is no number");
    sized = true;
  }
}

inline bool TarReader::next(Entry& entry) {
  std::string long_name;  // of the entry that follows its own header
  std::uint64_t long_size = 0;
  bool sized = false;
  while (at_ < archive_.size()) {
    header_ = at_;
    const std::string_view h = take(detail::kTarBlock, "a header");
    if (h.find_first_not_of('\0') == std::string_view::npos) break;
    if (!detail::tar_checksum_holds(h)) fail(Code::kFormat, "not a tar header: its checksum is wrong");
    std::uint64_t size = 0;
    if (!detail::tar_number(h.substr(124, 12), size)) fail(Code::kFormat, "a size that is no number");
    const char type = h[156];
    if (type == 'L' || type == 'K' || type == 'x' || type == 'g') {
      if (size > detail::kTarNames) fail(Code::kFormat, "a name or pax records of more than 1 MiB");
      const std::string_view text = take(size, "a name or pax record");
      if (type == 'L') long_name = detail::until_nul(text);
      if (type == 'x') read_pax(text, long_name, long_size, sized);
      continue;
    }
    if (type == 'S') fail(Code::kUnsupported, "a sparse file; make the archive without --sparse");
    std::string name(detail::until_nul(h.substr(0, 100)));
    const std::string_view prefix = detail::until_nul(h.substr(345, 155));
    if (h.substr(257, 6) == std::string_view("ustar\0", 6) && !prefix.empty()) name = std::string(prefix) + "/" + name;
    if (!long_name.empty()) name = std::exchange(long_name, {});
    if (std::exchange(sized, false)) size = long_size;
    if (type >= '1' && type <= '6') continue;  // links, devices and folders have no bytes, whatever they say
    const std::string_view bytes = take(size, "a file");
    if ((type != '0' && type != '\0' && type != '7') || name.ends_with('/')) continue;
    entry.name = std::move(name);
    entry.bytes = archive_.subspan(static_cast<std::size_t>(bytes.data() - reinterpret_cast<const char*>(archive_.data())),
                                   bytes.size());
    return true;
  }
  at_ = archive_.size();
  return false;
}

inline TarFile TarFile::open(const std::string& path) {
  TarFile tar{MappedFile::open(path.c_str()), {}};
  TarReader reader({tar.file.data(), tar.file.bytes()}, path);
  for (TarReader::Entry entry; reader.next(entry);) tar.entries.push_back(entry);
  return tar;
}

}  // namespace tessera::io
