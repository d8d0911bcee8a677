// The drawing code of the tool: glyphs, layouts, mosaics, and PNG as our own decoder reads it back.
#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <tessera/image.hpp>
#include "examples/tessera/pictures/colour_map.hpp"
#include "examples/tessera/pictures/heat_map.hpp"
#include "examples/tessera/pictures/mosaic.hpp"
#include "examples/tessera/pictures/overlay.hpp"
#include "examples/tessera/pictures/raster.hpp"
#include "examples/tessera/pictures/sheet.hpp"
#include "examples/tessera/pictures/svg.hpp"
#include "support/pictures.hpp"

namespace tool::pictures {
namespace {

using tessera::image::PixelFormat;

Image drawn(const char* kind, index_t width, index_t height) {
  Image image(PixelFormat::rgb, height, width);
  image.pixels = tessera::test::draw(kind, width, height, 3);
  return image;
}
Colour at(const Image& image, index_t y, index_t x) {
  const std::uint8_t* p = image.row(y) + 3 * x;
  return {p[0], p[1], p[2]};
}
Image flat(index_t width, index_t height, Colour c) {
  Image image(PixelFormat::rgb, height, width);
  for (std::size_t i = 0; i < image.pixels.size(); i += 3)
    image.pixels[i] = c.r, image.pixels[i + 1] = c.g, image.pixels[i + 2] = c.b;
  return image;
}

TEST(Font, EveryGlyphIsOfItsOwnShape) {
  std::set<std::string_view> seen;
  for (const std::string_view glyph : kGlyphs) {
    ASSERT_EQ(glyph.size(), 47u);
    for (std::size_t i = 0; i < glyph.size(); ++i)
      ASSERT_NE(std::string_view(i % 6 == 5 ? " " : ".#").find(glyph[i]), std::string_view::npos) << glyph;
    EXPECT_TRUE(seen.insert(glyph).second) << glyph;
  }
  EXPECT_EQ(seen.size(), 95u);
  EXPECT_FALSE(seen.count(kUnknownGlyph));
}

TEST(Font, CharactersOfATextAndWhatIsNone) {
  EXPECT_EQ(characters("a\xc3\x89\xf0\x9f\x98\x80z"), (std::u32string{U'a', 0xc9, 0x1f600, U'z'}));
  EXPECT_EQ(characters("\xff"
                       "a\n\x7f"),
            (std::u32string{0xfffd, U'a', 0xfffd, 0xfffd}));
  EXPECT_EQ(characters("\xed\xa0\x80"), std::u32string{0xfffd});  // a surrogate
  EXPECT_EQ(fitted("abcdefghij", 60), "abcdefghij");
  EXPECT_EQ(fitted("abcdefghij", 59), "abcdefg..");
  EXPECT_EQ(fitted("abcdefghij", 59, 1, true), "..defghij");
  EXPECT_EQ(fitted("\xc3\x89\xc3\x89\xc3\x89\xc3\x89\xc3\x89", 24), "\xc3\x89\xc3\x89..");
  EXPECT_EQ(fitted("abc", 12), "");
}

TEST(ColourMap, RisesInLightnessFromTheFirstStopToTheLast) {
  EXPECT_EQ(colour_of(0), (Colour{55, 1, 91}));
  EXPECT_EQ(colour_of(255), (Colour{245, 234, 92}));
  double before = -1;
  for (int i = 0; i < 256; i += 4) {
    const Colour c = colour_of(static_cast<std::uint8_t>(i));
    const double luma = 0.2126 * c.r + 0.7152 * c.g + 0.0722 * c.b;
    EXPECT_GT(luma, before) << i;
    before = luma;
  }
  EXPECT_EQ(byte_of(0.5f, 0.f, 1.f), 128);
  EXPECT_EQ(byte_of(-1.f, 0.f, 1.f), 0);
  EXPECT_EQ(byte_of(2.f, 0.f, 1.f), 255);
  EXPECT_EQ(byte_of(3.f, 3.f, 3.f), 128);
  EXPECT_EQ(byte_of(__builtin_nanf(""), 0.f, 1.f), 0);
}

TEST(Png, OurDecoderReadsItBack) {
  for (const auto& [kind, w, h] : {std::tuple("noise", 61, 47), {"ramp", 1, 300}, {"checkers", 200, 1}, {"noise", 1, 1}}) {
    const Image image = drawn(kind, w, h);
    const std::string png = png_of(image);
    EXPECT_EQ(png, png_of(image));
    const Image back = tessera::image::decode({reinterpret_cast<const std::byte*>(png.data()), png.size()});
    EXPECT_EQ(back.format, PixelFormat::rgb);
    EXPECT_EQ(back.width, w);
    EXPECT_EQ(back.pixels, image.pixels);
  }
}

TEST(Raster, WhatReachesOutsideIsCutOff) {
  Picture p(20, 10);
  p.fill({-5, -5, 8, 7}, {255, 0, 0});
  p.image({15, 6, 8, 8}, flat(2, 2, {0, 0, 255}));
  p.text(-1, 4, "WWWWWWW", {0, 255, 0}, 3);
  const Image image = rasterise(p);
  EXPECT_EQ(at(image, 1, 2), (Colour{255, 0, 0}));
  EXPECT_EQ(at(image, 2, 3), kWhite);
  EXPECT_EQ(at(image, 0, 19), kWhite);
  EXPECT_EQ(at(image, 9, 0), (Colour{0, 255, 0}));  // two thirds of the first dots
}

TEST(Raster, PixelsBecomeRectangles) {
  Picture p(8, 6);
  const Image two = drawn("noise", 2, 3);
  p.image({1, 0, 6, 6}, two);
  const Image image = rasterise(p);
  for (index_t y = 0; y < 6; ++y)
    for (index_t x = 0; x < 6; ++x) EXPECT_EQ(at(image, y, x + 1), at(two, y / 2, x / 3)) << y << " " << x;
  EXPECT_EQ(at(image, 0, 0), kWhite);
}

TEST(Svg, EscapesTextAndHoldsThePngs) {
  Picture p(30, 20);
  p.text(0, 0, "a<b>&\"\xc3\x89\x01");
  p.image({1, 2, 6, 6}, flat(2, 2, {1, 2, 3}));
  const std::string svg = SvgWriter(p).text();
  EXPECT_NE(svg.find(">a&#60;b&#62;&#38;\"&#201;&#65533;</text>"), std::string::npos) << svg;
  EXPECT_NE(svg.find("x=\"1\" y=\"2\" width=\"6\" height=\"6\""), std::string::npos);
  EXPECT_NE(svg.find("data:image/png;base64," + detail::base64(png_of(flat(2, 2, {1, 2, 3}))) + "\""), std::string::npos);
  EXPECT_EQ(detail::base64("any carnal pleas"), "YW55IGNhcm5hbCBwbGVhcw==");  // RFC 4648's alphabet and padding
  EXPECT_EQ(detail::base64("any carnal pleasu"), "YW55IGNhcm5hbCBwbGVhc3U=");
  EXPECT_EQ(detail::base64("any carnal pleasur"), "YW55IGNhcm5hbCBwbGVhc3Vy");
}

TEST(Thumbnail, KeepsTheProportionsAndSmallImages) {
  tessera::Context ctx(1);
  const Image wide = thumbnail(ctx, drawn("ramp", 400, 100), 64), small = drawn("noise", 9, 5);
  EXPECT_EQ(wide.width, 64);
  EXPECT_EQ(wide.height, 16);
  EXPECT_EQ(thumbnail(ctx, drawn("ramp", 1000, 1), 64).height, 1);
  EXPECT_EQ(thumbnail(ctx, small, 64).pixels, small.pixels);
}

TEST(Sheet, PlacesCellsInRowsUnderTheirHeading) {
  std::vector<Cell> cells;
  for (int i = 0; i < 5; ++i) cells.push_back({flat(16, 16, {static_cast<std::uint8_t>(40 * i), 9, 9}), {"1. 0.5", "name"}});
  const Image image = rasterise(contact_sheet({{"words", cells}, {"none", {}}}, {.side = 32, .columns = 3}));
  // 16 x 16 in a square of 32 is enlarged twice.
  const index_t step = 32 + 10, top = 12 + 2 * kGlyphHeight + 14, row = 32 + 4 + 2 * (kGlyphHeight + 3) + 10;
  for (index_t i = 0; i < 5; ++i)
    for (const index_t corner : {index_t{0}, index_t{31}})
      EXPECT_EQ(at(image, top + i / 3 * row + corner, 12 + i % 3 * step + corner),
                (Colour{static_cast<std::uint8_t>(40 * i), 9, 9}));
  EXPECT_EQ(rasterise(contact_sheet({})).width, 3 * 128 + 24);
}

TEST(HeatMap, ColoursGoFromTheLeastToTheLargest) {
  const std::vector<Image> small(2, flat(10, 10, {1, 1, 1}));
  const Picture p = heat_map("t", small, {"a", "b"}, {"x", "y", "z"}, {0.f, 0.5f, 1.f, 0.25f, 0.75f, 1.f});
  const Image image = rasterise(p);
  const index_t left = 12 + 180 + 48 + 8, top = 12 + 28 + 3 * (kGlyphHeight + 3) + 6;
  const std::uint8_t want[2][3] = {{0, 128, 255}, {64, 191, 255}};
  for (index_t r = 0; r < 2; ++r)
    for (index_t c = 0; c < 3; ++c)
      EXPECT_EQ(at(image, top + r * 50 + 1, left + c * 58 + 1), colour_of(want[r][c])) << r << c;
  EXPECT_GT(rasterise(heat_map("t", {}, {}, {"x"}, {})).height, 0);
}

TEST(Overlay, LiesOverTheImageWithTwoFifthsOfItInIt) {
  tessera::Context ctx(1);
  const std::vector<float> map{0.f, 0.1f, 0.2f, 0.4f};
  const Image plain = flat(4, 4, {100, 100, 100}), image = overlay(ctx, plain, map, 2, 2);
  const auto mixed = [](std::uint8_t c) { return static_cast<std::uint8_t>((200 + 3 * c + 2) / 5); };
  const Colour low = colour_of(0), high = colour_of(255);
  EXPECT_EQ(at(image, 0, 0), (Colour{mixed(low.r), mixed(low.g), mixed(low.b)}));
  EXPECT_EQ(at(image, 3, 3), (Colour{mixed(high.r), mixed(high.g), mixed(high.b)}));
  EXPECT_NE(at(image, 0, 1), at(image, 0, 2));  // smooth between the patches
  EXPECT_NE(at(image, 0, 2), at(image, 0, 3));
}

TEST(Mosaic, GroupsHaveTheirMeanAndBordersBetweenThem) {
  Image image = flat(12, 8, {10, 20, 30});  // patches of 4 x 4
  for (index_t y = 0; y < 4; ++y)
    for (index_t x = 8; x < 12; ++x) image.row(y)[3 * x] = 110;
  const std::vector<std::int32_t> groups{7, -3, 7, 7, -3, -3};  // the top right patch belongs to the left column
  const Image plain = merge_mosaic(image, 2, 3, groups, 0);
  const Colour mean{43, 20, 30};  // (10 + 110 + 10) / 3, rounded
  EXPECT_EQ(at(plain, 0, 0), mean);
  EXPECT_EQ(at(plain, 3, 11), mean);
  EXPECT_EQ(at(plain, 7, 0), mean);
  EXPECT_EQ(at(plain, 0, 4), (Colour{10, 20, 30}));
  EXPECT_EQ(at(plain, 7, 11), (Colour{10, 20, 30}));
  const Image lined = merge_mosaic(image, 2, 3, groups);
  const Colour black{};
  EXPECT_EQ(at(lined, 0, 4), black);  // left of it another group
  EXPECT_EQ(at(lined, 4, 8), black);  // above it another group
  EXPECT_EQ(at(lined, 4, 0), mean);   // above it the same
  EXPECT_EQ(at(lined, 5, 8), (Colour{10, 20, 30}));
  EXPECT_EQ(at(lined, 0, 3), mean);
}

TEST(Mosaic, WhatIsLeftOverGoesWithTheLastPatch) {
  const Image image = drawn("noise", 11, 9);
  const std::vector<std::int32_t> one(6, 0);
  const Image m = merge_mosaic(image, 2, 3, one);
  EXPECT_EQ(at(m, 8, 10), at(m, 0, 0));
}

}  // namespace
}  // namespace tool::pictures
