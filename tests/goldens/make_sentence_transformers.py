"""Write tiny sentence-transformers folders with what sentence-transformers computes for them.

    python make_sentence_transformers.py [--out FOLDER]          # default: tiny_st/ beside this script

Folders are written file by file in the layouts met in the wild (old and new names), with a small WordPiece vocabulary
counted here and random parameters, then loaded by sentence-transformers, run in float64, one text at a time, and recorded
as float32. README.md tells the folders apart. Needs: numpy, torch, transformers, sentence-transformers, tokenizers,
safetensors (versions used are in each folder's golden.json).
"""
import argparse
import collections
import json
import os
import pathlib
import shutil

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import torch
import transformers as tf
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from common import randomise, versions
from texts import CODE, EDGES, EMOJI, ENGLISH, LANGUAGES, long_texts

OLD = "sentence_transformers.models."
NEW = "sentence_transformers.sentence_transformer.modules."
BASE = "sentence_transformers.base.modules."
OLD_FLAGS = ("cls_token", "max_tokens", "mean_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken")


def old_pooling(dim, *modes, **more):
    return {"word_embedding_dimension": dim} | {f"pooling_mode_{f}": f in modes for f in OLD_FLAGS} | more


FOLDERS = [
    dict(name="cls_dense_tanh", bert=dict(hidden_size=24, num_attention_heads=3, intermediate_size=37, num_hidden_layers=2, max_position_embeddings=64, is_matryoshka=True), lowercase=False,
         limits=("sentence_bert_config.json", dict(max_seq_length=16, do_lower_case=True)), pooling=old_pooling(24, "cls_token"),
         types=(OLD + "Transformer", OLD + "Pooling", OLD + "Dense", OLD + "Normalize"),
         dense=[dict(in_features=24, out_features=20, bias=True, activation_function="torch.nn.modules.activation.Tanh")], normalize=True),
    dict(name="max_vocab_txt", bert=dict(hidden_size=20, num_attention_heads=2, intermediate_size=50, num_hidden_layers=1, max_position_embeddings=48), lowercase=True, vocab_only=True,
         limits=None, pooling=old_pooling(20, "max_tokens"), types=(OLD + "Transformer", OLD + "Pooling", OLD + "Dense", OLD + "Normalize"), dense=[], normalize=False),
    dict(name="weighted_last_prompt", bert=dict(hidden_size=28, num_attention_heads=4, intermediate_size=41, num_hidden_layers=2, max_position_embeddings=40, matryoshka_dimensions=[3, 9]), lowercase=True,
         limits=("sentence_bert_config.json", dict(max_seq_length=32, do_lower_case=False)),
         pooling=dict(embedding_dimension=28, pooling_mode=["weightedmean", "lasttoken"], include_prompt=False),
         types=(BASE + "transformer.Transformer", NEW + "pooling.Pooling", BASE + "dense.Dense", BASE + "normalize.Normalize"),
         dense=[dict(in_features=56, out_features=33, bias=False, activation_function="torch.nn.modules.linear.Identity"),
                dict(in_features=33, out_features=17, bias=True, activation_function="torch.nn.modules.activation.Tanh")], normalize=True,
         prompts={"query": "search query: ", "passage": "passage: "}, default_prompt_name="query"),
    dict(name="all_modes", bert=dict(hidden_size=18, num_attention_heads=1, intermediate_size=29, num_hidden_layers=3, max_position_embeddings=100), lowercase=False,
         limits=("sentence_bert_config.json", dict(max_seq_length=None, do_lower_case=False)), pooling=old_pooling(18, *OLD_FLAGS, include_prompt=True),
         types=(OLD + "Transformer", OLD + "Pooling", OLD + "Dense", OLD + "Normalize"), dense=[], normalize=False,
         prompts={"query": "Represent this: "}, default_prompt_name=None),
    dict(name="mean_sqrt_len", bert=dict(hidden_size=36, num_attention_heads=2, intermediate_size=30, num_hidden_layers=1, max_position_embeddings=512), lowercase=True,
         limits=("sentence_bert_config.json", dict(max_seq_length=24)), pooling=old_pooling(36, "mean_sqrt_len_tokens"),
         types=(OLD + "Transformer", OLD + "Pooling", OLD + "Dense", OLD + "Normalize"),
         dense=[dict(in_features=36, out_features=48, bias=True, activation_function="torch.nn.modules.linear.Identity")], normalize=False),
]
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def chosen_texts():
    return LANGUAGES[::4] + ENGLISH[::4] + CODE[::5] + EMOJI[::3] + EDGES[::6] + ["", "x", "Hello World", "hello world", "a [MASK] b"] + long_texts()[:2]


def vocabulary(tok, corpus):
    """Special tokens, the commonest characters (at the start of a word and inside), whole words and endings; ties by code point.

    Counted here: the trainer of the tokenizers package gives another vocabulary at every run.
    """
    words = collections.Counter(w for t in corpus for w, _ in tok.pre_tokenizer.pre_tokenize_str(tok.normalizer.normalize_str(t)))
    chars, endings = collections.Counter(), collections.Counter()
    for w, n in words.items():
        for c in w:
            chars[c] += n
        for k in (2, 3, 4):
            if len(w) > k:
                endings[w[-k:]] += n
    top = lambda counter, n: [x for x, _ in sorted(counter.items(), key=lambda kv: (-kv[1], kv[0]))[:n]]
    letters = top(chars, 130)
    pieces = SPECIALS + letters + ["##" + c for c in letters] + [w for w in top(words, 120) if len(w) > 1] + ["##" + e for e in top(endings, 60)]
    return {t: i for i, t in enumerate(dict.fromkeys(pieces))}


