"""Writes cuda/gemm_tiles.txt: the tile of least time for the products of encoders on 132 SMs, by the model of
kernels/tessera/cuda/tile_select.hpp said once more, in exact fractions where that rounds.

    python3 make_gemm_tiles.py

An SM does 2048 multiply-adds a cycle and takes 64 bytes a cycle from L2, all together 46 * 132. A tile's part of 64 of k takes
as long as the slower of both; its end 3 cycles for each 64 numbers of C; the first load 1000.
"""

import math
import pathlib
from fractions import Fraction

SMS = 132
TILES = [(64, 64), (64, 128), (64, 256), (128, 128), (128, 160), (128, 192), (128, 256), (192, 128), (256, 128)]
ENCODERS = [("minilm-128", 128, 384, 1536), ("bert-base-128", 128, 768, 3072), ("vit-b/32-224", 50, 768, 3072),
            ("vit-b/16-224", 197, 768, 3072), ("vit-l/14-224", 257, 1024, 4096), ("so400m/14-384", 729, 1152, 4304),
            ("vit-h/14-224", 257, 1280, 5120)]


def cost(tile, m, n, k):
    """Cycles, tiles and waves."""
    rows, columns = tile
    tiles = math.ceil(m / rows) * math.ceil(n / columns)
    waves = math.ceil(tiles / SMS)
    rate = min(64, 46 * SMS // min(tiles, SMS))
    step = max(math.ceil(Fraction(128 * (rows + columns), rate)), Fraction(rows * columns * 64, 2048))
    return 1000 + waves * (math.ceil(k / 64) * step + Fraction(3 * rows * columns, 64)), tiles, waves


lines = []
for name, tokens, width, mlp in ENCODERS:
    for batch in (1, 8, 64, 256):
        for product, n, k in (("qkv", 3 * width, width), ("proj", width, width), ("fc1", mlp, width), ("fc2", width, mlp)):
            m = batch * tokens
            best = min(TILES, key=lambda t: cost(t, m, n, k)[:2])
            _, tiles, waves = cost(best, m, n, k)
            lines.append(f"{name} batch {batch} {product} {m}x{n}x{k}: {best[0]}x{best[1]}, {tiles} tiles, {waves} waves\n")
pathlib.Path(__file__).with_name("cuda").joinpath("gemm_tiles.txt").write_text("".join(lines))
