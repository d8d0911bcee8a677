// Which tile a GEMM works in: what the choice must never be, and a table of what it is for encoders.
#include <tessera/cuda/tile_select.hpp>

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

namespace tessera::test {
namespace {

using namespace kernels::cuda;

struct Encoder {
  const char* name;
  index_t tokens, width, mlp;
};
constexpr Encoder kEncoders[] = {{"minilm-128", 128, 384, 1536},    {"bert-base-128", 128, 768, 3072},
                                 {"vit-b/32-224", 50, 768, 3072},   {"vit-b/16-224", 197, 768, 3072},
                                 {"vit-l/14-224", 257, 1024, 4096}, {"so400m/14-384", 729, 1152, 4304},
                                 {"vit-h/14-224", 257, 1280, 5120}};

std::string table() {
  std::ostringstream out;
  for (const Encoder& e : kEncoders)
    for (const index_t batch : {1, 8, 64, 256}) {
      const struct {
        const char* name;
        index_t n, k;
      } products[] = {
          {"qkv", 3 * e.width, e.width}, {"proj", e.width, e.width}, {"fc1", e.mlp, e.width}, {"fc2", e.width, e.mlp}};
      for (const auto& p : products) {
        const GemmChoice c = select_gemm_tile(batch * e.tokens, p.n, p.k);
        out << e.name << " batch " << batch << " " << p.name << " " << batch * e.tokens << "x" << p.n << "x" << p.k << ": "
            << c.tile.rows << "x" << c.tile.columns << ", " << c.tiles << " tiles, " << c.waves << " waves"
            << "\n";
      }
    }
  return out.str();
}
TEST(TileSelect, Encoders) {
  std::ifstream file(TESSERA_GOLDENS "/cuda/gemm_tiles.txt");
  const std::string golden{std::istreambuf_iterator<char>(file), {}};
  EXPECT_EQ(table(), golden) << "if that is meant, change tests/goldens/make_gemm_tiles.py too";
}

// Shares of SMs that have work, worked out by hand: 50432 = 256 x 197 rows.
TEST(TileSelect, Waves) {
  const auto filled = [](TileSize t, index_t batch) {
    const GemmChoice c = gemm_cost(t, batch * 197, 768, 768);
    return static_cast<double>(batch * 197 * 768) / static_cast<double>(c.waves * 132 * t.rows * t.columns);
  };
  EXPECT_NEAR(filled({128, 256}, 32), 0.56, 0.005);
  EXPECT_NEAR(filled({128, 256}, 64), 0.75, 0.005);
  EXPECT_NEAR(filled({192, 128}, 32), 0.75, 0.005);
  EXPECT_EQ(gemm_cost({128, 256}, 50432, 768, 768).waves, 9);
  EXPECT_EQ(gemm_cost({128, 256}, 50432, 768, 768).tiles, 394 * 3);
}

constexpr index_t kSizes[] = {1, 8, 63, 64, 65, 128, 197, 256, 257, 768, 1000, 2304, 6304, 16448};
template <class F>
void each(const F& f) {
  for (const index_t m : kSizes)
    for (const index_t n : kSizes)
      for (const index_t k : {64, 72, 768, 3072})
        for (const index_t sms : {1, 78, 132})
          for (const bool clusters : {false, true}) f(m, n, k, GemmMachine{.multiprocessors = sms, .clusters = clusters});
}
TEST(TileSelect, NoTileIsCheaper) {
  each([](index_t m, index_t n, index_t k, const GemmMachine& machine) {
    const GemmChoice c = select_gemm_tile(m, n, k, machine);
    bool known = false;
    for (const TileSize t : kGemmTiles) {
      EXPECT_LE(c.cycles, gemm_cost(t, m, n, k, machine).cycles);
      known = known || t == c.tile;
    }
    EXPECT_TRUE(known);
    EXPECT_EQ(c, gemm_cost(c.tile, m, n, k, machine));
    EXPECT_GE(c.tiles * c.tile.rows * c.tile.columns, m * n);
    EXPECT_TRUE(c.waves * machine.multiprocessors >= c.tiles && (c.waves - 1) * machine.multiprocessors < c.tiles);
  });
}
// Where all is done in one wave anyway, a tile that is larger than another one both ways leaves more of the machine idle:
// that pays only where all of them together then read less through L2.
TEST(TileSelect, OfOneWaveNoLargerTileThanNeeded) {
  each([](index_t m, index_t n, index_t k, const GemmMachine& machine) {
    const GemmChoice c = select_gemm_tile(m, n, k, machine);
    EXPECT_EQ(c.multicast, machine.clusters && c.waves > 1 && m > c.tile.rows && machine.multiprocessors % 2 == 0);
    if (c.waves > 1) return;
    for (const TileSize t : kGemmTiles) {
      const GemmChoice other = gemm_cost(t, m, n, k, machine);
      const bool smaller = t.rows <= c.tile.rows && t.columns <= c.tile.columns && t != c.tile && other.waves == 1;
      const auto read = [](const GemmChoice& choice) { return choice.tiles * (choice.tile.rows + choice.tile.columns); };
      EXPECT_FALSE(smaller && read(other) <= read(c)) << m << " x " << n << " x " << k << ": " << c.tile.rows << "x"
                                                      << c.tile.columns << ", not " << t.rows << "x" << t.columns;
    }
  });
}
TEST(TileSelect, MoreWorkTakesNoLess) {
  each([](index_t m, index_t n, index_t k, const GemmMachine& machine) {
    for (const TileSize t : kGemmTiles) {
      EXPECT_LE(gemm_cost(t, m, n, k, machine).cycles, gemm_cost(t, m, n, k + 64, machine).cycles);
      EXPECT_LE(gemm_cost(t, m, n, k, machine).tiles, gemm_cost(t, m + 64, n, k, machine).tiles);
    }
  });
}
TEST(TileSelect, HugeSizesAreJustDear) {
  constexpr index_t kMost = index_t{1} << 31;
  EXPECT_EQ(select_gemm_tile(kMost, kMost, kMost, {.multiprocessors = 1}).cycles, INT64_MAX);
  EXPECT_GT(select_gemm_tile(kMost, 64, 64).cycles, 0);
  EXPECT_LT(select_gemm_tile(kMost, 64, 64).cycles, INT64_MAX);
}
static_assert(select_gemm_tile(1, 64, 64).tile == TileSize{64, 64});

}  // namespace
}  // namespace tessera::test
