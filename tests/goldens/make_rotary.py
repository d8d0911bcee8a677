#!/usr/bin/env python3
"""Writes rotary.safetensors: rotary positions by transformers, in float32.

    python3 make_rotary.py        (needs torch, transformers 5, safetensors)

llama.*: inv_freq of a base, and cos, sin [positions, D / 2] at llama.position. grid.*: DINOv3's for a grid of patches.
mrope.*: Qwen2-VL's, whose columns take one of three axes by sections. turned.halves (Llama's rotate_half) and
turned.adjacent (GPT-J's rotate_every_two): x [T, H, D] turned by turned.cos and turned.sin, the second of the first 12
numbers of each head alone.
"""
import os
import pathlib
import types

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers as tf
from safetensors.torch import save_file
from transformers.models.dinov3_vit.modeling_dinov3_vit import DINOv3ViTRopePositionEmbedding
from transformers.models.gptj import modeling_gptj
from transformers.models.llama import modeling_llama
from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2VLRotaryEmbedding

from common import versions

POSITIONS = [0, 1, 2, 3, 17, 511, 1000, 4096, 8191, 40961, 131071]
SECTIONS = [4, 6, 6]


def main():
    g = torch.Generator().manual_seed(0)
    out = {"llama.position": torch.tensor(POSITIONS)}
    for base in (10000.0, 500000.0):
        config = tf.LlamaConfig(hidden_size=128, num_attention_heads=2, rope_parameters={"rope_type": "default", "rope_theta": base})
        rope = modeling_llama.LlamaRotaryEmbedding(config)
        cos, sin = rope(torch.zeros(1), torch.tensor([POSITIONS]))
        name = f"llama.{int(base)}."
        out |= {name + "inv_freq": rope.inv_freq, name + "cos": cos[0, :, :32], name + "sin": sin[0, :, :32]}
    for h, w in ((1, 1), (3, 5), (14, 14), (9, 2)):
        config = tf.DINOv3ViTConfig(hidden_size=48, num_attention_heads=2, patch_size=4, image_size=16)
        rope = DINOv3ViTRopePositionEmbedding(config).eval()
        cos, sin = rope(torch.zeros(1, 3, 4 * h, 4 * w))
        out |= {f"grid.{h}x{w}.cos": cos[:, :12], f"grid.{h}x{w}.sin": sin[:, :12], "grid.inv_freq": rope.inv_freq}
    position = torch.randint(0, 300, (3, 20), generator=g)
    config = types.SimpleNamespace(max_position_embeddings=1000, head_dim=32, rope_parameters={"rope_type": "default", "rope_theta": 1000000.0, "mrope_section": SECTIONS})
    rope = Qwen2VLRotaryEmbedding(config)
    cos, sin = rope(torch.zeros(1), position[:, None])
    out |= {"mrope.position": position, "mrope.inv_freq": rope.inv_freq, "mrope.cos": cos[0, :, :16], "mrope.sin": sin[0, :, :16]}
    x = torch.randn(7, 3, 20, generator=g)
    angles = 3 * torch.randn(7, 10, generator=g)
    cos, sin = angles.cos(), angles.sin()
    double = lambda t: torch.cat([t, t], dim=-1)
    halves, _ = modeling_llama.apply_rotary_pos_emb(x[None].transpose(1, 2), x[None].transpose(1, 2), double(cos)[None], double(sin)[None])
    part = modeling_gptj.apply_rotary_pos_emb(x[None, :, :, :12], sin[None, :, :6], cos[None, :, :6])[0]
    out |= {"turned.x": x, "turned.cos": cos, "turned.sin": sin, "turned.halves": halves[0].transpose(0, 1), "turned.adjacent": torch.cat([part, x[:, :, 12:]], dim=-1)}
    out = {k: v.detach().clone().contiguous() for k, v in out.items()}
    save_file(out, str(pathlib.Path(__file__).parent / "rotary.safetensors"), metadata={"seed": "0", **versions("torch", "transformers", "safetensors")})


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
