#!/usr/bin/env python3
"""Writes the fixtures of more/: small tokenizers for components and options that synth/ lacks, and what the tokenizers package
makes of some 450 texts with each.

    python3 make_more.py more        (needs tokenizers 0.23.3)

The texts are made here, most of them at random from characters that components treat in some special way.
"""
import base64
import gzip
import json
import pathlib
import random
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent.parent / "include/tessera/text/unicode"))
from observe import Charsmap  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402

WRITTEN = [
    "", " ", "  ", "\n", "\t \r\n", "a", "The quick brown fox jumps over the lazy dog.", "  leading and trailing  ", "don't you'll we've I'm",
    "snake_case CamelCase kebab-case 3.14159 1,000,000 0x1F", "\u00c9cole fran\u00e7aise, na\u00efve co\u00f6peration; \u0130stanbul \u1e9e",
    "E\u0301cole n\u0303 a\u0323\u0302 o\u0302\u0323", "\u4f60\u597d\uff0c\u4e16\u754c\u3002\u3053\u3093\u306b\u3061\u306f \uc548\ub155\ud558\uc138\uc694",
    "\u1112\u1161\u11ab\u1100\u1173\u11af", "\u0928\u092e\u0938\u094d\u0924\u0947 \u0915\u094d\u0937\u093f", "\u0645\u0631\u062d\u0628\u0627 \u0628\u0650\u0633\u0652\u0645\u0650",
    "\u03a3\u03af\u03c3\u03c5\u03c6\u03bf\u03c2 \u039f\u0394\u039f\u03a3", "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7\U0001f1ee \u2764\ufe0f \U0001f44d\U0001f3fd",
    "\ufb01ne \ufb03 \uff21\uff22\uff23 \u2460\u2461 \u00bd \u2075 \u2122 \u33a5 \u32ff", "``quoted'' \u201ccurly\u201d \u00abguillemets\u00bb \u2026 \u2013 \u2014",
    "\u00ad\u200b\u200c\u200d\u2060\ufeff\ufffd\u0000\u0001\u007f\u0085\u00a0\u1680\u2028\u2029\u3000\u2581", "a\u0000b\u0000\u0000c",
    "\ud7a3\u11a8 \uac00\u11a8 \uac01\u11a8", "\u0344 \u0340 \u212b \u2126 \u0958 \ufb1d \U0001d15e \U0001d1bb",
    "<unk> <s> </s> [UNK] <0x41> \u2581the", "aaaaaaaaaaaaaaaaaaaaaaaaaaaa", "x" * 130, "e\u0301" * 20, "\u0301\u0300\u0323", " \u0301x", "\u0301",
]
ALPHABETS = [
    "abcdeABCDE  \n.,'", "aeiouAEIOU\u0301\u0300\u0302\u0308\u0323\u0327\u0331\u0338\u05b0\u05b4\u3099",
    "\u1100\u1112\u1161\u1175\u11a7\u11a8\u11c2\uac00\uac01\ud7a3a", "\u00e9\u1ec7\u1e9b\u0323\u0344\u0340\u212b\u01d5\u1fb4\u0345\u0342",
    "\u00a9\u200d\u0301\u2764\ufe0f\U0001f468\U0001f3fd\U0001f1e9\u0903\u0600a", "\u0915\u094d\u0937\u0301\u200d\u093c\u0d4d\u0d15a",
    "\ufb01\uff21\u00bd\u2460\u3000\u00ad\u2581 \r\n\tx", "\u4e2d\u6587\u3042\u30ab\uff0c\u3002ab ", "\U0001d15e\U0001d165\U0001d16e\U0001d1bb\U00011099\U000110bax",
    "\u0130\u0131\u1e9e\u00df\u017f\u212a\u01c5\u03a3\u03c2\u1f80", "\u0000\u0001\u0008\u000b\u007f\u008f\u0085\u200e\ufeff\ufffd\ue000a ", "0123456789\u0661\u00b2\u2167a. ",
    "thequickbrownfox\u2581 ", "\U0001f600\u00ff\u07ff\u0800\uffff\U0010ffff\u0080",
]


