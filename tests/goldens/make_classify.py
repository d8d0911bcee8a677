#!/usr/bin/env python3
"""Writes classify/: a tokenizer and an image processor for the folders clip and siglip of tiny_image, and what transformers
makes of labels and of images with them.

    python3 make_classify.py        (needs torch, transformers 5, tokenizers, Pillow)

The files of classify/NAME go beside tiny_image/NAME's config.json and weights. golden.json has, for templates, labels and
images of images/: probabilities [images, labels] (CLIP: softmax of logits_per_image; SigLIP: its sigmoid) and cosines
[labels, images]; by processor and model, the model in float64, stored in double.
"""
import json
import os
import pathlib

os.environ["HF_HUB_OFFLINE"] = os.environ["TQDM_DISABLE"] = "1"

import tokenizers as tk
import torch
import transformers as tf
from transformers.image_utils import load_image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from common import versions

HERE = pathlib.Path(__file__).parent
LABELS = ["red circle", "blue square", "a small green star", "snow", "a very long label of many words that is cut off where the positions end and not before", "Élan"]
TEMPLATES = ["{}", "a photo of a {}", "{}, or is it a {} ?"]
IMAGES = ["420.jpg", "rgb.png", "palette.png", "gray-alpha.png", "lossy.webp", "exif-6.jpg", "plain.ppm"]
WORDS = "a photo of red blue green circle square star small large snow very long label many words that is cut off where the positions end and not before or it élan , ?".split()
PROCESSORS = {"clip": (CLIPImageProcessorPil, {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 30}, "crop_size": 30}),
              "siglip": (SiglipImageProcessorPil, {"image_processor_type": "SiglipImageProcessor", "size": {"height": 30, "width": 30}, "resample": 2})}  # fmt: skip


def tokenizer_of(name):
    vocabulary = {"<pad>": 0, "</s>": 1, "<unk>": 2} | {w: i + 5 for i, w in enumerate(WORDS)}
    begin, end = ("<s>", "<e>") if name == "clip" else (None, "</s>")
    if name == "clip":  # the model's eos_token_id
        vocabulary |= {"<s>": 97, "<e>": 98}
    t = tk.Tokenizer(tk.models.WordLevel(vocabulary, unk_token="<unk>"))
    t.normalizer = tk.normalizers.Sequence([tk.normalizers.NFC(), tk.normalizers.Lowercase()])
    t.pre_tokenizer = tk.pre_tokenizers.Whitespace()
    special = [(w, vocabulary[w]) for w in (begin, end) if w]
    t.post_processor = tk.processors.TemplateProcessing(single=f"{begin} $A {end}" if begin else f"$A {end}", special_tokens=special)
    t.add_special_tokens([w for w, _ in special] + ["<unk>", "<pad>"])
    # SigLIP's pad is its config's default, 1: the end token too
    return tf.PreTrainedTokenizerFast(tokenizer_object=t, model_max_length=16, eos_token=end, unk_token="<unk>", pad_token="</s>" if name == "siglip" else "<pad>", padding_side="right")


def main():
    out = {"versions": versions("torch", "transformers", "tokenizers", "pillow"), "labels": LABELS, "templates": TEMPLATES, "images": IMAGES}
    for name, (cls, config) in PROCESSORS.items():
        folder = HERE / "classify" / name
        folder.mkdir(parents=True, exist_ok=True)
        tokenizer = tokenizer_of(name)
        tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
        (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 16}) + "\n")
        (folder / "preprocessor_config.json").write_text(json.dumps(config) + "\n")
        processor = cls(**{k: v for k, v in config.items() if k != "image_processor_type"})
        model = tf.AutoModel.from_pretrained(HERE / "tiny_image" / name, dtype=torch.float64, attn_implementation="eager").eval()
        pixels = processor([load_image(str(HERE / "images" / i)) for i in IMAGES], return_tensors="pt")["pixel_values"]
        out[name] = []
        for template in TEMPLATES:
            texts = [template.replace("{}", label) for label in LABELS]
            tokens = tokenizer(texts, return_tensors="pt", truncation=True, padding="max_length" if name == "siglip" else True)
            mask = {} if name == "siglip" else {"attention_mask": tokens["attention_mask"]}
            with torch.inference_mode():
                y = model(input_ids=tokens["input_ids"], pixel_values=pixels.double(), **mask)
            logits = y.logits_per_image
            p = logits.sigmoid() if name == "siglip" else logits.softmax(-1)
            out[name].append({"probabilities": p.tolist(), "cosines": (y.text_embeds @ y.image_embeds.T).tolist()})
            print(name, repr(template), p[:2])
    (HERE / "classify" / "golden.json").write_text(json.dumps(out).replace('"clip": [', '\n"clip": [').replace('"siglip": [', '\n"siglip": [') + "\n")


if __name__ == "__main__":
    tf.logging.set_verbosity_error()
    main()
