// Times one tokenizer on one text: for each line of standard input, "encode" or "batch", encodes all lines of the text once,
// one by one or by encode_batch(), and prints seconds and tokens. For tokenize_peers.py.
#include <chrono>
#include <fstream>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include <tessera/text.hpp>

int main(int argc, char** argv) try {
  if (argc != 4) return std::cerr << "usage: tokenize_rate TOKENIZER.json TEXT THREADS\n", 2;
  using Clock = std::chrono::steady_clock;
  const auto seconds = [](Clock::time_point since) { return std::chrono::duration<double>(Clock::now() - since).count(); };
  const auto start = Clock::now();
  const auto tokenizer = tessera::text::Tokenizer::load(argv[1]);
  std::cout << seconds(start) << std::endl;
  std::vector<std::string> lines;
  std::ifstream file(argv[2]);
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  const std::vector<std::string_view> views(lines.begin(), lines.end());
  tessera::Context context(std::stoi(argv[3]));
  tessera::text::EncodeOptions options;
  options.truncation = options.padding = false;
  for (std::string how; std::getline(std::cin, how);) {
    std::size_t tokens = 0;
    const auto from = Clock::now();
    std::vector<tessera::text::Encoding> all;
    if (how == "batch") {
      all = tokenizer.encode_batch(context, views, options);
    } else {
      for (const std::string& line : lines) all.push_back(tokenizer.encode(line, options));
    }
    const double taken = seconds(from);
    for (const auto& e : all) tokens += e.size();
    std::cout << taken << ' ' << tokens << std::endl;
  }
} catch (const tessera::Error& error) {
  return std::cerr << error.what() << '\n', 1;
}
