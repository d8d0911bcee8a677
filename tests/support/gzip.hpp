// Gzip files as lines, for fixtures.
#pragma once
#include <stdexcept>
#include <string>
#include <vector>

#include <zlib.h>

namespace tessera::test {

inline std::string read_gzip(const std::string& path) {
  gzFile file = gzopen(path.c_str(), "rb");
  if (!file) throw std::runtime_error("cannot open " + path);
  std::string all;
  std::vector<char> part(1 << 16);
  int n = 0;
  while ((n = gzread(file, part.data(), static_cast<unsigned>(part.size()))) > 0)
    all.append(part.data(), static_cast<std::size_t>(n));
  gzclose(file);
  if (n < 0) throw std::runtime_error("damaged " + path);
  return all;
}

inline std::vector<std::string> read_gzip_lines(const std::string& path) {
  const std::string all = read_gzip(path);
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < all.size();) {
    const std::size_t end = std::min(all.find('\n', at), all.size());
    lines.push_back(all.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

}  // namespace tessera::test
