#!/usr/bin/env python3
"""Draw the tables of peers.py and vision_peers.py: each cell's ratio to the best peer, with its 95 % interval.

    python bench/plot.py OUT.svg RESULT.json...

Cells that the newest of the given files holds win over the same cells of older ones. Losing cells are drawn like the others. The
legend has each precision's geometric mean. Files of other tools (searches, corpora) are passed over.
Needs: matplotlib.
"""
import json
import pathlib
import re
import statistics
import sys

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "tessera", "font.family": "sans-serif", "font.size": 9})
import matplotlib.pyplot as plt

PRECISIONS = {"f32": ("fp32", "#4c72b0"), "bf16": ("bf16", "#dd8452"), "int8": ("int8", "#55a868")}


def precision(report):
    return (re.search(r"--dtype (\w+)", report["command"]) or [None, "f32"])[1]


def cells(reports):
    """{(model, cell, threads, precision): (ratio, low, high, date)}, of the newest report that has it."""
    found = {}
    for report in sorted(reports, key=lambda r: r["date"]):
        for c in report["cells"]:
            if c.get("ratio"):
                r = c["ratio"]
                found[c["model"], c["name"], c["threads"], precision(report)] = r["ratio"], r["low"], r["high"], report["date"][:10]
    return found


def order(row):
    model, cell, threads = row
    return model, cell == "mixed", cell.startswith("text"), int(re.sub(r"\D", "", cell) or 0), threads


def main():
    if len(sys.argv) < 3 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    out, *paths = sys.argv[1:]
    reports = [r for p in paths if "machine" in (r := json.loads(pathlib.Path(p).read_text()))]
    found = cells(reports)
    machines = {r["machine"]["cpu"] for r in reports}
    if len(machines) != 1:
        sys.exit(f"one machine a plot, not {len(machines)}: {', '.join(sorted(machines))}")
    rows = sorted({k[:3] for k in found}, key=order)
    place, y, last = {}, 0.0, None
    for row in rows:
        y += 1.0 + 0.7 * (last is not None and row[0] != last)
        place[row], last = y, row[0]
    fig, ax = plt.subplots(figsize=(7.2, 0.22 * y + 1.2))
    for i, (kind, (name, colour)) in enumerate(PRECISIONS.items()):
        mine = [(place[k[:3]] + 0.25 * (i - 1), v) for k, v in found.items() if k[3] == kind]
        if not mine:
            continue
        at = [p for p, _ in mine]
        ratio = [v[0] for _, v in mine]
        spread = [[v[0] - v[1] for _, v in mine], [v[2] - v[0] for _, v in mine]]
        ax.errorbar(ratio, at, xerr=spread, fmt="o", ms=3.5, lw=1.2, color=colour, label=f"{name}, geometric mean {statistics.geometric_mean(ratio):.2f}")
    ax.axvline(1, color="#888888", lw=0.8)
    ax.set_xscale("log")
    ticks = [t for t in (0.5, 0.7, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 2, 2.5, 3, 4) if min(v[1] for v in found.values()) * 0.95 <= t <= max(v[2] for v in found.values()) * 1.05]
    ax.set_xticks(ticks, [f"{t:g}" for t in ticks])
    ax.minorticks_off()
    ax.set_yticks(list(place.values()), [f"{m}, {c}, {t} thread{'s' * (t > 1)}" for m, c, t in place])
    ax.invert_yaxis()
    ax.set_xlabel("time of the best peer / time of tessera (right of 1: tessera is faster)")
    dates = sorted({v[3] for v in found.values()})
    ax.set_title(f"{machines.pop()}, {dates[0]}{' to ' + dates[-1] if len(dates) > 1 else ''}", fontsize=9)
    ax.legend(loc="best", frameon=False)
    ax.grid(axis="x", lw=0.3)
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
    fig.savefig(out, bbox_inches="tight", metadata={"Date": None, "Creator": None})


if __name__ == "__main__":
    main()
