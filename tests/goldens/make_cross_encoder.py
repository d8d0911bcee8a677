"""Write tiny cross-encoder folders with what sentence-transformers and transformers compute for them.

    python make_cross_encoder.py [--out FOLDER]          # default: cross_encoder/ beside this script

Classifiers of BERT and of the families after it with random parameters, the matrices behind the last layer enlarged so that scores of pairs differ, and
the vocabulary of make_sentence_transformers.py. Run in float64, one pair at a time, recorded as float32. README.md tells the
folders apart. Needs: torch, transformers, sentence-transformers, tokenizers, safetensors (versions used are in each golden.json).
"""
import argparse
import json
import os
import pathlib
import shutil

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers as tf
from safetensors.torch import save_file
from sentence_transformers import CrossEncoder

from common import randomise, versions
from make_sentence_transformers import chosen_texts, wordpiece, write_json
from make_tiny_jina import JinaBert, save as save_jina, sizes as jina_sizes
from texts import CODE, ENGLISH, LANGUAGES, long_texts

MODERN = dict(pad_token_id=0, cls_token_id=2, sep_token_id=3, bos_token_id=2, eos_token_id=3)
FOLDERS = [  # config, tokenizer_config.json beside the usual, arguments of CrossEncoder; BERT unless the name is a family's
    ("one_label", dict(hidden_size=24, num_attention_heads=3, intermediate_size=37, num_hidden_layers=2, max_position_embeddings=64, num_labels=1), dict(model_max_length=512), {}),
    ("three_labels", dict(hidden_size=20, num_attention_heads=2, intermediate_size=41, num_hidden_layers=1, max_position_embeddings=80, num_labels=3),
     dict(model_max_length=48, truncation_side="left", model_input_names=["input_ids", "attention_mask"]), {}),
    ("saved", dict(hidden_size=28, num_attention_heads=4, intermediate_size=30, num_hidden_layers=1, max_position_embeddings=40, num_labels=1), dict(model_max_length=33),
     dict(activation_fn=torch.nn.Identity(), prompts={"query": "search query: "}, default_prompt_name="query")),
    ("roberta", dict(hidden_size=20, num_attention_heads=2, intermediate_size=23, num_hidden_layers=1, max_position_embeddings=50, num_labels=1, pad_token_id=0, type_vocab_size=1), dict(model_max_length=45), {}),
    ("electra", dict(hidden_size=20, num_attention_heads=2, intermediate_size=23, num_hidden_layers=1, max_position_embeddings=50, num_labels=2, embedding_size=8, type_vocab_size=2), dict(model_max_length=50, model_input_names=["input_ids", "token_type_ids", "attention_mask"]), {}),
    ("distilbert", dict(dim=18, n_heads=3, hidden_dim=23, n_layers=1, max_position_embeddings=50, num_labels=1), dict(model_max_length=50, model_input_names=["input_ids", "attention_mask"]), {}),
    ("mpnet", dict(hidden_size=20, num_attention_heads=2, intermediate_size=23, num_hidden_layers=1, max_position_embeddings=50, num_labels=1, pad_token_id=0), dict(model_max_length=40, model_input_names=["input_ids", "attention_mask"]), {}),
    ("deberta-v2", dict(hidden_size=24, num_attention_heads=3, intermediate_size=23, num_hidden_layers=2, max_position_embeddings=50, num_labels=1, type_vocab_size=2, relative_attention=True,
                        position_buckets=8, max_relative_positions=-1, pos_att_type=["p2c", "c2p"], share_att_key=True, norm_rel_ebd="layer_norm", position_biased_input=False, pooler_hidden_act="gelu"),
     dict(model_max_length=45, model_input_names=["input_ids", "token_type_ids", "attention_mask"]), {}),
    ("modernbert", dict(hidden_size=24, num_attention_heads=3, intermediate_size=23, num_hidden_layers=3, max_position_embeddings=60, num_labels=1, local_attention=8, **MODERN),
     dict(model_max_length=45, model_input_names=["input_ids", "attention_mask"]), {}),
    ("modernbert_mean", dict(hidden_size=20, num_attention_heads=2, intermediate_size=21, num_hidden_layers=2, max_position_embeddings=60, num_labels=3, local_attention=6, classifier_pooling="mean", classifier_bias=True,
                             classifier_activation="silu", norm_bias=True, norm_eps=1e-3, **MODERN), dict(model_max_length=50, model_input_names=["input_ids", "attention_mask"]), {}),
]
FAMILIES = {"roberta": (tf.RobertaConfig, tf.RobertaForSequenceClassification), "electra": (tf.ElectraConfig, tf.ElectraForSequenceClassification),
            "distilbert": (tf.DistilBertConfig, tf.DistilBertForSequenceClassification), "mpnet": (tf.MPNetConfig, tf.MPNetForSequenceClassification),
            "deberta-v2": (tf.DebertaV2Config, tf.DebertaV2ForSequenceClassification), "modernbert": (tf.ModernBertConfig, tf.ModernBertForSequenceClassification)}


def pairs():
    """Ragged, some longer than a model takes on one side or on both, empty ones, and the same text twice."""
    texts, long = chosen_texts(), long_texts()
    out = [[texts[i], texts[(5 * i + 3) % len(texts)]] for i in range(len(texts))]
    return out + [["", ""], ["", "x"], ["x", ""], [long[0], long[1]], [long[1], "x"], ["x", long[0]], ["", long[0]], [long[0], ""], ["a small text", "a small text"], ["a [SEP] b", "[CLS]"]]


