#!/usr/bin/env python3
"""Writes merge.safetensors, merge.json (plans on random tokens with ties) and merge_models.safetensors, .json (whole image
models of tiny_image/ that merge), by the oracle of merge_oracle.py in float64.

    python3 make_merge.py        (needs torch, transformers 5, safetensors; make_tiny_image.py ran before)
"""
import json
import os
import pathlib

os.environ["HF_HUB_OFFLINE"] = os.environ["TQDM_DISABLE"] = "1"

import torch
import transformers as tf
from safetensors.torch import load_file, save_file

import merge_oracle as oracle
from common import versions

HERE = pathlib.Path(__file__).parent
SEED = 2024


def tokens_with_ties(g, n, d):
    x = torch.randn(n, d, generator=g)
    for _ in range(int(torch.randint(0, n // 2 + 1, (1,), generator=g))):  # copies of others, so that scores tie exactly
        i, j = torch.randint(0, n, (2,), generator=g).tolist()
        x[i] = x[j]
    if n > 6 and torch.rand(1, generator=g) < 0.3:
        x[int(torch.randint(0, n, (1,), generator=g))] = 0  # no direction
    return x


def plans():
    g = torch.Generator().manual_seed(SEED)
    draw = lambda a, b: int(torch.randint(a, b + 1, (1,), generator=g))
    inputs, cases = {}, []
    while len(cases) < 80:
        kind = "bipartite" if len(cases) < 50 else "energy" if len(cases) < 70 else "aim"
        n, d = draw(2, 48), draw(2, 24)
        x = tokens_with_ties(g, n, d)
        metric = oracle.unit(x.double())
        case = {"kind": kind, "r": draw(0, n // 2 + 2), "prefix": [0, 1, 2, 5][draw(0, 3)], "by_score": bool(draw(0, 1)), "margin": draw(0, 9) / 10}
        if case["prefix"] >= n:
            continue
        try:
            if kind == "bipartite":
                case["rows"] = oracle.bipartite(metric, case["r"], case["prefix"], case["by_score"])
            elif kind == "energy":
                case["rows"] = oracle.energy(metric, case["r"], case["margin"], case["prefix"])
            else:
                now, r = x.double(), n // 2
                case["rounds"] = draw(1, 3)
                for _ in range(case["rounds"]):
                    rows = oracle.bipartite(oracle.unit(now), r, 0, True)
                    now, _ = oracle.merge(rows, now, torch.ones(len(now), dtype=now.dtype), "mean")
                    r //= 2
                inputs[f"out.{len(cases)}"] = now.float()
        except oracle.TooClose:
            continue
        inputs[f"x.{len(cases)}"] = x
        cases.append(case)
    schedules = [{"r": r, "inflect": i, "layers": n, "values": oracle.schedule(r, i, n)} for r in (0, 1, 7, 8, 13) for i in (-1.0, -0.5, 0.0, 0.3, 1.0) for n in (2, 3, 12, 24)]
    save_file(inputs, str(HERE / "merge.safetensors"), metadata={"format": "pt"})
    (HERE / "merge.json").write_text(json.dumps({"command": "python3 make_merge.py", "seed": SEED, "versions": versions("torch"), "cases": cases, "schedules": schedules}) + "\n")
    print(len(cases), "plans")


def names(folder):
    if folder.startswith(("vit", "deit")):
        return "encoder.layer.{}.", dict(norm1="layernorm_before", q="attention.attention.query", k="attention.attention.key", v="attention.attention.value", out="attention.output.dense", norm2="layernorm_after", up="intermediate.dense", down="output.dense")
    if folder.startswith("dinov2"):
        return "encoder.layer.{}.", dict(norm1="norm1", q="attention.attention.query", k="attention.attention.key", v="attention.attention.value", out="attention.output.dense", norm2="norm2", up="mlp.fc1", down="mlp.fc2", scale1="layer_scale1.lambda1", scale2="layer_scale2.lambda1")
    return "vision_model.encoder.layers.{}.", dict(norm1="layer_norm1", q="self_attn.q_proj", k="self_attn.k_proj", v="self_attn.v_proj", out="self_attn.out_proj", norm2="layer_norm2", up="mlp.fc1", down="mlp.fc2")


def run(folder, model, config, embedded, prefix, method, options, proportional):
    """One image: tokens after the embeddings [T, C] to what is left, its sizes, and the groups after each layer."""
    tensors = {k: v.double() for k, v in load_file(HERE / "tiny_image" / folder / "model.safetensors").items()}
    path, at = names(folder)
    x, sizes, merged = embedded, torch.ones(len(embedded), dtype=torch.float64), False
    groups, layers = list(range(len(x))), []
    act = tf.activations.ACT2FN[config.hidden_act]
    for layer in range(config.num_hidden_layers):
        def dense(name, v):
            p = path.format(layer) + at[name]
            return torch.nn.functional.linear(v, tensors[p + ".weight"], tensors.get(p + ".bias"))

        def norm(name, v):
            p = path.format(layer) + at[name]
            return torch.nn.functional.layer_norm(v, v.shape[-1:], tensors[p + ".weight"], tensors[p + ".bias"], config.layer_norm_eps)

        def scale(name, v):
            return v * tensors[path.format(layer) + at[name]] if name in at else v

        heads = lambda v: v.reshape(len(v), config.num_attention_heads, -1).transpose(0, 1)
        y = norm("norm1", x)
        q, k, v = heads(dense("q", y)), heads(dense("k", y)), heads(dense("v", y))
        logits = q @ k.transpose(1, 2) / q.shape[-1] ** 0.5
        if merged and proportional:
            logits = logits + sizes.log()
        attention = logits.softmax(-1)
        x = x + scale("scale1", dense("out", (attention @ v).transpose(0, 1).reshape(len(x), -1)))
        if method:
            rows, mode, coefficients = oracle.policy(method, layer, config.num_hidden_layers, prefix, x, k, attention, sizes, options)
            into = {t: i for i, row in enumerate(rows) for t in row}
            changed = rows != [[t] for t in range(len(x))]
            x, sizes = oracle.merge(rows, x, sizes, mode, coefficients)
            merged = merged or changed
            groups = [into.get(group, -1) if group >= 0 else -1 for group in groups]
            layers.append(groups)
        x = x + scale("scale2", dense("down", act(dense("up", norm("norm2", x)))))
    return x, sizes, layers


MODELS = [  # folder, prefix tokens, methods
    ("vit_p7", 1, [("tome", {"r": [3, 2]}, True), ("tome", {"r": [5, 0]}, False), ("pitome", {"keep": 0.7}, True), ("tofu", {"r": [4, 3], "prune_layers": 1}, True), ("evit", {"keep": 0.6, "layers": [0, 1]}, False)]),
    ("deit_p7", 2, [("tome", {"r": [4, 4]}, True), ("evit", {"keep": 0.5, "layers": [1]}, False)]),
    ("dinov2_registers", 4, [("tome", {"r": [2, 3]}, True), ("pitome", {"keep": 0.8}, False)]),
    ("clip", 1, [("tome", {"r": [3, 3]}, True), ("tofu", {"r": [2, 2], "prune_layers": 0}, True)]),
    ("siglip", 0, [("tome", {"r": [4, 3]}, True), ("pitome", {"keep": 0.75}, True)]),
]


def models():
    out, cases = {}, []
    for folder, prefix, methods in MODELS:
        model = tf.AutoModel.from_pretrained(HERE / "tiny_image" / folder, dtype=torch.float64, attn_implementation="eager").eval()
        vision = getattr(model, "vision_model", model)
        config = getattr(model.config, "vision_config", model.config)
        golden = load_file(HERE / "tiny_image" / folder / "golden.safetensors")
        last = getattr(vision, "post_layernorm", None) or getattr(vision, "layernorm")
        for method, options, proportional in methods:
            number = 0
            for tag in ("", ".1"):
                pixels = golden["pixel_values" + tag].double()
                with torch.inference_mode():
                    more = {} if folder.startswith("dinov2") else {"interpolate_pos_encoding": True}
                    embedded = vision.embeddings(pixels, **more)
                    if hasattr(vision, "pre_layrnorm"):
                        embedded = vision.pre_layrnorm(embedded)
                    finish = (lambda v: v) if folder == "clip" else last
                    plain = finish(run(folder, model, config, embedded[0], prefix, None, {}, False)[0])
                    assert (plain - golden["last_hidden_state" + tag][0]).abs().max() < 1e-5, folder  # the oracle is the model
                    for image in range(len(pixels)):
                        x, sizes, layers = run(folder, model, config, embedded[image], prefix, method, options, proportional)
                        name = f"{len(cases)}.{number}"
                        out["hidden." + name], out["sizes." + name] = finish(x).float().contiguous(), sizes.float()
                        out["groups." + name] = torch.tensor(layers, dtype=torch.int32)
                        number += 1
            cases.append({"folder": folder, "method": method, "proportional": proportional, **options})
    save_file(out, str(HERE / "merge_models.safetensors"), metadata={"format": "pt"})
    (HERE / "merge_models.json").write_text(json.dumps({"command": "python3 make_merge.py", "versions": versions("torch", "transformers"), "cases": cases}) + "\n")
    print(len(cases), "merging models")


if __name__ == "__main__":
    plans()
    models()
