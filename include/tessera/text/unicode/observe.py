#!/usr/bin/env python3
"""Writes unicode_observed.json.gz: what unicode_oracle.json.gz lacks, observed by running the tokenizers package.

    python3 observe.py unicode_observed.json.gz        (needs tokenizers 0.23.3 and perl, about two minutes)

Every Unicode scalar value is asked for
- its general category, Alphabetic, Uppercase, Lowercase, \\w and script in the regex engine (Oniguruma, through Replace);
- what it matches without regard to case, (?i:...), there;
- its script in the UnicodeScripts pre-tokenizer, another table: neighbours that stay together, then one of each run against
  every script already seen;
- its grapheme cluster class, by the Precompiled normalizer with charsmaps made for it: a cluster of less than 6 bytes is replaced
  as a whole, so that it can be seen what was one. Classes that can change no cluster of less than 6 bytes are not visible that
  way; Regional_Indicator is the one of them that generate.py adds.
"""
import base64
import gzip
import json
import struct
import subprocess
import sys

import tokenizers
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

ALL = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
TEXT = "".join(map(chr, ALL))
CATEGORIES = "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Co Cn".split()
LATER_SCRIPTS = "Kawi Nag_Mundari Garay Gurung_Khema Kirat_Rai Ol_Onal Sunuwar Todhri Tulu_Tigalari".split()


def ranges(points):
    out = []
    for c in sorted(points):
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def matched(pattern, points=None):
    """The code points that a pattern of one character matches."""
    text = TEXT if points is None else "".join(map(chr, points))
    left = set(normalizers.Replace(Regex(pattern), "").normalize_str(text))
    return [ord(c) for c in text if c not in left]


def script_names():
    program = r"""use Unicode::UCD qw(prop_values prop_value_aliases);
        for (prop_values("sc")) { print join(" ", prop_value_aliases("sc", $_)), "\n" }"""
    out = subprocess.run(["perl", "-e", program], check=True, capture_output=True, text=True).stdout
    return [line.split() for line in out.splitlines()] + [[name] for name in LATER_SCRIPTS]


def onig():
    out = {name: ranges(matched(r"\p{%s}" % name)) for name in CATEGORIES + ["Alphabetic", "Uppercase", "Lowercase"]}
    out["w"] = ranges(matched(r"\w"))
    names = script_names()
    scripts, aliases = {}, {}
    for group in names:
        for name in group:
            try:
                Regex(r"\p{%s}" % name)
            except Exception:  # a name that the engine does not know
                continue
            if known := next((n for n in group if n in scripts), None):
                aliases[name] = known
            elif points := matched(r"\p{%s}" % name):
                scripts[name] = ranges(points)
    firsts = {name: points[0][0] for name, points in scripts.items()}
    assert all(matched(r"\p{%s}" % alias, firsts.values()) == [firsts[name]] for alias, name in aliases.items())
    return out, scripts, aliases


def fold_classes():
    """Groups of characters that match each other under (?i:). Only what some case mapping changes can be in one."""
    cased = [c for c in ALL if len({chr(c), chr(c).lower(), chr(c).upper(), chr(c).title(), chr(c).casefold()}) > 1]
    cased = sorted(set(cased) | set(matched(r"\p{Cased}")) |
                   {ord(x) for c in cased for x in chr(c).lower() + chr(c).upper() + chr(c).title() + chr(c).casefold()})
    groups, done = [], set()
    apart = [x for c in cased for x in (c, 0x0A)]  # side by side, "st" would match as U+FB06 does
    for c in cased:
        if c in done:
            continue
        same = matched("(?i:\\x{%X})" % c, apart)
        if len(same) > 1:
            groups.append(same)
            done.update(same)
    return groups


def script_classes():
    """The tables of UnicodeScripts: ranges by class number; class 0 goes with everything."""
    split = pre_tokenizers.UnicodeScripts()
    runs = [(ord(piece[0]), ord(piece[-1])) for piece, _ in split.pre_tokenize_str(TEXT)]
    apart = lambda a, b: len(split.pre_tokenize_str(chr(a) + chr(b))) == 2
    # Inside a run a character of class 0 hides a change: such characters go with both of two others that differ.
    two = (ord("a"), 0x4E00)
    assert apart(*two)
    free = {c for c in ALL if not apart(c, two[0]) and not apart(c, two[1])}
    classes, classed = [ranges(free)], []
    for first, last in runs:
        part = []
        for c in range(first, last + 1):
            if c in free or 0xD800 <= c <= 0xDFFF:
                part, _ = [], classed.append(part) if part else None
            else:
                part.append(c)
        if part:
            classed.append(part)
    for part in classed:
        for known in classes[1:]:
            if not apart(known[0][0], part[0]):
                known.append([part[0], part[-1]])
                break
        else:
            classes.append([[part[0], part[-1]]])
    return classes


