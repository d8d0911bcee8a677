// Packed weights that a file keeps: the same numbers as without, whatever became of the file or of the checkpoint.
#include <fcntl.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <tessera/io.hpp>
#include <tessera/models/auto_image_model.hpp>
#include <tessera/models/auto_model.hpp>
#include <tessera/models/packed_cache.hpp>
#include "support/errors.hpp"

namespace tessera::models {
namespace {

namespace fs = std::filesystem;

const std::string kImages = TESSERA_GOLDENS "/tiny_image/", kTexts = TESSERA_GOLDENS "/tiny_bert/";

struct PackedCacheTest : ::testing::Test {
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "tessera_packed_XXXXXX").string();
    ASSERT_TRUE(mkdtemp(name.data()));
    folder = name;
  }
  void TearDown() override { fs::remove_all(folder); }

  /// A copy of a golden folder.
  std::string copy(const std::string& from, const std::string& name) const {
    const fs::path to = folder / name;
    fs::create_directories(to);
    for (const auto& entry : fs::directory_iterator(from))
      fs::copy_file(entry.path(), to / entry.path().filename(), fs::copy_options::overwrite_existing);
    return to.string();
  }
  /// Until files written before count as ones that stay as they are, to be known by their times.
  static void settle() { std::this_thread::sleep_for(std::chrono::milliseconds(2100)); }
  std::string packed() const { return (folder / "packed").string(); }
  std::vector<fs::path> files(const std::string& ending) const {
    std::vector<fs::path> found;
    if (fs::exists(packed()))
      for (const auto& entry : fs::directory_iterator(packed()))
        if (entry.path().string().ends_with(ending)) found.push_back(entry.path());
    return found;
  }
  fs::path only_file() const {
    const auto all = files(".packed.safetensors");
    EXPECT_EQ(all.size(), 1U);
    return all.empty() ? fs::path() : all.front();
  }

  fs::path folder;
  Context ctx{2};
};

