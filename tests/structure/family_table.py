"""README's table of families is what the code and the recorded folders say.

    family_table.py [--write]

Which model_types are read, and by what, stands in the tables of include/tessera/models; which folders were tested, and how they
are laid out, is seen in tests/goldens. --write puts the table into README.md, between two comments.
"""

import json
import re
import struct
import sys

from tree import ROOT, finish

MODELS, GOLDENS, README = ROOT / "include/tessera/models", ROOT / "tests/goldens", ROOT / "README.md"
BEGIN, END = "<!-- families: tests/structure/family_table.py --write -->\n", "<!-- end of families -->\n"
OLDER_KEYS = {"rope_scaling", "global_rope_theta", "rotary_emb_base"}  # of before transformers 5
OWN_TYPES = {"new": "GTE's folders of before transformers had it"}  # names that transformers does not know


def table_of(file, name):
    """The entries of a table of families: model_type -> the next word, which is its loader."""
    text = (MODELS / file).read_text(encoding="utf-8")
    entries = {}
    for block in re.findall(name + r"\[\] = \{(.*?)\};", text, re.DOTALL):
        entries |= dict(re.findall(r'\{"([^"]+)",\s*([\w"./]+)', block))
    return entries


def header(path):
    """Tensor names and element types of a safetensors file."""
    with open(path, "rb") as f:
        head = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
    return {name: tensor["dtype"] for name, tensor in head.items() if name != "__metadata__"}


class Folder:
    """A recorded folder, as far as the table tells."""

    def __init__(self, path):
        self.config = json.loads((path / "config.json").read_text(encoding="utf-8"))
        index = path / "model.safetensors.index.json"
        files = sorted(set(json.loads(index.read_text())["weight_map"].values())) if index.is_file() else ["model.safetensors"]
        tensors = {k: v for f in files for k, v in header(path / f).items()}
        self.type, self.own_code = self.config["model_type"], "auto_map" in self.config
        self.group, self.name = path.parent.name, path.name
        layers = [m for m in (re.match(r"(.*?)\.\d+\.", n) for n in tensors) if m]
        self.layers = ", ".join(sorted({f"`{m[1]}`" for m in layers}))
        kinds = sorted({t for t in tensors.values() if t in ("F16", "BF16")})
        self.notes = [k.lower() for k in kinds]
        if len(files) > 1:
            self.notes.append(f"{len(files)} files")
        if any(n.endswith(".gamma") for n in tensors):
            self.notes.append("gamma and beta")
        if OLDER_KEYS & self.config.keys():
            self.notes.append("older keys")

    def shown(self):
        return self.name + (f" ({', '.join(self.notes)})" if self.notes else "")


def folders():
    found = sorted(p.parent for p in GOLDENS.glob("*/*/config.json"))
    return [Folder(p) for p in found if any(p.glob("model*.safetensors"))]


def tested(group):
    """Folders by where their layers lie and by who recorded them."""
    parts = {}
    for f in group:
        parts.setdefault(f.layers, {}).setdefault(f.group, []).append(f.shown())
    of_groups = lambda of: "; ".join(f"{group}: {', '.join(names)}" for group, names in of.items())
    return "<br>".join(f"{layers} in {of_groups(of)}" for layers, of in sorted(parts.items()))


def make():
    text, image = table_of("auto_model-inl.hpp", "kFamilies"), table_of("auto_image_model-inl.hpp", "kFamilies")
    both = table_of("dual_model-inl.hpp", "kFamilies")
    heads = {"rerank": table_of("cross_encoder-inl.hpp", "kFamilies"), "masked words, SPLADE": table_of("masked_lm_head-inl.hpp", "kMaskedLmNames")}
    if (MODELS / "causal_lm-inl.hpp").is_file():
        heads["next word"] = table_of("causal_lm-inl.hpp", "kFamilies")
    problems = [f"no table is found in {name}" for name, t in [("auto_model", text), ("auto_image_model", image), ("dual_model", both), *heads.items()] if not t]
    rows = {}
    for f in folders():
        rows.setdefault((f.type, f.own_code), []).append(f)
    known = [*text, *(t for t in image if t not in text)]
    problems += [f"tests/goldens/{g[0].group}/{g[0].name}: no table has its model_type {t}" for (t, _), g in rows.items() if t not in known]
    lines = ["| model_type | classes of the tested folders | reads | heads | tested folders, by where their layers lie |", "|---|---|---|---|---|"]
    for kind in known:
        for own in (False, True):
            group = rows.get((kind, own), [])
            if own and not group:
                continue
            classes = ", ".join(sorted({a for f in group for a in f.config.get("architectures", [])})) or "-"
            if own or kind in OWN_TYPES:
                classes += "; code of its own"
            reads = "texts and images" if kind in both else "texts" if kind in text else "images"
            # Folders with code of their own have a head where it is read by the loader that knows them.
            has = [h for h, t in heads.items() if kind in t and (not own or not t[kind].startswith("load_") or t[kind] == text[kind])]
            lines.append(f"| {kind} | {classes} | {reads} | {', '.join(has) or '-'} | {tested(group) or 'none'} |")
    return "\n".join(lines) + "\n", problems, len(known)


def main():
    table, problems, count = make()
    readme = README.read_text(encoding="utf-8")
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        problems.append("README.md: the comments around the table of families are not there")
    elif sys.argv[1:] == ["--write"]:
        README.write_text(before + BEGIN + "\n" + table + "\n" + END + after, encoding="utf-8")
    elif readme != before + BEGIN + "\n" + table + "\n" + END + after:
        problems.append("README.md: the table of families is not what tests/structure/family_table.py --write makes of the code and tests/goldens")
    finish(problems, f"{count} model types")


if __name__ == "__main__":
    main()
