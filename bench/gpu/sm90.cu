// gpu_check's case of the GEMM of sm_90a, compiled for that alone.
#include <tessera/cuda/sm90_gemm_launch.cuh>

#include "bench/gpu/check.hpp"

namespace tessera::gpu_check {
namespace {

using namespace kernels::cuda;

template <class Tile, Activation kAct, class Out>
void tile_of(Check& check, const char* name) {
  int multiprocessors = 0;
  must(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, 0), "attribute");
  const auto product = [&](int m, int n, int k, bool checked) {
    Array<bf16> a(m, k), w(n, k);
    Array<Out> c(m, n, 8);
    a.fill([&] { return rounded(check.random.unit()); }), w.fill([&] { return rounded(check.random.unit()); });
    Sm90GemmArgs<Out> g{};
    g.c = c.data(), g.ldc = c.ld(), g.m = m, g.n = n, g.k = k;
    if (const char* problem = make_sm90_gemm_maps<Tile, false>(g, a.data(), k, w.data(), k)) return check.fail(problem);
    const auto launch = [&] { return launch_sm90_gemm<Tile, false, kAct>(g, multiprocessors, nullptr, false); };
    if (!checked)
      return check.time(std::string(name) + ", " + std::to_string(m) + " x " + std::to_string(n) + " x " + std::to_string(k),
                        2.0 * m * n * k, 2.0 * (m * k + n * k + m * n), launch);
    check.run(name, c, launch);
    for (index_t r = 0; r < m; ++r)
      for (index_t j = 0; j < n; ++j) {
        double sum = 0, size = 1;
        for (index_t i = 0; i < k; ++i) sum += a.at(r, i) * w.at(j, i), size += std::fabs(a.at(r, i) * w.at(j, i));
        const double exact = kAct == Activation::gelu_erf ? sum / 2 * (1 + std::erf(sum / std::sqrt(2.0))) : sum;
        check.near(name, c.at(r, j), exact, 1e-6 * size + (sizeof(Out) == 2 ? 0x1p-8 * std::fabs(exact) : 0));
      }
  };
  product(300, 264, 200, true);
  product(1, 8, 64, true);
  product(64 * 197, 3072, 768, false);
}
void sm90_gemm(Check& check) {
  tile_of<Sm90GemmTile64x64, Activation::identity, bf16>(check, "64x64");
  tile_of<Sm90GemmTile64x256, Activation::identity, bf16>(check, "64x256");
  tile_of<Sm90GemmTile128x128, Activation::identity, float>(check, "128x128, f32");
  tile_of<Sm90GemmTile128x160, Activation::identity, bf16>(check, "128x160");
  tile_of<Sm90GemmTile128x256, Activation::gelu_erf, bf16>(check, "128x256, GELU");
  tile_of<Sm90GemmTile192x128, Activation::identity, bf16>(check, "192x128");
  tile_of<Sm90GemmTile256x128, Activation::identity, bf16>(check, "256x128");
}
const Registered of_sm90_gemm("sm90_gemm", sm90_gemm);

}  // namespace
}  // namespace tessera::gpu_check
