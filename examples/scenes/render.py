#!/usr/bin/env python3
"""Scenes of one to three flat shapes on a pale ground, each with a table of what is in it.

    python3 render.py OUT_FOLDER [--scenes 300] [--singles 32] [--seed 1] [--size 128] [--tar]

writes scenes/scene_000.png ... with captions.tsv (name, full caption), singles/single_000.png ... of one object with
singles.tsv (name, label), labels.txt (all labels, colour and shape) and objects.tsv (what is where). Needs numpy and Pillow.

A scene is drawn from its seed alone. Shapes are signed distance functions, so edges are anti-aliased and any size can be drawn.
"""
import argparse
import math
import pathlib
import random
import tarfile

import numpy
from PIL import Image

import captions
from captions import COLOURS, SHAPES, SIZES, TEXTURES

RADII = (0.105, 0.160, 0.225)  # of the side, by size
RGB = {"red": (214, 40, 40), "orange": (244, 132, 28), "yellow": (246, 208, 40), "green": (52, 152, 66),
       "blue": (38, 92, 206), "purple": (130, 62, 176), "pink": (242, 140, 186), "black": (34, 34, 38)}


def box(x, y, w, h):
    x, y = abs(x) - w, abs(y) - h
    return numpy.hypot(numpy.maximum(x, 0), numpy.maximum(y, 0)) + numpy.minimum(numpy.maximum(x, y), 0)


def polygon(x, y, points):
    """Signed distance to a polygon, negative inside (the crossing rule)."""
    best, inside = numpy.full(x.shape, 1e9), numpy.zeros(x.shape, bool)
    for (ax, ay), (bx, by) in zip(points, points[-1:] + points[:-1]):
        ex, ey, wx, wy = bx - ax, by - ay, x - ax, y - ay
        t = numpy.clip((wx * ex + wy * ey) / (ex * ex + ey * ey), 0, 1)
        best = numpy.minimum(best, (wx - ex * t) ** 2 + (wy - ey * t) ** 2)
        inside ^= ((ay > y) != (by > y)) & (x < (bx - ax) * (y - ay) / ((by - ay) or 1e-9) + ax)
    return numpy.where(inside, -1, 1) * numpy.sqrt(best)


def on_circle(n, radii, start=-90):
    return [(r * math.cos(a), r * math.sin(a)) for i in range(n) for r in (radii[i % len(radii)],)
            for a in (math.radians(start + 360 * i / n),)]


STAR = on_circle(10, (1.08, 0.45))
TRIANGLE = on_circle(3, (1.1,))
HEART = [(16 * math.sin(t) ** 3 / 16.5, -(13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)) / 16.5 - 0.08)
         for t in (2 * math.pi * i / 28 for i in range(28))]

# Signed distances over coordinates in units of the object's radius, y downwards.
DISTANCE = {
    "circle": lambda x, y: numpy.hypot(x, y) - 0.96,
    "square": lambda x, y: box(x, y, 0.82, 0.82),
    "triangle": lambda x, y: polygon(x, y - 0.2, TRIANGLE),
    "star": lambda x, y: polygon(x, y, STAR),
    "cross": lambda x, y: numpy.minimum(box(x, y, 0.98, 0.32), box(x, y, 0.32, 0.98)),
    "heart": lambda x, y: polygon(x, y, HEART),
    "ring": lambda x, y: abs(numpy.hypot(x, y) - 0.74) - 0.25,
    "crescent": lambda x, y: numpy.maximum(numpy.hypot(x, y) - 0.98, 0.78 - numpy.hypot(x - 0.46, y)),
}


