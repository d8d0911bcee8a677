// The umbrella: everything but image decoding, audio and align/.
#pragma once
#include <tessera/core.hpp>
#include <tessera/io.hpp>
#include <tessera/models.hpp>
#include <tessera/ops.hpp>
#include <tessera/retrieval.hpp>
#include <tessera/text.hpp>
