// Headers only, in two translation units of one program: no definition may clash, and both give the same bits.
#include <cstdio>
#include <cstring>

#include <tessera/tessera.hpp>

void normalize_in_second_unit(const float* x, float* out);

int main() {
  const float x[3] = {0.3f, -4.f, 1e-3f};
  float here[3], there[3];
  tessera::Context context(1);
  tessera::ops::l2_normalize(context, tessera::View<const float, 2>(x, 1, 3), tessera::View<float, 2>(here, 1, 3));
  normalize_in_second_unit(x, there);
  const bool same = std::memcmp(here, there, sizeof here) == 0;
  std::printf("%g %g %g: %s\n", static_cast<double>(here[0]), static_cast<double>(here[1]), static_cast<double>(here[2]),
              same ? "the same bits from both units" : "DIFFERENT bits");
  return same ? 0 : 1;
}