def texts():
    rng = random.Random(4)
    out = list(WRITTEN)
    while len(out) < 450:
        alphabet = rng.choice(ALPHABETS) + (rng.choice(ALPHABETS) if rng.random() < 0.4 else "")
        out.append("".join(rng.choice(alphabet) for _ in range(rng.choice([2, 3, 5, 8, 13, 30, 60]))))
    return out


def byte_alphabet():
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [b for b in range(256) if b not in printable]
    return [chr(b) for b in printable] + [chr(256 + i) for i in range(len(rest))]


def added(content, at, **flags):
    return {"id": at, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True} | flags


def layout(**parts):
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None, "pre_tokenizer": None,
            "post_processor": None, "decoder": None} | parts


def a_token_a_byte(normalizer):
    """Ids and offsets then show what the normalizer did to each byte."""
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    vocab = {"[UNK]": 0} | {c: i + 1 for i, c in enumerate(byte_alphabet())}
    model = {"type": "BPE", "dropout": None, "unk_token": "[UNK]", "continuing_subword_prefix": None, "end_of_word_suffix": None,
             "fuse_unk": False, "byte_fallback": False, "ignore_merges": False, "vocab": vocab, "merges": []}
    return layout(added_tokens=[added("[UNK]", 0)], normalizer=normalizer, pre_tokenizer=level, decoder=level, model=model)


def sequence(*steps):
    return {"type": "Sequence", "normalizers": list(steps)}


def replace(pattern, content, regex=False):
    return {"type": "Replace", "pattern": {"Regex" if regex else "String": pattern}, "content": content}


def precompiled(mapping):
    blob = Charsmap({k.encode(): v.encode() for k, v in mapping.items()}).blob
    return {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(blob).decode()}


CHARSMAP = {
    "\u00ad": "", "\u200d": "", "\u0301": "", "\r": " ", "\t": " ", "\u3000": " ", "\ufb01": "fi", "\uff21": "A", "\u00bd": "1/2", "\u2460": "1", "a\u0301": "\u00e1",
    "e\u0301": "\u00e9", "e": "E", "o\u0302\u0323": "\u1ed9", "\u00e9": "e\u0301", "\u00a9": "(c)", "\u0915": "ka", "\u0915\u094d": "k", "\uac00": "\u1100\u1161", "ab": "BA",
    "x": "", "\U0001f468": "man", "\u4e2d": "\u4e2d", "\u0600": "", "\u2581": " ",
}
NFKC = {"type": "NFKC"}
SCORES = [["<unk>", 0.0], ["<s>", 0.0], ["</s>", 0.0], ["\u2581", -2.5], ["\u2581the", -3.25], ["he", -4.0], ["the", -4.0], ["t", -4.5], ["h", -4.5], ["e", -3.0],
          ["qu", -5.0], ["ick", -5.5], ["quick", -10.5], ["a", -3.0], ["aa", -6.0], ["aaa", -9.0], ["aaaa", -11.0], ["b", -4.0], ["ab", -7.0], ["ba", -7.0],
          ["abc", -7.0], ["c", -4.0], ["\u00e9", -4.0], ["\u4f60", -6.0], ["\u4f60\u597d", -8.0], ["\u597d", -6.0], [" ", -5.0], ["\u0301", -7.0], ["\U0001f468", -8.0],
          ["x", -4.0], ["xx", -8.0], ["o", -4.0], ["r", -4.0], [".", -4.0], [",", -4.0]]
METASPACE = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True}
SPECIAL = [added("<unk>", 0), added("<s>", 1), added("</s>", 2)]
BYTES = [[f"<0x{b:02X}>", -20.0] for b in range(256)]


def unigram(vocab, **options):
    return {"type": "Unigram", "unk_id": 0, "vocab": vocab, "byte_fallback": False} | options


def words(pre_tokenizer):
    vocab = {"[UNK]": 0}
    return layout(added_tokens=[added("[UNK]", 0)], pre_tokenizer=pre_tokenizer, model={"type": "WordLevel", "vocab": vocab, "unk_token": "[UNK]"})


