// Everything of core/: element types, views, buffers, errors, contexts.
#pragma once
#include <tessera/core/buffer.hpp>
#include <tessera/core/context.hpp>
#include <tessera/core/dtype.hpp>
#include <tessera/core/error.hpp>
#include <tessera/core/isa.hpp>
#include <tessera/core/packed_weight.hpp>
#include <tessera/core/ragged_batch.hpp>
#include <tessera/core/taps.hpp>
#include <tessera/core/thread_pool.hpp>
#include <tessera/core/view.hpp>
#include <tessera/version.hpp>
