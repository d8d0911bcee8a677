// Resampling: bytes equal to Pillow's and PyTorch's, on every instruction set, with any number of threads.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <tessera/io.hpp>
#include <tessera/ops.hpp>
#include "support/backends.hpp"
#include "support/hash.hpp"
#include "support/pictures.hpp"
#include "support/poison.hpp"

namespace tessera {
namespace {

using Bytes = std::vector<std::uint8_t>;

Filter filter_of(const std::string& name) {
  return name == "box"        ? Filter::box
         : name == "bilinear" ? Filter::bilinear
         : name == "hamming"  ? Filter::hamming
         : name == "bicubic"  ? Filter::bicubic
                              : Filter::lanczos;
}

// Rows of both images are padded, and what is no pixel of the output must stay as it is.
Bytes resized(Context& ctx, const Bytes& image, index_t w, index_t h, index_t channels, index_t nw, index_t nh,
              Filter filter, ops::ResampleArithmetic arithmetic) {
  const index_t ld = w * channels + 5, ldo = nw * channels + 3;
  Bytes in(static_cast<std::size_t>(ld * h), 77), out(static_cast<std::size_t>(ldo * nh), 0xa5);
  for (index_t y = 0; y < h; ++y) std::copy_n(image.begin() + y * w * channels, w * channels, in.begin() + y * ld);
  View<const std::uint8_t, 3> from(in.data(), h, w, channels);
  View<std::uint8_t, 3> to(out.data(), nh, nw, channels);
  from.stride[0] = ld, to.stride[0] = ldo;
  ops::resample(ctx, from, filter, arithmetic, to);
  Bytes packed;
  for (index_t y = 0; y < nh; ++y) {
    packed.insert(packed.end(), out.begin() + y * ldo, out.begin() + y * ldo + nw * channels);
    for (index_t x = nw * channels; x < ldo; ++x) EXPECT_EQ(out[static_cast<std::size_t>(y * ldo + x)], 0xa5);
  }
  return packed;
}

// The hash of floats, resized from the values v / 255 of a drawn picture; rows of both are padded.
std::string values_resized(Context& ctx, const std::string& kind, index_t w, index_t h, index_t channels, index_t nw,
                           index_t nh, Filter filter) {
  const Bytes image = test::draw(kind, w, h, channels);
  const index_t ld = w * channels + 5;
  Bytes in(static_cast<std::size_t>(ld * h), 77);
  for (index_t y = 0; y < h; ++y) std::copy_n(image.begin() + y * w * channels, w * channels, in.begin() + y * ld);
  std::vector<float> values;
  for (int v = 0; v < 256; ++v) values.push_back(static_cast<float>(v) * static_cast<float>(1.0 / 255.0));
  test::Matrix out = test::poisoned(nh, nw * channels, 3);
  View<const std::uint8_t, 3> from(in.data(), h, w, channels);
  from.stride[0] = ld;
  View<float, 3> to(out.data(), nh, nw, channels);
  to.stride[0] = out.ld;
  ops::resample_values(ctx, from, View<const float, 1>(values.data(), 256), filter, to);
  EXPECT_TRUE(test::written_exactly(out));
  std::vector<float> packed;
  for (index_t y = 0; y < nh; ++y) packed.insert(packed.end(), &out(y, 0), &out(y, 0) + nw * channels);
  return test::fnv({reinterpret_cast<const std::uint8_t*>(packed.data()), packed.size() * sizeof(float)});
}

TEST(Resample, EqualsPillowAndTorch) {
  const io::Json golden = io::read_json(TESSERA_GOLDENS "/resample.json");
  for (const Isa isa : test::isas())
    for (const int threads : {1, 3}) {
      Context ctx(isa, threads);
      for (const io::Json& c : golden["cases"]) {
        const auto kind = c[0].get<std::string>(), filter = c[6].get<std::string>(), arithmetic = c[7].get<std::string>(),
                   want = c[8].get<std::string>();
        const index_t channels = c[1], w = c[2], h = c[3], nw = c[4], nh = c[5];
        if (arithmetic == "floats") {
          EXPECT_EQ(values_resized(ctx, kind, w, h, channels, nw, nh, filter_of(filter)), want)
              << c.dump() << " on " << isa_name(isa);
          continue;
        }
        const bool pillow = arithmetic == "pillow";
        const Bytes out = resized(ctx, test::draw(kind, w, h, channels), w, h, channels, nw, nh, filter_of(filter),
                                  pillow ? ops::ResampleArithmetic::pillow : ops::ResampleArithmetic::torchvision);
        EXPECT_EQ(test::fnv(out), want) << c.dump() << " on " << isa_name(isa);
      }
    }
}

// A constant image stays constant, whatever is done to its size.
TEST(Resample, KeepsConstants) {
  Context ctx;
  for (const Filter f : {Filter::box, Filter::bilinear, Filter::hamming, Filter::bicubic, Filter::lanczos})
    for (const index_t to : {1, 3, 17, 40}) {
      const Bytes out = resized(ctx, Bytes(19 * 11 * 2, 201), 19, 11, 2, to, to + 1, f, ops::ResampleArithmetic::pillow);
      EXPECT_EQ(out, Bytes(out.size(), 201));
    }
}

TEST(Resample, ValuesRefuseWhatDoesNotFit) {
  Context ctx;
  const Bytes image(6 * 5 * 3, 1);
  const std::vector<float> values(256, 1.f);
  std::vector<float> memory(4 * 7 * 3, -1.f);
  const View<const std::uint8_t, 3> in(image.data(), 6, 5, 3);
  const View<float, 3> out(memory.data(), 4, 7, 3);
  const View<const float, 1> meant(values.data(), 256);
  const auto refused = [&](Code code, const char* word, auto from, auto each, Filter filter, auto to) {
    TESSERA_EXPECT_ERROR(code, word, ops::resample_values(ctx, from, each, filter, to));
  };
  refused(Code::kShapeMismatch, "channels", in, meant, Filter::bilinear, View<float, 3>(memory.data(), 4, 7, 2));
  refused(Code::kShapeMismatch, "values", in, meant.slice(0, 255), Filter::bilinear, out);
  refused(Code::kUnsupported, "bilinear", in, meant, Filter::lanczos, out);
  refused(Code::kBadArgument, "pixels", in, meant, Filter::bicubic, View<float, 3>(memory.data(), 0, 7, 3));
  refused(Code::kBadArgument, "pixels", View<const std::uint8_t, 3>(image.data(), 0, 5, 3), meant, Filter::bicubic, out);
  View<float, 3> gaps = out;
  gaps.stride[1] = 4;
  refused(Code::kBadStride, "contiguous", in, meant, Filter::bilinear, gaps);
  EXPECT_EQ(memory, std::vector<float>(memory.size(), -1.f));
}

// Every pass plans its own scratch.
TEST(Resample, AFreshContextDoesForEachAxis) {
  for (const auto& [w, h] : {std::pair<index_t, index_t>{9, 300}, {300, 9}, {9, 9}, {300, 400}}) {
    Context ctx;
    const Bytes out =
        resized(ctx, Bytes(300 * 300 * 3, 17), 300, 300, 3, w, h, Filter::bilinear, ops::ResampleArithmetic::pillow);
    EXPECT_EQ(out, Bytes(out.size(), 17));
  }
}

TEST(Resample, RefusesWhatItCannotDo) {
  Context ctx;
  std::uint8_t pixels[64] = {}, out[64] = {};
  const auto run = [&](index_t h, index_t w, index_t c, index_t nh, index_t nw, index_t nc, Filter f,
                       ops::ResampleArithmetic a) {
    ops::resample(ctx, View<const std::uint8_t, 3>(pixels, h, w, c), f, a, View<std::uint8_t, 3>(out, nh, nw, nc));
  };
  const auto pillow = ops::ResampleArithmetic::pillow, torchvision = ops::ResampleArithmetic::torchvision;
  EXPECT_THROW(run(2, 2, 3, 2, 2, 1, Filter::box, pillow), Error);
  EXPECT_THROW(run(2, 2, 5, 2, 2, 5, Filter::box, pillow), Error);
  EXPECT_THROW(run(0, 2, 3, 2, 2, 3, Filter::box, pillow), Error);
  EXPECT_THROW(run(2, 2, 3, 0, 2, 3, Filter::box, pillow), Error);
  EXPECT_THROW(run(2, 2, 3, 1, 1, 3, Filter::lanczos, torchvision), Error);
  EXPECT_THROW((void)ops::resample_axis(Filter::box, pillow, index_t{1} << 25, 4), Error);
  View<const std::uint8_t, 3> gaps(pixels, 2, 2, 3);
  gaps.stride[1] = 4;
  EXPECT_THROW(ops::resample(ctx, gaps, Filter::box, pillow, View<std::uint8_t, 3>(out, 1, 1, 3)), Error);
  for (const std::uint8_t b : out) EXPECT_EQ(b, 0);
}

}  // namespace
}  // namespace tessera
