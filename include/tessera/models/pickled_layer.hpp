// Layers that a published folder holds as pickles, read from the safetensors files that stand for them.
#pragma once
#include <string>

#include <tessera/models/text_model.hpp>

namespace tessera::models {

/// One line of Python that makes stem.safetensors of stem.pt in that folder.
std::string pickle_conversion(const io::ModelFolder& folder, const std::string& stem);

namespace detail {

/// The layer [n, C] of stem.safetensors, of which BGE-M3 has stem.pt. \param n negative: of any height. \throws Error
/// kUnsupported where there is only the pickle, which would run code; kNotFound, kFormat, kShapeMismatch.
DenseLayer read_pickled_layer(Context& ctx, const io::ModelFolder& folder, const std::string& stem, index_t n, index_t c,
                              const LoadOptions& options);
bool has_pickled_layer(const io::ModelFolder& folder, const std::string& stem);

}  // namespace detail

}  // namespace tessera::models

#ifndef TESSERA_COMPILED
#include <tessera/models/pickled_layer-inl.hpp>
#endif