ino_t inode(const fs::path& path) {
  struct stat st {};
  EXPECT_EQ(::stat(path.c_str(), &st), 0) << path;
  return st.st_ino;
}
std::string bytes_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
void write(const fs::path& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

/// What a model makes of an image of its size: hidden states and, where there is one, the embedding.
std::vector<float> see(Context& ctx, const ImageModel& m) {
  std::vector<float> planes(static_cast<std::size_t>(m.patch.channels * m.image_height * m.image_width));
  for (std::size_t i = 0; i < planes.size(); ++i) planes[i] = static_cast<float>(i * 37 % 101) / 50.f - 1.f;
  ops::Pixels image;
  image.planes = View<const float, 3>(planes.data(), m.patch.channels, m.image_height, m.image_width);
  const std::vector<index_t> cu = m.offsets({&image, 1});
  const auto hidden = static_cast<std::size_t>(cu.back() * m.channels());
  std::vector<float> out(hidden + static_cast<std::size_t>(m.dim()));
  const View<float, 2> h(out.data(), cu.back(), m.channels());
  m.forward(ctx, {&image, 1}, h);
  m.embed(ctx, h, View<const index_t, 1>(cu.data(), 2), View<float, 2>(out.data() + hidden, index_t{1}, m.dim()));
  return out;
}
std::vector<float> see(Context& ctx, const std::string& path, const LoadOptions& options = {}) {
  return see(ctx, load_image_model(ctx, io::ModelFolder::open(path), options));
}
std::vector<float> read(Context& ctx, const std::string& path, const LoadOptions& options = {}) {
  const TextModel m = load_text_model(ctx, io::ModelFolder::open(path), options);
  const std::vector<std::int32_t> ids{3, 5, 7, 2, 9};
  const std::vector<index_t> cu{0, 5};
  TokenInputs in;
  in.ids = View<const std::int32_t, 1>(ids.data(), 5);
  in.batch.cu_seqlens = View<const index_t, 1>(cu.data(), 2);
  const index_t c = m.transformer->config().block.channels;
  std::vector<float> out(static_cast<std::size_t>(5 * c));
  m.transformer->forward(ctx, in, View<float, 2>(out.data(), index_t{5}, c));
  return out;
}

TEST_F(PackedCacheTest, EveryFamilyAndTypeLoadsAsWithoutIt) {
  for (const char* name :
       {"clip", "clip_old_eos_f16", "siglip", "siglip2", "dinov2_swiglu_bf16", "dinov3_gated", "vit_p7"}) {
    const std::vector<float> want = see(ctx, kImages + name);
    fs::path file;
    ino_t first = 0;
    for (int start = 0; start < 3; ++start) {
      PackedCache cache(packed());
      EXPECT_EQ(see(ctx, kImages + name, {.cache = &cache}), want) << name << " " << start;
      EXPECT_EQ(see(ctx, kImages + name, {.cache = &cache}), want) << name << " twice in one process";
      cache.save(ctx);
      file = only_file();
      if (start == 0) first = inode(file);
      EXPECT_EQ(inode(file), first) << name << ": what was there was packed again";
    }
    fs::remove_all(packed());
  }
  for (const char* name : {"plain_h20", "bf16_h20", "f16_h72", "sharded_h72"}) {
    const std::vector<float> want = read(ctx, kTexts + name);
    for (int start = 0; start < 2; ++start) {
      PackedCache cache(packed());
      EXPECT_EQ(read(ctx, kTexts + name, {.cache = &cache}), want) << name << " " << start;
      cache.save(ctx);
    }
  }
}

TEST_F(PackedCacheTest, WeightsOfAllTypesLieInOneFile) {
  const std::string model = kImages + "vit_p7";
  const std::vector<std::pair<DType, std::vector<float>>> types{{DType::f32, see(ctx, model)},
                                                                {DType::bf16, see(ctx, model, {.weights = DType::bf16})},
                                                                {DType::i8, see(ctx, model, {.weights = DType::i8})}};
  EXPECT_NE(types[0].second, types[1].second);
  EXPECT_NE(types[1].second, types[2].second);
  std::vector<std::uintmax_t> bytes;
  for (int round = 0; round < 3; ++round)  // f32 alone; the others beside it; all are there
    for (const auto& [type, want] : types) {
      PackedCache cache(packed());
      EXPECT_EQ(see(ctx, model, {.cache = &cache, .weights = type}), want) << round;
      const auto before = round > 0 ? inode(only_file()) : 0;
      cache.save(ctx);
      if (round == 0) bytes.push_back(fs::file_size(only_file()));
      if (round > 0) {
        EXPECT_EQ(inode(only_file()), before);  // nothing new to write
      }
    }
  EXPECT_GT(bytes[1], bytes[0] + bytes[0] / 3);
  EXPECT_LT(bytes[1], bytes[0] * 2);
  EXPECT_GT(bytes[2], bytes[1]);
  EXPECT_LT(bytes[2] - bytes[1], bytes[1] - bytes[0]);
}
TEST_F(PackedCacheTest, WhatIsFoundComesFromTheFile) {
  const std::string model = copy(kImages + "vit_p7", "model");
  const std::vector<float> want = see(ctx, model);
  {
    PackedCache cache(packed());
    (void)see(ctx, model, {.cache = &cache});
    cache.save(ctx);
  }
  struct Counting : WeightCache {
    struct Store : PackedStore {
      std::shared_ptr<PackedStore> inner;
      int found = 0, kept = 0, unknown = 0;
      PackedWeight find(const WeightView* parts, int count, bool gated) override {
        PackedWeight w = inner->find(parts, count, gated);
        found += w.empty() ? 0 : 1;
        return w;
      }
      void keep(const WeightView* parts, int count, const PackedWeight& packed) override {
        ++kept;
        inner->keep(parts, count, packed);
      }
      bool checked(const AnyView& v) override {
        const bool known = inner->checked(v);
        unknown += known ? 0 : 1;
        return known;
      }
      void keep_checked(const AnyView& v) override {
        ++kept;
        inner->keep_checked(v);
      }
    };
    explicit Counting(const std::string& where) : cache(where) {}
    std::shared_ptr<PackedStore> open(Context& c, std::shared_ptr<const io::Checkpoint> checkpoint) override {
      store->inner = cache.open(c, std::move(checkpoint));
      return store;
    }
    void save(Context& c) override { cache.save(c); }
    PackedCache cache;
    std::shared_ptr<Store> store = std::make_shared<Store>();
  } counting(packed());
  EXPECT_EQ(see(ctx, model, {.cache = &counting}), want);
  EXPECT_GT(counting.store->found, 8);
  EXPECT_EQ(counting.store->kept, 0);
  EXPECT_EQ(counting.store->unknown, 0) << "looked through again for NaN";
}

TEST_F(PackedCacheTest, AnotherCopyOfTheSameBytesIsKnown) {
  const std::string one = copy(kImages + "vit_p7", "one"), two = copy(kImages + "vit_p7", "two");
  PackedCache cache(packed());
  const std::vector<float> want = see(ctx, one, {.cache = &cache});
  cache.save(ctx);
  const ino_t first = inode(only_file());
  PackedCache later(packed());
  EXPECT_EQ(see(ctx, two, {.cache = &later}), want);
  later.save(ctx);
  EXPECT_EQ(inode(only_file()), first);
}

TEST_F(PackedCacheTest, ChangedWeightsAreSeenEvenWithTheTimeSetBack) {
  const std::string model = copy(kImages + "vit_p7", "model"), file = model + "/model.safetensors";
  timespec old[2] = {{1700000000, 0}, {1700000000, 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, file.c_str(), old, 0), 0);
  settle();
  {
    PackedCache cache(packed());
    (void)see(ctx, model, {.cache = &cache});
    cache.save(ctx);
  }
  ASSERT_EQ(files(".key").size(), 1U);
  std::string bytes = bytes_of(file);
  for (std::size_t i = bytes.size() - 4000; i < bytes.size(); i += 4) bytes[i + 1] = static_cast<char>(bytes[i + 1] ^ 0x55);
  write(file, bytes);
  ASSERT_EQ(::utimensat(AT_FDCWD, file.c_str(), old, 0), 0);
  const std::vector<float> want = see(ctx, model);
  for (int known = 0; known < 2; ++known) {  // while its times are new, and when they are not
    PackedCache cache(packed());
    EXPECT_EQ(see(ctx, model, {.cache = &cache}), want);
    settle();
  }
}

TEST_F(PackedCacheTest, DamagedFilesCountAsAbsentAndAreMended) {
  const std::string model = copy(kImages + "clip", "model");
  const std::vector<float> want = see(ctx, model);
  const auto load = [&] {
    PackedCache cache(packed());
    EXPECT_EQ(see(ctx, model, {.cache = &cache}), want);
    cache.save(ctx);
  };
  load();
  const fs::path file = only_file();
  const std::string sound = bytes_of(file);
  const auto damage = [&](const std::string& bytes, const std::string& what) {
    write(file, bytes);
    SCOPED_TRACE(what);
    load();
    EXPECT_EQ(bytes_of(file), sound);  // written again, as it was
  };
  damage("", "empty");
  damage("no safetensors at all", "text");
  for (std::size_t n = 1; n <= 8; ++n) damage(sound.substr(0, sound.size() * n / 9), "cut");
  damage(sound + '\0', "longer");
  for (std::size_t i = 0; i < sound.size(); i += sound.size() / 50) {
    std::string bad = sound;
    bad[i] = static_cast<char>(bad[i] ^ 4);
    damage(bad, "byte " + std::to_string(i));
  }
  for (const char* word : {"\"checked\"", "\"layout\"", "\"content\"", "\"sum\"", "data_offsets"}) {
    std::string bad = sound;
    bad[sound.find(word) + std::string_view(word).size() + 6] ^= 1;
    damage(bad, word);
  }
  fs::remove(file);
  fs::create_directory(file);
  PackedCache cache(packed());
  EXPECT_EQ(see(ctx, model, {.cache = &cache}), want);
  TESSERA_EXPECT_ERROR(Code::kIo, "folder", cache.save(ctx));
}

TEST_F(PackedCacheTest, ADamagedIndexIsNotBelieved) {
  const std::string a = copy(kImages + "vit_p7", "a"), b = copy(kImages + "deit_p7", "b");
  settle();
  const std::vector<float> want_a = see(ctx, a), want_b = see(ctx, b);
  const auto load = [&] {
    PackedCache cache(packed());
    EXPECT_EQ(see(ctx, a, {.cache = &cache}), want_a);
    EXPECT_EQ(see(ctx, b, {.cache = &cache}), want_b);
    cache.save(ctx);
  };
  load();
  const auto keys = files(".key");
  ASSERT_EQ(keys.size(), 2U);
  const std::string one = bytes_of(keys[0]), two = bytes_of(keys[1]);
  write(keys[0], two), write(keys[1], one);  // sound files in each other's place
  load();
  write(keys[0], one.substr(0, 32)), write(keys[1], "");
  load();
  write(keys[0], std::string(64, 'f'));
  load();
  EXPECT_EQ(files(".packed.safetensors").size(), 2U);
}

TEST_F(PackedCacheTest, OneTowerDoesNotVouchForTheOther) {
  const std::string model = copy(kImages + "clip", "model"), file = model + "/model.safetensors";
  {  // an image tower that holds a NaN
    const io::SafeTensors f = io::SafeTensors::open(file);
    const std::byte* at = f.at("vision_model.encoder.layers.0.mlp.fc1.weight").data;
    std::string bytes = bytes_of(file);
    const float nan = std::numeric_limits<float>::quiet_NaN();
    std::memcpy(bytes.data() + (at - f.file().data()), &nan, sizeof nan);
    write(file, bytes);
  }
  for (int start = 0; start < 2; ++start) {
    PackedCache cache(packed());
    EXPECT_EQ(read(ctx, model, {.cache = &cache}), read(ctx, kImages + "clip"));
    TESSERA_EXPECT_ERROR(Code::kNonFinite, "fc1", (void)see(ctx, model, {.cache = &cache}));
    cache.save(ctx);
  }
  PackedCache unused((folder / "unused").string());
  (void)see(ctx, model, {.allow_nonfinite = true, .cache = &unused});
  unused.save(ctx);
  EXPECT_FALSE(fs::exists(folder / "unused"));
}

TEST_F(PackedCacheTest, TowersGatherInOneFile) {
  const std::string model = kImages + "clip";
  for (int start = 0; start < 2; ++start) {
    PackedCache cache(packed());
    EXPECT_EQ(read(ctx, model, {.cache = &cache}), read(ctx, model));
    cache.save(ctx);
    PackedCache then(packed());
    EXPECT_EQ(see(ctx, model, {.cache = &then}), see(ctx, model));
    then.save(ctx);
    (void)only_file();
  }
}

TEST_F(PackedCacheTest, WritersMayRace) {
  const std::string model = kImages + "clip";
  const std::vector<float> want = see(ctx, model);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      Context own(1);
      for (int i = 0; i < 10; ++i) {
        PackedCache cache(packed());
        EXPECT_EQ(see(own, model, {.cache = &cache}), want);
        cache.save(own);
        std::error_code ignored;
        if (i % 3 == 0)
          for (const auto& entry : fs::directory_iterator(packed(), ignored))
            if (entry.path().extension() == ".safetensors") fs::remove(entry.path(), ignored);
      }
    });
  for (auto& t : threads) t.join();
}

TEST_F(PackedCacheTest, AFolderThatCannotBeMadeIsAnErrorOfSaveAlone) {
  write(folder / "file", "");
  PackedCache cache((folder / "file" / "packed").string());
  EXPECT_EQ(see(ctx, kImages + "vit_p7", {.cache = &cache}), see(ctx, kImages + "vit_p7"));
  TESSERA_EXPECT_ERROR(Code::kIo, "folder", cache.save(ctx));
}

}  // namespace
}  // namespace tessera::models
