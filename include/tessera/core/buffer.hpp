// Owning memory: Buffer (one aligned block) and Arena (a bump allocator over one, with a counting mode).
#pragma once
#include <cstddef>

#include <tessera/core/host_memory.hpp>
#include <tessera/core/view.hpp>

namespace tessera {

/// An uninitialised block of `bytes` bytes on a 64-byte boundary (2 MiB for large blocks, which ask for huge pages).
/// Movable, not copyable. \throws Error kLimit when the memory cannot be had, kUnsupported for a space of another build.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(std::size_t bytes, Space space = Space::host);
  Buffer(Buffer&& o) noexcept : data_(o.data_), bytes_(o.bytes_), space_(o.space_) { o.data_ = nullptr, o.bytes_ = 0; }
  Buffer& operator=(Buffer&& o) noexcept;
  ~Buffer();

  std::byte* data() const noexcept { return data_; }
  std::size_t bytes() const noexcept { return bytes_; }
  Space space() const noexcept { return space_; }
  template <class T>
  T* as() const noexcept {
    return reinterpret_cast<T*>(data_);
  }

 private:
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
  Space space_ = Space::host;
};

/// Scratch memory that is carved off in order and given back in one step. A counting arena hands out no memory but
/// measures: run the code that carves on it, and peak() is what a real arena must hold.
///
/// One thread at a time. Growth happens only through reserve(), never while something is carved.
class Arena {
 public:
  Arena() = default;
  explicit Arena(std::size_t bytes) { reserve(bytes); }
  /// Measures only; every carve returns a null view of the right shape.
  static Arena counting() noexcept {
    Arena a;
    a.counting_ = true;
    return a;
  }

  /// Room for at least `bytes` in all. \throws Error kBadArgument while anything is carved, kLimit without memory.
  void reserve(std::size_t bytes) {
    if (counting_ || bytes <= buffer_.bytes()) return;
    if (used_ != 0) throw Error(Code::kBadArgument, "arena: cannot grow while memory is carved from it");
    buffer_ = Buffer();  // give back first: the two need not fit together
    buffer_ = Buffer(bytes);
  }
  /// `n` elements on a 64-byte boundary. \throws Error kLimit beyond the reserved size, or for a size that no memory has.
  template <class T>
  T* carve(index_t n) {
    constexpr index_t kMost = (index_t{1} << 62) / static_cast<index_t>(sizeof(T));
    if (n < 0 || n > kMost) throw Error(Code::kLimit, "arena: the size is beyond the address space");
    const std::size_t bytes = (static_cast<std::size_t>(n) * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
    if (!counting_ && bytes > buffer_.bytes() - used_) throw Error(Code::kLimit, "arena: scratch is larger than planned");
    T* p = counting_ ? nullptr : reinterpret_cast<T*>(buffer_.data() + used_);
    used_ += bytes;
    if (used_ > peak_) peak_ = used_;
    return p;
  }
  /// A packed [rows, columns] array.
  template <class T>
  View<T, 2> carve2(index_t rows, index_t columns) {
    index_t n = 0;
    if (rows < 0 || __builtin_mul_overflow(rows, columns, &n)) n = -1;  // which carve refuses
    return View<T, 2>(carve<T>(n), rows, columns);
  }
  bool is_counting() const noexcept { return counting_; }
  std::size_t used() const noexcept { return used_; }
  std::size_t peak() const noexcept { return peak_; }
  std::size_t capacity() const noexcept { return buffer_.bytes(); }

 private:
  friend class ArenaScope;
  Buffer buffer_;
  std::size_t used_ = 0, peak_ = 0;
  bool counting_ = false;
};

/// Gives back, when it ends, all that was carved since it began.
class ArenaScope {
 public:
  explicit ArenaScope(Arena& arena) noexcept : arena_(arena), used_(arena.used_) {}
  ~ArenaScope() { arena_.used_ = used_; }
  ArenaScope(const ArenaScope&) = delete;
  ArenaScope& operator=(const ArenaScope&) = delete;

 private:
  Arena& arena_;
  std::size_t used_;
};

}  // namespace tessera

#ifndef TESSERA_COMPILED
#include <tessera/core/buffer-inl.hpp>
#endif
