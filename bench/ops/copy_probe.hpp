// What the machine's memory can do, measured in this process, on the same threads as the row beside it.
#pragma once
#include <cstring>

#include <tessera/core/buffer.hpp>
#include <tessera/core/context.hpp>

namespace tessera::bench {

/// A copy that reads bytes / 2 and writes bytes / 2, split over the context's threads.
class CopyProbe {
 public:
  CopyProbe(Context& ctx, double bytes) : ctx_(ctx), half_(static_cast<index_t>(bytes / 2)), from_(size()), to_(size()) {
    std::memset(from_.data(), 1, size());
    std::memset(to_.data(), 2, size());
  }
  void run() {
    const index_t parts = ctx_.threads();
    ctx_.parallel_for(parts, [&](index_t i, int) {
      const index_t begin = half_ * i / parts, end = half_ * (i + 1) / parts;
      std::memcpy(to_.data() + begin, from_.data() + begin, static_cast<std::size_t>(end - begin));
    });
  }

 private:
  std::size_t size() const { return static_cast<std::size_t>(half_) + 1; }
  Context& ctx_;
  index_t half_;
  Buffer from_, to_;
};

}  // namespace tessera::bench
