// One operation on your own arrays: out = gelu(x W^T + bias). Build: g++ -std=c++20 -O2 -Iinclude -Ikernels one_kernel.cpp
#include <cstdio>

#include <tessera/ops.hpp>

int main() {
  using tessera::View;
  const float x[2][3] = {{1, 2, 3}, {-1, 0, 1}};                       // [T, K]: two tokens of three channels
  const float w[4][3] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {1, 1, 1}};  // [N, K], as checkpoints have it
  const float bias[4] = {0, 0, 0, -1};
  float out[2][4];

  tessera::Context context;  // the fastest instruction set of this machine, all its cores
  const tessera::PackedWeight packed = tessera::ops::pack_weight(context, View<const float, 2>(&w[0][0], 4, 3));
  tessera::ops::linear(context, View<const float, 2>(&x[0][0], 2, 3), packed,
                       {.bias = View<const float, 1>(bias, 4), .act = tessera::Activation::gelu_erf},
                       View<float, 2>(&out[0][0], 2, 4));
  for (const auto& row : out) std::printf("%8.5f %8.5f %8.5f %8.5f\n", row[0], row[1], row[2], row[3]);
}
