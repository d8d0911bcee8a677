// What another project's program may look like: one operation on its own arrays, its result checked.
#include <cmath>
#include <cstdio>

#include <tessera/ops.hpp>
#include <tessera/version.hpp>

int main() {
  const float x[2][3] = {{1.f, 2.f, 3.f}, {4.f, 4.f, 7.f}}, gamma[3] = {1.f, 1.f, 1.f}, beta[3] = {0.f, 0.f, 5.f};
  float out[2][3];
  tessera::Context context(1);
  tessera::ops::layer_norm(context, tessera::View<const float, 2>(&x[0][0], 2, 3), tessera::View<const float, 1>(gamma, 3),
                           tessera::View<const float, 1>(beta, 3), 0.f, tessera::View<float, 2>(&out[0][0], 2, 3));
  std::printf("tessera %d.%d on %s: %g\n", TESSERA_VERSION_MAJOR, TESSERA_VERSION_MINOR, tessera::isa_name(context.isa()),
              static_cast<double>(out[0][2]));
  return std::fabs(out[0][2] - (5.f + std::sqrt(1.5f))) < 1e-5f && std::fabs(out[1][0] + std::sqrt(0.5f)) < 1e-5f ? 0 : 1;
}
