#!/usr/bin/env python3
"""Writes sentencepiece/: folders with a sentencepiece model and no tokenizer.json, and what transformers makes of texts there.

    python make_sentencepiece.py [NAME ...]        (needs sentencepiece, protobuf, and what common.py needs)

The vocabularies are trained here, on the texts of texts.py, with the special pieces and in the places of the families' own ones.
"""
import argparse
import json
import pathlib
import tempfile

import sentencepiece
import transformers as tf
from common import versions
from make_sentence_transformers import write_json
from texts import CODE, ENGLISH, LANGUAGES

HERE = pathlib.Path(__file__).resolve().parent
# Rules in place of the quarter of a megabyte that nmt_nfkc takes: wide letters, a ligature, a kelvin sign, a mark after its letter.
RULES = "".join(f"{' '.join(f'{ord(c):X}' for c in a)}\t{' '.join(f'{ord(c):X}' for c in b)}\n"
                for a, b in [(chr(0xFF01 + i), chr(0x21 + i)) for i in range(94)] + [("\u3000", " "), ("\ufb01", "fi"), ("\u212a", "K"), ("e\u0301", "é"), ("…", "..."), ("\u00ad", "")])
DEBERTA = dict(pad_id=0, bos_id=1, eos_id=2, unk_id=3, pad_piece="[PAD]", bos_piece="[CLS]", eos_piece="[SEP]", unk_piece="[UNK]")
T5 = dict(pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
XLM_ROBERTA = dict(unk_id=0, bos_id=1, eos_id=2)
FOLDERS = {  # name: file, pieces, the training's options, config.json, tokenizer_config.json, added_tokens.json
    "deberta": ("spm.model", 300, DEBERTA, {"model_type": "deberta-v2"}, {"do_lower_case": False, "vocab_type": "spm"}, None),
    "deberta_lower": ("spm.model", 260, dict(DEBERTA, user_defined_symbols=["<mine>"]), {"model_type": "deberta-v2"},
                      {"tokenizer_class": "DebertaV2Tokenizer", "do_lower_case": True, "split_by_punct": True, "add_prefix_space": False, "mask_token": "[MASK]"}, {"[MASK]": 260}),
    "t5": ("spiece.model", 280, T5, {"model_type": "t5"}, None, None),
    "t5_listed": ("spiece.model", 260, T5, {"model_type": "t5"}, {"tokenizer_class": "T5TokenizerFast", "extra_ids": 2, "additional_special_tokens": ["<extra_id_0>", "cat", "<extra_id_1>"]}, None),
    "mt5": ("spiece.model", 540, dict(T5, byte_fallback=True), {"model_type": "mt5"}, {"tokenizer_class": "T5Tokenizer", "extra_ids": 0, "additional_special_tokens": None}, None),
    "xlm_roberta": ("sentencepiece.bpe.model", 290, XLM_ROBERTA, {"model_type": "xlm-roberta"}, None, None),
    "xlm_roberta_class": ("sentencepiece.bpe.model", 270, XLM_ROBERTA, {"model_type": "bert"}, {"tokenizer_class": "XLMRobertaTokenizerFast", "add_prefix_space": False, "additional_special_tokens": ["cat"], "mask_token": {"content": "<mask>", "lstrip": True, "__type": "AddedToken"}}, None),
}
SPECIAL = ["a [MASK] b<mask>c </s> d", "[CLS]x[SEP]", "<pad> <unk>[UNK] <s>", "x <mine>y<mine>", "<extra_id_0> and <extra_id_99>", " \t two  spaces\n\nline ", "", " ", "▁ under▁line", "Ｗｉｄｅ\u3000ﬁt… e\u0301 soft\u00adhyphen", "\U0001F600 emoji \u0001 control"]


def train(path, texts, pieces, options):
    with tempfile.TemporaryDirectory() as name:
        corpus, rules = pathlib.Path(name) / "texts", pathlib.Path(name) / "rules.tsv"
        corpus.write_text("\n".join(t.replace("\n", " ") for t in texts))
        rules.write_text(RULES)
        prefix = pathlib.Path(name) / "m"
        sentencepiece.SentencePieceTrainer.train(input=str(corpus), model_prefix=str(prefix), vocab_size=pieces, model_type="unigram", num_threads=1, hard_vocab_limit=False,
                                                 character_coverage=0.98, normalization_rule_tsv=str(rules), minloglevel=2, **options)
        path.write_bytes(prefix.with_suffix(".model").read_bytes())


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("names", nargs="*", default=list(FOLDERS))
    for name in p.parse_args().names:
        file, pieces, options, config, tokenizer_config, added = FOLDERS[name]
        folder = HERE / "sentencepiece" / name
        folder.mkdir(parents=True, exist_ok=True)
        train(folder / file, ENGLISH + CODE + LANGUAGES[:30], pieces, options)
        write_json(folder / "config.json", config)
        for content, where in ((tokenizer_config, "tokenizer_config.json"), (added, "added_tokens.json")):
            if content is not None:
                write_json(folder / where, content)
        tokenizer = tf.AutoTokenizer.from_pretrained(folder)
        texts = SPECIAL + ENGLISH + CODE + LANGUAGES
        plain = [dict(text=t, ids=tokenizer(t)["input_ids"]) for t in texts]
        pairs = [dict(first=a, second=b, ids=tokenizer(a, b)["input_ids"], types=tokenizer(a, b, return_token_type_ids=True)["token_type_ids"]) for a, b in zip(texts[5:25], texts[30:50])]
        golden = dict(command=f"python make_sentencepiece.py {name}", versions=versions("sentencepiece", "transformers", "tokenizers"), size=len(tokenizer), texts=plain, pairs=pairs)
        (folder / "golden.json").write_text(json.dumps(golden, ensure_ascii=False) + "\n")
        print(folder, type(tokenizer).__name__, len(tokenizer))


if __name__ == "__main__":
    main()
