// What a tensor map of the copy engine (TMA) may say: a plain description and its checks, for any host compiler, with no
// header of CUDA. tensor_map_encode.cuh makes the 128 bytes of the hardware of it.
#pragma once
#include <tessera/core/dtype.hpp>

namespace tessera::kernels::cuda {

/// Up to five dimensions, the innermost first, as the hardware counts them.
inline constexpr int kMostMapRank = 5;
/// Elements of a box along one dimension.
inline constexpr index_t kMostBoxSide = 256;
/// Bytes of shared memory that one block may have on sm_90.
inline constexpr index_t kMostSharedBytes = 227 * 1024;

/// A region of global memory and the box that one copy moves. Reads outside the region give 0, writes there are dropped.
struct TensorMapSpec {
  DType dtype = DType::bf16;
  const void* base = nullptr;            ///< of the first element, 16-byte aligned
  int rank = 0;                          ///< 2 to 5
  index_t extent[kMostMapRank] = {};     ///< [rank] elements, innermost first
  index_t pitch[kMostMapRank - 1] = {};  ///< [rank - 1] bytes from one element to the next along dimension 1, 2 ...
  index_t box[kMostMapRank] = {};        ///< [rank] elements
  int swizzle = 0;                       ///< bytes: 0, 32, 64 or 128
};

enum class TensorMapFault : std::uint8_t {
  none,
  dtype,            ///< not bf16, f16, f32, u8
  rank,             ///< not 2 to 5
  null_base,        ///< no address
  base_alignment,   ///< not a multiple of 16 bytes
  extent,           ///< not 1 to 2^32
  pitch_alignment,  ///< not a multiple of 16 bytes
  pitch,            ///< not below 2^40 bytes, or rows overlap
  region,           ///< its last byte is beyond what an address can name
  box,              ///< not 1 to 256
  box_row,          ///< not a multiple of 16 bytes
  swizzle,          ///< not 0, 32, 64 or 128
  swizzle_span,     ///< a row of the box is wider than the swizzle
  box_bytes,        ///< more than a block's shared memory
};
/// The first thing wrong, and the dimension it is about.
struct TensorMapVerdict {
  TensorMapFault fault = TensorMapFault::none;
  int dimension = 0;
  friend constexpr bool operator==(TensorMapVerdict, TensorMapVerdict) = default;
};

constexpr const char* fault_text(TensorMapFault fault) noexcept {
  switch (fault) {
    case TensorMapFault::none: return "nothing is wrong";
    case TensorMapFault::dtype: return "elements must be bf16, f16, f32 or u8";
    case TensorMapFault::rank: return "a tensor map has 2 to 5 dimensions";
    case TensorMapFault::null_base: return "the address is null";
    case TensorMapFault::base_alignment: return "the address must be a multiple of 16 bytes";
    case TensorMapFault::extent: return "an extent must be 1 to 2^32 elements";
    case TensorMapFault::pitch_alignment: return "a pitch must be a multiple of 16 bytes: pad the rows";
    case TensorMapFault::pitch: return "a pitch must be above 0 and below 2^40 bytes, and rows must not overlap";
    case TensorMapFault::region: return "the region is larger than memory can be";
    case TensorMapFault::box: return "a side of the box must be 1 to 256 elements";
    case TensorMapFault::box_row: return "a row of the box must be a multiple of 16 bytes";
    case TensorMapFault::swizzle: return "a swizzle is 0, 32, 64 or 128 bytes wide";
    case TensorMapFault::swizzle_span: return "a row of the box must not be wider than the swizzle";
    case TensorMapFault::box_bytes: return "the box does not fit into shared memory";
  }
  return "unknown";
}

/// Bytes of one copy: also what it adds to a barrier's count, whole even where the box lies outside of the region.
constexpr index_t box_bytes(const TensorMapSpec& spec) noexcept {
  index_t bytes = bit_width(spec.dtype) / 8;
  for (int d = 0; d < spec.rank; ++d) bytes *= spec.box[d];
  return bytes;
}

/// Checks what cuTensorMapEncodeTiled documents and that rows, along dimension 1, do not overlap. Dimensions above may come
/// in any order. No arithmetic overflows, whatever the numbers.
inline TensorMapVerdict check_tensor_map(const TensorMapSpec& spec) noexcept {
  using enum TensorMapFault;
  if (spec.dtype != DType::bf16 && spec.dtype != DType::f16 && spec.dtype != DType::f32 && spec.dtype != DType::u8)
    return {.fault = TensorMapFault::dtype};
  if (spec.rank < 2 || spec.rank > kMostMapRank) return {.fault = TensorMapFault::rank};
  if (!spec.base) return {.fault = null_base};
  if (reinterpret_cast<std::uintptr_t>(spec.base) % 16 != 0) return {.fault = base_alignment};
  const index_t size = bit_width(spec.dtype) / 8;
  for (int d = 0; d < spec.rank; ++d) {
    if (spec.extent[d] < 1 || spec.extent[d] > index_t{1} << 32) return {TensorMapFault::extent, d};
    if (spec.box[d] < 1 || spec.box[d] > kMostBoxSide) return {TensorMapFault::box, d};
  }
  index_t last = size * spec.extent[0];  // bytes from the first element to the end of the last one
  for (int d = 1; d < spec.rank; ++d) {
    const index_t step = spec.pitch[d - 1];
    if (step % 16 != 0) return {pitch_alignment, d};
    if (step <= 0 || step >= index_t{1} << 40 || (d == 1 && step < last)) return {TensorMapFault::pitch, d};
    index_t span = 0;
    if (__builtin_mul_overflow(step, spec.extent[d] - 1, &span) || __builtin_add_overflow(last, span, &last))
      return {region, d};
  }
  if (size * spec.box[0] % 16 != 0) return {box_row, 0};
  if (spec.swizzle != 0 && spec.swizzle != 32 && spec.swizzle != 64 && spec.swizzle != 128)
    return {TensorMapFault::swizzle, 0};
  if (spec.swizzle != 0 && size * spec.box[0] > spec.swizzle) return {swizzle_span, 0};
  if (cuda::box_bytes(spec) > kMostSharedBytes) return {TensorMapFault::box_bytes, 0};
  return {};
}

/// The map of a row-major matrix [rows, columns], `pitch` bytes from row to row, moved in boxes of [box_rows, box_columns].
constexpr TensorMapSpec matrix_map(DType dtype, const void* base, index_t rows, index_t columns, index_t pitch,
                                   index_t box_rows, index_t box_columns, int swizzle) noexcept {
  return {dtype, base, 2, {columns, rows}, {pitch}, {box_columns, box_rows}, swizzle};
}

}  // namespace tessera::kernels::cuda
