// Numbers as colours.
#pragma once
#include <cmath>

#include "picture.hpp"

namespace tool::pictures {

/// From dark violet over green to yellow: 17 stops of OKLCh with lightness 0.27 to 0.92 and hue 305 to 105 degrees in equal
/// steps and chroma about 0.17, less where sRGB has no such colour; between them straight lines. Source of OKLab: B.
/// Ottosson, "A perceptual color space for image processing", 2020. \param byte 0 to 255.
inline Colour colour_of(std::uint8_t byte) {
  static constexpr std::uint8_t kStops[17][3] = {
      {55, 1, 91},    {56, 8, 121},    {49, 33, 142},  {31, 54, 159},  {2, 79, 155},  {3, 97, 149},
      {3, 113, 150},  {0, 128, 153},   {1, 144, 155},  {2, 159, 156},  {7, 175, 154}, {1, 192, 145},
      {47, 208, 126}, {117, 216, 110}, {165, 223, 97}, {207, 229, 90}, {245, 234, 92}};
  const int at = byte * 16, stop = at / 255, part = at % 255;
  std::uint8_t c[3];
  for (int i = 0; i < 3; ++i) {
    const int a = kStops[stop][i], b = stop < 16 ? kStops[stop + 1][i] : a;
    c[i] = static_cast<std::uint8_t>((a * (255 - part) + b * part + 127) / 255);
  }
  return {c[0], c[1], c[2]};
}

/// A number of [low, high] as a byte of [0, 255]; the middle where the two are one, 0 for NaN.
inline std::uint8_t byte_of(float value, float low, float high) {
  if (!(value == value)) return 0;
  if (!(high > low)) return 128;
  const double t =
      (static_cast<double>(value) - static_cast<double>(low)) / (static_cast<double>(high) - static_cast<double>(low));
  return static_cast<std::uint8_t>(std::lround(std::clamp(t, 0.0, 1.0) * 255.0));
}

}  // namespace tool::pictures
