#!/usr/bin/env python3
"""Writes tiny_image/: random image and image-text folders of odd sizes with what transformers computes for them.

    python3 make_tiny_image.py        (needs torch, transformers 5, safetensors)

Every parameter is randomised (common.randomise). Models run in float64 with eager attention; results are stored as float32.
Each folder: config.json, model.safetensors, and golden.safetensors: pixel_values[.N] (several sizes) with
last_hidden_state[.N] and pooler_output[.N], and for models with two towers input_ids, text_last_hidden_state, text_embeds,
image_embeds, logits_per_image. SigLIP 2's pixel_values are rows of patches, filled up with zeros, beside pixel_attention_mask[.N]
and spatial_shapes[.N].
"""
import json
import os
import pathlib
import shutil

os.environ["HF_HUB_OFFLINE"] = os.environ["TQDM_DISABLE"] = "1"

import torch
import transformers as tf
from safetensors.torch import save_file

from common import randomise, versions

HERE = pathlib.Path(__file__).parent / "tiny_image"
SMALL = dict(hidden_size=20, num_attention_heads=4, intermediate_size=37, num_hidden_layers=2, image_size=28, patch_size=7)
TEXT = dict(hidden_size=36, num_attention_heads=3, intermediate_size=50, num_hidden_layers=2, vocab_size=99, max_position_embeddings=16)
VISION = dict(hidden_size=28, num_attention_heads=2, intermediate_size=45, num_hidden_layers=2, image_size=30, patch_size=6)
NAFLEX = {**{k: v for k, v in VISION.items() if k != "image_size"}, "num_patches": 25}
# name, model, sizes besides the model's own (SigLIP 2: patches of each image of a batch), dtype
MODELS = [
    ("vit_p7", lambda: tf.ViTModel(tf.ViTConfig(**SMALL)), [(35, 21), (14, 50)], torch.float32),
    ("vit_classifier", lambda: tf.ViTForImageClassification(tf.ViTConfig(**{**SMALL, "hidden_size": 24, "qkv_bias": False, "hidden_act": "gelu_pytorch_tanh"})), [(28, 56)], torch.float32),
    ("vit_gray_f16", lambda: tf.ViTModel(tf.ViTConfig(**{**SMALL, "num_channels": 1, "pooler_act": "relu"})), [], torch.float16),
    ("deit_p7", lambda: tf.DeiTModel(tf.DeiTConfig(**SMALL)), [(42, 28)], torch.float32),
    ("dinov2_p7", lambda: tf.Dinov2Model(tf.Dinov2Config(**{**SMALL, "intermediate_size": None, "mlp_ratio": 3})), [(56, 35), (30, 33)], torch.float32),
    ("dinov2_swiglu_bf16", lambda: tf.Dinov2Model(tf.Dinov2Config(**{**SMALL, "intermediate_size": None, "use_swiglu_ffn": True})), [(21, 28)], torch.bfloat16),
    ("dinov2_registers", lambda: tf.Dinov2WithRegistersModel(tf.Dinov2WithRegistersConfig(**{**SMALL, "intermediate_size": None, "num_register_tokens": 3})), [(35, 35)], torch.float32),
    ("clip", lambda: tf.CLIPModel(tf.CLIPConfig(text_config={**TEXT, "eos_token_id": 98}, vision_config=VISION, projection_dim=18)), [(36, 24)], torch.float32),
    ("clip_old_eos_f16", lambda: tf.CLIPModel(tf.CLIPConfig(text_config={**TEXT, "eos_token_id": 2, "hidden_act": "gelu"}, vision_config={**VISION, "hidden_act": "gelu"}, projection_dim=13)), [], torch.float16),
    ("clip_vision", lambda: tf.CLIPVisionModel(tf.CLIPVisionConfig(**VISION)), [(18, 48)], torch.float32),
    ("siglip", lambda: tf.SiglipModel(tf.SiglipConfig(text_config={**TEXT, "projection_size": 28}, vision_config=VISION)), [(42, 30)], torch.float32),
    ("siglip_vision_no_head", lambda: tf.SiglipVisionModel(tf.SiglipVisionConfig(**{**VISION, "vision_use_head": False})), [], torch.float32),
    ("siglip2", lambda: tf.Siglip2Model(tf.Siglip2Config(text_config={**TEXT, "projection_size": 28}, vision_config=NAFLEX)), [[(3, 8), (6, 4)], [(1, 11), (9, 1), (5, 5)]], torch.float32),
    ("siglip2_vision_bf16", lambda: tf.Siglip2VisionModel(tf.Siglip2VisionConfig(**NAFLEX)), [[(2, 3)]], torch.bfloat16),
    ("dinov3", lambda: tf.DINOv3ViTModel(tf.DINOv3ViTConfig(**{**SMALL, "hidden_size": 24, "num_attention_heads": 2, "num_register_tokens": 3})), [(35, 56), (7, 30)], torch.float32),
    ("dinov3_gated", lambda: tf.DINOv3ViTModel(tf.DINOv3ViTConfig(**{**SMALL, "hidden_size": 32, "use_gated_mlp": True, "hidden_act": "silu", "query_bias": False, "key_bias": True, "value_bias": False, "rope_theta": 50.0, "layer_norm_eps": 1e-3})), [(21, 28)], torch.float32),
]


