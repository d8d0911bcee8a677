#!/usr/bin/env python3
"""Writes bits.safetensors: rows as bits by numpy and by sentence-transformers, and the nearest of them by faiss.

    python3 make_bits.py        (needs faiss-cpu, numpy, safetensors, sentence-transformers)

x.N [rows, E] f32 with NaN, infinities, zeros of both signs and subnormal numbers among them; packed.N is numpy.packbits(x > 0, axis=1),
ubinary.N quantize_embeddings(x, precision="ubinary"), which wants whole bytes. rows [700, 12] and queries [9, 12] u8, distances [9, 25] i32:
IndexBinaryFlat's, ascending; many are equal, and which of those it names is its own choice.
"""
import pathlib

import faiss
import numpy as np
import sentence_transformers
from safetensors.numpy import save_file
from sentence_transformers.util import quantize_embeddings


def main():
    draw = np.random.default_rng(1)
    special = np.array([np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, -1e-45, 1e-39], np.float32)
    out = {}
    for n, (rows, e) in enumerate([(7, 77), (5, 64), (3, 1), (4, 9), (2, 384)]):
        x = draw.standard_normal((rows, e), dtype=np.float32)
        x[draw.random((rows, e)) < 0.2] = 0
        x.flat[draw.permutation(x.size)[: len(special)]] = special[: x.size]
        out[f"x.{n}"], out[f"packed.{n}"] = x, np.packbits(x > 0, axis=1)
        if e % 8 == 0:
            out[f"ubinary.{n}"] = quantize_embeddings(x, precision="ubinary")
    out["rows"], out["queries"] = (draw.integers(0, 256, (n, 12), dtype=np.uint8) for n in (700, 9))
    index = faiss.IndexBinaryFlat(96)
    index.add(out["rows"])
    out["distances"] = index.search(out["queries"], 25)[0]
    versions = {"numpy": np.__version__, "faiss-cpu": faiss.__version__, "sentence-transformers": sentence_transformers.__version__}
    save_file(out, str(pathlib.Path(__file__).parent / "bits.safetensors"), metadata={"seed": "1", **versions})


if __name__ == "__main__":
    main()
