// Image inputs by path, one at a time.
#pragma once
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

/// What --image names: files; folders, of which every image below is taken, in the order of the paths' bytes; "-" for paths
/// on standard input, one a line.
class ImagePaths {
 public:
  /// \throws Failure for a folder that cannot be read. A file that cannot is an input like others, and skipped later.
  explicit ImagePaths(const std::vector<std::string>& named) {
    namespace fs = std::filesystem;
    for (const std::string& name : named) {
      std::error_code error;
      if (name == "-") {
        if (streams_) throw Failure{kUsage, "--image - twice: standard input can be read once"};
        streams_ = true;
        sources_.push_back({name, {}});
      } else if (fs::is_directory(name, error)) {
        std::vector<std::string> found;
        for (fs::recursive_directory_iterator at(name, error), end; !error && at != end; at.increment(error))
          if (at->is_regular_file(error) && is_image(at->path().extension().string())) found.push_back(at->path().string());
        if (error) throw Failure{kOther, name + ": cannot read this folder: " + error.message()};
        std::sort(found.begin(), found.end());
        sources_.push_back({name, std::move(found)});
      } else {
        sources_.push_back({name, {name}});
      }
      if (!streams_) total_ += static_cast<long long>(sources_.back().paths.size());
    }
  }
  /// How many there are, or negative when standard input has a say.
  long long total() const { return streams_ ? -1 : total_; }
  /// The next path. False at the end, or once interrupted.
  bool next(std::string& path) {
    while (source_ < sources_.size() && !interrupted()) {
      if (sources_[source_].name == "-") {
        if (!lines_) lines_ = std::make_unique<Lines>("-", false);
        while (lines_->next_raw(path))
          if (!path.empty()) return true;
      } else if (item_ < sources_[source_].paths.size()) {
        path = sources_[source_].paths[item_++];
        return true;
      }
      ++source_, item_ = 0;
    }
    return false;
  }

 private:
  struct Source {
    std::string name;
    std::vector<std::string> paths;
  };
  static bool is_image(std::string extension) {
    for (char& c : extension) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    static constexpr std::string_view kKnown[] = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".ppm", ".pgm", ".pbm", ".pnm"};
    return std::find(std::begin(kKnown), std::end(kKnown), extension) != std::end(kKnown);
  }
  std::vector<Source> sources_;
  std::unique_ptr<Lines> lines_;
  std::size_t source_ = 0, item_ = 0;
  long long total_ = 0;
  bool streams_ = false;
};

/// What paths became; one that cannot be read has a reason instead of pixels.
struct Prepared {
  std::vector<tessera::image::PreparedImage> images;
  std::vector<std::string> why;
};

/// Decodes paths side by side and makes prepare(context, image) of each.
template <class F>
Prepared prepare_images(tessera::Context& ctx, const std::vector<std::string>& paths, const F& prepare) {
  Prepared p;
  p.images.resize(paths.size()), p.why.resize(paths.size());
  const auto one = [&](std::size_t i, tessera::Context& own) {
    try {
      p.images[i] = prepare(own, tessera::image::load(paths[i]));
    } catch (const tessera::Error& e) {
      const std::string sentence = e.what(), name = paths[i] + ": ";
      p.why[i] = sentence.starts_with(name) ? sentence.substr(name.size()) : sentence;
    }
  };
  if (ctx.threads() == 1) {
    for (std::size_t i = 0; i < paths.size(); ++i) one(i, ctx);
    return p;
  }
  for (int lane = 0; lane < ctx.threads(); ++lane) (void)ctx.lane(lane);  // made here: tasks must not
  ctx.parallel_for(static_cast<tessera::index_t>(paths.size()),
                   [&](tessera::index_t i, int lane) { one(static_cast<std::size_t>(i), ctx.lane(lane)); });
  return p;
}

}  // namespace tool
