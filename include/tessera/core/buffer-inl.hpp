#pragma once
#include <sys/mman.h>

#include <cstdlib>

#include <tessera/core/buffer.hpp>

namespace tessera {

inline Buffer::Buffer(std::size_t bytes, Space space) : bytes_(bytes), space_(space) {
  if (space != Space::host) throw Error(Code::kUnsupported, "buffer: only host memory without the cuda target");
  if (bytes == 0) return;
  constexpr std::size_t kHugePage = std::size_t{2} << 20;
  const std::size_t align = bytes >= kHugePage ? kHugePage : kAlignment;
  if (bytes > static_cast<std::size_t>(-1) / 2) throw Error(Code::kLimit, "buffer: the size is beyond the address space");
  const std::size_t rounded = (bytes + align - 1) / align * align;
  data_ = static_cast<std::byte*>(std::aligned_alloc(align, rounded));
  if (!data_) throw Error(Code::kLimit, "buffer: out of memory");
#ifdef MADV_HUGEPAGE
  // Weights are streamed: with 4 KiB pages the page walks cost 2-3 % of a whole layer. Not for the last part, which may be a
  // small piece of 2 MiB that would be cleared and held. Only advice, so no check.
  if (align == kHugePage) (void)::madvise(data_, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
#endif
}

inline Buffer& Buffer::operator=(Buffer&& o) noexcept {
  if (this != &o) {
    std::free(data_);
    data_ = o.data_, bytes_ = o.bytes_, space_ = o.space_;
    o.data_ = nullptr, o.bytes_ = 0;
  }
  return *this;
}

inline Buffer::~Buffer() { std::free(data_); }

}  // namespace tessera
