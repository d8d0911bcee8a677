"""Write tiny random BERT folders of odd sizes with what transformers computes for them.

    python make_tiny_bert.py [--out FOLDER]          # default: tiny_bert/ beside this script

Every parameter is randomised (common.randomise). The model is saved as its checkpoint dtype and layout say, loaded
again from the folder by transformers, and run in float64 (so that the oracle's own rounding plays no part), eager
attention; results are stored as float32, 0 at padded positions. README.md names the tensors. Needs: numpy, torch,
transformers, safetensors (versions used are in each folder's golden.json).
"""
import argparse
import json
import os
import pathlib
import shutil

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers as tf
from safetensors.torch import load_file, save_file

from common import randomise, versions

# name, config, what is special about the checkpoint
MODELS = [
    ("plain_h20", dict(hidden_size=20, num_attention_heads=4, intermediate_size=37, num_hidden_layers=2, vocab_size=99, max_position_embeddings=40,
                       type_vocab_size=2, hidden_act="gelu", layer_norm_eps=1e-12), dict(seq=33)),
    ("prefixed_h36", dict(hidden_size=36, num_attention_heads=4, intermediate_size=50, num_hidden_layers=3, vocab_size=150, max_position_embeddings=64,
                          type_vocab_size=1, hidden_act="gelu_new", layer_norm_eps=1e-5), dict(seq=17, pretraining=True)),
    ("gamma_beta_h52", dict(hidden_size=52, num_attention_heads=4, intermediate_size=129, num_hidden_layers=2, vocab_size=120, max_position_embeddings=300,
                            type_vocab_size=3, hidden_act="relu", layer_norm_eps=1e-12), dict(seq=13, old_norm_names=True)),
    ("sharded_h72", dict(hidden_size=72, num_attention_heads=4, intermediate_size=75, num_hidden_layers=1, vocab_size=211, max_position_embeddings=50,
                         type_vocab_size=2, hidden_act="gelu_pytorch_tanh", layer_norm_eps=1e-5), dict(seq=19, shard="60KB")),
    ("f16_h72", dict(hidden_size=72, num_attention_heads=3, intermediate_size=91, num_hidden_layers=2, vocab_size=300, max_position_embeddings=48,
                     type_vocab_size=2, hidden_act="silu", layer_norm_eps=1e-12), dict(seq=11, dtype=torch.float16)),
    ("bf16_h20", dict(hidden_size=20, num_attention_heads=1, intermediate_size=64, num_hidden_layers=4, vocab_size=101, max_position_embeddings=41,
                      type_vocab_size=2, hidden_act="quick_gelu", layer_norm_eps=1e-5), dict(seq=37, dtype=torch.bfloat16)),
    ("five_heads_h65", dict(hidden_size=65, num_attention_heads=5, intermediate_size=97, num_hidden_layers=2, vocab_size=130, max_position_embeddings=40,
                            type_vocab_size=2, hidden_act="gelu", layer_norm_eps=1e-12), dict(seq=10)),
    ("no_pooler_h36", dict(hidden_size=36, num_attention_heads=2, intermediate_size=41, num_hidden_layers=1, vocab_size=99, max_position_embeddings=130,
                           type_vocab_size=2, hidden_act="gelu", layer_norm_eps=1e-12), dict(seq=51, no_pooler=True)),
]


