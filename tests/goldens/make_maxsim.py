#!/usr/bin/env python3
"""Writes maxsim.safetensors and maxsim.json: late interaction of texts and images by the folders clip and siglip of tiny_image.

    python3 make_maxsim.py        (needs torch, transformers 5, tokenizers, Pillow; after make_tiny_image.py and make_classify.py)

A token or a patch is what transformers' own head makes of its last hidden state alone, of unit length. CLIP: text_projection;
post_layernorm and visual_projection. SigLIP: text_model.head; vision_model.head of a sequence of that one patch. Special
tokens and padding have no row. maxsim.safetensors: NAME.values [images, texts x tokens, patches], inner products in float64,
stored as float32, texts one after the other; maxsim.json: texts, images, tokens; scores [images][texts]; best patches and their values
[images][texts][tokens]. Best patches are ahead of the others by more than MARGIN, so that they are the same in float32.
"""
import json
import os
import pathlib

os.environ["HF_HUB_OFFLINE"] = os.environ["TQDM_DISABLE"] = "1"

import torch
import transformers as tf
from safetensors.torch import save_file
from transformers.image_utils import load_image

from common import versions
from make_classify import PROCESSORS, tokenizer_of

HERE = pathlib.Path(__file__).parent
TEXTS = ["a red circle", "snow", "Élan , or a very long label of many words that is cut off where the positions end", ""]
IMAGES = ["420.jpg", "rgb.png", "lossy.webp"]
MARGIN = 1e-5


def unit(x):
    return x / x.norm(dim=-1, keepdim=True)


def main():
    out, tensors = {"versions": versions("torch", "transformers", "tokenizers", "pillow"), "texts": TEXTS, "images": IMAGES}, {}
    for name, (cls, config) in PROCESSORS.items():
        processor = cls(**{k: v for k, v in config.items() if k != "image_processor_type"})
        tokenizer = tokenizer_of(name)
        model = tf.AutoModel.from_pretrained(HERE / "tiny_image" / name, dtype=torch.float64, attn_implementation="eager").eval()
        pixels = processor([load_image(str(HERE / "images" / i)) for i in IMAGES], return_tensors="pt")["pixel_values"].double()
        with torch.inference_mode():
            states = model.vision_model(pixel_values=pixels).last_hidden_state
            if name == "clip":
                patches = model.visual_projection(model.vision_model.post_layernorm(states[:, 1:]))
            else:
                patches = torch.stack([model.vision_model.head(states[:, j : j + 1]) for j in range(states.shape[1])], 1)
            patches, tokens, names = unit(patches), [], []
            for text in TEXTS:
                own = tokenizer(text, return_tensors="pt", truncation=True, padding="max_length" if name == "siglip" else True, return_special_tokens_mask=True)
                mask = {} if name == "siglip" else {"attention_mask": own["attention_mask"]}
                hidden = model.text_model(input_ids=own["input_ids"], **mask).last_hidden_state[0]
                rows = model.text_projection(hidden) if name == "clip" else model.text_model.head(hidden)
                keep = [i for i, token in enumerate(own["input_ids"][0].tolist()) if tokenizer.convert_ids_to_tokens(token) not in ("<s>", "<e>", "</s>", "<pad>")]
                tokens.append(unit(rows[keep]))
                names.append(tokenizer.convert_ids_to_tokens(own["input_ids"][0][keep].tolist()))
            maps = [[t @ p.T for t in tokens] for p in patches]
            for row in maps:
                for m in row:
                    if len(m):
                        two = m.topk(2, -1).values
                        assert (two[:, 0] - two[:, 1]).min() > MARGIN
        tensors[f"{name}.values"] = torch.stack([torch.cat(row) for row in maps]).float().contiguous()
        out[name] = {
            "grid": [30 // 6, 30 // 6],
            "tokens": names,
            "scores": [[m.max(-1).values.sum().item() if len(m) else 0.0 for m in row] for row in maps],
            "best": [[m.argmax(-1).tolist() if len(m) else [] for m in row] for row in maps],
            "values": [[m.max(-1).values.tolist() if len(m) else [] for m in row] for row in maps],
        }
        print(name, names, out[name]["scores"])
    (HERE / "maxsim.json").write_text(json.dumps(out).replace('"clip": {', '\n"clip": {').replace('"siglip": {', '\n"siglip": {') + "\n")
    save_file(tensors, str(HERE / "maxsim.safetensors"), metadata={"versions": json.dumps(out["versions"])})


if __name__ == "__main__":
    tf.logging.set_verbosity_error()
    main()
