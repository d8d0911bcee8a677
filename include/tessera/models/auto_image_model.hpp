// From a folder to the family that reads its images.
#pragma once
#include <tessera/models/image_model.hpp>

namespace tessera::models {

/// As load_text_model; of CLIP and SigLIP the image tower. \throws Error as there.
ImageModel load_image_model(Context& ctx, const io::ModelFolder& folder, const LoadOptions& options = {});

}  // namespace tessera::models

#ifndef TESSERA_COMPILED
#include <tessera/models/auto_image_model-inl.hpp>
#endif
