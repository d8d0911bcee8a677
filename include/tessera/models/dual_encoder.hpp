// Images and texts to embeddings of one space, from one folder.
#pragma once
#include <string>

#include <tessera/models/contrastive_head.hpp>
#include <tessera/models/image_encoder.hpp>
#include <tessera/models/text_encoder.hpp>

namespace tessera::models {

/// CLIP or SigLIP with its processor and its tokenizer: an encoder for each tower, and the head that compares what they
/// give. Each reads its own tensors of the folder's weights. Const after load(), shared by any number of threads.
class DualEncoder {
 public:
  /// \param path a folder, or org/name in an existing Hugging Face cache; nothing is downloaded.
  /// \throws Error that names the file and what to do; kUnsupported for a model of images or texts alone.
  static DualEncoder load(Context& ctx, const std::string& path, const LoadOptions& options = {},
                          image::Backend backend = image::Backend::pil);

  const ImageEncoder& image() const noexcept { return image_; }
  const TextEncoder& text() const noexcept { return text_; }
  const ContrastiveHead& head() const noexcept { return head_; }

 private:
  ImageEncoder image_;
  TextEncoder text_;
  ContrastiveHead head_;
};

}  // namespace tessera::models

#ifndef TESSERA_COMPILED
#include <tessera/models/dual_encoder-inl.hpp>
#endif
