#pragma once
#include <tessera/models/text_model.hpp>
#include <tessera/ops/pool.hpp>

namespace tessera::models {

inline void TextModel::pool_first(Context& ctx, View<const float, 2> hidden, View<const index_t, 1> cu,
                                  View<float, 2> out) const {
  if (!pooler) throw Error(Code::kUnsupported, "text model: this checkpoint has no pooler");
  const index_t rows = out.extent[0], c = hidden.extent[1];
  std::vector<float> first(static_cast<std::size_t>(rows * c));
  const View<float, 2> x(first.data(), rows, c);
  ops::pool(ctx, ops::Pooling::cls, hidden, cu, {}, x);
  ops::linear(ctx, x, pooler->linear.weight, {.bias = pooler->linear.bias, .act = pooler->act}, out);
}

}  // namespace tessera::models
