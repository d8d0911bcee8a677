#!/usr/bin/env python3
"""Write benchmark model folders in the Hugging Face layout: published sizes, random weights.

    python make_models.py OUT [NAME ...]      # no NAME: all of them

Speed does not depend on the weights' values; anything about accuracy wants real ones. Seeded, so that two runs write the
same numbers. Needs: torch, transformers.
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


def main():
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    out = pathlib.Path(sys.argv[1])
    names = sys.argv[2:] or list(ENCODERS)
    unknown = [n for n in names if n not in ENCODERS]
    if unknown:
        sys.exit(f"unknown model {unknown[0]}; one of: {', '.join(ENCODERS)}")
    for name in names:
        torch.manual_seed(0)
        tf.BertModel(tf.BertConfig(**ENCODERS[name])).eval().save_pretrained(out / name)
        print(out / name)


if __name__ == "__main__":
    main()
