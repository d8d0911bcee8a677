// Images as rows of flattened patches, as SigLIP 2's processor and model hand them over in transformers: [N, ph * pw * C], a
// patch's samples by row, column, channel. Inside the library images are planes.
#pragma once
#include <string>

#include <tessera/core/view.hpp>

namespace tessera::image {

namespace detail {

/// f(sample of the planes, sample of the rows) for each. \throws Error kShapeMismatch unless rows are the image's patches.
template <class Planes, class Rows, class F>
void each_patch_sample(const Planes& planes, index_t height, index_t width, const Rows& rows, const F& f) {
  const index_t channels = planes.extent[0], down = planes.extent[1] / height, across = planes.extent[2] / width;
  if (down * height != planes.extent[1] || across * width != planes.extent[2] || rows.extent[0] != down * across ||
      rows.extent[1] != height * width * channels)
    throw Error(Code::kShapeMismatch,
                {"patches: ", std::to_string(rows.extent[0]), " rows of ", std::to_string(rows.extent[1]),
                 " samples are not an image of ", std::to_string(planes.extent[1]), " x ", std::to_string(planes.extent[2]),
                 " pixels in patches of ", std::to_string(height), " x ", std::to_string(width)});
  for (index_t n = 0; n < rows.extent[0]; ++n)
    for (index_t i = 0; i < rows.extent[1]; ++i) {
      const index_t pixel = i / channels;
      f(planes(i % channels, n / across * height + pixel / width, n % across * width + pixel % width), rows(n, i));
    }
}

}  // namespace detail

/// \param planes [C, H, W]  \param rows [H / height * W / width, height * width * C]
/// \throws Error kShapeMismatch where the sizes do not fit, or a side is no multiple of the patch's.
inline void flatten_patches(View<const float, 3> planes, index_t height, index_t width, View<float, 2> rows) {
  detail::each_patch_sample(planes, height, width, rows, [](const float& plane, float& row) { row = plane; });
}
inline void unflatten_patches(View<const float, 2> rows, index_t height, index_t width, View<float, 3> planes) {
  detail::each_patch_sample(planes, height, width, rows, [](float& plane, const float& row) { plane = row; });
}

}  // namespace tessera::image
