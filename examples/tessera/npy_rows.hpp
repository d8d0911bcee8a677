// Rows of a .npy file as f32: what index and search take instead of a model.
#pragma once
#include <algorithm>
#include <cmath>
#include <string>

#include <tessera/core/widen.hpp>

#include "tool.hpp"

namespace tool {

class NpyRows {
 public:
  /// \param dims of each row so many numbers, 0: all. \throws Failure.
  NpyRows(const std::string& path, tessera::index_t dims)
      : file_(or_exit(kOther, [&] { return tessera::io::NpyFile::open(path); })) {
    const tessera::AnyView& v = file_.array();
    if (v.rank != 2 || !tessera::widens(v.dtype) || v.extent[1] < 1)
      throw Failure{kOther, path + ": expected rows [N, E] of float32 or float16"};
    dim_ = dims > 0 ? dims : v.extent[1];
    if (dim_ > v.extent[1])
      throw Failure{kUsage,
                    "--dims " + std::to_string(dims) + ": the rows of " + path + " have " + std::to_string(v.extent[1])};
  }
  tessera::index_t rows() const { return file_.array().extent[0]; }
  tessera::index_t dim() const { return dim_; }
  /// Row r to [dim()]; returns whether all of it is finite.
  bool read(tessera::index_t r, float* to) const {
    const tessera::AnyView& v = file_.array();
    tessera::widen(v.dtype, v.data + r * v.extent[1] * tessera::bit_width(v.dtype) / 8, dim_, to);
    return std::all_of(to, to + dim_, [](float x) { return std::isfinite(x); });
  }

 private:
  tessera::io::NpyFile file_;
  tessera::index_t dim_ = 0;
};

}  // namespace tool