def write_folder(folder, sizes, tokenizer_config, seed):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    tok = wordpiece(True, LANGUAGES + ENGLISH + CODE)
    tok.save(str(folder / "tokenizer.json"))
    family = FAMILIES.get(folder.name.removesuffix("_mean"))
    tokenizer_class = "PreTrainedTokenizerFast" if family else "BertTokenizer"
    write_json(folder / "tokenizer_config.json", dict(tokenizer_class=tokenizer_class, do_lower_case=True, unk_token="[UNK]", sep_token="[SEP]", pad_token="[PAD]", cls_token="[CLS]", mask_token="[MASK]", **tokenizer_config))
    config, classifier = family or (tf.BertConfig, tf.BertForSequenceClassification)
    if not family:
        sizes = dict(type_vocab_size=2, **sizes)
    model = classifier(config(vocab_size=tok.get_vocab_size(), **sizes))
    randomise(model, seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("weight") and ("classifier" in name or "pooler" in name or name.startswith("head.")):
                parameter.mul_(3)
    model.save_pretrained(folder)


def record(folder, seed, rows):
    model = CrossEncoder(str(folder), device="cpu", local_files_only=True).double()
    features = [model.preprocess([pair], prompt=model._resolve_prompt(None, None)) for pair in rows]
    with torch.inference_mode():
        scores = torch.cat([model.predict([pair], convert_to_tensor=True) for pair in rows])
        names = ("input_ids", "attention_mask", "token_type_ids")
        logits = torch.cat([model.model(**{n: f[n] for n in names if n in f}).logits for f in features])
    save_file(dict(scores=scores.float(), logits=logits.float()), str(folder / "golden.safetensors"), metadata={"format": "pt"})
    ids = [f["input_ids"][0].tolist() for f in features]
    (folder / "tokens.jsonl").write_text("".join(json.dumps(row, separators=(",", ":")) + "\n" for row in ids))
    write_json(folder / "golden.json", dict(command="python make_cross_encoder.py", seed=seed, max_length=model.max_seq_length, activation=type(model.activation_fn).__name__,
                                            versions=versions("torch", "transformers", "sentence-transformers", "tokenizers", "safetensors")))
    size = sum(f.stat().st_size for f in folder.iterdir())
    print(f"{folder.name:14s} {list(scores.shape)} scores {scores.min():.3f} .. {scores.max():.3f}, cut {sum(len(i) == model.max_seq_length for i in ids)}, {size // 1024} KiB")
    assert size < 300 * 1024


def write_jina(folder, seed, rows):
    """A reranker of JinaBERT, whose code is its authors': pooler and classifier as BERT's, by the oracle of make_tiny_jina.py."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    tok = wordpiece(True, LANGUAGES + ENGLISH + CODE)
    tok.save(str(folder / "tokenizer.json"))
    write_json(folder / "tokenizer_config.json", dict(tokenizer_class="BertTokenizer", do_lower_case=True, model_max_length=70, unk_token="[UNK]", sep_token="[SEP]", pad_token="[PAD]", cls_token="[CLS]", mask_token="[MASK]"))
    c = jina_sizes(24, 6, 23, 2, tok.get_vocab_size(), feed_forward_type="geglu") | dict(max_position_embeddings=60)
    model = JinaBert(c, "plain", True)
    randomise(model, seed)
    classifier = torch.randn(1, 24, generator=torch.Generator().manual_seed(seed)) / 2
    with torch.no_grad():
        model.pooler.dense.weight.mul_(3)
    tensors = {"bert." + k: v for k, v in model.state_dict().items()} | {"classifier.weight": classifier, "classifier.bias": torch.full((1,), -3.5)}
    save_jina(folder, c | dict(id2label={"0": "LABEL_0"}), "plain", "JinaBertForSequenceClassification", tensors)
    tok.enable_truncation(60)
    tok.no_padding()
    ids, logits = [], []
    model.double().eval()
    with torch.inference_mode():
        for first, second in rows:
            e = tok.encode(first, second)
            ids.append(e.ids)
            x = torch.tensor([e.ids])
            logits.append(model.pooled(model.states(x, torch.ones_like(x), torch.tensor([e.type_ids]))[-1]) @ classifier.double().T - 3.5)
    logits = torch.cat(logits)
    save_file(dict(scores=logits.sigmoid()[:, 0].float(), logits=logits.float()), str(folder / "golden.safetensors"), metadata={"format": "pt"})
    (folder / "tokens.jsonl").write_text("".join(json.dumps(row, separators=(",", ":")) + "\n" for row in ids))
    write_json(folder / "golden.json", dict(command="python make_cross_encoder.py", seed=seed, max_length=60, activation="Sigmoid", versions=versions("torch", "tokenizers", "safetensors")))
    print(f"{folder.name:14s} scores {logits.sigmoid().min():.3f} .. {logits.sigmoid().max():.3f}, cut {sum(len(i) == 60 for i in ids)}")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--out", default=pathlib.Path(__file__).resolve().parent / "cross_encoder", type=pathlib.Path)
    p.add_argument("names", nargs="*", help="only these folders")
    a = p.parse_args()
    torch.set_num_threads(1)
    tf.logging.set_verbosity_error()
    rows = pairs()
    a.out.mkdir(parents=True, exist_ok=True)
    (a.out / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in rows))
    if not a.names or "jina" in a.names:
        write_jina(a.out / "jina", 3900, rows)
    for i, (name, sizes, tokenizer_config, arguments) in enumerate(FOLDERS):
        if a.names and name not in a.names:
            continue
        write_folder(a.out / name, sizes, tokenizer_config, 3000 + 10 * i)
        if arguments:  # again, as sentence-transformers writes it
            CrossEncoder(str(a.out / name), device="cpu", local_files_only=True, **arguments).save_pretrained(str(a.out / name), create_model_card=False)
        record(a.out / name, 3000 + 10 * i, rows)


if __name__ == "__main__":
    main()
