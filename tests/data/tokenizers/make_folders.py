#!/usr/bin/env python3
"""Writes folders.json: what transformers makes of folders whose files beside tokenizer.json name more tokens.

    python3 make_folders.py        (needs transformers 5.24.0, tokenizers 0.23.3)

Each folder is synth/bpe-digits-bytelevel's tokenizer.json and the files given here; each text comes with its ids.
"""
import gzip
import json
import pathlib
import tempfile

import transformers

HERE = pathlib.Path(__file__).resolve().parent
BASE = "bpe-digits-bytelevel"
MAP = {
    "eos_token": "<end>",
    "pad_token": {"content": "the", "lstrip": False, "rstrip": True, "single_word": True, "normalized": False},
    "mask_token": {"content": "<mask>", "lstrip": True, "rstrip": False, "single_word": False, "normalized": False},
}
FOLDERS = {
    "map": {"special_tokens_map.json": MAP},
    "map_over_config": {"special_tokens_map.json": MAP, "tokenizer_config.json": {"eos_token": "<other>", "bos_token": "<s>"}},
    "map_ignored": {
        "special_tokens_map.json": MAP,
        "tokenizer_config.json": {"added_tokens_decoder": {}, "bos_token": "<s>"},
    },
    "config": {"tokenizer_config.json": {"bos_token": "<s>", "cls_token": "cat", "extra_special_tokens": ["<x>", "<y>"]}},
}
TEXTS = ["the cat sat on the mat<end>", "<s>a cat</s>", "other the  <mask> x <x><y>", "<other><s><end>", "thecat the cat", ""]


def main():
    base = json.loads(gzip.decompress((HERE / f"synth/{BASE}.tokenizer.json.gz").read_bytes()))
    out = {"transformers": transformers.__version__, "tokenizer": BASE, "texts": TEXTS, "folders": {}}
    for name, files in FOLDERS.items():
        with tempfile.TemporaryDirectory() as folder:
            for file, content in {"tokenizer.json": base, **files}.items():
                (pathlib.Path(folder) / file).write_text(json.dumps(content))
            tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(folder)
            out["folders"][name] = {
                "files": files,
                "ids": [tokenizer(t)["input_ids"] for t in TEXTS],
                "without_special": [tokenizer.decode(tokenizer(t)["input_ids"], skip_special_tokens=True) for t in TEXTS],
            }
    (HERE / "folders.json").write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
