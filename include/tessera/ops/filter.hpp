// Filters by which samples become more or fewer.
#pragma once

namespace tessera {

/// Pillow's names; bicubic is Keys' cubic convolution with a = -0.5. Downscaling widens them (antialiasing).
enum class Filter : unsigned char { box, bilinear, hamming, bicubic, lanczos };

}  // namespace tessera
