// tessera forward of pixel_values: an image model's outputs, or what a model of images and texts makes of both.
#include <list>
#include <optional>
#include <string>
#include <vector>

#include <tessera/models/auto_image_model.hpp>
#include <tessera/models/dual_model.hpp>

#include "forward.hpp"

namespace tool {

namespace {

using namespace tessera;

std::vector<ops::Pixels> images_of(const io::SafeTensors& file) {
  const AnyView& v = file.at("pixel_values");
  if (v.rank != 4 || v.dtype != DType::f32)
    throw Failure{kOther, file.name() + ": tensor pixel_values must be [batch, channels, height, width] of F32"};
  const auto pixels = or_exit(kOther, [&] { return v.as<float, 4>(); });
  std::vector<ops::Pixels> images;
  for (index_t b = 0; b < pixels.extent[0]; ++b) images.push_back({.planes = pixels[b]});
  return images;
}

/// Named outputs with their memory.
struct Outputs {
  std::list<std::vector<float>> memory;
  std::vector<io::NamedTensor> tensors;

  View<float, 2> add(const std::string& name, index_t rows, index_t columns) {
    const View<float, 2> v(memory.emplace_back(static_cast<std::size_t>(rows * columns)).data(), rows, columns);
    tensors.push_back({name, io::any_view(View<const float, 2>(v))});
    return v;
  }
  /// [B, T, C] of as many tokens an image.
  View<float, 2> add_tokens(const std::string& name, index_t images, index_t tokens, index_t c) {
    const View<float, 2> v(memory.emplace_back(static_cast<std::size_t>(tokens * c)).data(), tokens, c);
    tensors.push_back({name, io::any_view(View<const float, 3>(v.data, images, images > 0 ? tokens / images : 0, c))});
    return v;
  }
};

struct HiddenStates {
  Outputs& outputs;
  index_t images;
  static void sink(void* self, const char* name, View<const float, 2> value) {
    auto& me = *static_cast<HiddenStates*>(self);
    const std::string state = hidden_state_of(name);
    if (state.empty()) return;
    const auto v = me.outputs.add_tokens(state, me.images, value.extent[0], value.extent[1]);
    for (index_t t = 0; t < value.extent[0]; ++t)
      for (index_t c = 0; c < value.extent[1]; ++c) v(t, c) = value(t, c);
  }
};

/// last_hidden_state, and where the model has them pooler_output and image_embeds.
void run_images(Context& ctx, const models::ImageModel& model, const std::vector<ops::Pixels>& images, bool hidden_states,
                Outputs& outputs) {
  const auto cu = or_exit(kOther, [&] { return model.offsets(images); });
  const auto n = static_cast<index_t>(images.size());
  const View<const index_t, 1> offsets(cu.data(), n + 1);
  HiddenStates states{outputs, n};
  const Taps taps{"*", HiddenStates::sink, &states};
  models::ForwardOptions options;
  if (hidden_states) options.taps = &taps;
  const auto hidden = outputs.add_tokens("last_hidden_state", n, cu.back(), model.channels());
  or_exit(kOther, [&] { model.forward(ctx, images, hidden, options); });
  if (model.has_pooled()) model.pool(ctx, hidden, offsets, outputs.add("pooler_output", n, model.pooled_dim()));
  if (model.projection_out) model.embed(ctx, hidden, offsets, outputs.add("image_embeds", n, model.dim()));
}

/// Unit rows of both towers, and their scaled products.
void run_both(Context& ctx, const models::DualModel& model, const std::vector<ops::Pixels>& images,
              const io::SafeTensors& in, Outputs& outputs) {
  index_t rows = -1, columns = -1;
  const auto ids = integers(in, "input_ids", rows, columns), mask = integers(in, "attention_mask", rows, columns);
  const View<const std::int32_t, 2> none;
  const models::PaddedBatch batch(View<const std::int32_t, 2>(ids->data(), rows, columns),
                                  mask ? View<const std::int32_t, 2>(mask->data(), rows, columns) : none);
  const index_t c = model.text.transformer->config().block.channels, n = static_cast<index_t>(images.size());
  std::vector<float> memory(static_cast<std::size_t>(batch.tokens() * c));
  const View<float, 2> hidden(memory.data(), batch.tokens(), c);
  or_exit(kOther, [&] { model.text.transformer->forward(ctx, batch.inputs(), hidden); });
  const auto text = outputs.add("text_embeds", rows, model.dim()), image = outputs.add("image_embeds", n, model.dim());
  model.text.embed(ctx, hidden, batch.inputs().ids, batch.cu_seqlens(), text);
  ops::l2_normalize(ctx, text, text);
  const auto cu = or_exit(kOther, [&] { return model.image.offsets(images); });
  std::vector<float> tokens(static_cast<std::size_t>(cu.back() * model.image.channels()));
  const View<float, 2> patches(tokens.data(), cu.back(), model.image.channels());
  or_exit(kOther, [&] { model.image.forward(ctx, images, patches); });
  model.image.embed(ctx, patches, View<const index_t, 1>(cu.data(), n + 1), image);
  ops::l2_normalize(ctx, image, image);
  const auto by_image = outputs.add("logits_per_image", n, rows), by_text = outputs.add("logits_per_text", rows, n);
  model.head.logits(ctx, image, text, by_image);
  for (index_t i = 0; i < n; ++i)
    for (index_t t = 0; t < rows; ++t) by_text(t, i) = by_image(i, t);
}

}  // namespace

int forward_images(Context& ctx, const ForwardOptions& o, const io::SafeTensors& in) {
  const bool both = in.find("input_ids") != nullptr;
  for (const char* name : {"token_type_ids", "position_ids", "attention_mask"})
    if (in.find(name) && !(both && std::string(name) == "attention_mask"))
      throw Failure{kOther, in.name() + ": tensor " + name + " is not read beside pixel_values"};
  if (both && o.hidden_states) throw Failure{kUsage, "--hidden-states is for pixel_values or input_ids alone"};
  const std::vector<ops::Pixels> images = images_of(in);
  Outputs outputs;
  const auto folder = or_refuse([&] { return io::ModelFolder::open(o.run.model); });
  if (both) {
    const auto model = or_refuse([&] { return models::load_dual_model(ctx, folder, o.run.load()); });
    run_both(ctx, model, images, in, outputs);
  } else {
    const auto model = or_refuse([&] { return models::load_image_model(ctx, folder, o.run.load()); });
    run_images(ctx, model, images, o.hidden_states, outputs);
  }
  write_outputs(ctx, o, outputs.tensors);
  return kDone;
}

}  // namespace tool
