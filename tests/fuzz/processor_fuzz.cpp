// Arbitrary bytes as a preprocessor_config.json: refused, or a processor that does what its configuration says.
#include <cstdint>
#include <string_view>
#include <vector>

#include <tessera/image/processor.hpp>
#include <tessera/io/json.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tessera;
  static Context ctx(1);
  for (const auto backend : {image::Backend::pil, image::Backend::torchvision}) try {
      const io::Json json = io::parse_json(std::string_view(reinterpret_cast<const char*>(data), size), "fuzz");
      const image::ImageProcessor processor(image::processor_config(json), backend);
      for (const auto& [height, width] : {std::pair<index_t, index_t>{7, 5}, {1, 40}, {33, 64}}) {
        const auto [h, w] = processor.output_size(height, width);
        if (h < 1 || w < 1) __builtin_trap();
        if (h > 256 || w > 256) continue;
        std::vector<float> values(static_cast<std::size_t>(3 * h * w));
        processor.pixel_values(ctx, image::Image(image::PixelFormat::rgb, height, width),
                               View<float, 3>(values.data(), 3, h, w));
      }
    } catch (const Error&) {}
  return 0;
}
