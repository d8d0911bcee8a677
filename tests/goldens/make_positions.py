#!/usr/bin/env python3
"""Writes positions.safetensors: tables of positions at other sizes, as torch's interpolate computes them in float64.

    python3 make_positions.py        (needs torch, safetensors)

No table becomes one column: there torch 2.15 (antialias=True) gives other numbers than for the same column twice, a fault of its own.
table.N [h, w, C], and out.N.<mode>.<H>x<W> [H, W, C].
"""
import pathlib

import torch
from safetensors.torch import save_file

MODES = {"bicubic": dict(mode="bicubic"), "bicubic_antialias": dict(mode="bicubic", antialias=True), "bilinear_antialias": dict(mode="bilinear", antialias=True)}


def main():
    g = torch.Generator().manual_seed(1)
    out = {}
    for n, (h, w, c, sizes) in enumerate([(7, 7, 5, [(7, 7), (3, 9), (14, 2), (20, 6)]), (1, 4, 3, [(2, 2), (1, 9)]), (5, 8, 17, [(6, 3), (11, 12)])]):
        table = torch.randn(h, w, c, generator=g)
        out[f"table.{n}"] = table
        for name, mode in MODES.items():
            for size in sizes:
                done = torch.nn.functional.interpolate(table.double().permute(2, 0, 1)[None].contiguous(), size, align_corners=False, **mode)
                out[f"out.{n}.{name}.{size[0]}x{size[1]}"] = done[0].permute(1, 2, 0).float().contiguous()
    save_file(out, str(pathlib.Path(__file__).parent / "positions.safetensors"), metadata={"format": "pt", "torch": torch.__version__})


if __name__ == "__main__":
    main()
