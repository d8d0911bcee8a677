// A contact sheet of what was found: a section a query, the images it found with rank and score.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dual.hpp"
#include "pictures/heat_map.hpp"
#include "pictures/sheet.hpp"
#include "pictures/write.hpp"

namespace tool {

/// The inputs that names stand for, as `index --image` and `search` write them: a path, or ARCHIVE.tar/ENTRY.
class NamedImages {
 public:
  /// \throws tessera::Error for an archive that cannot be read or has no such file, and for a NUL in a name. Whether a path
  /// is an image shows when it is loaded.
  ImageInput find(const std::string& name) {
    if (name.find('\0') != name.npos)
      throw tessera::Error(tessera::Code::kBadArgument, "an image's name with a NUL in it, as no file's has");
    constexpr std::string_view kTar = ".tar/";
    std::error_code error;
    if (const std::size_t end = name.find(kTar); end != name.npos && !std::filesystem::exists(name, error)) {
      const Archive& a = archive(name.substr(0, end + kTar.size() - 1));
      const auto entry = a.entries.find(name.substr(end + kTar.size()));
      if (entry == a.entries.end()) throw tessera::Error(tessera::Code::kNotFound, {name, ": the archive has no such file"});
      return {name, a.file, entry->second};
    }
    return {name};
  }

 private:
  struct Archive {
    std::shared_ptr<const tessera::io::TarFile> file;
    std::map<std::string_view, std::size_t> entries;
  };
  const Archive& archive(const std::string& path) {
    const auto [at, fresh] = archives_.try_emplace(path);
    if (fresh) {
      try {
        at->second.file = std::make_shared<const tessera::io::TarFile>(tessera::io::TarFile::open(path));
      } catch (...) {
        archives_.erase(at);
        throw;
      }
      const auto& entries = at->second.file->entries;
      for (std::size_t i = entries.size(); i-- > 0;) at->second.entries[entries[i].name] = i;
    }
    return at->second;
  }
  std::map<std::string, Archive> archives_;
};

/// Queries beside what they found, in a picture; at most kMostShown images.
class AnswerSheet {
 public:
  /// \param path of a .png or .svg file; empty: no sheet. \throws Failure kUsage for another name.
  explicit AnswerSheet(std::string path) : path_(std::move(path)) { pictures::check_picture_name("--sheet", path_); }

  bool wanted() const { return !path_.empty(); }
  const std::string& path() const { return path_; }
  /// What is written under an image that was found. \param place from 0.
  static std::string rank(std::size_t place, float score) {
    return std::to_string(place + 1) + ". " + pictures::shown_number(score);
  }

  /// Counts a query. Whether the sheet has room for it and so many cells: then add() is to follow.
  bool takes(std::size_t cells) {
    ++queries_;
    if (!wanted() || shown_ + cells > kMostShown) return false;
    shown_ += std::max<std::size_t>(1, cells);
    return true;
  }
  /// A query and what stands below it. Cells get the image of their input; one that cannot be read leaves an empty frame,
  /// and is named on stderr. \param inputs one a cell, without a name where there is none.
  void add(tessera::Context& ctx, const std::string& heading, std::vector<pictures::Cell> cells,
           const std::vector<ImageInput>& inputs) {
    std::vector<ImageInput> named;
    for (const ImageInput& i : inputs)
      if (!i.name.empty()) named.push_back(i);
    auto small = thumbnails(ctx, named, pictures::SheetStyle{}.side, path_);
    for (std::size_t i = 0, next = 0; i < cells.size(); ++i) {
      if (inputs[i].name.empty()) continue;
      cells[i].image = std::move(small.images[next]), cells[i].missing = small.why[next];
      ++next;
    }
    sections_.push_back({heading, std::move(cells)});
  }
  /// \param what the queries are. \throws Failure kOutput.
  void write(const char* what) const {
    if (!wanted()) return;
    if (sections_.size() < queries_)
      say(path_ + " shows " + std::to_string(sections_.size()) + " of " + std::to_string(queries_) + " " + what + ": " +
          std::to_string(kMostShown) + " images at most");
    pictures::write_picture(path_, pictures::contact_sheet(sections_));
  }

 private:
  std::string path_;
  std::vector<pictures::Section> sections_;
  std::size_t queries_ = 0, shown_ = 0;
};

}  // namespace tool
