// Model families on the one transformer stack, and the pipelines around them.
#pragma once
#include <tessera/models/auto_image_model.hpp>
#include <tessera/models/auto_model.hpp>
#include <tessera/models/contrastive_head.hpp>
#include <tessera/models/dual_encoder.hpp>
#include <tessera/models/dual_model.hpp>
#include <tessera/models/embeddings.hpp>
#include <tessera/models/families/bert.hpp>
#include <tessera/models/families/clip_image.hpp>
#include <tessera/models/families/clip_text.hpp>
#include <tessera/models/families/vit.hpp>
#include <tessera/models/image_encoder.hpp>
#include <tessera/models/image_model.hpp>
#include <tessera/models/padded.hpp>
#include <tessera/models/text_encoder.hpp>
#include <tessera/models/text_model.hpp>
#include <tessera/models/transformer.hpp>
