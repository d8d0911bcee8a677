#!/usr/bin/env python3
"""Writes attention.safetensors: attention probabilities of folders of tiny_image for the first of golden.safetensors'
pixel_values, and attention rollout of them (Abnar, Zuidema, arXiv:2005.00928).

    python3 make_attention.py        (needs torch, transformers 5, safetensors)

NAME.attentions [layers, heads, T, T] as transformers has them (eager, float64, stored as float32), and NAME.rollout [layers, T, T]:
row-normalised A + I of the mean over heads, multiplied up to each layer.
"""
import json
import os
import pathlib

os.environ["HF_HUB_OFFLINE"] = os.environ["TQDM_DISABLE"] = "1"

import torch
import transformers as tf
from safetensors.torch import load_file, save_file

from common import versions

HERE = pathlib.Path(__file__).parent
NAMES = ["vit_p7", "deit_p7", "dinov2_registers", "clip", "siglip"]


def main():
    out = {}
    for name in NAMES:
        model = tf.AutoModel.from_pretrained(HERE / "tiny_image" / name, dtype=torch.float64, attn_implementation="eager").eval()
        vision = getattr(model, "vision_model", None) or model
        pixels = load_file(HERE / "tiny_image" / name / "golden.safetensors")["pixel_values"][:1].double()
        with torch.inference_mode():
            maps = torch.cat(vision(pixel_values=pixels, output_attentions=True).attentions)
        rollout, steps = torch.eye(maps.shape[-1], dtype=torch.float64), []
        for layer in maps.mean(1):
            mixed = layer + torch.eye(len(layer))
            rollout = (mixed / mixed.sum(-1, keepdim=True)) @ rollout
            steps.append(rollout)
        out |= {f"{name}.attentions": maps.float().contiguous(), f"{name}.rollout": torch.stack(steps).float().contiguous()}
        print(name, tuple(maps.shape))
    save_file(out, str(HERE / "attention.safetensors"), metadata={"versions": json.dumps(versions("torch", "transformers"))})


if __name__ == "__main__":
    tf.logging.set_verbosity_error()
    main()