class Charsmap:
    """A darts double array of byte keys, and the texts they stand for, as sentencepiece writes it."""

    def __init__(self, mapping):
        self.units, self.used = {0: 0}, {0}
        texts, values = b"", {}
        for key, text in sorted(mapping.items()):
            values[key] = len(texts)
            texts += text + b"\0"
        self.place(0, sorted(values.items()), 0)
        size = (max(self.used) | 255) + 1
        array = b"".join(struct.pack("<I", self.units.get(i, 0)) for i in range(size))
        self.blob = struct.pack("<I", len(array)) + array + texts

    def place(self, node, keys, depth):
        labels = sorted({key[depth] if depth < len(key) else 0 for key, _ in keys})
        offset = 1
        while offset in self.used or any((node ^ offset ^ label) in self.used for label in labels):
            offset += 1
        leaf = labels[0] == 0
        self.used.update(node ^ offset ^ label for label in labels)
        self.units[node] = self.units[node] & 0xFF | offset << 10 | (256 if leaf else 0)
        for label in labels:
            child = node ^ offset ^ label
            below = [k for k in keys if (k[0][depth] if depth < len(k[0]) else 0) == label]
            if label == 0:
                self.units[child] = below[0][1] | 0x80000000
            else:
                self.units[child] = label
                self.place(child, below, depth + 1)

    def run(self, text):
        state = json.dumps({"type": "Precompiled", "precompiled_charsmap": base64.b64encode(self.blob).decode()})
        tokenizer = json.loads(Tokenizer(models.BPE()).to_str())
        tokenizer["normalizer"] = json.loads(state)
        return Tokenizer.from_str(json.dumps(tokenizer)).normalizer.normalize_str(text)


def clusters():
    """Sets of code points by how they join their neighbours."""
    lead = Charsmap({bytes([b]): b"Y" for b in [*range(0xC2, 0xF5)]})
    lead_a = Charsmap({**{bytes([b]): b"Y" for b in range(0xC2, 0xF5)}, b"a": b"X"})
    every = Charsmap({bytes([b]): b"Y" for b in range(1, 0xF5) if (b < 0x80 and b != 10) or b > 0xC1})
    acute = "\u0301"

    def probe(charsmap, before, after, points):
        lines = charsmap.run("\n".join(before + chr(c) + after for c in points)).split("\n")
        assert len(lines) == len(points)
        return list(zip(points, lines))

    plain = [c for c in ALL if c not in (10, 13)]
    seen = {}
    seen["attaches"] = [c for c, s in probe(lead_a, "a", "", plain) if s == "X" and c != ord("a")]
    seen["prepends"] = [c for c, s in probe(lead, "", "a", plain) if s == "Y"]
    # Two marks after c: together with a long c they are too long to be replaced as one; alone they are replaced as one.
    seen["control"] = [c for c, s in probe(lead, "", acute * 2, plain) if c > 0x7FF and s == "YY"]
    seen["control"] += [10, 13] + [c for c, s in probe(every, "", acute, plain) if c <= 0x7FF and s == "YY"]
    seen["pictographic"] = [c for c, s in probe(lead, "\u00a9\u200d", "", plain) if len(s) == 3]
    attaching = set(seen["attaches"])
    joined = lambda before, after: [c for c, s in probe(lead, before, after + acute, plain)
                                    if len(s) == 1 + len(before) + len(after) + 1]
    # Of those that attach, what keeps a pictograph sequence together is Extend.
    seen["extend"] = [c for c in joined("\u00a9", "\u200d\u00a9") if c in attaching]
    seen["before_v"] = joined("", "\u1161")
    seen["before_t"] = joined("", "\u11a8")
    seen["consonant"] = joined("", "\u094d\u0915")
    seen["linker"] = [c for c in joined("\u0915", "\u0915") if c in attaching]
    seen["conjunct_extend"] = [c for c in joined("\u0915", "\u094d\u0915") if c in attaching and c not in seen["linker"]]
    return {name: ranges(points) for name, points in seen.items()}


def main():
    properties, scripts, aliases = onig()
    out = {"note": __doc__.split("\n")[0], "tokenizers": tokenizers.__version__, "onig": properties, "scripts": scripts,
           "script_aliases": aliases, "fold": fold_classes(), "unicode_scripts": script_classes(), "clusters": clusters()}
    for part in ("onig", "scripts", "clusters"):
        for name, points in out[part].items():
            print(part, name, sum(b - a + 1 for a, b in points), len(points))
    print("aliases", len(aliases), "fold", len(out["fold"]), "script classes", len(out["unicode_scripts"]))
    with open(sys.argv[1], "wb") as raw, gzip.GzipFile("", "wb", 9, raw, 0) as file:
        file.write(json.dumps(out, separators=(",", ":")).encode())


if __name__ == "__main__":
    main()