def wordpiece(lowercase, corpus):
    tok = Tokenizer(models.WordPiece({"[UNK]": 0}, unk_token="[UNK]"))
    tok.normalizer = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=lowercase)
    tok.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tok.model = models.WordPiece(vocabulary(tok, corpus), unk_token="[UNK]")
    tok.decoder = decoders.WordPiece()
    tok.add_special_tokens(SPECIALS)
    tok.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", tok.token_to_id("[CLS]")), ("[SEP]", tok.token_to_id("[SEP]"))])
    return tok


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n")


def write_folder(folder, spec, seed):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    tok = wordpiece(spec["lowercase"], LANGUAGES + ENGLISH + CODE)
    vocab = sorted(tok.get_vocab(), key=tok.token_to_id)
    (folder / "vocab.txt").write_text("".join(t + "\n" for t in vocab), encoding="utf-8")
    if not spec.get("vocab_only"):
        tok.save(str(folder / "tokenizer.json"))
    write_json(folder / "tokenizer_config.json", dict(tokenizer_class="BertTokenizer", do_lower_case=spec["lowercase"], strip_accents=None, tokenize_chinese_chars=True, model_max_length=512,
                                                      unk_token="[UNK]", sep_token="[SEP]", pad_token="[PAD]", cls_token="[CLS]", mask_token="[MASK]"))
    bert = tf.BertModel(tf.BertConfig(vocab_size=len(vocab), type_vocab_size=2, **spec["bert"]))
    randomise(bert, seed)
    bert.save_pretrained(folder)
    types = spec["types"]
    listed = [("", types[0]), ("1_Pooling", types[1])]
    write_json(folder / "1_Pooling" / "config.json", spec["pooling"])
    g = torch.Generator().manual_seed(seed + 1)
    for d in spec["dense"]:
        path = f"{len(listed)}_Dense"
        listed.append((path, types[2]))
        write_json(folder / path / "config.json", d)
        scale = d["in_features"] ** -0.5
        tensors = {"linear.weight": torch.randn(d["out_features"], d["in_features"], generator=g) * scale}
        if d["bias"]:
            tensors["linear.bias"] = torch.randn(d["out_features"], generator=g) * scale
        save_file(tensors, str(folder / path / "model.safetensors"), metadata={"format": "pt"})
    if spec["normalize"]:
        listed.append((f"{len(listed)}_Normalize", types[3]))
    write_json(folder / "modules.json", [dict(idx=i, name=str(i), path=p, type=t) for i, (p, t) in enumerate(listed)])
    if spec["limits"]:
        write_json(folder / spec["limits"][0], spec["limits"][1])
    if "prompts" in spec:
        write_json(folder / "config_sentence_transformers.json", dict(prompts=spec["prompts"], default_prompt_name=spec["default_prompt_name"], similarity_fn_name="cosine"))


def record(folder, spec, seed, texts):
    model = SentenceTransformer(str(folder), device="cpu", local_files_only=True).eval().double()

    def encode(**kw):
        with torch.inference_mode():
            rows = [model.encode([t], batch_size=1, convert_to_tensor=True, show_progress_bar=False, **kw)[0] for t in texts]
        return torch.stack(rows).float().numpy()

    np.save(folder / "embeddings.npy", encode())
    for name in spec.get("prompts", {}):
        np.save(folder / f"embeddings.prompt.{name}.npy", encode(prompt_name=name))
    lengths = []
    with open(folder / "tokens.jsonl", "w") as f:
        for t in texts:
            ids = model.preprocess([t])["input_ids"][0].tolist()
            lengths.append(len(ids))
            f.write(json.dumps(ids, separators=(",", ":")) + "\n")
    shape = list(np.load(folder / "embeddings.npy").shape)
    write_json(folder / "golden.json", dict(command="python make_sentence_transformers.py", seed=seed, shape=shape, longest_tokens=max(lengths), max_seq_length=model.max_seq_length,
                                            versions=versions("numpy", "torch", "transformers", "sentence-transformers", "tokenizers", "safetensors")))
    print(f"{spec['name']:22s} {shape} longest {max(lengths)} limit {model.max_seq_length} {sum(f.stat().st_size for f in folder.rglob('*') if f.is_file()) // 1024} KiB")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--out", default=pathlib.Path(__file__).resolve().parent / "tiny_st", type=pathlib.Path)
    a = p.parse_args()
    torch.set_num_threads(1)
    texts = chosen_texts()
    a.out.mkdir(parents=True, exist_ok=True)
    (a.out / "texts.jsonl").write_text("".join(json.dumps(t) + "\n" for t in texts))
    for i, spec in enumerate(FOLDERS):
        write_folder(a.out / spec["name"], spec, 2000 + 10 * i)
        record(a.out / spec["name"], spec, 2000 + 10 * i, texts)


if __name__ == "__main__":
    main()
