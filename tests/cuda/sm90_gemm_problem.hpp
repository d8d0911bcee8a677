// Runs the GEMM of sm_90a on the problems of gemm_problem.hpp.
#pragma once
#include <tessera/cuda/sm90_gemm.cuh>

#include "cuda/gemm_problem.hpp"

namespace tessera::test {

using kernels::cuda::Sm90GemmArgs;

template <class Tile, bool kGated, Activation kAct, class Out>
std::string run_sm90(GemmProblem<Out>& p, std::uint64_t seed, int blocks) {
  const GemmArgs<Out> g = p.args();
  Sm90GemmArgs<Out> args{};
  args.c = g.c, args.ldc = g.ldc, args.m = g.m, args.n = g.n, args.k = g.k;
  args.residual = g.residual, args.ldr = g.ldr, args.epilogue = g.epilogue;
  args.residual_rows = g.residual_rows;
  if (const char* problem = kernels::cuda::make_sm90_gemm_maps<Tile, kGated>(args, g.a, g.lda, g.w, g.ldw)) return problem;
  return simt::run({blocks, Tile::kThreads, Tile::kSharedBytes, seed},
                   [&] { kernels::cuda::sm90_gemm_kernel<Tile, kGated, kAct, Out>(args); });
}

/// Reports the first thing that is wrong, and how to see it again.
template <class Tile, class Out, bool kGated = false, Activation kAct = Activation::identity>
void expect_sm90_right(GemmShape s, std::uint64_t seed, int blocks = 1) {
  s.gated = kGated, s.act = kAct;
  GemmProblem<Out> p(s, seed);
  EXPECT_EQ((run_sm90<Tile, kGated, kAct>(p, seed, blocks)), "") << s.m << " x " << s.n << " x " << s.k << ", seed " << seed;
  EXPECT_TRUE(p.right()) << s.m << " x " << s.n << " x " << s.k << ", seed " << seed;
}

}  // namespace tessera::test
