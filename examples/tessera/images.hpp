// Image inputs: files, folders of them, archives, lists.
#pragma once
#include <glob.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tessera/image.hpp>
#include <tessera/image/processor.hpp>

#include "lines.hpp"
#include "tool.hpp"

namespace tool {

inline constexpr const char* kImageHelp =
    "image files, folders or .tar archives of them, quoted patterns; - for paths on standard input, one a line";

/// What --backend names.
inline tessera::image::Backend backend_of(const std::string& name) {
  return name == "torchvision" ? tessera::image::Backend::torchvision : tessera::image::Backend::pil;
}

/// One image: a file, or one of an archive.
struct ImageInput {
  std::string name;  ///< a path, or ARCHIVE/ENTRY
  std::shared_ptr<const tessera::io::TarFile> archive{};
  std::size_t entry = 0;

  /// Of an archive's entry.
  std::string_view bytes() const {
    const auto& b = archive->entries[entry].bytes;
    return {reinterpret_cast<const char*>(b.data()), b.size()};
  }
  tessera::image::Image load() const {
    return archive ? tessera::image::decode(archive->entries[entry].bytes, {}, name) : tessera::image::load(name);
  }
  /// What an error of load() says, without the name in front.
  std::string without_name(const tessera::Error& e) const {
    const std::string sentence = e.what(), front = name + ": ";
    return sentence.starts_with(front) ? sentence.substr(front.size()) : sentence;
  }
};

/// What --image names: files; folders, of which every image below is taken, in the order of the paths' bytes; archives, of
/// which every image is taken, in their order; patterns, as of a shell; "-" for paths on standard input, one a line.
class ImageInputs {
 public:
  /// \throws Failure for a folder or an archive that cannot be read. A file that cannot is an input like others, and
  /// skipped later.
  explicit ImageInputs(const std::vector<std::string>& named) {
    for (const std::string& name : named) add(name);
  }
  bool streams() const { return streams_; }
  /// All of them, where none is on standard input.
  const std::vector<ImageInput>& list() const { return inputs_; }
  /// How many there are, or negative when standard input has a say.
  long long total() const { return streams_ ? -1 : static_cast<long long>(inputs_.size()); }
  /// Of all, what `seen` of them are; negative when that is not known.
  double fraction(long long seen) const {
    return total() <= 0 ? -1 : static_cast<double>(seen) / static_cast<double>(total());
  }
  /// The next one. False at the end, or once interrupted.
  bool next(ImageInput& input) {
    while (at_ < inputs_.size() && !interrupted()) {
      if (inputs_[at_].name != "-") return input = inputs_[at_++], true;
      if (!lines_) lines_ = std::make_unique<Lines>("-", false);
      input = {};
      while (lines_->next_raw(input.name))
        if (!input.name.empty()) return true;
      ++at_;
    }
    return false;
  }

 private:
  void add(const std::string& name) {
    namespace fs = std::filesystem;
    std::error_code error;
    if (name == "-") {
      if (streams_) throw Failure{kUsage, "--image - twice: standard input can be read once"};
      streams_ = true;
      inputs_.push_back({name});
    } else if (fs::is_directory(name, error)) {
      add_folder(name);
    } else if (has_ending(name, {".tar"})) {
      add_archive(name);
    } else if (has_ending(name, {".tgz", ".tar.gz", ".tar.xz", ".tar.bz2", ".tar.zst"})) {
      throw Failure{kOther, name + ": a compressed archive; decompress it first (.tar is read)"};
    } else if (name.find_first_of("*?[") != std::string::npos && !fs::exists(name, error)) {
      add_pattern(name);
    } else {
      inputs_.push_back({name});
    }
  }
  void add_folder(const std::string& folder) {
    namespace fs = std::filesystem;
    std::error_code error;
    std::vector<std::string> found;
    for (fs::recursive_directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
      if (at->is_regular_file(error) && is_image(at->path().string())) found.push_back(at->path().string());
    if (error) throw Failure{kOther, folder + ": cannot read this folder: " + error.message()};
    std::sort(found.begin(), found.end());
    for (std::string& path : found) inputs_.push_back({std::move(path)});
  }
  void add_archive(const std::string& path) {
    const auto archive =
        or_exit(kOther, [&] { return std::make_shared<const tessera::io::TarFile>(tessera::io::TarFile::open(path)); });
    for (std::size_t i = 0; i < archive->entries.size(); ++i)
      if (is_image(archive->entries[i].name)) inputs_.push_back({path + "/" + archive->entries[i].name, archive, i});
  }
  void add_pattern(const std::string& pattern) {
    glob_t matches{};
    const int result = glob(pattern.c_str(), GLOB_NOSORT, nullptr, &matches);
    std::vector<std::string> found(matches.gl_pathv, matches.gl_pathv + matches.gl_pathc);
    globfree(&matches);
    if (result != 0 || found.empty()) throw Failure{kOther, pattern + ": no file matches this pattern"};
    std::sort(found.begin(), found.end());  // by bytes, in every locale
    for (const std::string& name : found) add(name == "-" ? "./-" : name);
  }
  static bool has_ending(std::string name, std::initializer_list<std::string_view> endings) {
    for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return std::any_of(endings.begin(), endings.end(), [&](std::string_view e) { return name.ends_with(e); });
  }
  static bool is_image(const std::string& name) {
    return has_ending(name, {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".ppm", ".pgm", ".pbm", ".pnm"});
  }
  std::vector<ImageInput> inputs_;
  std::unique_ptr<Lines> lines_;
  std::size_t at_ = 0;
  bool streams_ = false;
};

/// What inputs became; one that cannot be read has a reason instead of pixels.
template <class T>
struct Prepared {
  std::vector<T> images;
  std::vector<std::string> why;
};

/// Decodes inputs side by side and makes prepare(context, image) of each.
template <class F>
auto prepare_images(tessera::Context& ctx, const std::vector<ImageInput>& inputs, const F& prepare) {
  Prepared<decltype(prepare(ctx, tessera::image::Image()))> p;
  p.images.resize(inputs.size()), p.why.resize(inputs.size());
  const auto one = [&](std::size_t i, tessera::Context& own) {
    try {
      p.images[i] = prepare(own, inputs[i].load());
    } catch (const tessera::Error& e) {
      p.why[i] = inputs[i].without_name(e);
    }
  };
  if (ctx.threads() == 1) {
    for (std::size_t i = 0; i < inputs.size(); ++i) one(i, ctx);
    return p;
  }
  for (int lane = 0; lane < ctx.threads(); ++lane) (void)ctx.lane(lane);  // made here: tasks must not
  ctx.parallel_for(static_cast<tessera::index_t>(inputs.size()),
                   [&](tessera::index_t i, int lane) { one(static_cast<std::size_t>(i), ctx.lane(lane)); });
  return p;
}

}  // namespace tool
