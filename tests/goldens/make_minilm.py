"""Record what sentence-transformers gives for all-MiniLM-L6-v2 on minilm_texts.jsonl.

    python make_minilm.py [--model DIR] [--out FOLDER]

DIR is the all-MiniLM-L6-v2 folder (default: $TESSERA_MODEL_DIR). Writes minilm_texts.jsonl, minilm_tokens.jsonl,
minilm_embeddings.npy, minilm_hidden.safetensors and minilm_info.json into FOLDER (default: beside this script).
Each text is encoded alone, in fp32, so that padding plays no part. Needs: numpy, torch, transformers,
sentence-transformers, safetensors (versions used are in minilm_info.json).
"""
import argparse
import json
import os
import pathlib

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import torch
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer

from common import file_sha256, versions
from texts import all_texts


def main():
    here = pathlib.Path(__file__).resolve().parent
    p = argparse.ArgumentParser()
    p.add_argument("--model", default=os.environ.get("TESSERA_MODEL_DIR"))
    p.add_argument("--out", default=here, type=pathlib.Path)
    a = p.parse_args()
    if not a.model:
        p.error("give --model DIR or set TESSERA_MODEL_DIR")
    torch.set_num_threads(1)
    texts = all_texts()
    model = SentenceTransformer(a.model, device="cpu", local_files_only=True).eval().float()

    with open(a.out / "minilm_texts.jsonl", "w", encoding="utf-8") as f:
        for i, t in enumerate(texts):  # every other line escaped to ASCII, so that a reader meets both spellings
            f.write(json.dumps(t, ensure_ascii=bool(i % 2)).replace("\u2028", "\\u2028").replace("\u2029", "\\u2029").replace("\u0085", "\\u0085") + "\n")

    def encode(m, text):
        return m.encode([text], batch_size=1, convert_to_numpy=False, convert_to_tensor=True, show_progress_bar=False)[0]

    with torch.inference_mode():
        emb = torch.stack([encode(model, t) for t in texts])
        ids = [tokenize(model, t)["input_ids"][0].tolist() for t in texts]
    np.save(a.out / "minilm_embeddings.npy", emb.numpy().astype(np.float32))
    with open(a.out / "minilm_tokens.jsonl", "w") as f:
        f.writelines(json.dumps(x, separators=(",", ":")) + "\n" for x in ids)

    by_length = sorted(range(len(texts)), key=lambda i: len(ids[i]))
    want = (2, 7, 19, 63, 130)
    rows = [min(by_length, key=lambda i: (abs(len(ids[i]) - w), i)) for w in want]
    hidden = {}
    bert = model[0].auto_model
    with torch.inference_mode():
        for r in rows:
            x = torch.tensor([ids[r]])
            hidden[f"text.{r}.input_ids"] = x[0].contiguous()
            hidden[f"text.{r}.last_hidden_state"] = bert(input_ids=x, attention_mask=torch.ones_like(x)).last_hidden_state[0].float().contiguous()
    save_file(hidden, str(a.out / "minilm_hidden.safetensors"), metadata={"format": "pt"})

    model.double()
    with torch.inference_mode():
        exact = torch.stack([encode(model, t) for t in texts]).double()
    err = ((emb.double() - exact).abs().amax(1) / exact.abs().amax(1)).max().item()
    info = dict(command="python make_minilm.py", texts=len(texts), versions=versions("numpy", "torch", "transformers", "sentence-transformers", "tokenizers", "safetensors"),
                model_safetensors_sha256=file_sha256(pathlib.Path(a.model) / "model.safetensors"), tokenizer_json_sha256=file_sha256(pathlib.Path(a.model) / "tokenizer.json"),
                longest_tokens=max(map(len, ids)), hidden_rows=rows, fp32_against_fp64_max_error_relative_to_row_max=err)
    (a.out / "minilm_info.json").write_text(json.dumps(info, indent=1) + "\n")
    print(json.dumps(info, indent=1))


def tokenize(model, text):
    if hasattr(model, "preprocess"):
        return model.preprocess([text])
    return model.tokenize([text])


if __name__ == "__main__":
    main()
