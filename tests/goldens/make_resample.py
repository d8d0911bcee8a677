#!/usr/bin/env python3
"""Writes resample.json: what Pillow's resize and PyTorch's uint8 antialiased interpolate (which torchvision calls) make of
images that the test draws by the same formulas, and the latter's of them as floats of v / 255. Outputs are kept as 64-bit FNV-1a hashes.

    python3 make_resample.py        (needs Pillow 13, torch 2.15, numpy)
"""
import json
import pathlib

import numpy
import PIL
import torch
from PIL import Image

from common import draw, fnv

SIZES = [  # width, height, new width, new height
    (1, 1, 1, 1), (1, 1, 7, 5), (2, 3, 3, 2), (5, 4, 5, 4), (5, 4, 5, 9), (5, 4, 9, 4), (16, 16, 8, 8), (17, 13, 16, 12), (31, 33, 64, 64), (33, 31, 17, 15),
    (64, 48, 1, 1), (64, 48, 224, 224), (100, 75, 96, 72), (100, 75, 33, 99), (101, 1, 50, 1), (1, 101, 1, 50), (127, 129, 32, 32), (128, 128, 127, 129),
    (150, 100, 149, 100), (150, 100, 150, 99), (200, 7, 14, 14), (7, 200, 14, 14), (224, 224, 16, 16), (256, 192, 224, 168), (255, 255, 84, 84), (300, 2, 3, 2),
    (3, 300, 3, 30), (320, 240, 298, 224), (333, 250, 224, 224), (40, 30, 41, 31), (60, 90, 59, 91), (12, 12, 384, 384), (384, 384, 12, 12), (97, 53, 53, 97),
    (80, 80, 160, 40), (80, 80, 40, 160), (23, 19, 23, 38), (23, 19, 46, 19), (512, 64, 224, 28), (64, 512, 28, 224),
]  # fmt: skip
FILTERS = {"box": Image.Resampling.BOX, "bilinear": Image.Resampling.BILINEAR, "hamming": Image.Resampling.HAMMING, "bicubic": Image.Resampling.BICUBIC, "lanczos": Image.Resampling.LANCZOS}
MODES = {1: "L", 3: "RGB", 4: "RGBX"}


def main():
    cases = []
    for number, (w, h, nw, nh) in enumerate(SIZES):
        kind, channels = ("noise", "ramp", "checkers")[number % 3], (3, 1, 3, 4)[number % 4]
        image = draw(kind, w, h, channels)
        for name, number_of in FILTERS.items():
            # RGBX: four plain channels. RGBA would be premultiplied.
            done = Image.frombytes(MODES[channels], (w, h), image.tobytes()).resize((nw, nh), number_of)
            cases.append([kind, channels, w, h, nw, nh, name, "pillow", fnv(done.tobytes())])
        for name in ("bilinear", "bicubic"):
            tensor = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].contiguous(memory_format=torch.channels_last)
            done = torch.nn.functional.interpolate(tensor, (nh, nw), mode=name, antialias=True)
            cases.append([kind, channels, w, h, nw, nh, name, "torchvision", fnv(done[0].permute(1, 2, 0).contiguous().numpy().tobytes())])
            if nw == 1:  # torch 2.15 takes one row for all of them
                continue
            done = torch.nn.functional.interpolate(tensor.contiguous() * (1 / 255), (nh, nw), mode=name, antialias=True)
            cases.append([kind, channels, w, h, nw, nh, name, "floats", fnv(done[0].permute(1, 2, 0).contiguous().numpy().tobytes())])
    out = {"pillow": PIL.__version__, "torch": torch.__version__, "capability": torch.backends.cpu.get_cpu_capability(), "cases": cases}
    path = pathlib.Path(__file__).parent / "resample.json"
    path.write_text(json.dumps(out).replace("[[", "[\n[").replace("], [", "],\n[") + "\n")


if __name__ == "__main__":
    main()
