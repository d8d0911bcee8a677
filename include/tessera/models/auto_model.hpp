// From a folder to the family that reads it.
#pragma once
#include <tessera/models/text_model.hpp>

namespace tessera::models {

/// Reads config.json's model_type and hands over to that family.
/// \throws Error kUnsupported naming the architecture and those that are known; kNotFound, kFormat, kShapeMismatch,
/// kNonFinite naming file and tensor.
TextModel load_text_model(Context& ctx, const io::ModelFolder& folder, const LoadOptions& options = {});

}  // namespace tessera::models

#ifndef TESSERA_COMPILED
#include <tessera/models/auto_model-inl.hpp>
#endif
