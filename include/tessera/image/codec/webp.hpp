// WebP by libwebp; of an animation the first frame on its canvas, as Pillow opens it.
#pragma once
#include <memory>
#include <string>
#include <utility>

#include <webp/decode.h>
#include <webp/demux.h>

#include <tessera/image/codec/source.hpp>

namespace tessera::image::detail {

inline Found read_webp(std::string_view file, const DecodeOptions& options) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(file.data());
  WebPBitstreamFeatures features;
  if (WebPGetFeatures(bytes, file.size(), &features) != VP8_STATUS_OK)
    throw Error(Code::kFormat, "WebP: a header that is corrupt or truncated");
  check_size(static_cast<std::uint64_t>(features.width), static_cast<std::uint64_t>(features.height), file.size(), 0,
             options);
  const WebPData data{bytes, file.size()};
  WebPAnimDecoderOptions how;
  (void)WebPAnimDecoderOptionsInit(&how);
  how.color_mode = MODE_RGBA;
  const std::unique_ptr<WebPAnimDecoder, void (*)(WebPAnimDecoder*)> decoder(WebPAnimDecoderNew(&data, &how),
                                                                             WebPAnimDecoderDelete);
  std::uint8_t* frame = nullptr;
  int time = 0;
  if (!decoder || !WebPAnimDecoderGetNext(decoder.get(), &frame, &time))
    throw Error(Code::kFormat, "WebP: corrupt or truncated");
  WebPAnimInfo info;
  (void)WebPAnimDecoderGetInfo(decoder.get(), &info);
  Found found;
  found.image = Image(features.has_alpha ? PixelFormat::rgba : PixelFormat::rgb, info.canvas_height, info.canvas_width);
  const std::size_t pixels = std::size_t{info.canvas_height} * info.canvas_width;
  const auto step = static_cast<std::size_t>(bytes_per_pixel(found.image.format));
  for (std::size_t i = 0; i < pixels; ++i) std::memcpy(found.image.pixels.data() + i * step, frame + 4 * i, step);
  for (const auto& [name, text] : {std::pair{"EXIF", &found.exif}, {"XMP ", &found.xmp}}) {
    WebPChunkIterator chunk;
    if (WebPDemuxGetChunk(WebPAnimDecoderGetDemuxer(decoder.get()), name, 1, &chunk) == 0) continue;
    text->assign(reinterpret_cast<const char*>(chunk.chunk.bytes), chunk.chunk.size);
    WebPDemuxReleaseChunkIterator(&chunk);
  }
  return found;
}

}  // namespace tessera::image::detail
