// tessera attention: where an image transformer looks, as a picture.
#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <tessera/models/image_encoder.hpp>

#include "attention_maps.hpp"
#include "images.hpp"
#include "pictures/heat_map.hpp"
#include "pictures/overlay.hpp"
#include "pictures/prepared.hpp"
#include "pictures/sheet.hpp"
#include "pictures/write.hpp"

namespace tool {

namespace {

using namespace tessera;

struct AttentionOptions {
  RunOptions run;
  std::string image, out, backend = "pil";
  long layer = -1, head = -1;
  bool rollout = false;
};

int run_attention(const AttentionOptions& o) {
  pictures::check_picture_name("-o", o.out);
  if (o.rollout && o.head >= 0) throw Failure{kUsage, "--rollout takes the mean of all heads: leave --head out"};
  Context ctx = o.run.context();
  ImageInputs inputs({o.image});
  ImageInput input;
  if (inputs.streams() || inputs.total() != 1) throw Failure{kUsage, "--image " + o.image + ": expected one image"};
  inputs.next(input);
  const auto encoder = o.run.load(ctx, [&](const models::LoadOptions& load) {
    return models::ImageEncoder::load(ctx, o.run.model, load, backend_of(o.backend));
  });
  const models::ImageModel& model = encoder.model();
  const auto& config = model.transformer->config();
  const auto below = [](const char* option, long given, index_t most, const char* what) {
    if (given >= most)
      throw Failure{kUsage, std::string(option) + " " + std::to_string(given) + ": this model has " + std::to_string(most) +
                                " " + what + ", counted from 0"};
  };
  below("--layer", o.layer, config.layers, "layers"), below("--head", o.head, config.block.heads, "heads");
  if (config.layers == 0) throw Failure{kOther, o.run.model + ": a model without layers has no attention"};
  const index_t layer = o.layer >= 0 ? o.layer : config.layers - 1;
  const image::PreparedImage prepared = or_exit(kOther, [&] { return encoder.prepare(ctx, input.load()); });
  const AttentionMaps maps(ctx, model, encoder.processor().pixels(prepared), prepared.height, prepared.width, layer);

  const image::Image shown = pictures::thumbnail(
      ctx, pictures::covered_part(prepared, encoder.processor().config(), model.patch.height, model.patch.width), 224);
  pictures::Section section{"layer " + std::to_string(layer) + " of 0-" + std::to_string(config.layers - 1), {}};
  section.cells.push_back({shown, {"as the model sees it", input.name}});
  const auto add = [&](const std::vector<float>& map, const std::string& name) {
    if (!std::all_of(map.begin(), map.end(), [](float v) { return std::isfinite(v); }))
      throw Failure{kNonFinite, input.name + ": attention of " + name + " holds NaN or infinity"};
    const auto [low, high] = std::minmax_element(map.begin(), map.end());
    section.cells.push_back({pictures::overlay(ctx, shown, map, maps.rows(), maps.columns()),
                             {name, pictures::shown_number(*low) + " to " + pictures::shown_number(*high)}});
  };
  if (o.rollout) {
    section.heading += ", rollout";
    add(maps.rollout(), "rollout");
  } else {
    if (o.head < 0) add(maps.map(-1), "mean of heads");
    for (index_t h = 0; h < maps.heads(); ++h)
      if (o.head < 0 || h == o.head) add(maps.map(h), "head " + std::to_string(h));
  }
  pictures::write_picture(o.out, pictures::contact_sheet({section}, {.side = 224, .columns = 4}));
  return kDone;
}

}  // namespace

void add_attention(Command& app, int& exit) {
  auto o = std::make_shared<AttentionOptions>();
  o->run.add_to(app);
  app.option("--image", o->image, "an image file").required();
  app.option("-o,--out", o->out, "the picture to write: a .png or .svg file").required();
  app.option("--layer", o->layer, "which, from 0; by default the last").range(0, 4096);
  app.option("--head", o->head, "only this one, from 0").range(0, 4096);
  app.flag("--rollout", o->rollout, "attention through all layers up to that one, instead of in it (arXiv:2005.00928)");
  app.option("--backend", o->backend, "whose image processor: pil or torchvision").one_of({"pil", "torchvision"});
  app.runs([o] { return run_attention(*o); }, exit);
}

}  // namespace tool
