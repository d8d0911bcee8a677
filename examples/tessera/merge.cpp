// tessera merge: what token merging does to images, as a mosaic a layer, and to speed and embeddings, as a table.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <tessera/models/image_encoder.hpp>
#include <tessera/models/text_encoder.hpp>
#include <tessera/ops/similarity.hpp>

#include "embed_output.hpp"
#include "images.hpp"
#include "lines.hpp"
#include "merging.hpp"
#include "pictures/mosaic.hpp"
#include "pictures/prepared.hpp"
#include "pictures/sheet.hpp"
#include "pictures/write.hpp"
#include "progress.hpp"
#include "signals.hpp"

namespace tool {

namespace {

using namespace tessera;

struct MergeOptions {
  RunOptions run;
  std::vector<std::string> images, merges{"r=8"};
  std::string picture, texts;
  int rounds = 0;
};

constexpr std::size_t kMostDrawn = 8;   // images of a picture
constexpr std::size_t kMostTimed = 16;  // images of a round

/// One way to run: none at first, then each --merge.
struct Way {
  std::string name;
  const models::TokenMerging* merging = nullptr;
  double flops = 0, seconds = 0, ratio = 1;  ///< of one image on average; against the first way
  index_t tokens = 0;                        ///< left of the first image
  std::vector<float> rows{};                 ///< [images, dim]
  std::vector<double> times{};
};

/// Rows that an image has after each layer, from the groups of its tokens.
std::vector<index_t> tokens_after(const models::MergedTokens& left) {
  std::vector<index_t> counts;
  for (const auto& groups : left.layers) counts.push_back(*std::max_element(groups.begin(), groups.end()) + 1);
  return counts;
}

models::MergedTokens merged(Context& ctx, const models::ImageEncoder& encoder, const image::PreparedImage& prepared,
                            models::TokenMerging merging) {
  const models::ImageModel& m = encoder.model();
  const ops::Pixels pixels = encoder.processor().pixels(prepared);
  const auto cu = m.offsets({&pixels, 1});
  std::vector<float> hidden(static_cast<std::size_t>(cu.back() * m.channels()));
  merging.keep_layers = true;
  return m.forward_merged(ctx, {&pixels, 1}, View<float, 2>(hidden.data(), cu.back(), m.channels()), merging);
}

/// Operations of one image, and the tokens that are left.
void count_flops(Context& ctx, const models::ImageEncoder& encoder, const image::PreparedImage& prepared, Way& way) {
  const models::ImageModel& m = encoder.model();
  const auto& config = m.transformer->config();
  const ops::Pixels pixels = encoder.processor().pixels(prepared);
  index_t tokens = m.offsets({&pixels, 1}).back();
  way.flops = 2.0 * static_cast<double>((tokens - m.prefix_tokens) * m.patch.size() * m.channels());
  const auto after = way.merging ? tokens_after(merged(ctx, encoder, prepared, *way.merging)) : std::vector<index_t>();
  for (std::size_t layer = 0; layer < static_cast<std::size_t>(config.layers); ++layer) {
    const index_t left = way.merging ? after[layer] : tokens;
    way.flops += models::layer_flops(config.block, tokens, left).total();
    tokens = left;
  }
  way.tokens = tokens;
}

void embed_all(Context& ctx, const models::ImageEncoder& encoder, const std::vector<image::PreparedImage>& images,
               Way& way) {
  const index_t dim = encoder.dim();
  way.rows.resize(images.size() * static_cast<std::size_t>(dim));
  models::ImageEmbedOptions options;
  options.merging = way.merging;
  for (std::size_t i = 0; i < images.size(); ++i)
    encoder.embed_prepared(ctx, {&images[i], 1}, options,
                           View<float, 2>(way.rows.data() + i * static_cast<std::size_t>(dim), index_t{1}, dim));
}

double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}

/// Rounds in turn, one image at a time; the ratio is the median of each round's own.
void time_ways(Context& ctx, const models::ImageEncoder& encoder, std::vector<image::PreparedImage> images, int rounds,
               std::vector<Way>& ways) {
  using Clock = std::chrono::steady_clock;
  if (images.size() > kMostTimed) images.resize(kMostTimed);
  for (int round = -1; round < rounds && !interrupted(); ++round)  // the first one warms up
    for (Way& way : ways) {
      Way timed = way;
      const auto start = Clock::now();
      embed_all(ctx, encoder, images, timed);
      const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
      if (round >= 0) way.times.push_back(seconds / static_cast<double>(images.size()));
    }
  for (Way& way : ways) {
    std::vector<double> ratios;
    for (std::size_t i = 0; i < way.times.size(); ++i) ratios.push_back(ways[0].times[i] / way.times[i]);
    if (!ratios.empty()) way.ratio = median(ratios), way.seconds = median(way.times);
  }
}

double mean_cosine(const Way& a, const Way& b, index_t dim) {
  double sum = 0;
  const auto d = static_cast<std::size_t>(dim);
  for (std::size_t at = 0; at < a.rows.size(); at += d)
    sum += static_cast<double>(models::cosine(std::span(a.rows).subspan(at, d), std::span(b.rows).subspan(at, d)));
  return sum * static_cast<double>(d) / static_cast<double>(a.rows.size());
}

/// Share of texts whose own image comes first; line i is about image i.
double recall_at_1(Context& ctx, View<const float, 2> texts, const Way& way) {
  const index_t n = texts.extent[0];
  std::vector<float> scores(static_cast<std::size_t>(n * n));
  ops::similarity(ctx, texts, View<const float, 2>(way.rows.data(), n, texts.extent[1]),
                  View<float, 2>(scores.data(), n, n));
  index_t hits = 0;
  for (index_t i = 0; i < n; ++i) {
    const auto row = scores.begin() + i * n;
    hits += std::max_element(row, row + n) - row == i;  // of equals the first
  }
  return static_cast<double>(hits) / static_cast<double>(n);
}

void draw(Context& ctx, const MergeOptions& o, const models::ImageEncoder& encoder, const std::vector<ImageInput>& inputs,
          const std::vector<image::PreparedImage>& images, const models::TokenMerging& merging) {
  const models::ImageModel& m = encoder.model();
  std::vector<pictures::Section> sections;
  for (std::size_t i = 0; i < std::min(images.size(), kMostDrawn); ++i) {
    const image::Image image =
        pictures::covered_part(images[i], encoder.processor().config(), m.patch.height, m.patch.width);
    const index_t rows = image.height / m.patch.height, columns = image.width / m.patch.width;
    const models::MergedTokens left = merged(ctx, encoder, images[i], merging);
    const auto counts = tokens_after(left);
    pictures::Section section{o.merges[0] + ", " + inputs[i].name, {}};
    section.cells.push_back({pictures::thumbnail(ctx, image, pictures::SheetStyle{}.side),
                             {std::to_string(rows * columns + m.prefix_tokens) + " tokens"}});
    for (std::size_t layer = 0; layer < left.layers.size(); ++layer) {
      const std::span<const std::int32_t> patches =
          std::span(left.layers[layer]).subspan(static_cast<std::size_t>(m.prefix_tokens));
      section.cells.push_back(
          {pictures::thumbnail(ctx, pictures::merge_mosaic(image, rows, columns, patches), pictures::SheetStyle{}.side),
           {"layer " + std::to_string(layer + 1) + ": " + std::to_string(counts[layer])}});
    }
    sections.push_back(std::move(section));
  }
  pictures::write_picture(o.picture, pictures::contact_sheet(sections));
}

int run_merge(const MergeOptions& o) {
  pictures::check_picture_name("-o", o.picture);
  std::vector<models::TokenMerging> merges;
  for (const std::string& text : o.merges) merges.push_back(merging_of(text));
  catch_signals();
  Context ctx = o.run.context();
  ImageInputs inputs(o.images);
  const auto encoder =
      o.run.load(ctx, [&](const models::LoadOptions& load) { return models::ImageEncoder::load(ctx, o.run.model, load); });
  std::vector<ImageInput> named, good;
  for (ImageInput input; inputs.next(input);) named.push_back(input);
  auto p = prepare_images(ctx, named, [&](Context& own, const image::Image& i) { return encoder.prepare(own, i); });
  std::vector<image::PreparedImage> images;
  for (std::size_t i = 0; i < named.size(); ++i) {
    if (p.why[i].empty())
      images.push_back(std::move(p.images[i])), good.push_back(named[i]);
    else
      say(named[i].name + " skipped: " + p.why[i]);
  }
  if (images.empty()) throw Failure{kOther, "no image could be read"};
  models::Embeddings texts;
  if (!o.texts.empty()) {
    const auto text_encoder =
        o.run.load(ctx, [&](const models::LoadOptions& load) { return models::TextEncoder::load(ctx, o.run.model, load); });
    std::vector<std::string> lines;
    Lines file(o.texts, false);
    for (std::string raw, text, why; file.next_raw(raw);) {
      if (!file.text(raw, text, why)) throw Failure{kOther, file.where() + ": " + why};
      lines.push_back(text);
    }
    if (lines.size() != images.size())
      throw Failure{kOther, o.texts + ": " + std::to_string(lines.size()) + " texts for " + std::to_string(images.size()) +
                                " images; expected one line an image"};
    texts = text_encoder.embed(ctx, std::vector<std::string_view>(lines.begin(), lines.end()));
    if (texts.dim != encoder.dim()) throw Failure{kRefused, o.run.model + ": its texts and images do not meet in one space"};
  }

  std::vector<Way> ways{{"none"}};
  for (std::size_t i = 0; i < merges.size(); ++i) ways.push_back({o.merges[i], &merges[i]});
  std::printf("%-28s %7s %10s %8s %8s %9s %8s%s\n", "merge", "tokens", "images/s", "faster", "ideal", "of ideal", "cosine",
              texts.rows > 0 ? "      R@1" : "");
  for (Way& way : ways) {
    count_flops(ctx, encoder, images[0], way);
    embed_all(ctx, encoder, images, way);
  }
  if (o.rounds > 0) time_ways(ctx, encoder, images, o.rounds, ways);
  for (const Way& way : ways) {
    const double ideal = ways[0].flops / way.flops;
    std::printf("%-28s %7lld", way.name.c_str(), static_cast<long long>(way.tokens));
    if (way.seconds > 0)
      std::printf(" %10.1f %7.2fx %7.2fx %8.0f%%", 1 / way.seconds, way.ratio, ideal, 100 * way.ratio / ideal);
    else
      std::printf(" %10s %8s %7.2fx %9s", "-", "-", ideal, "-");
    std::printf(" %8.4f", mean_cosine(ways[0], way, encoder.dim()));
    if (texts.rows > 0) std::printf(" %8.3f", recall_at_1(ctx, texts.view(), way));
    std::printf("\n");
  }
  finish_stdout();
  if (interrupted()) return signal_exit();
  if (!o.picture.empty()) draw(ctx, o, encoder, good, images, merges[0]);
  return outcome(good.size() != named.size(), false);
}

}  // namespace

void add_merge(Command& app, int& exit) {
  auto o = std::make_shared<MergeOptions>();
  o->run.add_to(app);
  app.option("--image", o->images, kImageHelp).required();
  app.option("--merge", o->merges, kMergeHelp).shows_default();
  app.option("-o,--output", o->picture,
             "mosaics of the first --merge: each group of patches in its mean colour (.png, .svg)");
  app.option("--text", o->texts, "a text a line, line i about image i: R@1 of text to image joins the table");
  app.option("--rounds", o->rounds, "times each way to run so often, in turn, one image at a time; 0: not").range(0, 10000);
  app.runs([o] { return run_merge(*o); }, exit);
}

}  // namespace tool
