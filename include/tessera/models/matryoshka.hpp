// Which widths an embedding may be cut to: those that its model was trained for.
#pragma once
#include <string>
#include <vector>

#include <tessera/core/dtype.hpp>

namespace tessera::io {
class ModelFolder;
}

namespace tessera::models {

/// What a folder says of widths (Matryoshka representation learning). Folders say it in three ways, looked for in this
/// order: "matryoshka_dimensions" of config.json, a list, or "is_matryoshka" there, true, as vLLM reads them; MatryoshkaLoss
/// or Matryoshka2dLoss in README.md, the card that sentence-transformers writes of a training, which lists
/// "matryoshka_dims"; "truncate_dim" of config_sentence_transformers.json, by which sentence-transformers cuts unasked. A
/// width is fit if it lies between the least one listed and all of them: those between were not trained, but do as well.
/// Source: Kusupati et al., arXiv:2205.13147, sections 3 and 4.2 ("interpolation").
struct Matryoshka {
  bool declared = false;
  std::vector<index_t> dims;  ///< listed ones, ascending; empty: none is, and every width is fit
  index_t cut = 0;            ///< truncate_dim: what is kept where nothing is asked for; 0: all
  std::string where;          ///< what says so

  static Matryoshka read(const io::ModelFolder& folder);
  bool fits(index_t width) const noexcept { return declared && (dims.empty() || width >= dims.front()); }
  /// For messages.
  std::string shown() const;
};

}  // namespace tessera::models

#ifndef TESSERA_COMPILED
#include <tessera/models/matryoshka-inl.hpp>
#endif
