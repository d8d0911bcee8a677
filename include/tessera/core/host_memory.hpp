// Host memory, in huge pages where there is much of it, and vectors of such memory.
#pragma once
#include <sys/mman.h>

#include <cstddef>
#include <cstdlib>
#include <new>
#include <vector>

namespace tessera {

/// Alignment of every allocation, in bytes: one cache line, one zmm register.
inline constexpr std::size_t kAlignment = 64;

/// `bytes` (at least 1) on a 64-byte boundary, for std::free; null when there is no memory. From 2 MiB on in huge pages
/// where the system has them: weights are streamed, and with 4 KiB pages the page walks cost 2-3 % of a whole layer; and
/// memory that is filled for the first time costs a fault a page, some 2 us each on a virtual machine.
inline std::byte* allocate_host(std::size_t bytes) noexcept {
  constexpr std::size_t kHugePage = std::size_t{2} << 20;
  const std::size_t align = bytes >= kHugePage ? kHugePage : kAlignment;
  if (bytes > static_cast<std::size_t>(-1) / 2) return nullptr;
  void* const data = std::aligned_alloc(align, (bytes + align - 1) / align * align);
#ifdef MADV_HUGEPAGE
  // Not for the last part, which may be a small piece of 2 MiB that would be cleared and held. Only advice, so no check.
  if (data && align == kHugePage) (void)::madvise(data, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
#endif
  return static_cast<std::byte*>(data);
}

/// For vectors that may become large.
template <class T>
struct HostAllocator {
  using value_type = T;
  HostAllocator() = default;
  template <class U>
  HostAllocator(const HostAllocator<U>&) noexcept {}
  T* allocate(std::size_t n) {
    std::byte* const data = n <= static_cast<std::size_t>(-1) / sizeof(T) ? allocate_host(n * sizeof(T)) : nullptr;
    if (!data) throw std::bad_alloc();
    return reinterpret_cast<T*>(data);
  }
  void deallocate(T* data, std::size_t) noexcept { std::free(data); }
  friend bool operator==(const HostAllocator&, const HostAllocator&) noexcept { return true; }
};
template <class T>
using HostVector = std::vector<T, HostAllocator<T>>;

}  // namespace tessera
