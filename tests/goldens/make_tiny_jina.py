"""Write tiny random folders of JinaBERT, with what an oracle of our own computes for them.

    python make_tiny_jina.py [--out FOLDER]          # default: tiny_jina/ beside this script

transformers has no JinaBERT: its folders name code of their authors'. The oracle is the PyTorch module below, written from what
is published: "Jina Embeddings 2" (arXiv:2310.19923, section 3: BERT without positions, ALiBi in both directions, GLU), ALiBi
(arXiv:2108.12409, section 3, and its authors' rule for numbers of heads that are no power of two), GLU variants
(arXiv:2002.05202), the keys of the folders' config.json and the names and shapes of their tensors. The later form, which the
folders call jina-bert-v2-qk-post-norm, normalises queries and keys over all heads, and once more behind attention.

As make_tiny_text.py: all parameters random, run in float64, results as float32, 0 where padded. Needs: numpy, torch,
safetensors; transformers for make_tiny_bert.
"""
import argparse
import json
import pathlib
import shutil

import torch
from safetensors.torch import save_file
from torch import nn

from common import randomise, versions
from make_tiny_bert import make_inputs

F32, F16, BF16 = torch.float32, torch.float16, torch.bfloat16
CODE = {"plain": "jinaai/jina-bert-implementation", "qk": "jinaai/jina-bert-v2-qk-post-norm"}


def sizes(hidden, heads, mlp, layers, vocab, **more):
    return dict(hidden_size=hidden, num_attention_heads=heads, intermediate_size=mlp, num_hidden_layers=layers, vocab_size=vocab, max_position_embeddings=50,
                type_vocab_size=2, position_embedding_type="alibi", hidden_act="gelu", layer_norm_eps=1e-12) | more


# name, config, form, element type, prefix of the tensors' names, whether there is a pooler, tokens a row
MODELS = [
    ("four_heads", sizes(20, 4, 37, 2, 61, feed_forward_type="geglu"), "plain", F32, "", True, 33),
    ("three_heads_masked_lm_bf16", sizes(30, 3, 41, 2, 53, feed_forward_type="reglu", layer_norm_eps=1e-5, type_vocab_size=1), "plain", BF16, "bert.", False, 19),
    ("original_mlp", sizes(24, 6, 29, 2, 47, feed_forward_type="original", hidden_act="gelu_new"), "plain", F32, "", True, 14),
    ("qk_norm_three_heads", sizes(24, 3, 31, 2, 61, feed_forward_type="geglu"), "qk", F32, "", True, 21),
    ("qk_norm_four_heads_f16", sizes(28, 4, 25, 3, 47, feed_forward_type="reglu", layer_norm_eps=1e-5), "qk", F16, "bert.", True, 17),
    ("qk_norm_original_mlp", sizes(30, 5, 23, 2, 47, feed_forward_type="original", hidden_act="relu"), "qk", F32, "", False, 12),
    ("qk_norm_positions", sizes(20, 2, 21, 1, 43, feed_forward_type="geglu", position_embedding_type="absolute"), "qk", F32, "", False, 11),
]
ACT = dict(gelu=nn.functional.gelu, relu=torch.relu, gelu_new=lambda x: nn.functional.gelu(x, approximate="tanh"))
GATE = dict(geglu=ACT["gelu"], reglu=ACT["relu"])


def slopes(heads):
    """2^(-8 i / n), i from 1; of other numbers than powers of two the rest is every other one of twice as many."""
    n = 1
    while 2 * n <= heads:
        n *= 2
    first = [2 ** (-8 * i / n) for i in range(1, n + 1)]
    return torch.tensor(first + [2 ** (-8 * i / (2 * n)) for i in range(1, 2 * n + 1)][::2][: heads - n], dtype=torch.float64)


class Named(nn.Module):
    """A part of a model that is there for its name."""

    def __init__(self, /, **parts):
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)


