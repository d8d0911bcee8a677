// tessera classify: which of some labels describes an image, by a model of images and texts.
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dual.hpp"
#include "embed_output.hpp"
#include "json_line.hpp"
#include "lines.hpp"
#include "pictures/heat_map.hpp"
#include "pictures/write.hpp"

namespace tool {

namespace {

using namespace tessera;

constexpr std::size_t kMostFields = 100;  // of a heat map, in each direction

struct ClassifyOptions {
  DualOptions dual;
  std::string labels, text_template = "{}", sheet, heat_map;
  std::size_t top = 0;
};

/// One a line. \throws Failure for a file without labels, an empty one, one that is not UTF-8, or one that is there twice.
std::vector<std::string> read_labels(const std::string& path) {
  Lines lines(path, false);
  std::vector<std::string> labels;
  std::map<std::string, std::string> first;
  std::string line, label, why;
  while (lines.next_raw(line)) {
    if (!lines.text(line, label, why)) throw Failure{kOther, lines.where() + ": " + why};
    if (label.find_first_not_of(" \t") == std::string::npos)
      throw Failure{kOther, lines.where() + ": an empty label; expected one on every line"};
    const auto [known, fresh] = first.emplace(label, lines.where());
    if (!fresh) throw Failure{kOther, lines.where() + ": the label '" + label + "' again; it is " + known->second};
    labels.push_back(label);
  }
  if (labels.empty() && !interrupted()) throw Failure{kOther, path + ": no labels in it; expected one on every line"};
  return labels;
}

std::string filled(const std::string& text_template, const std::string& label) {
  std::string out;
  std::size_t at = 0;
  for (std::size_t hole; (hole = text_template.find("{}", at)) != std::string::npos; at = hole + 2)
    out += text_template.substr(at, hole - at) + label;
  return out + text_template.substr(at);
}

/// Prints a line an image, and keeps what pictures show.
struct Classifier final : NamingSink {
  Context& ctx;
  const ClassifyOptions& o;
  Progress& progress;
  const models::ContrastiveHead& head;
  const std::vector<std::string>& labels;
  View<const float, 2> texts;
  std::vector<float> logits, probabilities;
  long long rows = 0;
  std::vector<ImageInput> shown;
  std::vector<std::string> best;
  std::vector<float> shown_probabilities;

  Classifier(Context& c, const ClassifyOptions& options, Progress& bar, const models::ContrastiveHead& h,
             const std::vector<std::string>& names, View<const float, 2> t)
      : ctx(c),
        o(options),
        progress(bar),
        head(h),
        labels(names),
        texts(t),
        logits(names.size()),
        probabilities(names.size()) {}

  void row(long long input, const ImageInput& image, const float* values) override {
    const auto n = static_cast<index_t>(labels.size());
    const View<float, 2> z(logits.data(), index_t{1}, n), p(probabilities.data(), index_t{1}, n);
    head.logits(ctx, View<const float, 2>(values, index_t{1}, texts.extent[1]), texts, z);
    head.probabilities(z, p);
    for (const float v : probabilities)
      if (!std::isfinite(v)) return nonfinite(input, image);
    std::vector<std::string> names;
    std::vector<float> numbers;
    for (const std::size_t i : best_of(logits.data(), logits.size(), o.top > 0 ? o.top : labels.size()))
      names.push_back(labels[i]), numbers.push_back(probabilities[i]);
    progress.clear();  // on a terminal both would share a line
    print_line("{\"image\": " + json_of(image.name) + ", \"labels\": " + json_of(names) +
               ", \"probabilities\": " + json_of(numbers) + "}");
    ++rows;
    if ((o.sheet.empty() && o.heat_map.empty()) || shown.size() == kMostShown) return;
    shown.push_back(image);
    best.push_back(pictures::shown_number(numbers[0]) + " " + names[0]);
    shown_probabilities.insert(shown_probabilities.end(), probabilities.begin(), probabilities.end());
  }

