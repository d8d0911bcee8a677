// Decoding: bytes equal to Pillow's over the zoo that make_images.py writes, and what is refused.
#include <sys/resource.h>

#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <tessera/image.hpp>
#include <tessera/io.hpp>
#include "support/hash.hpp"

namespace tessera::image {
namespace {

const char* format_name(PixelFormat f) {
  switch (f) {
    case PixelFormat::gray: return "gray";
    case PixelFormat::gray16: return "gray16";
    case PixelFormat::gray_alpha: return "gray_alpha";
    case PixelFormat::rgb: return "rgb";
    case PixelFormat::rgba: return "rgba";
    case PixelFormat::cmyk: return "cmyk";
  }
  return "";
}

std::string path_of(const std::string& name) { return TESSERA_GOLDENS "/images/" + name; }

io::Json golden() { return io::read_json(TESSERA_GOLDENS "/images.json"); }

TEST(Decode, EqualsPillow) {
  const io::Json files = golden()["files"];
  ASSERT_GT(files.size(), 60u);
  for (const io::Json& f : files) {
    const auto name = f[0].get<std::string>();
    const Image stored = load(path_of(name), {.apply_orientation = false});
    EXPECT_EQ(format_name(stored.format), f[1].get<std::string>()) << name;
    EXPECT_EQ(stored.width, f[2].get<index_t>()) << name;
    EXPECT_EQ(stored.height, f[3].get<index_t>()) << name;
    EXPECT_EQ(test::fnv(stored.pixels), f[4].get<std::string>()) << name;
    EXPECT_EQ(test::fnv(to_rgb(stored).pixels), f[5].get<std::string>()) << name << " as RGB";
    EXPECT_EQ(test::fnv(to_rgb(stored, Alpha::white).pixels), f[6].get<std::string>()) << name << " on white";
    const Image turned = load(path_of(name));
    EXPECT_EQ(turned.width, f[7].get<index_t>()) << name;
    EXPECT_EQ(turned.height, f[8].get<index_t>()) << name;
    EXPECT_EQ(test::fnv(to_rgb(turned).pixels), f[9].get<std::string>()) << name << " upright";
  }
}

TEST(Decode, RefusesBrokenFilesByName) {
  const io::Json files = golden()["refused"];
  for (const io::Json& f : files) {
    const auto name = f[0].get<std::string>();
    EXPECT_FALSE(f[1].get<bool>()) << name << " is read by Pillow";
    try {
      (void)load(path_of(name));
      ADD_FAILURE() << name << " was read";
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()).find(name), std::string::npos) << e.what();
      const Code want = name.starts_with("huge") ? Code::kLimit : Code::kFormat;
      EXPECT_TRUE(e.code() == want || e.code() == Code::kUnsupported) << name << ": " << e.what();
    }
  }
}

TEST(Decode, AnyPrefixOfAFileIsReadOrRefused) {
  for (const char* name : {"420-progressive.jpg", "cmyk.jpg", "interlaced.png", "palette-alpha.png", "lossy-alpha.webp",
                           "animated.webp", "palette.bmp", "565.bmp", "plain.ppm", "deep.pgm", "exif-6.jpg"}) {
    const MappedFile file = MappedFile::open(path_of(name).c_str());
    std::size_t refused = 0;
    for (std::size_t n = 0; n < file.bytes(); ++n) {
      const std::vector<std::byte> part(file.data(), file.data() + n);  // of its own, so that a sanitizer sees its end
      try {
        (void)decode(part);
      } catch (const Error&) {
        ++refused;
      }
    }
    EXPECT_GT(refused * 10, file.bytes() * 6) << name;
  }
}

TEST(Decode, LimitsPixelsBeforeItTakesMemory) {
  EXPECT_THROW((void)load(path_of("rgb.png"), {.max_pixels = 37 * 29 - 1}), Error);
  EXPECT_EQ(load(path_of("rgb.png"), {.max_pixels = 37 * 29}).width, 37);
}

TEST(Decode, AChunkLongerThanThePngTakesNoMemory) {
  const MappedFile file = MappedFile::open(path_of("rgb.png").c_str());
  std::vector<std::byte> bytes(file.data(), file.data() + file.bytes());
  const char chunk[] = "\x7e\x00\x00\x55iTXtXML:com.adobe.xmp";  // 2 GB, it says
  const auto* begin = reinterpret_cast<const std::byte*>(chunk);
  bytes.insert(bytes.begin() + 33, begin, begin + sizeof chunk - 1);  // behind IHDR
  const auto peak_kib = [] {
    rusage u{};
    getrusage(RUSAGE_SELF, &u);
    return u.ru_maxrss;
  };
  const long before = peak_kib();
  EXPECT_THROW((void)decode(bytes), Error);
  EXPECT_LT(peak_kib(), before + (256 << 10));
}

TEST(Decode, NamesWhatIsNotThere) {
  try {
    (void)load("/nowhere/picture.jpg");
    ADD_FAILURE();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Code::kNotFound);
    EXPECT_NE(std::string(e.what()).find("/nowhere/picture.jpg"), std::string::npos);
  }
}

}  // namespace
}  // namespace tessera::image
