// Model families on the one transformer stack, and the pipelines around them.
#pragma once
#include <tessera/models/auto_model.hpp>
#include <tessera/models/families/bert.hpp>
#include <tessera/models/padded.hpp>
#include <tessera/models/text_encoder.hpp>
#include <tessera/models/text_model.hpp>
#include <tessera/models/transformer.hpp>
