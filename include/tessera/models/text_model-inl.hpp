#pragma once
#include <tessera/models/families/bert.hpp>
#include <tessera/models/text_model.hpp>
#include <tessera/ops/pool.hpp>

namespace tessera::models {

inline TextModel TextModel::load(Context& ctx, const io::ModelFolder& folder, const LoadOptions& options) {
  const io::Json config = folder.config();
  const std::string type = io::get_string(config, "model_type", "");
  static constexpr struct {
    const char* type;
    TextModel (*load)(Context&, const io::ModelFolder&, const io::Json&, const LoadOptions&);
  } kFamilies[] = {{"bert", load_bert}};
  std::string known;
  for (const auto& f : kFamilies) {
    if (type == f.type) return f.load(ctx, folder, config, options);
    known += (known.empty() ? "" : ", ") + std::string(f.type);
  }
  throw Error(Code::kUnsupported,
              folder.path("config.json") + ": model_type '" + type + "' is not supported; known: " + known);
}

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
