#!/usr/bin/env python3
"""Held-out figures of a dual encoder: retrieval among scenes, zero-shot classes, binding.

    python3 evaluate.py [--model model] [--scenes 500] [--out FILE.json]

Scenes come from seeds that training never draws. Needs torch, transformers, numpy, Pillow.

retrieval   scenes of 2-3 objects, each with a full caption, no two captions alike: R@1 and R@5, both ways
zero_shot   scenes of one object, 64 classes colour x shape, prompts "a red circle"
binding     the caption against the same with two attributes swapped between objects, or with one relation reversed:
            how often the image is nearer to the true one (0.5 is chance)
"""
import argparse
import json
import os
import pathlib
import random

os.environ["HF_HUB_OFFLINE"] = os.environ["TQDM_DISABLE"] = "1"

import numpy
import torch
import torch.nn.functional as F
from PIL import Image

import captions as words
from render import Scene

HELD_OUT = 900_000_000  # the first seed here; train.py begins at 0, render.py's galleries at multiples of a million


def held_out_scenes(count, objects, first=HELD_OUT):
    """count scenes with captions that are all different: (scene, caption, what it tells)."""
    found, seen, seed = [], set(), first
    while len(found) < count:
        scene = Scene(seed, objects)
        text, told = words.caption(random.Random(seed), scene.rows, scene.places, full=True)
        seed += 1
        if text not in seen:
            seen.add(text)
            found.append((scene, text, told))
    return found


@torch.inference_mode()
def embed_images(model, pictures):
    """pictures: [H, W, 3] uint8 arrays or Pillow images. Unit rows."""
    from train import make_processor
    processor = make_processor()
    rows = []
    for i in range(0, len(pictures), 128):
        values = processor(images=[Image.fromarray(p) if isinstance(p, numpy.ndarray) else p for p in pictures[i:i + 128]], return_tensors="pt")
        rows.append(model.visual_projection(model.vision_model(**values).pooler_output))
    return F.normalize(torch.cat(rows), dim=-1)


@torch.inference_mode()
def embed_texts(model, tokenizer, texts):
    rows = []
    for i in range(0, len(texts), 128):
        ids = tokenizer(texts[i:i + 128], padding=True, return_tensors="pt").input_ids
        rows.append(model.text_projection(model.text_model(input_ids=ids).pooler_output))
    return F.normalize(torch.cat(rows), dim=-1)


def recall(similarity, k):
    """Of each row, whether its own column is among the k largest; a tie counts against it."""
    own = similarity.diagonal()[:, None]
    return ((similarity >= own).sum(1) <= k).float().mean().item()


def retrieval(model, tokenizer, count):
    found = held_out_scenes(count, (2, 3))
    images = embed_images(model, [s.draw() for s, *_ in found])
    texts = embed_texts(model, tokenizer, [t for _, t, *_ in found])
    return found, images, texts


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


def zero_shot(model, tokenizer, count):
    labels = [(c, s) for c in range(len(words.COLOURS)) for s in range(len(words.SHAPES))]
    scenes = [Scene(HELD_OUT + 50_000_000 + i, (1,)) for i in range(count)]
    images = embed_images(model, [s.draw() for s in scenes])
    classes = embed_texts(model, tokenizer, [words.prompt(*l) for l in labels])
    best = (images @ classes.T).argmax(1).tolist()
    return sum(labels[b] == s.rows[0][:2] for b, s in zip(best, scenes)) / count


def evaluate(model, tokenizer, scenes=500, singles=2000):
    found, images, texts = retrieval(model, tokenizer, scenes)
    similarity = texts @ images.T
    figures = {"text_to_image_R@1": recall(similarity, 1), "text_to_image_R@5": recall(similarity, 5),
               "image_to_text_R@1": recall(similarity.T, 1), "image_to_text_R@5": recall(similarity.T, 5),
               "zero_shot": zero_shot(model, tokenizer, singles)}
    for kind, (share, count) in binding(model, tokenizer, found, images, texts).items():
        figures["binding_" + kind] = share
        figures["binding_" + kind + "_scenes"] = count
    return {k: round(v, 4) for k, v in figures.items()}


def main():
    import transformers as tf
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent / "model")
    parser.add_argument("--scenes", type=int, default=500)
    parser.add_argument("--singles", type=int, default=2000)
    parser.add_argument("--out", type=pathlib.Path)
    args = parser.parse_args()
    torch.set_num_threads(2)
    model = tf.CLIPModel.from_pretrained(args.model, dtype=torch.float32).eval()
    tokenizer = tf.AutoTokenizer.from_pretrained(args.model)
    figures = json.dumps(evaluate(model, tokenizer, args.scenes, args.singles), indent=1)
    print(figures)
    if args.out:
        args.out.write_text(figures + "\n")


if __name__ == "__main__":
    main()