  std::string title(std::size_t in_it) const {
    std::string t = std::to_string(rows) + (rows == 1 ? " image, " : " images, ") + std::to_string(labels.size()) +
                    (labels.size() == 1 ? " label" : " labels");
    if (rows > static_cast<long long>(in_it)) t += ", the first " + std::to_string(in_it);
    return t;
  }
  void write_sheet() const {
    pictures::Section section{title(shown.size()), {}};
    auto small = thumbnails(ctx, shown, pictures::SheetStyle{}.side, o.sheet);
    for (std::size_t i = 0; i < shown.size(); ++i)
      section.cells.push_back({std::move(small.images[i]), {best[i], shown[i].name}, small.why[i]});
    pictures::write_picture(o.sheet, pictures::contact_sheet({section}));
  }
  void write_heat_map() const {
    const std::size_t n = std::min(shown.size(), kMostFields);
    const std::vector<ImageInput> some(shown.begin(), shown.begin() + static_cast<std::ptrdiff_t>(n));
    std::vector<std::string> names;
    for (const ImageInput& i : some) names.push_back(i.name);
    const auto end = shown_probabilities.begin() + static_cast<std::ptrdiff_t>(n * labels.size());
    pictures::write_picture(o.heat_map, pictures::heat_map(title(n), thumbnails(ctx, some, 48, o.heat_map).images, names,
                                                           labels, {shown_probabilities.begin(), end}));
  }
};

int run_classify(const ClassifyOptions& o) {
  pictures::check_picture_name("--sheet", o.sheet);
  pictures::check_picture_name("--heat-map", o.heat_map);
  if (o.text_template.find("{}") == std::string::npos)
    throw Failure{kUsage, "--template '" + o.text_template + "': expected {} where the label goes"};
  if (!is_utf8(o.text_template)) throw Failure{kUsage, "--template: not valid UTF-8"};
  catch_signals();
  Context ctx = o.dual.run.context();
  ImageInputs inputs(o.dual.images);
  if (o.labels == "-" && inputs.streams())
    throw Failure{kUsage, "--labels - and --image -: standard input can be read once"};
  const auto labels = read_labels(o.labels);
  if (!o.heat_map.empty() && labels.size() > kMostFields)
    throw Failure{kUsage, "--heat-map shows at most " + std::to_string(kMostFields) + " labels, " + o.labels + " has " +
                              std::to_string(labels.size())};
  const auto model = o.dual.load(ctx);
  std::vector<std::string> sentences;
  for (const std::string& label : labels) sentences.push_back(filled(o.text_template, label));
  const std::vector<std::string_view> views(sentences.begin(), sentences.end());
  const auto texts = model.text().embed(ctx, views);
  Progress progress("images");
  Classifier classifier(ctx, o, progress, model.head(), labels, texts.view());
  embed_each(ctx, model.image(), o.dual.embed, inputs, 0, -1, progress, classifier);
  finish_stdout();
  if (interrupted()) {
    say("stopped by a signal; the lines above are whole, no picture is written");
    return signal_exit();
  }
  if (!o.sheet.empty()) classifier.write_sheet();
  if (!o.heat_map.empty()) classifier.write_heat_map();
  return outcome(classifier.any_skipped, classifier.any_nonfinite);
}

}  // namespace

void add_classify(Command& app, int& exit) {
  auto o = std::make_shared<ClassifyOptions>();
  o->dual.add_to(app);
  app.option("--labels", o->labels, "text file, one label a line; - for standard input").required();
  app.option("--template", o->text_template, "the text of a label, {} standing for it: \"a photo of a {}\"");
  app.option("--top", o->top, "print only the best so many labels").range(1, 1 << 24);
  app.option("--sheet", o->sheet,
             "also a contact sheet of (the first 400) images with their best labels: a .png or .svg file");
  app.option("--heat-map", o->heat_map,
             "also the probabilities as coloured fields, (the first 100) images by labels: .png or .svg");
  app.runs([o] { return run_classify(*o); }, exit);
}

}  // namespace tool
