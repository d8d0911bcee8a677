#!/usr/bin/env python3
"""Writes regex_cases.jsonl.gz: random patterns, texts, and the byte ranges that the package `tokenizers` finds.

    python3 make_regex_cases.py 2>/dev/null      (in this folder; the engine's own failures are dropped)
"""
import gzip
import json
import random

from tokenizers import Regex, pre_tokenizers

RNG = random.Random(7)
ATOMS = [
    "a", "b", "s", "t", " ", "\\s", "\\S", "\\w", "\\W", "\\d", "\\p{L}", "\\p{N}", "\\P{L}", "[^\\s\\p{L}\\p{N}]", "[ab]", "[^a]",
    "[a-z&&[^b]]", "[[:punct:]]", "[[:upper:]a]", ".", "\\n", "é", "中", "[\\r\\n]", "\\p{Lu}", "\\p{M}", "^", "$", "\\b", "\\B", "\\A",
    "\\z", "\\Z", "[[:^alpha:]]", "\\h", "\\p{Han}", "\\x41", "(?i:a)", "(?i:[ab])", "(?i:'s)", "\\p{^L}", "\\-", "k"
]
QUANTIFIERS = ["", "", "", "", "*", "+", "?", "*?", "+?", "??", "*+", "++", "?+", "{2}", "{1,2}", "{,2}", "{2,}", "{1,2}?", "{2}?", "{1,3}+"]
ALPHABET = "aabbst  \n\n\r\t'1²AſKéÉ中文\u0301😀.,-_٣\u2028\x1ckK"


def pattern(depth):
    kind = RNG.random()
    if depth <= 0 or kind < .5:
        return RNG.choice(ATOMS) + RNG.choice(QUANTIFIERS)
    one, two, many = pattern(depth - 1), pattern(depth - 1), RNG.choice(QUANTIFIERS)
    forms = [(.65, f"(?:{one}|{two}){many}"), (.75, one + two), (.8, f"(?={one})"), (.88, f"{one}(?!{two})"), (.92, f"(?>{one})"),
             (.95, f"({one}){many}")]
    return next((text for limit, text in forms if kind < limit), f"{one}|{two}")


def found(expression, text):
    split = pre_tokenizers.Split(Regex(expression), "removed", invert=True)
    at = [0]
    for c in text:
        at.append(at[-1] + len(c.encode()))
    return [[at[a], at[b]] for _, (a, b) in split.pre_tokenize_str(text)]


def main():
    with gzip.GzipFile("regex_cases.jsonl.gz", "wb", mtime=0) as out:
        for _ in range(3000):
            expression, text = pattern(3), "".join(RNG.choices(ALPHABET, k=RNG.randint(1, 14)))
            try:
                want = found(expression, text)
            except BaseException:  # not an expression, or more steps than the engine allows
                continue
            out.write((json.dumps([expression, text, want]) + "\n").encode())


main()
