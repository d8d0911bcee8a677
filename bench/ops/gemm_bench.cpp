// linear(): the layers of each encoder at many token counts, and every epilogue once. Packing is not timed.
#include <tessera/ops/gemm.hpp>

#include "check.hpp"
#include "measure.hpp"
#include "shapes.hpp"

namespace tessera::bench {
namespace {

/// Weights of a layer, and whatever an epilogue may ask for.
struct Layer {
  index_t m, n, k;
  Data x, w, up, bias, scale, residual, out;
  Layer(index_t tokens, index_t outputs, index_t inputs, bool glu)
      : m(tokens),
        n(outputs),
        k(inputs),
        x(m, k, 1),
        w(n, k, 2, 1 / std::sqrt(static_cast<float>(k))),
        up(glu ? n : 1, k, 3, 1 / std::sqrt(static_cast<float>(k))),
        bias(1, 2 * n, 4),
        scale(1, n, 5),
        residual(m, n, 6),
        out(m, n, 7) {}
  ops::Epilogue epilogue(bool with_bias, Activation act, bool glu, bool with_scale, bool with_residual) const {
    ops::Epilogue e;
    if (with_bias) e.bias = View<const float, 1>(bias.data(), glu ? 2 * n : n);
    if (with_scale) e.channel_scale = scale.flat();
    if (with_residual) e.residual = residual.input();
    e.act = act, e.glu = glu;
    return e;
  }
  double want(const ops::Epilogue& e, index_t i, index_t j) const {
    double v = dot(&x(i, 0), &w(j, 0), k) + (e.bias.data ? static_cast<double>(e.bias(j)) : 0);
    v = reference(e.act, v);
    if (e.glu) v *= dot(&x(i, 0), &up(j, 0), k) + (e.bias.data ? static_cast<double>(e.bias(n + j)) : 0);
    if (e.channel_scale.data) v *= static_cast<double>(e.channel_scale(j));
    if (e.residual.data) v += static_cast<double>(residual(i, j));
    return v;
  }
};

void run(benchmark::State& state, Isa isa, int threads, const Layer& l, const ops::Epilogue& e, DType weights, bool fast) {
  Context ctx(ContextOptions{.threads = threads, .isa = &isa, .fast = fast});
  WeightView gate = l.w.input(), up = l.up.input();
  gate.packed = up.packed = weights;
  const PackedWeight w = e.glu ? ops::pack_weight_glu(ctx, gate, up) : ops::pack_weight(ctx, gate);
  const double bound = weights == DType::bf16 ? 2e-2 : weights == DType::i8 ? 5e-2 : 1e-5;
  const auto call = [&] { ops::linear(ctx, l.x.input(), w, e, l.out.view()); };
  call();
  if (!accept(state, near(l.m, l.n, bound, l.out, [&](index_t i, index_t j) { return l.want(e, i, j); }))) return;
  measure_flops(state, ctx, 2.0 * static_cast<double>(l.m * l.k * w.n()), call, weights);
}

constexpr struct {
  const char* name;
  bool bias;
  Activation act;
  bool glu, scale, residual;
} kEpilogues[] = {
    {"none", false, Activation::identity, false, false, false},
    {"bias", true, Activation::identity, false, false, false},
    {"gelu_erf", true, Activation::gelu_erf, false, false, false},
    {"gelu_tanh", true, Activation::gelu_tanh, false, false, false},
    {"quick_gelu", true, Activation::quick_gelu, false, false, false},
    {"silu", true, Activation::silu, false, false, false},
    {"relu", true, Activation::relu, false, false, false},
    {"tanh", true, Activation::tanh, false, false, false},
    {"silu_glu", true, Activation::silu, true, false, false},
    {"residual", true, Activation::identity, false, false, true},
    {"scale_residual", true, Activation::identity, false, true, true},
};

void add_rows_of(const Rows& rows, const char* dtype, DType weights, bool fast = false) {
  for_machines("linear", dtype, [&](Isa isa, int threads, const std::string& prefix) {
    if (fast && !has_matrix_unit(isa)) return;
    for (const auto& s : kEpilogues)
      rows.add(prefix + "197x768x3072/" + s.name, weights == DType::f32 && isa != Isa::generic,
               [=](benchmark::State& state) {
                 const Layer l(197, 3072, 768, s.glu);
                 run(state, isa, threads, l, l.epilogue(s.bias, s.act, s.glu, s.scale, s.residual), weights, fast);
               });
    for (const EncoderShape& s : kEncoders)
      for (const LinearShape& shape : linear_shapes(s).layer)
        for (const index_t m : kTokenCounts) {
          const bool main_row = (weights == DType::f32 && is_best(isa) && (m == 1 || m == 16)) ||
                                (isa != Isa::generic && isa != Isa::avx2 && m == s.tokens);
          rows.add(prefix + s.name + "/" + shape.name + "/m" + std::to_string(m), main_row, [=](benchmark::State& state) {
            const Layer l(m, shape.n, shape.k, false);
            const Activation act = shape.tail == Tail::bias_act ? s.act : Activation::identity;
            run(state, isa, threads, l, l.epilogue(true, act, false, false, shape.tail == Tail::bias_residual), weights,
                fast);
          });
        }
  });
}
void add_rows(const Rows& rows) {
  add_rows_of(rows, "f32", DType::f32);
  add_rows_of(rows, "bf16", DType::bf16);
  add_rows_of(rows, "bf16_fast", DType::bf16, true);
  add_rows_of(rows, "int8", DType::i8);
}
const Family kFamily(add_rows);

}  // namespace
}  // namespace tessera::bench
