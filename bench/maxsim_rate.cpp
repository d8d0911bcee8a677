// Times late interaction on raw files: for each line "go B" of standard input, scores all documents for the first B queries
// and prints seconds; for "scores B", prints these scores, a line a query. For maxsim_peers.py.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include <tessera/ops/gemm.hpp>
#include <tessera/ops/maxsim.hpp>

namespace {

using namespace tessera;

template <class T>
std::vector<T> numbers(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  std::vector<T> all(bytes.size() / sizeof(T));
  std::copy_n(bytes.data(), all.size() * sizeof(T), reinterpret_cast<char*>(all.data()));
  return all;
}
View<const index_t, 1> view(const std::vector<index_t>& v, index_t count) { return View<const index_t, 1>(v.data(), count); }

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 5) return std::cerr << "usage: maxsim_rate FOLDER CHANNELS f32|bf16|int8 THREADS\n", 2;
  const std::string folder = argv[1], type = argv[3];
  const index_t channels = std::stol(argv[2]);
  Context ctx(std::stoi(argv[4]));
  const auto queries = numbers<float>(folder + "/queries");
  const auto cu_q = numbers<index_t>(folder + "/cu_q"), cu_d = numbers<index_t>(folder + "/cu_d");
  const auto count = static_cast<index_t>(cu_d.size()) - 1;
  PackedWeight documents;
  {
    const auto rows = numbers<float>(folder + "/documents");
    WeightView w = View<const float, 2>(rows.data(), cu_d.back(), channels);
    w.packed = type == "bf16" ? DType::bf16 : type == "int8" ? DType::i8 : DType::f32;
    documents = ops::pack_weight(ctx, w);
  }
  std::vector<float> scores((cu_q.size() - 1) * static_cast<std::size_t>(count));
  std::cout << "ready" << std::endl;
  for (std::string how; std::cin >> how;) {
    index_t batch = 0;
    std::cin >> batch;
    const auto from = std::chrono::steady_clock::now();
    const View<const float, 2> q(queries.data(), cu_q[static_cast<std::size_t>(batch)], channels);
    ops::maxsim(ctx, q, view(cu_q, batch + 1), documents, view(cu_d, count + 1),
                View<float, 2>(scores.data(), batch, count));
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - from;
    if (how == "scores")
      for (index_t b = 0; b < batch; ++b) {
        for (index_t d = 0; d < count; ++d)
          std::printf("%.9g ", static_cast<double>(scores[static_cast<std::size_t>(b * count + d)]));
        std::printf("\n");
      }
    else
      std::printf("%.9f\n", took.count());
    std::fflush(stdout);
  }
} catch (const Error& error) {
  return std::cerr << error.what() << '\n', 1;
}
