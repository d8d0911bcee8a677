// What the kernel of late interaction is asked: plain C++.
#pragma once
#include <tessera/core/dtype.hpp>
#include <tessera/cuda/gemm.hpp>

namespace tessera::kernels::cuda {

/// scores[b, n] = sum over the tokens i of query b of max over the tokens j of document n of q_i . d_j, as the CPU's
/// maxsim() means it: NaN is passed over; 0 for a query without tokens, else -infinity for a document without any. Sums are
/// f32, tokens of the query ascending. Rows are 16-byte aligned. Source: Khattab and Zaharia, ColBERT, SIGIR 2020, arXiv
/// 2004.12832, section 3.3.
struct MaxSimArgs {
  const bf16* queries;  ///< [sum Tq, e]
  index_t ldq;
  const std::int32_t* cu_q;  ///< [queries + 1], ascending from 0
  const bf16* documents;     ///< [sum Td, e]
  index_t ldd;
  const std::int32_t* cu_d;  ///< [documents + 1], ascending from 0
  float* scores;             ///< [queries, documents]
  index_t lds;
  int e;
};

using MaxSimTile = GemmTile<32, 64, 2, 2, 3>;

}  // namespace tessera::kernels::cuda