class Layer(nn.Module):
    def __init__(self, c, form):
        super().__init__()
        self.c, self.form = c, form
        n, f = c["hidden_size"], c["intermediate_size"]
        norm = lambda: nn.LayerNorm(n, eps=c["layer_norm_eps"])
        own = dict(query=nn.Linear(n, n), key=nn.Linear(n, n), value=nn.Linear(n, n))
        if form == "qk":
            own |= dict(layer_norm_q=norm(), layer_norm_k=norm())
        self.attention = Named(self=Named(**own), output=Named(dense=nn.Linear(n, n), LayerNorm=norm()))
        self.gate = GATE.get(c["feed_forward_type"])
        if form == "qk":
            self.layer_norm_1, self.layer_norm_2 = norm(), norm()
            up = dict(up_gated_layer=nn.Linear(n, 2 * f, bias=False)) if self.gate else dict(up_layer=nn.Linear(n, f, bias=False))
            self.mlp = Named(**up, down_layer=nn.Linear(f, n))
        elif self.gate:
            self.mlp = Named(gated_layers=nn.Linear(n, 2 * f, bias=False), wo=nn.Linear(f, n), layernorm=norm())
        else:
            self.intermediate = Named(dense=nn.Linear(n, f))
            self.output = Named(dense=nn.Linear(f, n), LayerNorm=norm())

    def attend(self, x, seen, bias):
        own = self.attention.self
        q, k, v = own.query(x), own.key(x), own.value(x)
        if self.form == "qk":
            q, k = own.layer_norm_q(q), own.layer_norm_k(k)
        q, k, v = (t.unflatten(-1, (self.c["num_attention_heads"], -1)).transpose(1, 2) for t in (q, k, v))
        scores = q @ k.transpose(2, 3) / q.shape[-1] ** 0.5 + bias
        p = scores.masked_fill(~seen[:, None, None, :], -torch.inf).softmax(-1)
        return self.attention.output.LayerNorm(x + self.attention.output.dense((p @ v).transpose(1, 2).flatten(2)))

    def forward(self, x, seen, bias):
        act = ACT[self.c["hidden_act"]]
        y = self.attend(x, seen, bias)
        if self.form == "qk":
            y = self.layer_norm_1(x + y)
            if self.gate:
                up, gate = self.mlp.up_gated_layer(y).chunk(2, -1)
                hidden = up * self.gate(gate)
            else:
                hidden = act(self.mlp.up_layer(y))
            return self.layer_norm_2(y + self.mlp.down_layer(hidden))
        if self.gate:
            gate, up = self.mlp.gated_layers(y).chunk(2, -1)
            return self.mlp.layernorm(y + self.mlp.wo(self.gate(gate) * up))
        return self.output.LayerNorm(y + self.output.dense(act(self.intermediate.dense(y))))


class JinaBert(nn.Module):
    def __init__(self, c, form, pooler):
        super().__init__()
        self.c = c
        n = c["hidden_size"]
        tables = dict(word_embeddings=nn.Embedding(c["vocab_size"], n), token_type_embeddings=nn.Embedding(c["type_vocab_size"], n))
        if c["position_embedding_type"] == "absolute":
            tables["position_embeddings"] = nn.Embedding(c["max_position_embeddings"], n)
        self.embeddings = Named(**tables, LayerNorm=nn.LayerNorm(n, eps=c["layer_norm_eps"]))
        self.encoder = Named(layer=nn.ModuleList(Layer(c, form) for _ in range(c["num_hidden_layers"])))
        if pooler:
            self.pooler = Named(dense=nn.Linear(n, n))

    def states(self, input_ids, attention_mask, token_type_ids=None):
        """After the embeddings and after each layer."""
        e, columns = self.embeddings, torch.arange(input_ids.shape[1])
        x = e.word_embeddings(input_ids) + e.token_type_embeddings(torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids)
        bias = torch.zeros((), dtype=x.dtype)
        if self.c["position_embedding_type"] == "absolute":
            x = x + e.position_embeddings(columns)
        else:
            bias = -slopes(self.c["num_attention_heads"])[:, None, None] * (columns[None, :] - columns[:, None]).abs()
        states = [e.LayerNorm(x)]
        for layer in self.encoder.layer:
            states.append(layer(states[-1], attention_mask.bool(), bias))
        return states

    def pooled(self, last):
        return torch.tanh(self.pooler.dense(last[:, 0]))

    @torch.inference_mode()
    def forward(self, input_ids, attention_mask, token_type_ids=None):
        states = self.states(input_ids, attention_mask, token_type_ids)
        keep = attention_mask.bool()[..., None]
        out = {f"hidden_states.{i}": h * keep for i, h in enumerate(states)} | {"last_hidden_state": states[-1] * keep}
        if hasattr(self, "pooler"):
            out["pooler_output"] = self.pooled(states[-1]) * attention_mask[:, :1]
        assert all(t.isfinite().all() for t in out.values())
        return {k: v.float().contiguous() for k, v in out.items()}