class Scene:
    """rows[i] = (colour, shape, size, texture), indices into the names in captions.py; places[i] = (x, y), radii[i]: of the side."""

    def __init__(self, seed, objects=(1, 2, 3)):
        rng = random.Random(seed)
        count = rng.choice(objects)
        self.seed = seed
        while True:
            rows = [tuple(rng.randrange(len(n)) for n in (COLOURS, SHAPES, SIZES, TEXTURES)) for _ in range(count)]
            radii = [RADII[r[2]] * rng.uniform(0.92, 1.08) for r in rows]
            places = self.arrange(rng, radii)
            if places and len({r[:2] for r in rows}) == count:
                break
        self.rows, self.radii, self.places, self.rng = rows, radii, places, rng

    @staticmethod
    def arrange(rng, radii):
        places = []
        for i, r in enumerate(radii):
            for _ in range(30):
                p = (rng.uniform(r + 0.02, 0.98 - r), rng.uniform(r + 0.02, 0.98 - r))
                if all(math.dist(p, q) > r + s + 0.02 for q, s in zip(places, radii)):
                    places.append(p)
                    break
            else:
                return None
        return places

    def draw(self, side=128):
        """[side, side, 3] uint8."""
        rng = random.Random(self.seed ^ 0x5CE9E5)
        ground = numpy.array([rng.uniform(218, 244) for _ in range(3)])
        slope = [rng.uniform(-14, 14) for _ in range(2)]
        axis = numpy.linspace(-0.5, 0.5, side)
        image = ground + (slope[0] * axis[:, None] + slope[1] * axis[None, :])[..., None]
        for row, place, r in zip(self.rows, self.places, self.radii):
            self.draw_object(rng, image, row, place, r)
        return numpy.clip(numpy.round(image), 0, 255).astype(numpy.uint8)

    @staticmethod
    def draw_object(rng, image, row, place, radius):
        side = image.shape[0]
        r, cx, cy = radius * side, place[0] * side, place[1] * side
        x0, x1 = max(0, int(cx - 1.2 * r) - 1), min(side, int(cx + 1.2 * r) + 2)
        y0, y1 = max(0, int(cy - 1.2 * r) - 1), min(side, int(cy + 1.2 * r) + 2)
        px, py = numpy.meshgrid(numpy.arange(x0, x1) + 0.5 - cx, numpy.arange(y0, y1) + 0.5 - cy)
        turn = math.radians(rng.uniform(-14, 14))
        c, s = math.cos(turn), math.sin(turn)
        x, y = (c * px + s * py) / r, (c * py - s * px) / r
        cover = numpy.clip(0.5 - DISTANCE[SHAPES[row[1]]](x, y) * r, 0, 1)
        colour = numpy.array(RGB[COLOURS[row[0]]]) * rng.uniform(0.93, 1.05) + [rng.uniform(-8, 8) for _ in range(3)]
        pale = 0.42 * colour + 0.58 * 255
        unit = side / 128
        angle = math.radians(rng.uniform(0, 180))
        u, v = math.cos(angle) * px + math.sin(angle) * py, math.cos(angle) * py - math.sin(angle) * px
        phase = rng.uniform(0, 1)
        tone = numpy.zeros_like(px)
        if TEXTURES[row[3]] == "striped":
            period = 10 * unit
            tone = numpy.clip(0.5 + abs((u / period + phase) % 1 - 0.5) * period - period / 4, 0, 1)
        elif TEXTURES[row[3]] == "dotted":
            period = 10.5 * unit
            away = numpy.hypot((u / period + phase) % 1 - 0.5, (v / period + phase) % 1 - 0.5) * period
            tone = numpy.clip(0.5 + 3.1 * unit - away, 0, 1)
        paint = colour + tone[..., None] * (pale - colour)
        part = image[y0:y1, x0:x1]
        part += cover[..., None] * (paint - part)


def as_model_sees(pixels, side=64):
    """What CLIPImageProcessor makes of a square picture before it rescales: Pillow's bicubic."""
    return numpy.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC))


def unique_scenes(count, objects, first):
    """count scenes of seeds from `first` on, no two of them with the same full caption: (scene, caption, what it tells)."""
    found, seen, seed = [], set(), first
    while len(found) < count:
        scene = Scene(seed, objects)
        text, told = captions.caption(random.Random(seed), scene.rows, scene.places, full=True)
        if text not in seen:
            found.append((scene, text, told))
        seen.add(text)
        seed += 1
    return found


def pack(folder):
    """The files of a folder as folder.tar, in order of their names, the same bytes whoever packs them and when."""
    with tarfile.open(str(folder) + ".tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        for file in sorted(folder.iterdir()):
            entry = tarfile.TarInfo(file.name)
            entry.size = file.stat().st_size
            with file.open("rb") as data:
                tar.addfile(entry, data)
            file.unlink()
    folder.rmdir()


def write_gallery(out, scenes, singles, first, size, packed):
    lines = {"captions.tsv": [], "singles.tsv": [], "objects.tsv": ["name\tcolour\tshape\tsize\ttexture\tx\ty\tradius"]}

    def write(folder, name, scene):
        (out / folder).mkdir(parents=True, exist_ok=True)
        Image.fromarray(scene.draw(size)).save(out / folder / name, optimize=True)
        for row, place, radius in zip(scene.rows, scene.places, scene.radii):
            said = [names[i] for names, i in zip((COLOURS, SHAPES, SIZES, TEXTURES), row)]
            lines["objects.tsv"].append("\t".join([name, *said, *(f"{v:.3f}" for v in (*place, radius))]))

    for i, (scene, text, _) in enumerate(unique_scenes(scenes, (2, 3), first)):
        write("scenes", f"scene_{i:03d}.png", scene)
        lines["captions.tsv"].append(f"scene_{i:03d}.png\t{text}")
    for i in range(singles):
        scene = Scene(first + 500_000 + i, (1,))
        write("singles", f"single_{i:03d}.png", scene)
        lines["singles.tsv"].append(f"single_{i:03d}.png\t{captions.prompt(*scene.rows[0][:2])}")
    lines["labels.txt"] = [captions.prompt(c, s) for c in range(len(COLOURS)) for s in range(len(SHAPES))]
    for name, content in lines.items():
        (out / name).write_text("".join(line + "\n" for line in content))
    for folder in ("scenes", "singles"):
        if packed and (out / folder).exists():
            pack(out / folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--scenes", type=int, default=300, help="pictures of two or three objects, with captions")
    parser.add_argument("--singles", type=int, default=32, help="pictures of one object, with labels")
    parser.add_argument("--seed", type=int, default=1, help="a gallery; 0 has the scenes that train.py learns from")
    parser.add_argument("--size", type=int, default=128, help="side in pixels")
    parser.add_argument("--tar", action="store_true", help="scenes.tar and singles.tar instead of folders")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    write_gallery(args.out, args.scenes, args.singles, args.seed * 1_000_000, args.size, args.tar)


if __name__ == "__main__":
    main()
