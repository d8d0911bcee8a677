#pragma once
#include <memory>

#include <tessera/io/checkpoint.hpp>
#include <tessera/models/pickled_layer.hpp>
#include <tessera/ops/gemm.hpp>

namespace tessera::models {

inline std::string pickle_conversion(const io::ModelFolder& folder, const std::string& stem) {
  const std::string from = folder.path(stem + ".pt"), to = folder.path(stem + ".safetensors");
  return "python -c \"import torch, safetensors.torch as s; s.save_file(torch.load('" + from +
         "', map_location='cpu', weights_only=True), '" + to + "')\"";
}

namespace detail {

inline DenseLayer read_pickled_layer(Context& ctx, const io::ModelFolder& folder, const std::string& stem, index_t n,
                                     index_t c, const LoadOptions& options) {
  const std::string name = stem + ".safetensors";
  if (!folder.has(name))
    throw Error(Code::kUnsupported,
                {folder.path(stem + ".pt"), ": a pickle, which runs code when it is read, so it is not; convert it once: ",
                 pickle_conversion(folder, stem)});
  auto file = std::make_shared<const io::Checkpoint>(io::Checkpoint::open_file(folder.root(), name));
  TensorSource source(ctx, file, {""}, "weight", options);
  const auto weight = source.matrix({"weight"});
  expect_matrix(name.c_str(), -1, weight, n < 0 ? weight.extent[0] : n, c);
  DenseLayer layer;
  layer.linear.weight = ops::pack_weight(ctx, weight);
  const auto bias = source.vector({"bias"});
  if (bias.extent[0] != weight.extent[0])
    throw Error(Code::kShapeMismatch, {folder.path(name), ": bias has ", std::to_string(bias.extent[0]), " numbers, weight ",
                                       std::to_string(weight.extent[0]), " rows"});
  layer.bias_storage.assign(bias.data, bias.data + bias.extent[0]);
  layer.linear.bias = View<const float, 1>(layer.bias_storage.data(), bias.extent[0]);
  return layer;
}

inline bool has_pickled_layer(const io::ModelFolder& folder, const std::string& stem) {
  return folder.has(stem + ".pt") || folder.has(stem + ".safetensors");
}

}  // namespace detail

}  // namespace tessera::models
