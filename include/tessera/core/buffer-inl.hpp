#pragma once
#include <cstdlib>

#include <tessera/core/buffer.hpp>

namespace tessera {

inline Buffer::Buffer(std::size_t bytes, Space space) : bytes_(bytes), space_(space) {
  if (space != Space::host) throw Error(Code::kUnsupported, "buffer: only host memory without the cuda target");
  if (bytes == 0) return;
  if (bytes > static_cast<std::size_t>(-1) / 2) throw Error(Code::kLimit, "buffer: the size is beyond the address space");
  data_ = allocate_host(bytes);
  if (!data_) throw Error(Code::kLimit, "buffer: out of memory");
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
