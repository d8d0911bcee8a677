// The bits promise on every operation at drawn sizes, its inputs of widely different magnitudes, zeros of both signs and
// denormals among them. tests/bits compares compilers and NEON; tests/models/bits_test.cpp a whole encoder.
#include <limits>

#include "support/backends.hpp"
#include "support/fp_state.hpp"
#include "support/jobs.hpp"
#include "support/poison.hpp"

namespace {

using namespace tessera;
using namespace tessera::test;

constexpr std::uint64_t kSeeds[] = {1, 2, 3};

TEST(OpsBits, EveryIsaAndThreadCount) {
  for (const std::uint64_t seed : kSeeds)
    for (const Job& job : drawn_jobs(seed)) {
      Context plain(isas().front(), 1);
      const Matrix first = job.run(plain);
      EXPECT_TRUE(written_exactly(first)) << job.name;
      for (const Isa isa : isas())
        for (int threads = 1; threads <= 5; ++threads) {
          Context ctx(isa, threads);
          EXPECT_EQ(promised_bits(first), promised_bits(job.run(ctx)))
              << job.name << ", " << isa_name(isa) << ", " << threads;
        }
    }
}
TEST(OpsBits, TheCallersModeChangesNoneAndComesBack) {
  for (const Job& job : drawn_jobs(4))
    for (const Isa isa : isas())
      for (const int threads : {1, 3}) {
        Context ctx(isa, threads);
        const auto usual = promised_bits(job.run(ctx));
        for (const CallerMode& m : kCallerModes) {
          const OtherFpMode other(m.bits);
          const FpState before = fp_state();
          const Matrix out = job.run(ctx);
          EXPECT_TRUE(fp_state() == before) << job.name << ", " << m.name;
          EXPECT_EQ(usual, promised_bits(out)) << job.name << ", " << isa_name(isa) << ", " << m.name;
        }
      }
}
TEST(OpsBits, AContextUsedBeforeGivesTheSame) {  // what lies in the scratch of another call reaches no result
  for (const Isa isa : isas()) {
    Context used(isa, 2);
    for (const Job& job : drawn_jobs(6)) {
      Context fresh(isa, 2);
      EXPECT_EQ(promised_bits(job.run(fresh)), promised_bits(job.run(used))) << job.name;
    }
  }
}

// One row of numbers that spread: the others must not see them.
Matrix with_odd_row(Matrix m, index_t row) {
  const float inf = std::numeric_limits<float>::infinity();
  const float odd[] = {
      0.f, -0.f, 1e-40f, -3e-45f, inf, -inf, std::numeric_limits<float>::max(), std::numeric_limits<float>::quiet_NaN()};
  for (index_t c = 0; c < m.columns; ++c) m(row, c) = odd[c % 8];
  return m;
}

TEST(OpsBits, AnOddRowStaysAlone) {
  for (const Isa isa : isas()) {
    Context ctx(isa, 2);
    const Matrix x = filled(29, 70, {.seed = 2, .pad = 1}), w = filled(80, 70, {.seed = 3}),
                 bias = filled(1, 80, {.seed = 4});
    const Matrix gamma = filled(1, 70, {.seed = 5}), beta = filled(1, 70, {.seed = 6});
    const PackedWeight packed = ops::pack_weight(ctx, w.in());
    const auto rows_alone = [&](const char* name, index_t columns, auto run) {
      Matrix clean(29, columns, 2);
      run(x, clean.out());
      for (const index_t row : {0, 13, 28}) {
        Matrix out(29, columns, 2);
        run(with_odd_row(x, row), out.out());
        for (index_t r = 0; r < 29; ++r) {
          if (r != row) {
            EXPECT_EQ(clean.row_bits(r), out.row_bits(r)) << name << ", odd row " << row << ", row " << r;
          }
        }
      }
    };
    rows_alone("linear", 80, [&](const Matrix& in, View<float, 2> out) {
      ops::linear(ctx, in.in(), packed, {.bias = bias.row(), .act = Activation::gelu_erf}, out);
    });
    rows_alone("layer_norm", 70, [&](const Matrix& in, View<float, 2> out) {
      ops::layer_norm(ctx, in.in(), gamma.row(), beta.row(), 1e-6f, out);
    });
    rows_alone("rms_norm", 70,
               [&](const Matrix& in, View<float, 2> out) { ops::rms_norm(ctx, in.in(), gamma.row(), 1e-6f, out); });
    rows_alone("l2_normalize", 70, [&](const Matrix& in, View<float, 2> out) { ops::l2_normalize(ctx, in.in(), out); });
    rows_alone("similarity", 80, [&](const Matrix& in, View<float, 2> out) { ops::similarity(ctx, in.in(), w.in(), out); });
    for (int act = 0; act < 7; ++act)
      rows_alone("activation", 70, [&](const Matrix& in, View<float, 2> out) {
        ops::activation(ctx, static_cast<Activation>(act), in.in(), out);
      });
    const std::vector<index_t> each = [] {
      std::vector<index_t> cu;
      for (index_t i = 0; i <= 29; ++i) cu.push_back(i);
      return cu;
    }();
    rows_alone("attention, a token a sequence", 70, [&](const Matrix& in, View<float, 2> out) {
      View<float, 3> o(out.data, 29, 2, 35);
      o.stride[0] = out.stride[0];
      ops::attention(ctx, in.heads(2), in.heads(2), in.heads(2), offsets(each), offsets(each), {}, o);
    });
    rows_alone("attention of odd queries", 70, [&](const Matrix& in, View<float, 2> out) {
      View<float, 3> o(out.data, 29, 2, 35);
      o.stride[0] = out.stride[0];
      const std::vector<index_t> cu{0, 29};
      ops::attention(ctx, in.heads(2), x.heads(2), x.heads(2), offsets(cu), offsets(cu), {}, o);
    });
  }
}

}  // namespace