def make_inputs(cfg, seq, g):
    """Five rows: full, padded right, padded left, holes, one lone token."""
    ids = torch.randint(0, cfg.vocab_size, (5, seq), generator=g)
    mask = torch.ones_like(ids)
    mask[1, seq - seq // 3:] = 0
    mask[2, :seq // 4] = 0
    mask[3] = (torch.rand(seq, generator=g) < 0.6).long()
    mask[3, 0] = 1
    mask[3, 1] = 0
    mask[4, 1:] = 0
    types = torch.randint(0, cfg.type_vocab_size, (5, seq), generator=g)
    return dict(input_ids=ids, attention_mask=mask, token_type_ids=types)


def hook_layer0(bert, store):
    layer = bert.encoder.layer[0]
    attention = layer.attention
    places = {"query": attention.self.query, "key": attention.self.key, "value": attention.self.value, "attention_dense": attention.output.dense,
              "attention_out": attention.output, "mlp_activated": layer.intermediate, "mlp_dense": layer.output.dense}
    handles = [m.register_forward_hook(lambda _m, _i, out, n=n: store.__setitem__(n, out)) for n, m in places.items()]
    handles.append(attention.output.dense.register_forward_pre_hook(lambda _m, i: store.__setitem__("attention_context", i[0])))
    return handles


def golden_forward(bert, x, detailed):
    store = {}
    handles = hook_layer0(bert, store) if detailed else []
    with torch.inference_mode():
        y = bert(**x, output_hidden_states=True)
    for h in handles:
        h.remove()
    keep = x["attention_mask"].bool().unsqueeze(-1)
    put = lambda t: torch.where(keep, t, torch.zeros_like(t)).float().contiguous()
    out = {"last_hidden_state": put(y.last_hidden_state)}
    if detailed:
        out |= {f"hidden_states.{i}": put(h) for i, h in enumerate(y.hidden_states)}
        out |= {f"layer0.{n}": put(t) for n, t in store.items()}
    if y.pooler_output is not None:
        first = x["attention_mask"][:, :1].bool()
        out["pooler_output"] = torch.where(first, y.pooler_output, torch.zeros_like(y.pooler_output)).float().contiguous()
    return out


def age_checkpoint(folder):
    """As converters wrote them years ago: gamma and beta, and the position ids as a tensor of their own."""
    path = folder / "model.safetensors"
    tensors = load_file(str(path))
    tensors = {k.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): v for k, v in tensors.items()}
    positions = tensors["embeddings.position_embeddings.weight"].shape[0]
    tensors["embeddings.position_ids"] = torch.arange(positions).unsqueeze(0)
    save_file(tensors, str(path), metadata={"format": "pt"})


def write_folder(out, name, sizes, special, seed):
    folder = out / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    cfg = tf.BertConfig(**sizes)
    dtype = special.get("dtype", torch.float32)
    model = tf.BertForPreTraining(cfg) if special.get("pretraining") else tf.BertModel(cfg, add_pooling_layer=not special.get("no_pooler"))
    randomise(model, seed)
    model.to(dtype).save_pretrained(folder, max_shard_size=special.get("shard", "1GB"))
    if special.get("pretraining"):
        bert = model.bert
    elif special.get("old_norm_names"):
        bert = model
    else:
        bert, report = tf.BertModel.from_pretrained(folder, dtype=dtype, add_pooling_layer=not special.get("no_pooler"), output_loading_info=True)
        assert not report["missing_keys"] and not report["unexpected_keys"], report
    if special.get("old_norm_names"):
        age_checkpoint(folder)
    bert = bert.eval().double()
    bert.set_attn_implementation("eager")
    single = type(bert)(bert.config, add_pooling_layer=bert.pooler is not None).eval()
    single.load_state_dict(bert.state_dict())
    single.set_attn_implementation("eager")

    g = torch.Generator().manual_seed(seed + 1)
    x = make_inputs(cfg, special["seq"], g)
    detailed = golden_forward(bert, x, True)
    rounded = golden_forward(single, x, True)
    placed = dict(x, position_ids=torch.stack([torch.randperm(cfg.max_position_embeddings, generator=g)[:special["seq"]] for _ in range(5)]))
    with_positions = golden_forward(bert, placed, False)
    tokens_only = golden_forward(bert, dict(input_ids=x["input_ids"], attention_mask=torch.ones_like(x["attention_mask"])), False)
    meta = {"format": "pt"}
    save_file(x, str(folder / "inputs.safetensors"), metadata=meta)
    save_file(detailed, str(folder / "outputs.safetensors"), metadata=meta)
    save_file(placed, str(folder / "inputs_positions.safetensors"), metadata=meta)
    save_file(with_positions, str(folder / "outputs_positions.safetensors"), metadata=meta)
    save_file({"input_ids": x["input_ids"]}, str(folder / "inputs_ids_only.safetensors"), metadata=meta)
    save_file(tokens_only, str(folder / "outputs_ids_only.safetensors"), metadata=meta)

    def row_error(a, b):
        a, b = a.double().flatten(0, -2), b.double().flatten(0, -2)
        top = b.abs().amax(-1)
        return ((a - b).abs().amax(-1)[top > 0] / top[top > 0]).max().item()

    info = dict(command="python make_tiny_bert.py", seed=seed, versions=versions("torch", "transformers", "safetensors"), checkpoint_dtype=str(dtype).removeprefix("torch."),
                fp32_against_fp64_max_error_relative_to_row_max=max(row_error(rounded[n], detailed[n]) for n in detailed),
                tensors_in_outputs=sorted(detailed))
    (folder / "golden.json").write_text(json.dumps(info, indent=1) + "\n")
    size = sum(f.stat().st_size for f in folder.iterdir())
    print(f"{name:16s} {size / 1024:7.0f} KiB  fp32 error {info['fp32_against_fp64_max_error_relative_to_row_max']:.1e}  {sorted(f.name for f in folder.iterdir())}")
    assert size < 600 * 1024, f"{name} is too large to commit: {size} bytes"


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--out", default=pathlib.Path(__file__).resolve().parent / "tiny_bert", type=pathlib.Path)
    a = p.parse_args()
    torch.set_num_threads(1)
    tf.logging.set_verbosity_error()
    for i, (name, sizes, special) in enumerate(MODELS):
        write_folder(a.out, name, sizes, special, seed=1000 + 10 * i)


if __name__ == "__main__":
    main()
