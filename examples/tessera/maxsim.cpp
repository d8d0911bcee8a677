// tessera maxsim: late interaction of texts and images, token by patch, as numbers and as a picture.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dual.hpp"
#include "embed_output.hpp"
#include "json_line.hpp"
#include "patch_maps.hpp"
#include "pictures/heat_map.hpp"
#include "pictures/overlay.hpp"
#include "pictures/prepared.hpp"
#include "pictures/write.hpp"
#include "queries.hpp"

namespace tool {

namespace {

using namespace tessera;

constexpr index_t kMapSide = 224;

struct MaxsimOptions {
  RunOptions run;
  std::vector<std::string> images;
  std::string text, sheet, backend = "pil";
};

struct Query {
  long long number;
  std::string text;
  TextTokens tokens;
};

std::string line_of(const ImageInput& image, const Query& query, const ImagePatches& patches, const PatchMaps& maps) {
  std::vector<long long> rows, columns;
  std::vector<float> values;
  for (std::size_t t = 0; t < maps.best.size(); ++t) {
    rows.push_back(maps.best[t] / patches.width), columns.push_back(maps.best[t] % patches.width);
    values.push_back(maps.value(t));
  }
  return "{\"image\": " + json_of(image.name) + ", \"query\": " + json_of(query.number) +
         ", \"score\": " + json_of(maps.score) +
         ", \"patches\": " + json_of(std::vector<long long>{patches.height, patches.width}) +
         ", \"tokens\": " + json_of(query.tokens.names) + ", \"rows\": " + json_of(rows) +
         ", \"columns\": " + json_of(columns) + ", \"values\": " + json_of(values) + "}";
}

/// A white frame in a black one around a patch.
void mark(image::Image& picture, const ImagePatches& grid, index_t patch) {
  const index_t row = patch / grid.width, column = patch % grid.width;
  const index_t top = row * picture.height / grid.height, bottom = (row + 1) * picture.height / grid.height - 1,
                left = column * picture.width / grid.width, right = (column + 1) * picture.width / grid.width - 1;
  for (index_t y = top; y <= bottom; ++y)
    for (index_t x = left; x <= right; ++x) {
      const index_t depth = std::min({y - top, bottom - y, x - left, right - x});  // pixels inside the patch's edge
      if (depth < 2) std::fill_n(picture.row(y) + 3 * x, 3, depth == 0 ? std::uint8_t{0} : std::uint8_t{255});
    }
}

/// An image beside its map for each token of a text: as Faysse et al., ColPali, arXiv:2407.01449, figure 3, show them.
pictures::Section section_of(Context& ctx, const image::Image& shown, const ImageInput& image, const Query& query,
                             const ImagePatches& patches, const PatchMaps& maps) {
  pictures::Section section{query.text + ": " + pictures::shown_number(maps.score),
                            {{shown, {"as the model sees it", image.name}}}};
  const auto n = static_cast<std::size_t>(patches.rows.rows);
  for (std::size_t t = 0; t < maps.best.size(); ++t) {
    const std::span<const float> map(maps.values.data() + t * n, n);
    image::Image picture = pictures::overlay(ctx, shown, map, patches.height, patches.width);
    mark(picture, patches, maps.best[t]);
    section.cells.push_back({std::move(picture),
                             {query.tokens.texts[t], pictures::shown_number(*std::min_element(map.begin(), map.end())) +
                                                         " to " + pictures::shown_number(maps.value(t)) + ", row " +
                                                         std::to_string(maps.best[t] / patches.width) + ", column " +
                                                         std::to_string(maps.best[t] % patches.width)}});
  }
  return section;
}

int run_maxsim(const MaxsimOptions& o) {
  pictures::check_picture_name("--sheet", o.sheet);
  catch_signals();
  Context ctx = o.run.context();
  ImageInputs inputs(o.images);
  if (o.text == "-" && inputs.streams()) throw Failure{kUsage, "--text - and --image -: standard input can be read once"};
  const Queries texts = read_queries("--text", o.text, false);
  const auto model = o.run.load(ctx, [&](const models::LoadOptions& load) {
    return models::DualEncoder::load(ctx, o.run.model, load, backend_of(o.backend));
  });
  std::vector<Query> queries;
  for (std::size_t i = 0; i < texts.texts.size(); ++i)
    queries.push_back({texts.numbers[i], texts.texts[i], embed_each_token(ctx, model.text(), texts.texts[i])});
  const image::ImageProcessor& processor = model.image().processor();
  const ops::PatchShape& patch = model.image().model().patch;
  bool skipped = texts.any_skipped, nonfinite = false;
  std::vector<pictures::Section> sections;
  std::size_t shown = 0, all = 0;
  ImageInput input;
  while (inputs.next(input)) {
    image::PreparedImage prepared;
    try {
      prepared = model.image().prepare(ctx, input.load());
    } catch (const Error& e) {
      say(input.name + " skipped: " + input.without_name(e));
      skipped = true;
      continue;
    }
    const ImagePatches patches = embed_each_patch(ctx, model.image().model(), processor.pixels(prepared));
    for (const Query& query : queries) {
      PatchMaps maps;
      try {
        maps = patch_maps(ctx, query.tokens.rows, patches.rows);
      } catch (const Error& e) {
        if (e.code() != Code::kNonFinite) throw;
        say(input.name + " and query " + std::to_string(query.number) + " skipped: " + e.what());
        nonfinite = true;
        continue;
      }
      print_line(line_of(input, query, patches, maps));
      ++all;
      if (o.sheet.empty() || shown + maps.best.size() + 1 > kMostShown) continue;
      shown += maps.best.size() + 1;
      const image::Image part = pictures::thumbnail(
          ctx, pictures::covered_part(prepared, processor.config(), patch.height, patch.width), kMapSide);
      sections.push_back(section_of(ctx, part, input, query, patches, maps));
    }
  }
  finish_stdout();
  if (interrupted()) {
    say("stopped by a signal; the lines above are whole, no picture is written");
    return signal_exit();
  }
  if (!o.sheet.empty() && sections.size() < all)
    say(o.sheet + " shows " + std::to_string(sections.size()) + " of " + std::to_string(all) +
        " pairs: " + std::to_string(kMostShown) + " images at most");
  if (!o.sheet.empty())
    pictures::write_picture(o.sheet, pictures::contact_sheet(sections, {.side = kMapSide, .columns = 4}));
  return outcome(skipped, nonfinite);
}

}  // namespace

void add_maxsim(Command& app, int& exit) {
  auto o = std::make_shared<MaxsimOptions>();
  o->run.add_to(app);
  app.option("--text", o->text, "a text; or a file (.txt) of texts, one a line; - for standard input").required();
  app.option("--image", o->images, kImageHelp).required();
  app.option("--sheet", o->sheet, "also a picture: each image with a map a token, its best patch framed: .png or .svg");
  app.option("--backend", o->backend, "whose image processor: pil or torchvision").one_of({"pil", "torchvision"});
  app.footer(
      "For each image and text a line of JSON: the score, the sum over the text's tokens (special ones left out) of their\n"
      "largest inner product with a patch; and of each token that value, and the row and column of its patch, from 0. A "
      "token\n"
      "or a patch is what the model's own head makes of its last hidden state alone, of unit length: for CLIP "
      "text_projection;\n"
      "post_layernorm and visual_projection; for SigLIP the text head; the attention pool with that patch alone to attend "
      "to.\n"
      "arXiv:2111.07783 (FILIP) and arXiv:2004.12832 (ColBERT) train models for this score; CLIP and SigLIP were not.");
  app.runs([o] { return run_maxsim(*o); }, exit);
}

}  // namespace tool
