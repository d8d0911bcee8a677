// Matrix products of bf16 with sums of f32 on sm_90a: copies by TMA, products by wgmma.
//
// A block stays on its SM and works off tiles of C [kRows, kColumns], one after the other. One warp, the producer, only
// starts copies: parts of A and W, 64 of k deep, go into a ring of stages. Warpgroups, the consumers, multiply a stage as
// soon as it is full and release it when their wgmma have read it. They form one team, which shares a tile by rows, or two
// that take turns: one finishes its tile while the other multiplies.
//
// Each sum starts at 0 and takes k in steps of 16, ascending, whatever the tile: so a row of C has the same bits from any
// tile, in any batch. What TMA reads beyond M, N and K is 0, what it would write there is dropped.
#pragma once
#include <tessera/cuda/epilogue.hpp>
#include <tessera/cuda/numbers.cuh>
#include <tessera/cuda/ring.cuh>
#include <tessera/cuda/sm90_gemm_tile.hpp>
#include <tessera/cuda/sm90_ptx.cuh>
#include <tessera/cuda/sm90_wgmma.cuh>
#include <tessera/cuda/tensor_map_encode.cuh>

namespace tessera::kernels::cuda {

/// C[m, n] as epilogue.hpp says of A [m, k] . W [n, k]^T; gated, W is [2 n, k], the gate's rows before up's. The maps are
/// those of make_sm90_gemm_maps(). residual has rows as C's and may be C; rows of both are aligned to pairs. Sizes are 1 or
/// more. C in bf16 is stored by TMA, so its rows are 16-byte aligned; for others there is the kernel of gemm.cuh.
template <class Out>
struct Sm90GemmArgs {
  TensorMap a, w, to;  ///< `to`: of C in bf16
  Out* c;
  index_t ldc;
  int m, n, k;
  const Out* residual = nullptr;
  index_t ldr = 0;
  Epilogue epilogue;
  int residual_rows = 0;  ///< above 0: as residual_row() says, and residual is not C
};

/// Makes the maps; the rest of `g` is filled in. Null, or a sentence that says why not.
template <class Tile, bool kGated, class Out>
const char* make_sm90_gemm_maps(Sm90GemmArgs<Out>& g, const bf16* a, index_t lda, const bf16* w, index_t ldw) {
  const Sm90GemmOperands operands = {a, w, g.c, g.m, g.n, g.k, lda, ldw, g.ldc, kGated};
  if (kGated && g.n % 8 != 0) return "a gated product has a multiple of 8 columns";
  if (const char* problem = encode_tensor_map(sm90_map_of_a<Tile>(operands), g.a)) return problem;
  if (const char* problem = encode_tensor_map(sm90_map_of_w<Tile>(operands), g.w)) return problem;
  const auto pairs = [](const Out* rows, index_t ld) {
    return ld % 2 == 0 && reinterpret_cast<std::uintptr_t>(rows) % (2 * sizeof(Out)) == 0;
  };
  if (!pairs(g.c, g.ldc) || (g.residual && !pairs(g.residual, g.ldr)))
    return "rows of C or of the residual are not aligned to pairs";
  return sizeof(Out) == 2 ? encode_tensor_map(sm90_map_of_c<Tile>(operands), g.to) : nullptr;
}

/// What threads of one role know: where things are, and the tiles of their block.
template <class Tile, bool kGated, class Out>
struct Sm90GemmBlock {
  static constexpr int kColumnsOfC = Tile::columns_of_c(kGated);
  using Stages = Ring<Tile::kStages, Mbarriers>;
  using TeamTurns = Turns<Tile::kTeams, Mbarriers>;
  const Sm90GemmArgs<Out>& g;
  shared_t memory;
  Stages ring;
  TeamTurns turns;
  int tiles_down, tiles_across, parts;

  TESSERA_DEVICE explicit Sm90GemmBlock(const Sm90GemmArgs<Out>& args)
      : g(args),
        memory(dynamic_shared()),
        ring{{memory + static_cast<shared_t>(Tile::kBarriersAt)}},
        turns{ring.barriers, 2 * Tile::kStages},
        tiles_down((g.m + Tile::kRows - 1) / Tile::kRows),
        tiles_across((g.n + kColumnsOfC - 1) / kColumnsOfC),
        parts((g.k + Tile::kDepth - 1) / Tile::kDepth) {}