class JinaBertMaskedLm(nn.Module):
    """With BERT's head for masked tokens (arXiv:1810.04805, section 3.1), whose last matrix is the table of words. Random."""

    def __init__(self, c, form, seed):
        super().__init__()
        n = c["hidden_size"]
        self.bert = JinaBert(c, form, False)
        transform = Named(dense=nn.Linear(n, n), LayerNorm=nn.LayerNorm(n, eps=c["layer_norm_eps"]))
        self.cls = Named(predictions=Named(transform=transform, bias=nn.Parameter(torch.empty(c["vocab_size"]))))
        randomise(self, seed)

    def logits(self, input_ids):
        head, h = self.cls.predictions, self.bert.states(input_ids, torch.ones_like(input_ids))[-1]
        h = head.transform.LayerNorm(ACT[self.bert.c["hidden_act"]](head.transform.dense(h)))
        return h @ self.bert.embeddings.word_embeddings.weight.T + head.bias


def save(folder, c, form, architecture, tensors):
    """A folder as its authors' code writes it."""
    save_file(tensors, str(folder / "model.safetensors"), metadata={"format": "pt"})
    classes = {auto: f"{CODE[form]}--{file}.{cls}" for auto, file, cls in (("AutoConfig", "configuration_bert", "JinaBertConfig"), ("AutoModel", "modeling_bert", "JinaBertModel"),
                                                                          ("AutoModelForMaskedLM", "modeling_bert", "JinaBertForMaskedLM"))}
    config = dict(architectures=[architecture], auto_map=classes, model_type="bert", emb_pooler="mean", **c)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def write_folder(out, number, name, c, form, dtype, prefix, pooler, seq):
    folder = out / name
    folder.mkdir(parents=True)
    seed = 9000 + 10 * number
    model = JinaBert(c, form, pooler)
    randomise(model, seed)
    model.to(dtype)
    g = torch.Generator().manual_seed(seed + 1)
    tensors = {prefix + k: v for k, v in model.state_dict().items()}
    if prefix:  # heads, which are to be ignored
        tensors["cls.predictions.bias"] = torch.randn(c["vocab_size"], generator=g).to(dtype)
    meta = {"format": "pt"}
    save(folder, c, form, "JinaBertForMaskedLM" if prefix else "JinaBertModel", tensors)
    model.double().eval()
    x = make_inputs(type("Sizes", (), c), seq, g)
    if c["type_vocab_size"] == 1:
        del x["token_type_ids"]
    save_file(x, str(folder / "inputs.safetensors"), metadata=meta)
    save_file(model(**x), str(folder / "outputs.safetensors"), metadata=meta)
    save_file({"input_ids": x["input_ids"]}, str(folder / "inputs_ids_only.safetensors"), metadata=meta)
    alone = model(x["input_ids"], torch.ones_like(x["attention_mask"]))
    save_file({k: v for k, v in alone.items() if not k.startswith("hidden")}, str(folder / "outputs_ids_only.safetensors"), metadata=meta)
    info = dict(command="python make_tiny_jina.py", seed=seed, versions=versions("torch", "safetensors"), checkpoint_dtype=str(dtype).removeprefix("torch."),
                oracle="JinaBert of make_tiny_jina.py: transformers has no such class")
    (folder / "golden.json").write_text(json.dumps(info) + "\n")
    size = sum(f.stat().st_size for f in folder.iterdir())
    print(f"{name:32s} {size / 1024:5.0f} KiB")
    assert size < 120 * 1024, size


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--out", default=pathlib.Path(__file__).resolve().parent / "tiny_jina", type=pathlib.Path)
    a = p.parse_args()
    torch.set_num_threads(1)
    shutil.rmtree(a.out, ignore_errors=True)
    for i, (name, *rest) in enumerate(MODELS):
        write_folder(a.out, i, name, *rest)


if __name__ == "__main__":
    main()
