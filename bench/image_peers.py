#!/usr/bin/env python3
"""Decoding, resizing and preprocessing beside Pillow, torchvision and transformers, in interleaved rounds.

    python3 bench/image_peers.py --rate build/release/bench/image_rate [--threads 1] [--rounds 15] [--pillow-simd PYTHON]

The bytes must be equal before anything is timed, those of Pillow-SIMD, whose weights are shorter, within one level. Writes and
prints a table of median milliseconds and their ratio. Pictures: smooth noise in the sizes of phone photographs, web images and
thumbnails. Pillow-SIMD cannot be imported beside Pillow: PYTHON is the interpreter of an environment that has it.
"""
import argparse
import datetime
import io
import json
import pathlib
import statistics
import subprocess
import tempfile
import time

import numpy
import PIL
import torch
import torchvision
import transformers
from PIL import Image
from transformers.models.clip.image_processing_clip import CLIPImageProcessor
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

import peer_stats

HERE = pathlib.Path(__file__).resolve().parent
PICTURES = {"4032x3024": (4032, 3024), "1280x960": (1280, 960), "500x375": (500, 375)}
RESIZES = [("bicubic", 224, 224), ("bilinear", 224, 224), ("lanczos", 384, 384), ("box", 224, 224), ("hamming", 224, 224)]


def fnv(data):
    """As tests/support/hash.hpp."""
    value = 0xCBF29CE484222325
    for b in data:
        value = (value ^ b) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def timed(make):
    """Seconds and what was made."""
    start = time.perf_counter()
    made = make()
    return time.perf_counter() - start, made


class PillowSimd:
    """The resizes of the Pillow-SIMD that an interpreter has, in a process of its own, which ends when its input does."""

    def __init__(self, python, folder):
        self.pixels = folder / "pillow_simd.raw"
        self.process = subprocess.Popen([python, HERE / "pillow_rate.py", self.pixels], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.version = self.process.stdout.readline().strip()

    def answer(self, command):
        print(command, file=self.process.stdin, flush=True)
        return self.process.stdout.readline()

    def resize(self, kind, width, height):
        """Seconds and pixels."""
        seconds = float(self.answer(f"resize {kind} {width} {height}"))
        return seconds, numpy.fromfile(self.pixels, numpy.uint8).reshape(height, width, 3)


def picture(width, height):
    rng = numpy.random.default_rng(1)
    small = Image.fromarray(rng.integers(0, 256, (height // 16 + 1, width // 16 + 1, 3), dtype=numpy.uint8))
    smooth = numpy.asarray(small.resize((width, height), Image.Resampling.BICUBIC)).astype(numpy.int16)
    return Image.fromarray(numpy.clip(smooth + rng.integers(-12, 13, smooth.shape), 0, 255).astype(numpy.uint8))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", required=True, help="the program image_rate")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--pillow-simd", metavar="PYTHON", help="an interpreter that has pillow-simd and numpy: rows beside it too")
    parser.add_argument("--results", type=pathlib.Path, default=HERE / "results", help="where the dated table goes")
    o = parser.parse_args()
    torch.set_num_threads(o.threads)
    date = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d")
    commit = subprocess.run(["git", "-C", str(HERE), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    with tempfile.TemporaryDirectory() as name, subprocess.Popen([o.rate, str(o.threads)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as ours:
        folder = pathlib.Path(name)
        simd = PillowSimd(o.pillow_simd, folder) if o.pillow_simd else None
        and_simd = f", Pillow-SIMD {simd.version}" if simd else ""
        table = [f"# Images, {date}, commit {commit}, {o.threads} thread{'s' if o.threads > 1 else ''}", "",
                 f"{peer_stats.cpu_model()}; Pillow {PIL.__version__}, torchvision {torchvision.__version__}, transformers {transformers.__version__}{and_simd}; median of {o.rounds} interleaved rounds, ms. "
                 "Every row gives the same bytes on both sides, Pillow-SIMD within one level. Pillow and libjpeg run on one thread whatever is asked.", "",
                 "| picture | what | tessera | peer | ms | ratio |", "|---|---|---:|---|---:|---:|"]  # fmt: skip
        print("\n".join(table), flush=True)

        def mine(command):
            ours.stdin.write(command + "\n"), ours.stdin.flush()
            seconds, made = ours.stdout.readline().split()
            return float(seconds), made

        def row(picture_name, what, command, peer, theirs, exact=None):
            """`theirs` gives seconds and an array: our bytes, or within one level of `exact` where ours are those."""
            made = theirs()[1]
            near = exact is None or abs(made.astype(int) - exact).max() <= 1
            if not near or mine(command)[1] != fnv((made if exact is None else exact).tobytes()):
                raise SystemExit(f"{picture_name}, {what}: other pixels than {peer}")
            rounds = []
            for _ in range(o.rounds):
                rounds.append((mine(command)[0], theirs()[0]))
            m, t = (statistics.median(column) * 1e3 for column in zip(*rounds))
            table.append(f"| {picture_name} | {what} | {m:.2f} | {peer} | {t:.2f} | {t / m:.2f} |")
            print(table[-1], flush=True)

        config = {"image_processor_type": "CLIPImageProcessor"}
        (folder / "preprocessor_config.json").write_text(json.dumps(config))
        processors = {"pil": CLIPImageProcessorPil(), "torchvision": CLIPImageProcessor()}
        for picture_name, size in PICTURES.items():
            file = folder / "picture.jpg"
            picture(*size).save(file, quality=90)
            data = file.read_bytes()
            decode = lambda: numpy.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
            row(picture_name, "decode JPEG", f"decode {file}", "Pillow", lambda: timed(decode))
            image = Image.open(file).convert("RGB")
            tensor = torch.from_numpy(numpy.array(image)).permute(2, 0, 1)
            if simd:
                image.save(folder / "picture.ppm")  # its own decoder may round otherwise
                simd.answer(f"load {folder / 'picture.ppm'}")
            for kind, width, height in RESIZES:
                what, pillow = f"{kind} to {width}x{height}", f"resize {kind} pillow {width} {height}"
                resize = lambda: numpy.asarray(image.resize((width, height), Image.Resampling[kind.upper()]))
                row(picture_name, what, pillow, "Pillow", lambda: timed(resize))
                if simd:
                    row(picture_name, what, pillow, "Pillow-SIMD", lambda: simd.resize(kind, width, height), exact=resize())
                if kind in ("bilinear", "bicubic"):
                    mode = torchvision.transforms.InterpolationMode(kind)
                    resize = lambda: torchvision.transforms.v2.functional.resize(tensor, [height, width], mode, antialias=True).permute(1, 2, 0).contiguous().numpy()
                    row(picture_name, what, f"resize {kind} torchvision {width} {height}", "torchvision", lambda: timed(resize))
            for backend, processor in processors.items():
                process = lambda: processor(image, return_tensors="np")["pixel_values"]
                row(picture_name, "CLIP pixel values", f"process {folder} {backend}", f"transformers, {backend}", lambda: timed(process))
        ours.stdin.close()
    place = o.results / peer_stats.slug(peer_stats.cpu_model())
    place.mkdir(parents=True, exist_ok=True)
    (place / f"{date}-{commit}-images-{o.threads}.md").write_text("\n".join(table) + "\n")


main()
