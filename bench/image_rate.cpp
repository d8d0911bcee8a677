// Times images for image_peers.py: for each line of standard input does one thing once and prints the seconds it took and a
// hash of the bytes that it made.
//   decode FILE                                    the file, as RGB
//   resize FILTER pillow|torchvision WIDTH HEIGHT  the image decoded last
//   process FOLDER pil|torchvision                 the same image to pixel values
#include <chrono>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include <tessera/image.hpp>
#include <tessera/image/processor.hpp>
#include "tests/support/hash.hpp"

namespace {

using namespace tessera;

Filter filter_named(const std::string& name) {
  for (const auto& [n, f] :
       {std::pair("box", Filter::box), std::pair("bilinear", Filter::bilinear), std::pair("hamming", Filter::hamming),
        std::pair("bicubic", Filter::bicubic), std::pair("lanczos", Filter::lanczos)})
    if (name == n) return f;
  throw Error(Code::kBadArgument, {"no filter ", name});
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 2) return std::cerr << "usage: image_rate THREADS\n", 2;
  Context ctx(std::stoi(argv[1]));
  image::Image image;
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string how, a, b;
    words >> how >> a;
    const auto start = std::chrono::steady_clock::now();
    const auto report = [&](std::span<const std::uint8_t> made) {
      const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
      std::cout << taken.count() << ' ' << test::fnv(made) << std::endl;
    };
    if (how == "decode") {
      image = image::to_rgb(image::load(a));
      report(image.pixels);
    } else if (how == "resize") {
      index_t width = 0, height = 0;
      words >> b >> width >> height;
      image::Image out(image::PixelFormat::rgb, height, width);
      ops::resample(ctx, image.view(), filter_named(a),
                    b == "pillow" ? ops::ResampleArithmetic::pillow : ops::ResampleArithmetic::torchvision,
                    View<std::uint8_t, 3>(out.pixels.data(), height, width, 3));
      report(out.pixels);
    } else {
      words >> b;
      const auto processor = image::ImageProcessor::load(a, b == "pil" ? image::Backend::pil : image::Backend::torchvision);
      const auto size = processor.output_size(image.height, image.width);
      std::vector<float> values(static_cast<std::size_t>(3 * size.height * size.width));
      processor.pixel_values(ctx, image, View<float, 3>(values.data(), 3, size.height, size.width));
      report({reinterpret_cast<const std::uint8_t*>(values.data()), values.size() * sizeof(float)});
    }
  }
} catch (const std::exception& error) {
  return std::cerr << error.what() << '\n', 1;
}
