#!/usr/bin/env python3
"""Decoding, resizing and preprocessing beside Pillow, torchvision and transformers, in interleaved rounds.

    python3 bench/image_peers.py --rate build/release/bench/image_rate [--threads 1] [--rounds 15]

The bytes must be equal before anything is timed. Writes and prints a table of median milliseconds and the ratio to the faster
of those that compute the same. Pictures: smooth noise in the sizes of phone photographs, web images and thumbnails.
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
FILTERS = {"box": Image.Resampling.BOX, "bilinear": Image.Resampling.BILINEAR, "hamming": Image.Resampling.HAMMING, "bicubic": Image.Resampling.BICUBIC, "lanczos": Image.Resampling.LANCZOS}


def fnv(data):
    """As tests/support/hash.hpp."""
    value = 0xCBF29CE484222325
    for b in data:
        value = (value ^ b) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


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
    parser.add_argument("--results", type=pathlib.Path, default=HERE / "results", help="where the dated table goes")
    o = parser.parse_args()
    torch.set_num_threads(o.threads)
    date = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d")
    commit = subprocess.run(["git", "-C", str(HERE), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    table = [f"# Images, {date}, commit {commit}, {o.threads} thread{'s' if o.threads > 1 else ''}", "",
             f"{peer_stats.cpu_model()}; Pillow {PIL.__version__}, torchvision {torchvision.__version__}, transformers {transformers.__version__}; median of {o.rounds} interleaved rounds, ms. "
             "Every row gives the same bytes on both sides. Pillow and libjpeg run on one thread whatever is asked.", "",
             "| picture | what | tessera | peer | ms | ratio |", "|---|---|---:|---|---:|---:|"]  # fmt: skip
    print("\n".join(table), flush=True)
    with tempfile.TemporaryDirectory() as name, subprocess.Popen([o.rate, str(o.threads)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as ours:
        folder = pathlib.Path(name)

        def mine(command):
            ours.stdin.write(command + "\n"), ours.stdin.flush()
            seconds, made = ours.stdout.readline().split()
            return float(seconds), made

        def row(picture_name, what, command, peer, theirs):
            start = mine(command)[1], fnv(theirs().tobytes())
            if start[0] != start[1]:
                raise SystemExit(f"{picture_name}, {what}: other bytes than {peer}")
            rounds = []
            for _ in range(o.rounds):
                m = mine(command)[0]
                begin = time.perf_counter()
                theirs()
                rounds.append((m, time.perf_counter() - begin))
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
            row(picture_name, "decode JPEG", f"decode {file}", "Pillow", lambda: numpy.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
            image = Image.open(file).convert("RGB")
            tensor = torch.from_numpy(numpy.array(image)).permute(2, 0, 1)
            for kind, width, height in RESIZES:
                row(picture_name, f"{kind} to {width}x{height}", f"resize {kind} pillow {width} {height}", "Pillow", lambda: numpy.asarray(image.resize((width, height), FILTERS[kind])))
                if kind in ("bilinear", "bicubic"):
                    mode = torchvision.transforms.InterpolationMode(kind)
                    row(picture_name, f"{kind} to {width}x{height}", f"resize {kind} torchvision {width} {height}", "torchvision",
                        lambda: torchvision.transforms.v2.functional.resize(tensor, [height, width], mode, antialias=True).permute(1, 2, 0).contiguous().numpy())  # fmt: skip
            for backend, processor in processors.items():
                row(picture_name, "CLIP pixel values", f"process {folder} {backend}", f"transformers, {backend}", lambda: processor(image, return_tensors="np")["pixel_values"])
        ours.stdin.close()
    place = o.results / peer_stats.slug(peer_stats.cpu_model())
    place.mkdir(parents=True, exist_ok=True)
    (place / f"{date}-{commit}-images-{o.threads}.md").write_text("\n".join(table) + "\n")


main()
