// Every operation, each with its formula, shapes and source.
#pragma once
#include <tessera/ops/activation.hpp>
#include <tessera/ops/attention.hpp>
#include <tessera/ops/block.hpp>
#include <tessera/ops/certified_topk.hpp>
#include <tessera/ops/contrastive.hpp>
#include <tessera/ops/embed.hpp>
#include <tessera/ops/gemm.hpp>
#include <tessera/ops/maxsim.hpp>
#include <tessera/ops/merge.hpp>
#include <tessera/ops/norm.hpp>
#include <tessera/ops/patch.hpp>
#include <tessera/ops/pool.hpp>
#include <tessera/ops/resample.hpp>
#include <tessera/ops/rotary.hpp>
#include <tessera/ops/similarity.hpp>
#include <tessera/ops/topk.hpp>
