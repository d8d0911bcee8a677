// tessera embed for models whose embedding of a text is not one row of numbers.
#pragma once
#include <string>
#include <vector>

#include "tool.hpp"

namespace tool {

/// What these share with `tessera embed`.
struct HeadJob {
  RunOptions run;
  std::string text, out;
  bool jsonl = false;
  tessera::models::EmbedOptions embed;  ///< prompt, length and batch
};

/// Weights of words, a line of JSON a text. \param top the heaviest so many; 0: all. \returns the exit code.
int embed_sparse(tessera::Context& ctx, const HeadJob& job, tessera::index_t top);
/// An embedding a token, all texts in one safetensors file. \param role "query" or "document".
int embed_multi_vector(tessera::Context& ctx, const HeadJob& job, const std::string& role);
/// Embeddings after each of several numbers of layers, a .npy file each.
int embed_layers(tessera::Context& ctx, const HeadJob& job, const std::vector<tessera::index_t>& layers);

}  // namespace tool
