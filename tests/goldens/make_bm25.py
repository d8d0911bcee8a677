#!/usr/bin/env python3
"""Writes bm25.json: BM25 of a small corpus by bm25s (method "lucene", in float64), and its words by tokenizers.

    python3 make_bm25.py        (needs bm25s, tokenizers, and what common.py needs)

words: those of each text, lower case. scores: for each (k1, b) and query, {document: score}, without those of 0. The words of a
query that no document has are left out, as bm25s does; others count as often as they stand there.
"""
import json
import pathlib
import random

import bm25s
from tokenizers import Regex, normalizers, pre_tokenizers

from common import versions
from texts import EDGES, EMOJI, LANGUAGES

SEED = 7
TEXTS = [
    "", "...", "\u0301 \u0302", "a", "A a", "a a a a", "The cat sat on the mat.", "the the the dog", "THE DOG, the cat & the bird",
    "Die Straße ist größer als die STRASSE", "Äpfel, äpfel, A\u0308pfel!", "Übermäßige Größe", "İstanbul ISTANBUL ıstanbul istanbul", "ΣΊΣΥΦΟΣ σίσυφος σίσυφοσ",
    "東京都 東京 都", "東京、都。東京", "한국어 한국어 문장", "👍🏽 thumbs 👨‍👩‍👧 1️⃣ one 1", "e\u0301te\u0301 été e\u0301", "q\u0307\u0323 \u0307q", "x² ½ Ⅷ ⅷ ① ⓐ Ⓐ", "snake_case can't e-mail 3.14 v2",
    "Ǆ ǆ ǅ ﬁ ſ K k Å å", "क्षि क्षि कि", "zero\u200bwidth zero\u200dwidth soft\u00adhyphen", "𝔘𝔫𝔦 𐐀𐐨 𐐨𐐨",
]
QUERIES = ["", "a", "a a a", "the dog", "THE the The cat", "straße STRASSE größe", "äpfel", "A\u0308PFEL äpfel", "istanbul İstanbul", "σίσυφος", "東京 都", "한국어", "1 one 👍🏽", "1\ufe0f\u20e3",
           "É e\u0301te\u0301", "q\u0307\u0323", "½ ⅷ ①", "case e mail 3 14", "ǆ k å", "क्षि", "nothing of this kind", "word cat nothing", "zero width hyphen", "𐐨𐐨 𐐀𐐀"]


def main():
    rng = random.Random(SEED)
    common = ["the", "cat", "dog", "a", "größe", "東京", "été", "word", "bird", "mat"]
    texts = TEXTS + LANGUAGES + EMOJI + EDGES + [" ".join(rng.choices(common, weights=range(10, 0, -1), k=rng.randrange(30))) for _ in range(30)]
    lower, split = normalizers.Lowercase(), pre_tokenizers.Split(Regex(r"[\p{L}\p{N}][\p{L}\p{N}\p{M}]*"), "removed", invert=True)
    words_of = lambda text: [word for word, _ in split.pre_tokenize_str(lower.normalize_str(text))]
    words, queries = [words_of(t) for t in texts], [words_of(q) for q in QUERIES]
    scores = {}
    for k1, b in ((1.2, 0.75), (0.9, 0.4), (2.0, 1.0), (0.0, 0.5), (1.5, 0.0)):
        index = bm25s.BM25(k1=k1, b=b, method="lucene", dtype="float64")
        index.index(words, show_progress=False)
        rows = []
        for query in queries:
            known = index.get_tokens_ids(query)
            row = index.get_scores_from_ids(known) if known else []
            rows.append({str(d): float(s) for d, s in enumerate(row) if s != 0})
        scores[f"{k1} {b}"] = rows
    out = {"command": "python3 make_bm25.py", "seed": SEED, "versions": versions("bm25s", "tokenizers", "numpy"), "texts": texts, "words": words, "queries": QUERIES, "scores": scores}
    (pathlib.Path(__file__).parent / "bm25.json").write_text(json.dumps(out, ensure_ascii=True) + "\n")
    print(len(texts), "texts", sum(map(len, words)), "words", [len(r) for r in scores["1.2 0.75"]])


if __name__ == "__main__":
    main()
