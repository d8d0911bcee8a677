"""Write tiny random folders of DeBERTa, versions 2 and 3, with what transformers computes for them.

    python make_tiny_deberta.py [--out FOLDER] [WORD...]       # default: tiny_deberta/ beside this script

As make_tiny_text.py: every parameter is random, each folder is loaded again by AutoModel, in float64. Rows are longer than
the places that have rows of their own in the tables, padded on both sides, and have holes. position_rows.json has, for
some sizes, the distances (place of the key - place of the query) from which on transformers takes another row of the table.
Needs: numpy, torch, transformers, safetensors.
"""
import argparse
import json
import os
import pathlib
import shutil

os.environ["HF_HUB_OFFLINE"] = os.environ["TQDM_DISABLE"] = "1"

import torch
import transformers as tf
from safetensors.torch import load_file, save_file
from transformers.models.deberta_v2.modeling_deberta_v2 import build_relative_position

from common import randomise, versions
from make_tiny_bert import make_inputs

F32, F16, BF16 = torch.float32, torch.float16, torch.bfloat16


def config(hidden, heads, mlp, layers, vocab, **more):
    return tf.DebertaV2Config(hidden_size=hidden, num_attention_heads=heads, intermediate_size=mlp, num_hidden_layers=layers, vocab_size=vocab, **more)


# name, model, tokens a row, element type of the checkpoint
MODELS = [
    ("version_3", lambda: tf.DebertaV2Model(config(
        24, 3, 31, 2, 61, max_position_embeddings=40, relative_attention=True, position_buckets=8, max_relative_positions=-1, pos_att_type=["p2c", "c2p"],
        share_att_key=True, norm_rel_ebd="layer_norm", position_biased_input=False, type_vocab_size=0)), 33, F32),
    ("own_weights_masked_lm", lambda: tf.DebertaV2ForMaskedLM(config(
        20, 2, 27, 2, 47, max_position_embeddings=32, relative_attention=True, max_relative_positions=6, pos_att_type="c2p|p2c", type_vocab_size=2,
        layer_norm_eps=1e-5, hidden_act="gelu_new")), 17, BF16),
    ("places_of_keys_classifier", lambda: tf.DebertaV2ForSequenceClassification(config(
        30, 5, 25, 2, 53, max_position_embeddings=24, relative_attention=True, position_buckets=6, max_relative_positions=16, pos_att_type="C2P",
        share_att_key=True, position_biased_input=False, attention_head_size=6)), 21, F16),
    ("places_of_queries", lambda: tf.DebertaV2Model(config(
        18, 3, 23, 2, 53, max_position_embeddings=30, relative_attention=True, pos_att_type=["p2c"], norm_rel_ebd="layer_norm", type_vocab_size=3)), 19, F32),
    ("without_relative_attention", lambda: tf.DebertaV2Model(config(20, 4, 19, 1, 47, max_position_embeddings=20, pos_att_type=["p2c"])), 12, F32),
    ("convolution", lambda: tf.DebertaV2Model(config(
        20, 2, 27, 2, 47, max_position_embeddings=24, relative_attention=True, position_buckets=6, pos_att_type="p2c|c2p", share_att_key=True, norm_rel_ebd="layer_norm",
        position_biased_input=False, conv_kernel_size=3, conv_act="gelu")), 15, F32),
    ("wide_convolution_classifier", lambda: tf.DebertaV2ForSequenceClassification(config(
        16, 2, 21, 1, 43, max_position_embeddings=20, relative_attention=True, pos_att_type="c2p", type_vocab_size=2, conv_kernel_size=5)), 14, F16),
]
ROWS = [(8, 40), (6, 16), (256, 512), (128, 512), (32, 128), (8, 33), (7, 0), (300, 0)]  # buckets, the largest distance; 0: no logarithms


def golden_forward(model, x):
    with torch.inference_mode():
        y = model(**x, output_hidden_states=True)
    keep = x["attention_mask"].bool().unsqueeze(-1)
    put = lambda t: torch.where(keep, t, torch.zeros_like(t)).float().contiguous()
    out = {"last_hidden_state": put(y.last_hidden_state)} | {f"hidden_states.{i}": put(h) for i, h in enumerate(y.hidden_states)}
    assert all(t.isfinite().all() for t in out.values())
    return out


def write_folder(out, number, name, make, seq, dtype):
    folder = out / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model = make()
    seed = 9000 + 10 * number
    randomise(model, seed)
    model.to(dtype).save_pretrained(folder)
    loaded, problems = tf.AutoModel.from_pretrained(folder, dtype=torch.float64, output_loading_info=True)
    assert not problems["missing_keys"], problems
    same = dict(loaded.named_parameters())
    for key, p in getattr(model, model.base_model_prefix, model).named_parameters():
        assert torch.equal(same[key], p.double()), key
    loaded.eval()
    types = model.config.type_vocab_size
    x = make_inputs(type("Sizes", (), dict(vocab_size=model.config.vocab_size, type_vocab_size=max(types, 1))), seq, torch.Generator().manual_seed(seed + 1))
    if types < 2:
        del x["token_type_ids"]
    meta = {"format": "pt"}
    save_file(x, str(folder / "inputs.safetensors"), metadata=meta)
    save_file(golden_forward(loaded, x), str(folder / "outputs.safetensors"), metadata=meta)
    alone = golden_forward(loaded, dict(input_ids=x["input_ids"], attention_mask=torch.ones_like(x["attention_mask"])))
    save_file({"input_ids": x["input_ids"]}, str(folder / "inputs_ids_only.safetensors"), metadata=meta)
    save_file({k: v for k, v in alone.items() if not k.startswith("hidden")}, str(folder / "outputs_ids_only.safetensors"), metadata=meta)
    info = dict(command="python make_tiny_deberta.py", seed=seed, versions=versions("torch", "transformers", "safetensors"), checkpoint_dtype=str(dtype).removeprefix("torch."))
    (folder / "golden.json").write_text(json.dumps(info) + "\n")
    size = sum(f.stat().st_size for f in folder.iterdir())
    print(f"{name:32s} {size / 1024:5.0f} KiB  {sorted(load_file(folder / 'model.safetensors'))[0]}")
    assert size < 160 * 1024, size


def write_rows(path):
    cases, n = [], 1101
    for span, most in ROWS:
        square = torch.zeros(1, n, 1)
        relative = build_relative_position(square, square, bucket_size=span if most else -1, max_position=most or -1)[0]  # place of the query - place of the key
        by_distance = torch.cat([relative[:, 0].flip(0), relative[0, 1:]])  # from the first key of all to the last
        rows = torch.clamp(by_distance + span, 0, 2 * span - 1)
        changes = [[int(d), int(r)] for d, r, before in zip(range(1 - n, n), rows, [-1, *rows[:-1].tolist()]) if r != before]
        cases.append({"rows": 2 * span, "log_distance": most, "from": changes})
    path.write_text(json.dumps({"command": "python make_tiny_deberta.py", "versions": versions("torch", "transformers"), "first": 1 - n, "last": n - 1, "cases": cases}) + "\n")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--out", default=pathlib.Path(__file__).resolve().parent / "tiny_deberta", type=pathlib.Path)
    p.add_argument("words", nargs="*")
    a = p.parse_args()
    torch.set_num_threads(1)
    tf.logging.set_verbosity_error()
    for i, (name, make, seq, dtype) in enumerate(MODELS):
        if not a.words or any(w in name for w in a.words):
            write_folder(a.out, i, name, make, seq, dtype)
    write_rows(a.out / "position_rows.json")


if __name__ == "__main__":
    main()
