#!/usr/bin/env python3
"""Write benchmark model folders in the Hugging Face layout: published sizes, random weights.

    python make_models.py OUT [NAME ...]      # no NAME: all of them

Text towers of the image models have one layer, as only the image towers are timed; clip_b32 has both whole. Speed does not depend on the weights' values;
anything about accuracy wants real ones. Seeded, so that two runs write the same numbers. Needs: torch, transformers.
"""
import pathlib
import sys

import torch
import transformers as tf

ENCODERS = {
    "minilm_l6": dict(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536),
    "minilm_l12": dict(hidden_size=384, num_hidden_layers=12, num_attention_heads=12, intermediate_size=1536),
    "bert_base": dict(),
    "bert_large": dict(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096),
}
LARGE = dict(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096)
DECODERS = {
    "qwen2_05b": lambda: tf.Qwen2Model(tf.Qwen2Config(hidden_size=896, num_hidden_layers=24, num_attention_heads=14, num_key_value_heads=2, intermediate_size=4864, vocab_size=151936)),
}
VISION = {
    "vit_b16": lambda: tf.ViTModel(tf.ViTConfig()),
    "vit_l16_384": lambda: tf.ViTModel(tf.ViTConfig(**LARGE, image_size=384)),
    "dinov2_s14": lambda: tf.Dinov2Model(tf.Dinov2Config(hidden_size=384, num_attention_heads=6, image_size=224)),
    "clip_l14_336": lambda: tf.CLIPModel(tf.CLIPConfig(text_config=dict(hidden_size=768, num_attention_heads=12, intermediate_size=3072, num_hidden_layers=1),
                                                       vision_config=dict(**LARGE, patch_size=14, image_size=336), projection_dim=768)),
    "clip_b32": lambda: tf.CLIPModel(tf.CLIPConfig()),
    "siglip_b16": lambda: tf.SiglipModel(tf.SiglipConfig(text_config=dict(num_hidden_layers=1), vision_config=dict(image_size=224, patch_size=16))),
}


def main():
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    out = pathlib.Path(sys.argv[1])
    models = {n: lambda sizes=sizes: tf.BertModel(tf.BertConfig(**sizes)) for n, sizes in ENCODERS.items()} | DECODERS | VISION
    names = sys.argv[2:] or list(models)
    unknown = [n for n in names if n not in models]
    if unknown:
        sys.exit(f"unknown model {unknown[0]}; one of: {', '.join(models)}")
    for name in names:
        torch.manual_seed(0)
        model = models[name]()
        model.eval().save_pretrained(out / name)
        print(out / name)


if __name__ == "__main__":
    main()
