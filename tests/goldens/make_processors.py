#!/usr/bin/env python3
"""Writes processors.json: pixel_values of transformers' image processors, on Pillow and on torchvision, for pictures drawn by a
formula (common.draw), as 64-bit FNV-1a hashes of their float32 bytes, and the configurations themselves. SigLIP 2's are
rows of patches.

    python3 make_processors.py        (needs transformers 5, Pillow, torch, torchvision)
"""
import json
import pathlib

import numpy
import transformers
from PIL import Image
from transformers.models.bit import image_processing_bit, image_processing_pil_bit
from transformers.models.blip import image_processing_blip, image_processing_pil_blip
from transformers.models.clip import image_processing_clip, image_processing_pil_clip
from transformers.models.deit import image_processing_deit, image_processing_pil_deit
from transformers.models.dinov3_vit import image_processing_dinov3_vit
from transformers.models.siglip import image_processing_pil_siglip, image_processing_siglip
from transformers.models.siglip2 import image_processing_pil_siglip2, image_processing_siglip2
from transformers.models.vit import image_processing_pil_vit, image_processing_vit

from common import draw, fnv, versions

CLASSES = {
    "Bit": (image_processing_pil_bit.BitImageProcessorPil, image_processing_bit.BitImageProcessor),
    "Blip": (image_processing_pil_blip.BlipImageProcessorPil, image_processing_blip.BlipImageProcessor),
    "CLIP": (image_processing_pil_clip.CLIPImageProcessorPil, image_processing_clip.CLIPImageProcessor),
    "DeiT": (image_processing_pil_deit.DeiTImageProcessorPil, image_processing_deit.DeiTImageProcessor),
    "DINOv3ViT": (None, image_processing_dinov3_vit.DINOv3ViTImageProcessor),
    "Siglip": (image_processing_pil_siglip.SiglipImageProcessorPil, image_processing_siglip.SiglipImageProcessor),
    "Siglip2": (image_processing_pil_siglip2.Siglip2ImageProcessorPil, image_processing_siglip2.Siglip2ImageProcessor),
    "ViT": (image_processing_pil_vit.ViTImageProcessorPil, image_processing_vit.ViTImageProcessor),
}
IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
CONFIGS = [
    *({"image_processor_type": f"{name}ImageProcessor"} for name in CLASSES),
    {"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}, "resample": 3, **IMAGENET},
    {"feature_extractor_type": "CLIPFeatureExtractor", "size": 60, "crop_size": 49, "resample": 3},
    {"image_processor_type": "ViTImageProcessorFast", "size": 97, "do_rescale": True, "do_normalize": False},
    {"image_processor_type": "ViTImageProcessor", "size": {"height": 61, "width": 83}, "resample": 3, "do_rescale": False, "image_mean": [120, 110, 100], "image_std": [60, 61, 62]},
    {"image_processor_type": "CLIPImageProcessor", "do_resize": False, "crop_size": {"height": 50, "width": 61}},
    {"image_processor_type": "CLIPImageProcessor", "do_resize": False, "crop_size": {"height": 230, "width": 91}, "rescale_factor": 0.00392156862745098},
    {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 55, "longest_edge": 80}, "do_center_crop": False, **IMAGENET},
    {"image_processor_type": "SiglipImageProcessor", "size": {"height": 64, "width": 64}, "resample": 2},
    {"image_processor_type": "SiglipImageProcessor", "size": {"height": 20, "width": 30}, "resample": 2, "rescale_factor": 0.01, "do_normalize": None},
    {"image_processor_type": "Siglip2ImageProcessorFast", "patch_size": 7, "max_num_patches": 61, "resample": 3},
    {"image_processor_type": "Siglip2ImageProcessor", "patch_size": 14, "max_num_patches": 1024, **IMAGENET},
    {"image_processor_type": "DINOv3ViTImageProcessorFast", "size": {"height": 30, "width": 47}, "resample": 3},
    {"image_processor_type": "DINOv3ViTImageProcessor", "size": {"shortest_edge": 64}, "do_center_crop": True, "crop_size": {"height": 55, "width": 71}, "rescale_factor": 0.004},
    {"image_processor_type": "DINOv3ViTImageProcessor", "do_resize": False, "do_normalize": False},
]  # fmt: skip
PICTURES = [("noise", 100, 75), ("ramp", 75, 100), ("checkers", 224, 224), ("noise", 31, 200), ("ramp", 333, 250), ("noise", 55, 80)]


def main():
    cases = []
    for config in CONFIGS:
        kind = (config.get("image_processor_type") or config["feature_extractor_type"]).replace("ImageProcessorFast", "").replace("ImageProcessor", "").replace("FeatureExtractor", "")
        options = {k: v for k, v in config.items() if not k.endswith("_type")}
        entry = {"config": config, "pixel_values": []}
        for backend, cls in zip(("pil", "torchvision"), CLASSES[kind]):
            if cls is None:
                continue
            processor = cls(**options)
            for picture, width, height in PICTURES:
                image = Image.fromarray(draw(picture, width, height, 3))
                out = processor(image, return_tensors="np")
                values = out["pixel_values"][0]
                assert values.dtype == numpy.float32, values.dtype
                size = values.shape[1:]
                if kind == "Siglip2":  # without the padding, which the mask says
                    size = [int(n) * processor.patch_size for n in out["spatial_shapes"][0]]
                    values = values[out["pixel_attention_mask"][0] == 1]
                entry["pixel_values"].append([backend, picture, width, height, *size, fnv(numpy.ascontiguousarray(values).tobytes())])
        cases.append(entry)
    out = {"versions": versions("transformers", "pillow", "torch", "torchvision", "numpy"), "cases": cases}
    (pathlib.Path(__file__).parent / "processors.json").write_text(json.dumps(out).replace('{"config"', '\n{"config"').replace("], [", "],\n [") + "\n")


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    main()
