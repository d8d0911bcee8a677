// Times one tokenizer on one text: after each line of standard input, encodes all lines of the text once and prints seconds.
// For tokenize_peers.py. Modes: encode (offsets and all), ids.
#include <chrono>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include <tessera/text.hpp>

int main(int argc, char** argv) try {
  if (argc != 4) return std::cerr << "usage: tokenize_rate TOKENIZER.json TEXT encode|ids\n", 2;
  using Clock = std::chrono::steady_clock;
  const auto seconds = [](Clock::time_point since) { return std::chrono::duration<double>(Clock::now() - since).count(); };
  const auto start = Clock::now();
  const auto tokenizer = tessera::text::Tokenizer::load(argv[1]);
  std::cout << seconds(start) << std::endl;
  std::vector<std::string> lines;
  std::ifstream file(argv[2]);
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  const bool ids_only = std::string(argv[3]) == "ids";
  tessera::text::EncodeOptions options;
  options.truncation = options.padding = false;
  for (std::string go; std::getline(std::cin, go);) {
    std::size_t tokens = 0;
    const auto from = Clock::now();
    std::vector<tessera::text::TokenId> ids;
    for (const std::string& line : lines) {
      if (ids_only) {
        ids.clear();
        tokenizer.encode_ids(line, ids, 0);
        tokens += ids.size();
      } else {
        tokens += tokenizer.encode(line, options).size();
      }
    }
    std::cout << seconds(from) << ' ' << tokens << std::endl;
  }
} catch (const tessera::Error& error) {
  return std::cerr << error.what() << '\n', 1;
}
