#!/usr/bin/env python3
"""Held-out figures of a dual encoder: retrieval among scenes, zero-shot classes, binding.

    python3 evaluate.py [--model model] [--scenes 500] [--gallery gallery] [--out FILE.json]

Scenes come from seeds that training never draws. Needs torch, transformers, numpy, Pillow.

retrieval   scenes of 2-3 objects, each with a full caption, no two captions alike: R@1 and R@5, both ways
zero_shot   scenes of one object, 64 classes colour x shape, prompts "a red circle"
binding     the caption against the same with two attributes swapped between objects, or with one relation reversed:
            how often the image is nearer to the true one (0.5 is chance)
gallery     the same of the committed pictures, as counts
"""
import argparse
import io
import json
import os
import pathlib
import random
import tarfile

os.environ["HF_HUB_OFFLINE"] = os.environ["TQDM_DISABLE"] = "1"

import numpy
import torch
import torch.nn.functional as F
import transformers as tf
from PIL import Image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

import captions as words
from render import Scene, unique_scenes

HERE = pathlib.Path(__file__).resolve().parent
HELD_OUT = 900_000_000  # the first seed here; train.py begins at 0, render.py's galleries at multiples of a million


@torch.inference_mode()
def embed_images(model, processor, pictures):
    """pictures: [H, W, 3] uint8 arrays or Pillow images. Unit rows."""
    rows = []
    for i in range(0, len(pictures), 128):
        values = processor(images=[Image.fromarray(p) if isinstance(p, numpy.ndarray) else p for p in pictures[i:i + 128]], return_tensors="pt")
        rows.append(model.visual_projection(model.vision_model(pixel_values=values["pixel_values"]).pooler_output))
    return F.normalize(torch.cat(rows), dim=-1)


@torch.inference_mode()
def embed_texts(model, tokenizer, texts):
    rows = []
    for i in range(0, len(texts), 128):
        ids = tokenizer(texts[i:i + 128], padding=True, return_tensors="pt").input_ids
        rows.append(model.text_projection(model.text_model(input_ids=ids).pooler_output))
    return F.normalize(torch.cat(rows), dim=-1)


def recall(similarity, k):
    """In how many rows the own column is among the k largest; a tie counts against it."""
    own = similarity.diagonal()[:, None]
    return int(((similarity >= own).sum(1) <= k).sum())


def binding(model, tokenizer, found, images, texts):
    """By what was swapped: (share of scenes where the true caption is nearer, scenes)."""
    wrong = {"colour": [], "shape": [], "size": [], "texture": [], "relation": []}
    for i, (scene, _, told) in enumerate(found):
        rng = random.Random(scene.seed + 1)
        for kind in range(4):
            if text := words.swapped(rng, scene.rows, told, (kind,)):
                wrong[words.ATTRIBUTES[kind]].append((i, text))
        if text := words.reversed_relation(rng, scene.rows, told):
            wrong["relation"].append((i, text))
    out = {}
    for kind, pairs in wrong.items():
        rows = [i for i, _ in pairs]
        false = embed_texts(model, tokenizer, [t for _, t in pairs])
        right = (images[rows] * texts[rows]).sum(-1) > (images[rows] * false).sum(-1)
        out[kind] = (right.float().mean().item(), len(rows))
    return out


def zero_shot(model, tokenizer, processor, count):
    labels = [(c, s) for c in range(len(words.COLOURS)) for s in range(len(words.SHAPES))]
    scenes = [Scene(HELD_OUT + 50_000_000 + i, (1,)) for i in range(count)]
    images = embed_images(model, processor, [s.draw() for s in scenes])
    classes = embed_texts(model, tokenizer, [words.prompt(*l) for l in labels])
    best = (images @ classes.T).argmax(1).tolist()
    return sum(labels[b] == s.rows[0][:2] for b, s in zip(best, scenes)) / count


def evaluate(model, tokenizer, processor, scenes=500, singles=2000):
    found = unique_scenes(scenes, (2, 3), HELD_OUT)
    images = embed_images(model, processor, [s.draw() for s, *_ in found])
    texts = embed_texts(model, tokenizer, [t for _, t, _ in found])
    similarity = texts @ images.T
    figures = {f"{way}_R@{k}": recall(s, k) / scenes
               for way, s in (("text_to_image", similarity), ("image_to_text", similarity.T)) for k in (1, 5)}
    figures["zero_shot"] = zero_shot(model, tokenizer, processor, singles)
    for kind, (share, count) in binding(model, tokenizer, found, images, texts).items():
        figures |= {f"binding_{kind}": share, f"binding_{kind}_scenes": count}
    return {k: round(v, 4) for k, v in figures.items()}


def evaluate_gallery(model, tokenizer, processor, folder):
    """Counts, not shares, for the scenes and the single objects of a folder that render.py --tar wrote."""
    def read(name):
        with tarfile.open(folder / (name + ".tar")) as tar:
            pictures = [Image.open(io.BytesIO(tar.extractfile(m).read())) for m in tar]
        rows = [line.split("\t") for line in (folder / ("captions.tsv" if name == "scenes" else name + ".tsv")).read_text().splitlines()]
        assert len(rows) == len(pictures)
        return embed_images(model, processor, pictures), [text for _, text in rows]

    images, told = read("scenes")
    similarity = embed_texts(model, tokenizer, told) @ images.T
    singles, truth = read("singles")
    labels = (folder / "labels.txt").read_text().splitlines()
    best = (singles @ embed_texts(model, tokenizer, labels).T).argmax(1).tolist()
    return {"scenes": len(told), "text_to_image_first": recall(similarity, 1), "text_to_image_first_five": recall(similarity, 5),
            "image_to_text_first": recall(similarity.T, 1), "singles": len(truth),
            "singles_right": sum(labels[b] == t for b, t in zip(best, truth))}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=pathlib.Path, default=HERE / "model")
    parser.add_argument("--scenes", type=int, default=500)
    parser.add_argument("--singles", type=int, default=2000)
    parser.add_argument("--gallery", type=pathlib.Path, default=HERE / "gallery")
    parser.add_argument("--out", type=pathlib.Path)
    args = parser.parse_args()
    torch.set_num_threads(2)
    model = tf.CLIPModel.from_pretrained(args.model, dtype=torch.float32).eval()
    tokenizer = tf.AutoTokenizer.from_pretrained(args.model)
    processor = CLIPImageProcessorPil.from_pretrained(args.model)
    figures = {"held_out": evaluate(model, tokenizer, processor, args.scenes, args.singles),
               "gallery": evaluate_gallery(model, tokenizer, processor, args.gallery)}
    text = json.dumps(figures, indent=1)
    print(text)
    if args.out:
        args.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
