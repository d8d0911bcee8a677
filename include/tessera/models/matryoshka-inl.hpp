#pragma once
#include <algorithm>
#include <charconv>
#include <string_view>

#include <tessera/core/mmap.hpp>
#include <tessera/io/json.hpp>
#include <tessera/io/model_folder.hpp>
#include <tessera/models/matryoshka.hpp>

namespace tessera::models {

namespace detail {

inline constexpr index_t kMostDims = 1 << 24;

/// A list of widths in a configuration file. \throws Error kFormat.
inline std::vector<index_t> widths_of(const io::Json& list, const std::string& file, const char* key) {
  std::vector<index_t> dims;
  for (const io::Json& dim : list) {
    if (!dim.is_number_integer() || dim.get<std::int64_t>() < 1 || dim.get<std::int64_t>() > kMostDims)
      throw Error(Code::kFormat, {file, ": ", key, " holds ", io::shown(&dim), ", not a number of dimensions"});
    dims.push_back(dim.get<std::int64_t>());
  }
  return dims;
}

/// The list behind the first "matryoshka_dims" of a model card, whose text is no JSON as a whole; what is none is passed
/// over.
inline std::vector<index_t> widths_of_card(std::string_view card) {
  std::vector<index_t> dims;
  std::size_t at = card.find("\"matryoshka_dims\"");
  if (at == card.npos || (at = card.find('[', at)) == card.npos) return dims;
  const std::string_view list = card.substr(at + 1, card.find(']', at) - at - 1);
  for (std::size_t i = 0; i < list.size();) {
    index_t dim = 0;
    const auto [end, error] = std::from_chars(list.data() + i, list.data() + list.size(), dim);
    if (error == std::errc() && dim > 0 && dim <= kMostDims) dims.push_back(dim);
    i = std::max<std::size_t>(i + 1, static_cast<std::size_t>(end - list.data()));
  }
  return dims;
}

/// The text of a file of the folder, as far as it may speak of a training; empty where there is none that can be read.
inline std::string model_card(const io::ModelFolder& folder) {
  constexpr std::size_t kMost = std::size_t{4} << 20;
  if (!folder.has("README.md")) return {};
  try {
    const auto file = MappedFile::open(folder.path("README.md").c_str());
    return {reinterpret_cast<const char*>(file.data()), std::min(file.bytes(), kMost)};
  } catch (const Error&) {
    return {};  // it is for people, and no model depends on it
  }
}

}  // namespace detail

inline Matryoshka Matryoshka::read(const io::ModelFolder& folder) {
  Matryoshka m;
  const auto say = [&](std::vector<index_t> listed, std::string by) {
    if (m.declared) return;
    std::sort(listed.begin(), listed.end());
    m.declared = true, m.dims = std::move(listed), m.where = std::move(by);
  };
  if (folder.has("config.json")) {
    const io::Json config = folder.json("config.json");
    if (const io::Json& list = io::member(config, "matryoshka_dimensions"); list.is_array())
      say(detail::widths_of(list, folder.path("config.json"), "matryoshka_dimensions"),
          "matryoshka_dimensions of config.json");
    if (const io::Json& is = io::member(config, "is_matryoshka"); is.is_boolean() && is.get<bool>())
      say({}, "is_matryoshka of config.json");
  }
  const char* const file = "config_sentence_transformers.json";
  const io::Json saved = folder.has(file) ? folder.json(file) : io::empty_object();
  const std::string card = detail::model_card(folder);
  for (const char* loss : {"MatryoshkaLoss", "Matryoshka2dLoss"})
    if (card.find(loss) != card.npos) say(detail::widths_of_card(card), std::string(loss) + " in README.md");
  if (!io::member(saved, "truncate_dim").is_null()) {
    m.cut = io::get_int(saved, "truncate_dim", 1, detail::kMostDims);
    say({m.cut}, std::string("truncate_dim of ") + file);
  }
  return m;
}

inline std::string Matryoshka::shown() const {
  std::string list;
  for (const index_t dim : dims) list += (list.empty() ? "" : ", ") + std::to_string(dim);
  return list.empty() ? "any width" : list;
}

}  // namespace tessera::models