  TESSERA_DEVICE int tiles() const { return tiles_down * tiles_across; }
  /// The first row and column of C of a tile.
  TESSERA_DEVICE Place first(int tile) const {
    const Place at = tile_of_block(tile, tiles_down, tiles_across);
    return {at.row * Tile::kRows, at.column * kColumnsOfC};
  }
  TESSERA_DEVICE shared_t stage(std::uint32_t i) const { return memory + i * static_cast<shared_t>(Tile::kStageBytes); }
};

/// One thread: copies of all parts of all tiles of the block, in the order in which the teams multiply them.
template <class Tile, bool kGated, class Out>
TESSERA_DEVICE void produce(const Sm90GemmBlock<Tile, kGated, Out>& block) {
  const Sm90GemmArgs<Out>& g = block.g;
  auto ring = block.ring;
  auto at = decltype(ring)::Position::producer();
  const std::uint64_t policy_of_a = cache_policy(CacheHint::normal), policy_of_w = cache_policy(CacheHint::evict_last);
  TESSERA_NOT_UNROLLED
  for (int tile = block_index(); tile < block.tiles(); tile += grid_size()) {
    const Place first = block.first(tile);
    TESSERA_NOT_UNROLLED
    for (int part = 0; part < block.parts; ++part, at.next()) {
      ring.acquire(at, Tile::kStageBytes);
      const Mbarrier full = ring.barriers[ring.full(at)];
      const shared_t stage = block.stage(at.stage), of_w = stage + static_cast<shared_t>(Tile::kBytesA);
      tma_load(stage, g.a, full, policy_of_a, part * Tile::kDepth, first.row);
      if constexpr (kGated) {
        tma_load(of_w, g.w, full, policy_of_w, part * Tile::kDepth, 0, 0, first.column / 8);
      } else {
        tma_load(of_w, g.w, full, policy_of_w, part * Tile::kDepth, first.column);
      }
    }
  }
}

/// The sums of a consumer's rows of a tile.
template <class Tile>
struct Sm90GemmSums {
  float of[Tile::kBlocks][Tile::kColumns / 2];
};

/// All threads of a consumer warpgroup: the sums of its rows, `row` the first one in the tile, over all parts. `team` passes
/// its turn as soon as it waits for no more of them.
template <class Tile, bool kGated, class Out>
TESSERA_DEVICE void multiply(const Sm90GemmBlock<Tile, kGated, Out>& block, int team, int row,
                             RingPosition<Tile::kStages>& at, Sm90GemmSums<Tile>& sums) {
  using Operand = OperandDescriptor<Tile::kDepth * 2>;
  auto ring = block.ring;
  auto read = at;  // the part before
  const bool releases = thread_index() % 32 == 0;
  TESSERA_UNROLLED
  for (auto& block_sums : sums.of) {
    TESSERA_UNROLLED
    for (float& sum : block_sums) sum = 0.0f;
  }
  TESSERA_NOT_UNROLLED
  for (int part = 0; part < block.parts; ++part) {
    ring.wait(at);
    const auto a = Operand::at(block.stage(at.stage)).from_row(row);
    const auto w = Operand::at(block.stage(at.stage) + static_cast<shared_t>(Tile::kBytesA));
    TESSERA_UNROLLED
    for (int i = 0; i < Tile::kBlocks; ++i) wgmma_hold(sums.of[i]);
    wgmma_fence();
    TESSERA_UNROLLED
    for (int k = 0; k < Tile::kDepth; k += 16) {
      TESSERA_UNROLLED
      for (int i = 0; i < Tile::kBlocks; ++i)
        Wgmma<Tile::kColumns>::ss(sums.of[i], a.from_row(64 * i).advance(k).bits, w.advance(k).bits, true);
    }
    wgmma_commit();
    TESSERA_UNROLLED
    for (int i = 0; i < Tile::kBlocks; ++i) wgmma_hold(sums.of[i]);
    wgmma_wait<1>();  // the part before has been read by this warp's wgmma; this one is under way
    if (part > 0) {
      if (releases) ring.release(read);
      read.next();
    }
    at.next();
  }
  auto turns = block.turns;
  if (releases) turns.pass(team);
  wgmma_wait<0>();
  TESSERA_UNROLLED
  for (int i = 0; i < Tile::kBlocks; ++i) wgmma_hold(sums.of[i]);
  if (releases) ring.release(read);
}

/// The epilogue of two neighbouring columns of one row; 0 where C has none.
template <bool kGated, Activation kAct, class Out>
TESSERA_DEVICE void finish_two(const Sm90GemmArgs<Out>& g, Place to, int row_of_residual, const float* sum, const float* up,
                               float (&result)[2]) {
  const Epilogue e = {g.epilogue.bias, g.epilogue.channel_scale, kAct};
  const int left = to.row < g.m ? g.n - to.column : 0;
  float residual[2] = {};
  if (g.residual && left > 0) load_numbers(g.residual + row_of_residual * g.ldr + to.column, left, true, residual);
  TESSERA_UNROLLED
  for (int i = 0; i < 2; ++i) {
    EpilogueColumn at;
    if (i < left) {
      if (e.bias) at.bias = load_global(e.bias + to.column + i);
      if (kGated && e.bias) at.bias_up = load_global(e.bias + g.n + to.column + i);
      if (e.channel_scale) at.scale = load_global(e.channel_scale + to.column + i);
    }
    result[i] = kGated ? finish_gated(e, at, sum[i], up[i], g.residual != nullptr, residual[i])
                       : finish(e, at, sum[i], g.residual != nullptr, residual[i]);
  }
}

/// The residual's rows for the two rows that a thread has of 64: found once, as a remainder takes long.
struct ResidualRows {
  int of[2];
};
template <class Out>
TESSERA_DEVICE ResidualRows residual_rows_of(const Sm90GemmArgs<Out>& g, int first) {
  const int thread = thread_index() % 128;
  return {{residual_row(first + wgmma_sum(thread, 0).row, g.residual_rows),
           residual_row(first + wgmma_sum(thread, 2).row, g.residual_rows)}};
}

/// What a thread of a warpgroup holds of 64 rows, straight to C.
template <class Tile, bool kGated, Activation kAct, class Out>
TESSERA_DEVICE void store_directly(const Sm90GemmArgs<Out>& g, Place first, const float (&sums)[Tile::kColumns / 2]) {
  constexpr int kStep = kGated ? 8 : 4;  // gated, the sums of up follow the gate's
  const ResidualRows rows = residual_rows_of(g, first.row);
  TESSERA_UNROLLED
  for (int r = 0; r < Tile::kColumns / 2; r += kStep) {
    TESSERA_UNROLLED
    for (int half = 0; half < 4; half += 2) {
      const Place in_tile = wgmma_sum(thread_index() % 128, r + half);
      const Place to = {first.row + in_tile.row, first.column + (kGated ? in_tile.column % 8 + r : in_tile.column)};
      if (to.row >= g.m || to.column >= g.n) continue;
      float result[2];
      finish_two<kGated, kAct>(g, to, rows.of[half / 2], sums + r + half, sums + r + half + (kGated ? 4 : 0), result);
      store_numbers(g.c + to.row * g.ldc + to.column, g.n - to.column, true, result);
    }
  }
}

/// The same by 32 columns through two buffers in shared memory, which TMA empties in turn. `stored` counts them.
template <class Tile, bool kGated, Activation kAct>
TESSERA_DEVICE void store_by_map(const Sm90GemmArgs<bf16>& g, Place first, const float (&sums)[Tile::kColumns / 2],
                                 shared_t buffers, int consumer, int& stored) {
  using Buffer = SwizzledTile<kSm90StoreColumns * 2>;
  static_assert(Tile::columns_of_c(kGated) % kSm90StoreColumns == 0);
  constexpr int kStep = kGated ? 8 : 4, kChunkSums = kStep * kSm90StoreColumns / 8;
  const int thread = thread_index() % 128, lane = thread % 32;
  const Place lane_row = stmatrix_sums(lane);
  const ResidualRows rows = residual_rows_of(g, first.row);
  TESSERA_UNROLLED
  for (int chunk = 0; chunk < Tile::columns_of_c(kGated) / kSm90StoreColumns; ++chunk, ++stored) {
    const shared_t buffer = buffers + static_cast<shared_t>(stored % 2 * kSm90StoreBytes);
    TESSERA_UNROLLED
    for (int two = 0; two < kSm90StoreColumns / 16; ++two) {
      bf16_pair pairs[4];
      TESSERA_UNROLLED
      for (int i = 0; i < 4; ++i) {  // column block 2 two + i / 2, its upper or lower 8 rows
        const int r = chunk * kChunkSums + (2 * two + i / 2) * kStep + i % 2 * 2;
        const Place in_tile = wgmma_sum(thread, i % 2 * 2);
        const int column = chunk * kSm90StoreColumns + (2 * two + i / 2) * 8 + in_tile.column;
        float result[2];
        finish_two<kGated, kAct>(g, {first.row + in_tile.row, first.column + column}, rows.of[i % 2], sums + r,
                                 sums + r + (kGated ? 4 : 0), result);
        pairs[i] = to_bf16_pair(result[0], result[1]);
      }
      stmatrix(buffer + static_cast<shared_t>(Buffer::offset(thread / 32 * 16 + lane_row.row, 2 * two + lane_row.column)),
               pairs);
    }
    fence_proxy_async();
    if (thread == 0) tma_wait_read<0>();  // the other buffer is free, once all have passed the barrier
    sync_named(1 + consumer, 128);
    if (thread == 0) {
      tma_store(g.to, buffer, cache_policy(CacheHint::normal), first.column + chunk * kSm90StoreColumns, first.row);
      tma_commit();
    }
  }
}

/// All threads of a consumer warpgroup: every tile of its team.
template <class Tile, bool kGated, Activation kAct, class Out>
TESSERA_DEVICE void consume(const Sm90GemmBlock<Tile, kGated, Out>& block, int consumer) {
  const int team = consumer / Tile::kTeamSize, row = consumer % Tile::kTeamSize * Tile::kBlocks * 64;
  const shared_t buffers = block.memory + static_cast<shared_t>(Tile::kBuffersAt + consumer * 2 * kSm90StoreBytes);
  auto at = RingPosition<Tile::kStages>::consumer();
  auto turns = block.turns;
  std::uint32_t turn = turns.parity(team);
  int stored = 0;
  at.skip(static_cast<std::uint32_t>(team * block.parts));
  TESSERA_NOT_UNROLLED
  for (int tile = block_index() + team * grid_size(); tile < block.tiles(); tile += Tile::kTeams * grid_size()) {
    Sm90GemmSums<Tile> sums;
    turns.wait(team, turn);
    multiply(block, team, row, at, sums);
    at.skip(static_cast<std::uint32_t>((Tile::kTeams - 1) * block.parts));
    const Place first = block.first(tile);
    TESSERA_UNROLLED
    for (int i = 0; i < Tile::kBlocks; ++i) {
      const Place rows = {first.row + row + 64 * i, first.column};
      if constexpr (sizeof(Out) == 2) {
        store_by_map<Tile, kGated, kAct>(block.g, rows, sums.of[i], buffers, consumer, stored);
      } else {
        store_directly<Tile, kGated, kAct>(block.g, rows, sums.of[i]);
      }
    }
  }
  if (thread_index() % 128 == 0) tma_wait_written<0>();
}

/// Grid: as many blocks as there are SMs, or fewer. Shared memory: Tile::kSharedBytes.
template <class Tile, bool kGated, Activation kAct, class Out>
TESSERA_KERNEL(Tile::kThreads, 1)
sm90_gemm_kernel(const TESSERA_GRID_CONSTANT Sm90GemmArgs<Out> g) {
  Sm90GemmBlock<Tile, kGated, Out> block(g);
  if (thread_index() == 0) {
    prefetch_map(g.a);
    prefetch_map(g.w);
    block.ring.init(Tile::kTeamSize * 4);  // a release by each warp
    block.turns.init(Tile::kTeamSize * 4);
    fence_barrier_init();
  }
  sync_threads();
  wait_for_previous_kernel();
  if (thread_index() < 128) {
    give_registers<Tile::kProducerRegisters>();
    if (thread_index() == 0) {
      produce(block);
      let_next_kernel_start();
    }
  } else {
    take_registers<Tile::kConsumerRegisters>();
    consume<Tile, kGated, kAct>(block, thread_index() / 128 - 1);
  }
}

}  // namespace tessera::kernels::cuda
