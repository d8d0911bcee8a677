#!/usr/bin/env python3
"""Writes tables.inc: what the tokenizers package does with every code point, observed by running it.

    python3 generate.py unicode_oracle.json.gz unicode_observed.json.gz > tables.inc     (both in tests/data/tokenizers)

The oracle lists, for each component, the code points that it changes; observe.py adds what the regex engine, the scripts and
the grapheme clusters make of each. The package mixes several Unicode versions (8, 9, 16 and 17), so no library's tables would
do. Combining classes are not observable one code point at a time; they come from perl's Unicode database (perl 5.36, Unicode
14), restricted to the characters of Unicode 9, which is the version that the package normalises by. A combining class never
changes once it is assigned.
"""
import gzip
import json
import subprocess
import sys

LIMIT = 0x110000
HANGUL = range(0xAC00, 0xD7A4)
FLAGS = [  # bit, set in the oracle
    ("kCleanRemoved", "bert_clean_removed"),
    ("kCleanToSpace", "bert_clean_to_space"),
    ("kChinese", "bert_chinese"),
    ("kMarkNonspacing", "bert_strip_accents_removed"),
    ("kPunctuation", "bert_punctuation"),
    ("kWhitespace", "char_is_whitespace"),
    ("kWord", "rust_regex_w"),
    ("kNumeric", "char_is_numeric"),
]
CATEGORIES = "Cn Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Co".split()
CLUSTERS = "kOther kControl kExtend kJoiner kSpacing kPrepend kRegional kPictograph kLeading kVowel kTrailing kLv kLvt".split()
BLOCK = 128  # of two-stage tables
SMALL = 64   # of three-stage ones


def blocks_of(values, size):
    """Blocks of `size` values, equal ones shared."""
    index, blocks, seen = [], [], {}
    for at in range(0, len(values), size):
        block = tuple(values[at:at + size])
        if block not in seen:
            seen[block] = len(seen)
            blocks.extend(block)
        index.append(seen[block])
    return index, blocks


def kind_of(values):
    top = max(values)
    return "std::uint8_t" if top < 1 << 8 else "std::uint16_t" if top < 1 << 16 else "std::uint32_t"


def emit(name, values):
    """A list, whose length code may ask for."""
    print(f"inline constexpr {kind_of(values)} {name}[] = {{{','.join(map(str, values))}}};")


def emit_literal(name, values):
    """A string literal, which compilers read many times faster than a list; a 0 follows the values."""
    kind = kind_of(values)
    kind, prefix = {"std::uint16_t": ("char16_t", "u"), "std::uint32_t": ("char32_t", "U")}.get(kind, (kind, ""))
    digits = "\\%o" if prefix == "" else "\\x%x"
    print(f'inline constexpr {kind} {name}[] = {prefix}"' + "".join(digits % v for v in values) + '";')


def emit_two_stage(name, values):
    index, blocks = blocks_of(values, BLOCK)
    emit_literal(f"k{name}Index", index)
    emit_literal(f"k{name}Blocks", blocks)


def emit_three_stage(name, values):
    index, blocks = blocks_of(values, SMALL)
    pages, index = blocks_of(index, SMALL)
    emit_literal(f"k{name}Pages", pages)
    emit_literal(f"k{name}Index", index)
    emit_literal(f"k{name}Blocks", blocks)


def emit_ranges(name, values):
    """Where the value changes, and to what."""
    starts = [c for c in range(LIMIT) if c == 0 or values[c] != values[c - 1]]
    emit(f"k{name}Starts", starts)
    emit(f"k{name}Values", [values[c] for c in starts])


def combining_classes():
    program = r"""
        use charnames (); use Unicode::UCD qw(charinfo);
        for my $c (0x300 .. 0x1ffff) {
          next if $c >= 0xd800 && $c <= 0xdfff;
          next unless chr($c) =~ /\p{Present_In: 9.0}/ && chr($c) !~ /\p{ccc=0}/;
          print "$c ", charinfo($c)->{combining}, "\n";
        }"""
    out = subprocess.run(["perl", "-e", program], check=True, capture_output=True, text=True).stdout
    return {int(a): int(b) for a, b in (line.split() for line in out.splitlines())}


def points(ranges):
    return (c for first, last in ranges for c in range(first, last + 1))


def mark(values, ranges, bits):
    for c in points(ranges):
        values[c] |= bits


def cluster_classes(seen):
    """Grapheme_Cluster_Break, from how each code point joined its neighbours."""
    sets = {name: set(points(ranges)) for name, ranges in seen.items()}
    before_v, before_t = sets["before_v"] - sets["prepends"], sets["before_t"] - sets["prepends"]
    out = [0] * LIMIT

    def put(name, members):
        for c in members:
            assert out[c] == 0, (name, hex(c))
            out[c] = CLUSTERS.index(name)

    put("kControl", sets["control"] | {0})  # a charsmap ends at NUL
    put("kJoiner", {0x200D})
    put("kExtend", sets["extend"])
    put("kSpacing", sets["attaches"] - sets["extend"] - {0x200D})
    put("kPrepend", sets["prepends"])
    put("kRegional", range(0x1F1E6, 0x1F200))
    put("kPictograph", sets["pictographic"] - sets["attaches"])
    syllables = set(HANGUL)
    put("kLeading", before_v - before_t)
    put("kVowel", (before_v & before_t) - syllables)
    put("kLv", before_v & before_t & syllables)
    put("kLvt", (before_t - before_v) & syllables)
    put("kTrailing", before_t - before_v - syllables)
    for c in sets["consonant"]:
        out[c] |= 16
    for c in sets["linker"]:
        out[c] |= 32
    for c in sets["conjunct_extend"]:
        out[c] |= 48
    return out


