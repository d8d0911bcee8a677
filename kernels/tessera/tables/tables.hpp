// All kernel families of one backend.
#pragma once
#include <tessera/tables/activation.hpp>
#include <tessera/tables/attention.hpp>
#include <tessera/tables/embed.hpp>
#include <tessera/tables/gemm.hpp>
#include <tessera/tables/norm.hpp>

namespace tessera::kernels {

struct Tables {
  const char* name;
  GemmTable gemm;
  NormTable norm;
  ActivationTable activation;
  AttentionTable attention;
  EmbedTable embed;
};

}  // namespace tessera::kernels
