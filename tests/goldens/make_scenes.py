#!/usr/bin/env python3
"""Writes scenes.safetensors and scenes.json: what transformers computes with the model in examples/scenes/model for pictures
of its gallery and for texts.

    python3 make_scenes.py        (needs torch, transformers 5, safetensors, Pillow)

The model runs in float64 from its stored weights, with eager attention; results are stored as float32.
scenes.json: names of the pictures and the texts, versions, and `gallery`, which evaluate.py counted.
"""
import io
import json
import os
import pathlib
import tarfile

os.environ["HF_HUB_OFFLINE"] = os.environ["TQDM_DISABLE"] = "1"

import torch
import transformers as tf
from PIL import Image
from safetensors.torch import save_file
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from common import file_sha256, versions

HERE = pathlib.Path(__file__).resolve().parent
SCENES = HERE.parents[1] / "examples" / "scenes"
PICTURES = [0, 1, 3, 57, 123, 200, 298]
TEXTS = ["a red circle", "an orange star", "Blue Square above a green thing", "a wombat left of a heart", "", "something striped, and a ring!"]


def main():
    captions = dict(line.split("\t") for line in (SCENES / "gallery" / "captions.tsv").read_text().splitlines())
    names = [f"scene_{i:03d}.png" for i in PICTURES]
    texts = TEXTS + [captions[n] for n in names[:3]]
    with tarfile.open(SCENES / "gallery" / "scenes.tar") as tar:
        pictures = [Image.open(io.BytesIO(tar.extractfile(n).read())).convert("RGB") for n in names]
    tokenizer = tf.AutoTokenizer.from_pretrained(SCENES / "model")
    processor = CLIPImageProcessorPil.from_pretrained(SCENES / "model")
    model = tf.CLIPModel.from_pretrained(SCENES / "model", dtype=torch.float64).eval()
    model.set_attn_implementation("eager")
    with torch.inference_mode():
        ids = tokenizer(texts, padding=True, return_tensors="pt")
        y = model(input_ids=ids.input_ids, attention_mask=ids.attention_mask,
                  pixel_values=processor(pictures, return_tensors="pt").pixel_values.double())
    out = {"image_embeds": y.image_embeds, "text_embeds": y.text_embeds, "logits_per_image": y.logits_per_image}
    save_file({k: v.float().contiguous() for k, v in out.items()}, str(HERE / "scenes.safetensors"))
    figures = json.loads((SCENES / "figures.json").read_text())
    info = {"command": "python3 make_scenes.py", "versions": versions("torch", "transformers", "tokenizers", "pillow"),
            "model_sha256": file_sha256(SCENES / "model" / "model.safetensors"), "pictures": names, "texts": texts,
            "input_ids": [tokenizer(t).input_ids for t in texts], "gallery": figures["gallery"]}
    (HERE / "scenes.json").write_text(json.dumps(info, indent=1) + "\n")


if __name__ == "__main__":
    main()