FIXTURES = {
    "norm-precompiled": a_token_a_byte(precompiled(CHARSMAP)),
    "norm-precompiled-first-removed": a_token_a_byte(precompiled({c: "" for c in "a\u0301\u200d\u00a9\u1100 "})),
    "norm-precompiled-then-spaces": a_token_a_byte(sequence(precompiled(CHARSMAP), replace(" {2,}", " ", True))),
    "norm-nmt-nfkc": a_token_a_byte(sequence({"type": "Nmt"}, NFKC, replace(" {2,}", " ", True))),
    "norm-nfd-nfc": a_token_a_byte(sequence({"type": "NFD"}, {"type": "NFC"})),
    "norm-nfkd-strip-nfc": a_token_a_byte(sequence({"type": "NFKD"}, {"type": "StripAccents"}, {"type": "NFC"}, {"type": "Lowercase"})),
    "norm-nfkc-strip-lower": a_token_a_byte(sequence(NFKC, {"type": "Strip", "strip_left": True, "strip_right": True}, {"type": "Lowercase"})),
    "norm-nested": a_token_a_byte(sequence(sequence(), sequence(replace("a", "")), sequence({"type": "Prepend", "prepend": "<\u00e9>"}, {"type": "NFD"}))),
    "norm-replace-words": a_token_a_byte(replace("\\w+", "\u00e9w", True)),
    "norm-replace-away": a_token_a_byte(sequence(replace("\\s", "", True), {"type": "Prepend", "prepend": "\u2581"}, replace("e", "\u0301e"))),
    "norm-bytelevel-twice": a_token_a_byte(sequence({"type": "ByteLevel"}, {"type": "Lowercase"}, {"type": "ByteLevel"})),
    "norm-bert-defaults": a_token_a_byte({"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": False}),
    "norm-bert-after-nfkc": a_token_a_byte(sequence(NFKC, {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": True, "lowercase": True})),
    "uni-duplicates": layout(added_tokens=SPECIAL, normalizer=NFKC, pre_tokenizer=METASPACE, decoder=METASPACE,
                             model=unigram(SCORES + [["a", -8.0], ["the", -1.0], ["<s>", -3.0]])),
    "uni-text-of-specials": layout(pre_tokenizer=METASPACE, decoder=METASPACE, model=unigram(SCORES + [["<", -4.0], [">", -4.0], ["s", -4.0]])),
    "uni-bytes-all": layout(added_tokens=SPECIAL, pre_tokenizer=METASPACE, decoder=METASPACE, model=unigram(SCORES + BYTES, byte_fallback=True)),
    "uni-bytes-partial": layout(added_tokens=SPECIAL, pre_tokenizer=METASPACE, decoder=METASPACE,
                                model=unigram(SCORES + BYTES[::2] + BYTES[0xC3:0xC4] + BYTES[0x81:0xC0:2], byte_fallback=True)),
    "uni-whole-text": layout(added_tokens=SPECIAL, normalizer=sequence({"type": "Prepend", "prepend": "\u2581"}, replace(" ", "\u2581")), model=unigram(SCORES)),
    "uni-charsmap": layout(added_tokens=SPECIAL, normalizer=sequence(precompiled(CHARSMAP), replace(" {2,}", " ", True)),
                           pre_tokenizer={"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, METASPACE]}, decoder=METASPACE, model=unigram(SCORES)),
    "uni-no-type": layout(added_tokens=SPECIAL, pre_tokenizer=METASPACE, decoder=METASPACE, model={"unk_id": 0, "vocab": SCORES}),
    "uni-scores": layout(added_tokens=SPECIAL, pre_tokenizer=METASPACE, decoder=METASPACE,
                         model=unigram([[t, s * 1e-9 + 30] for t, s in SCORES])),
    "pre-fixed-length": words({"type": "FixedLength", "length": 3}),
}


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(exist_ok=True)

    def write(name, text):
        with open(folder / name, "wb") as raw, gzip.GzipFile("", "wb", 9, raw, 0) as file:
            file.write(text.encode())

    for name, state in FIXTURES.items():
        tokenizer = Tokenizer.from_str(json.dumps(state))
        lines = []
        for i, text in enumerate(texts()):
            encoding = tokenizer.encode(text)
            line = {"text": text, "ids": encoding.ids, "offsets": encoding.offsets}
            if i % 8 == 0:
                line["decoded"] = tokenizer.decode(encoding.ids, skip_special_tokens=True)
            lines.append(json.dumps(line, separators=(",", ":")))
        write(name + ".tokenizer.json.gz", json.dumps(state))
        write(name + ".golden.jsonl.gz", "\n".join(lines) + "\n")


main()
