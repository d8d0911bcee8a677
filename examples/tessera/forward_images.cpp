// tessera forward of pixel_values: an image model's outputs, or what a model of images and texts makes of both.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <list>
#include <optional>
#include <string>
#include <vector>

#include <tessera/image/flat_patches.hpp>
#include <tessera/models/auto_image_model.hpp>
#include <tessera/models/dual_model.hpp>

#include "forward.hpp"

namespace tool {

namespace {

using namespace tessera;

struct Images {
  std::vector<ops::Pixels> pixels;
  std::list<std::vector<float>> planes;  // what could not be read where the file has it
  index_t rows = -1;                     // that an image's tokens are padded to; negative: as many as it has
};

/// pixel_values; copied where the file's header leaves them at an address that no float may have.
template <int Rank>
View<const float, Rank> floats(AnyView v, Images& images) {
  if (!v.aligned_for<float>()) {
    auto& copy = images.planes.emplace_back(static_cast<std::size_t>(v.size()));
    if (!copy.empty()) std::memcpy(copy.data(), v.data, copy.size() * sizeof(float));
    v.data = reinterpret_cast<const std::byte*>(copy.data());
  }
  return or_exit(kOther, [&] { return v.as<float, Rank>(); });
}

/// SigLIP 2's: pixel_values are rows of patches, spatial_shapes how many down and across; the rows after them are padding.
Images images_of_patches(const io::SafeTensors& file, const ops::PatchShape& patch) {
  const auto bad = [&](const std::string& what) { return Failure{kOther, file.name() + ": tensor " + what}; };
  Images images;
  const auto values = floats<3>(file.at("pixel_values"), images);
  images.rows = values.extent[1];
  index_t batch = values.extent[0], two = 2;
  const auto shapes = integers(file, "spatial_shapes", batch, two);
  if (!shapes) throw bad("spatial_shapes is missing: pixel_values are rows of patches");
  const auto mask = integers(file, "pixel_attention_mask", batch, images.rows);
  for (index_t b = 0; b < batch; ++b) {
    const index_t down = (*shapes)[static_cast<std::size_t>(2 * b)], across = (*shapes)[static_cast<std::size_t>(2 * b + 1)];
    if (down < 1 || across < 1 || down > images.rows / across)
      throw bad("spatial_shapes has " + std::to_string(down) + " x " + std::to_string(across) + " patches, pixel_values " +
                std::to_string(images.rows));
    for (index_t t = 0; t < images.rows; ++t)
      if ((mask ? (*mask)[static_cast<std::size_t>(b * images.rows + t)] : 1) != (t < down * across))
        throw bad("pixel_attention_mask must be 1 for the patches of spatial_shapes and 0 after them");
    const index_t height = down * patch.height, width = across * patch.width;
    const View<float, 3> planes(images.planes.emplace_back(static_cast<std::size_t>(patch.channels * height * width)).data(),
                                patch.channels, height, width);
    or_exit(kOther, [&] { image::unflatten_patches(values[b].slice(0, down * across), patch.height, patch.width, planes); });
    images.pixels.push_back({.planes = planes});
  }
  return images;
}

Images images_of(const io::SafeTensors& file, const models::ImageModel& model) {
  const AnyView& v = file.at("pixel_values");
  if (model.family == "siglip2" && v.rank == 3 && v.dtype == DType::f32) return images_of_patches(file, model.patch);
  if (v.rank != 4 || v.dtype != DType::f32)
    throw Failure{kOther, file.name() + ": tensor pixel_values must be [batch, channels, height, width] of F32"};
  for (const char* name : {"spatial_shapes", "pixel_attention_mask"})
    if (file.find(name)) throw Failure{kOther, file.name() + ": tensor " + name + " is not read beside these pixel_values"};
  Images images;
  const auto pixels = floats<4>(v, images);
  for (index_t b = 0; b < pixels.extent[0]; ++b) images.pixels.push_back({.planes = pixels[b]});
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
  /// [B, T, C] of the tokens of images, those that have fewer than T filled up with zeros.
  void add_tokens(const std::string& name, View<const float, 2> value, View<const index_t, 1> cu, index_t rows) {
    const index_t images = cu.extent[0] - 1, c = value.extent[1];
    if (rows < 0) rows = images > 0 ? value.extent[0] / images : 0;
    auto& padded = memory.emplace_back(static_cast<std::size_t>(images * rows * c));
    for (index_t b = 0; b < images; ++b)
      for (index_t t = cu(b); t < cu(b + 1); ++t) std::copy_n(&value(t, 0), c, padded.data() + (b * rows + t - cu(b)) * c);
    tensors.push_back({name, io::any_view(View<const float, 3>(padded.data(), images, rows, c))});
  }
};

struct HiddenStates {
  Outputs& outputs;
  View<const index_t, 1> cu;
  index_t rows;
  static void sink(void* self, const char* name, View<const float, 2> value) {
    auto& me = *static_cast<HiddenStates*>(self);
    const std::string state = hidden_state_of(name);
    if (!state.empty()) me.outputs.add_tokens(state, value, me.cu, me.rows);
  }
};

/// last_hidden_state, and where the model has them pooler_output and image_embeds.
void run_images(Context& ctx, const models::ImageModel& model, const Images& images, bool hidden_states, Outputs& outputs) {
  const auto cu = or_exit(kOther, [&] { return model.offsets(images.pixels); });
  const auto n = static_cast<index_t>(images.pixels.size());
  const View<const index_t, 1> offsets(cu.data(), n + 1);
  HiddenStates states{outputs, offsets, images.rows};
  const Taps taps{"*", HiddenStates::sink, &states};
  models::ForwardOptions options;
  if (hidden_states) options.taps = &taps;
  std::vector<float> memory(static_cast<std::size_t>(cu.back() * model.channels()));
  const View<float, 2> hidden(memory.data(), cu.back(), model.channels());
  or_exit(kOther, [&] { model.forward(ctx, images.pixels, hidden, options); });
  outputs.add_tokens("last_hidden_state", hidden, offsets, images.rows);
  if (model.has_pooled()) model.pool(ctx, hidden, offsets, outputs.add("pooler_output", n, model.pooled_dim()));
  if (model.projection_out) model.embed(ctx, hidden, offsets, outputs.add("image_embeds", n, model.dim()));
}

/// Unit rows of both towers, and their scaled products.
void run_both(Context& ctx, const models::DualModel& model, const std::vector<ops::Pixels>& images,
              const io::SafeTensors& in, Outputs& outputs) {
  index_t rows = -1, columns = -1;
  const auto ids = integers(in, "input_ids", rows, columns), mask = integers(in, "attention_mask", rows, columns);
  const View<const std::int32_t, 2> none;
  const models::PaddedBatch batch(model.text.transformer->config(), View<const std::int32_t, 2>(ids->data(), rows, columns),
                                  mask ? View<const std::int32_t, 2>(mask->data(), rows, columns) : none);
  const index_t c = model.text.transformer->width(), n = static_cast<index_t>(images.size());
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
  Outputs outputs;
  const auto folder = or_refuse([&] { return io::ModelFolder::open(o.run.model); });
  if (both) {
    const auto model =
        o.run.load(ctx, [&](const models::LoadOptions& load) { return models::load_dual_model(ctx, folder, load); });
    run_both(ctx, model, images_of(in, model.image).pixels, in, outputs);
  } else {
    const auto model =
        o.run.load(ctx, [&](const models::LoadOptions& load) { return models::load_image_model(ctx, folder, load); });
    run_images(ctx, model, images_of(in, model), o.hidden_states, outputs);
  }
  write_outputs(ctx, o, outputs.tensors);
  return kDone;
}

}  // namespace tool