def ids_for(name, g):
    ids = torch.randint(3, 90, (4, 16), generator=g)
    if name.startswith("clip"):  # an end token somewhere, after it more of them
        for row, at in enumerate((15, 9, 1, 4)):
            ids[row, at:] = 98
    return ids


def naflex(shapes, patch, channels, g):
    """Patches of images of several sizes, as Siglip2ImageProcessor gives them: rows, columns, channels; zeros at the end."""
    most = 2 + max(h * w for h, w in shapes)
    pixels, mask = torch.zeros(len(shapes), most, patch * patch * channels), torch.zeros(len(shapes), most, dtype=torch.int32)
    for b, (h, w) in enumerate(shapes):
        pixels[b, : h * w] = torch.randn(h * w, patch * patch * channels, generator=g)
        mask[b, : h * w] = 1
    return {"pixel_values": pixels, "pixel_attention_mask": mask, "spatial_shapes": torch.tensor(shapes)}


def main():
    shutil.rmtree(HERE, ignore_errors=True)
    for seed, (name, make, sizes, dtype) in enumerate(MODELS):
        folder = HERE / name
        model = make()
        randomise(model, seed)
        with torch.no_grad():
            for n, p in model.named_parameters():
                if n.endswith(("logit_scale", "logit_bias")):
                    p.fill_(1.7 if n.endswith("scale") else -2.3)
        model.to(dtype).save_pretrained(folder)
        model = model.double().eval()
        model.set_attn_implementation("eager")
        vision = getattr(model, "vision_model", None) or getattr(model, "vit", None) or model
        dual = hasattr(model, "text_model")
        config = getattr(model.config, "vision_config", model.config)
        g = torch.Generator().manual_seed(100 + seed)
        out = {}
        with torch.inference_mode():
            own = [(5, 5), (5, 5)] if "siglip2" in name else (config.image_size, config.image_size)
            for number, size in enumerate([own, *sizes]):
                # DINOv2 interpolates always, DINOv3 has no table, and neither has such an argument
                more = {} if "dino" in name else {"interpolate_pos_encoding": True}
                if "siglip2" in name:
                    more = naflex(size, config.patch_size, config.num_channels, g)
                    pixels = more.pop("pixel_values")
                else:
                    pixels = torch.randn(2, config.num_channels, *size, generator=g)
                y = vision(pixel_values=pixels.double(), **more)
                tag = f".{number}" if number else ""
                out |= {"pixel_values" + tag: pixels} | {k + tag: v for k, v in more.items() if k != "interpolate_pos_encoding"}
                out["last_hidden_state" + tag] = y.last_hidden_state
                if y.pooler_output is not None:
                    out["pooler_output" + tag] = y.pooler_output
            if dual:
                ids = ids_for(name, g)
                more = {k: out[k] for k in ("pixel_attention_mask", "spatial_shapes") if k in out}
                y = model(input_ids=ids, pixel_values=out["pixel_values"].double(), **more)
                out |= {"input_ids": ids, "text_last_hidden_state": y.text_model_output.last_hidden_state, "text_embeds": y.text_embeds, "image_embeds": y.image_embeds, "logits_per_image": y.logits_per_image}
        out = {k: (v.float() if v.is_floating_point() else v).contiguous() for k, v in out.items()}
        save_file(out, str(folder / "golden.safetensors"), metadata={"format": "pt"})
        (folder / "golden.json").write_text(json.dumps({"command": "python3 make_tiny_image.py", "seed": seed, "versions": versions("torch", "transformers", "safetensors")}) + "\n")
        size = sum(f.stat().st_size for f in folder.iterdir())
        print(f"{name:24s} {size / 1024:6.0f} KiB")
        assert size < 600 * 1024


if __name__ == "__main__":
    main()