def compositions(maps):
    """Primary composites: what NFC leaves alone and NFD takes apart. The first of the pair is what NFC makes of all but the
    last; the second never decomposes."""
    nfd = {int(c, 16): tuple(text) for c, text in maps["nfd"].items()}
    changed = {int(c, 16) for c in maps["nfc"]}
    whole = {text: c for c, text in nfd.items() if c not in changed}
    out = []
    for text, c in whole.items():
        if c in HANGUL:
            continue
        first = text[0] if len(text) == 2 else whole[text[:-1]]
        out.append((first, text[-1], c))
    return sorted(out)


def emit_names(kind, name, rows):
    print(f"inline constexpr {kind} {name}[] = {{" + ",".join(f'{{"{n}",{v}}}' for n, v in sorted(rows)) + "};")


def main():
    oracle = json.load(gzip.open(sys.argv[1], "rt"))
    seen = json.load(gzip.open(sys.argv[2], "rt"))
    sets, maps = oracle["sets"], oracle["maps"]
    flags = [0] * LIMIT
    for bit, (_, name) in enumerate(FLAGS):
        mark(flags, sets[name], 1 << bit)
    # Mapped texts: the pool holds length, then code points; 0 is "itself".
    pool, known = [0], {}

    def pooled(text):
        if text not in known:
            known[text] = len(pool)
            pool.extend((len(text),) + text)
        return known[text]

    def mapping(table):
        values = [0] * LIMIT
        for code, text in table.items():
            if int(code, 16) not in HANGUL:  # syllables decompose by arithmetic
                values[int(code, 16)] = pooled(tuple(text))
        return values

    lower, nfd, nfkd = mapping(maps["lowercase"]), mapping(maps["nfd"]), mapping(maps["nfkd"])
    fold = [0] * LIMIT
    for group in seen["fold"]:
        for c in group:
            fold[c] = pooled(tuple(sorted(group)))
    classes = combining_classes()
    ccc = [classes.get(c, 0) for c in range(LIMIT)]

    properties = [0] * LIMIT
    for number, name in enumerate(CATEGORIES):
        mark(properties, seen["onig"][name], number)
    for bit, name in ((32, "Alphabetic"), (64, "Uppercase"), (128, "Lowercase")):
        mark(properties, seen["onig"][name], bit)
    pairs = compositions(maps)
    clusters = cluster_classes(seen["clusters"])
    mark(clusters, sets["stripaccents_removed"], 64)
    for c in {second for _, second, _ in pairs} | {int(c, 16) for c in maps["nfc"]} | set(classes) | set(range(0x1161, 0x11C3)):
        clusters[c] |= 128

    names = sorted(seen["scripts"])
    scripts, script_classes = [0] * LIMIT, [0] * LIMIT
    for number, name in enumerate(names):
        mark(scripts, seen["scripts"][name], number + 1)
    for number, ranges in enumerate(seen["unicode_scripts"]):
        mark(script_classes, ranges, number)
    plain = lambda name: name.lower().replace("_", "")
    rows = [(plain(n), i + 1) for i, n in enumerate(names)]
    rows += [(plain(a), names.index(n) + 1) for a, n in seen["script_aliases"].items()]

    print("// Generated by generate.py from unicode_oracle.json.gz and unicode_observed.json.gz "
          f"(tokenizers {oracle['tokenizers']}). Not edited by hand; one array a line.")
    for bit, (name, source) in enumerate(FLAGS):
        print(f"inline constexpr std::uint8_t {name} = {1 << bit};  // {source}")
    for number, name in enumerate(CATEGORIES):
        print(f"inline constexpr std::uint32_t k{name} = 1u << {number};")
    print("enum Cluster : std::uint8_t { " + ", ".join(CLUSTERS) + " };")
    print(f"inline constexpr unsigned kBlock = {BLOCK}, kSmallBlock = {SMALL};")
    for name, values in (("Flags", flags), ("Lower", lower), ("Nfd", nfd), ("Class", ccc)):
        emit_two_stage(name, values)
    for name, values in (("Nfkd", nfkd), ("Property", properties), ("Cluster", clusters), ("Fold", fold)):
        emit_three_stage(name, values)
    for name, values in (("Script", scripts), ("ScriptClass", script_classes)):
        emit_ranges(name, values)
    emit_literal("kMapped", pool)
    emit("kComposed", [v for pair in pairs for v in pair])
    print("struct ScriptName { const char* name; std::uint8_t script; };")
    emit_names("ScriptName", "kScriptNames", rows)


main()
