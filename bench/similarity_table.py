#!/usr/bin/env python3
"""One table of every goal of exact search on this machine: what is asked, what was measured, whether it held.

    python bench/similarity_table.py --tessera PATH [--n 100000] [--d 384] [--threads 1,2] [--rounds 9] [--quick]

Runs search_peers.py, corpus_peers.py and, where its program was built, maxsim_peers.py, which compare every result with float64
before they time, and reads their reports. A goal holds where the ratio of medians reaches it in every batch and thread count of its
row; where the 95 % interval reaches below it, the table says so. What nobody measured is a row too.

Needs: what those scripts need; writes results/<cpu>/<date>-<commit>-similarity.md and .json beside theirs.
"""
import argparse
import contextlib
import datetime
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import peer_stats  # noqa: E402

SEARCH_BATCHES, CORPUS_BATCHES = (1, 4, 8, 64, 100, 256, 1024), (1, 8, 64, 1024)
# (what is compared, of which report, ours, theirs, batches, the least ratio)
GOALS = [
    ("fp32, 256 queries and more, beside faiss", "search", "tessera f32", "faiss flat", (256, 1024), 1.05),
    ("fp32, 1 query, beside faiss", "search", "tessera f32", "faiss flat", (1,), 1.0),
    ("certified int8, 1 query, the ids of fp32, beside faiss in fp32", "search", "tessera certified int8", "faiss flat", (1,), 2.5),
    ("fp32, 4 to 64 queries, beside faiss", "search", "tessera f32", "faiss flat", (4, 8, 64), 1.5),
    ("bf16, 64 queries and more, beside faiss' scalar quantiser", "search", "tessera bf16", "faiss bf16", (64, 256, 1024), 5.0),
    ("int8, 64 queries and more, beside faiss' scalar quantiser", "search", "tessera int8", "faiss sq8", (64, 256, 1024), 5.0),
    ("a tenth of the rows, 64 queries, beside faiss' bitmap selector", "corpus", "corpus f32, filtered", "faiss selector", (64,), 5.0),
    ("100 queries beside usearch, exact", "search", "tessera f32", "usearch exact", (100,), 4.0),
    ("100 queries beside sentence-transformers' semantic_search", "search", "tessera f32", "semantic_search", (100,), 4.0),
    ("bits beside faiss' binary index", "corpus", "corpus bits", "faiss binary", CORPUS_BATCHES, 1.1),
]
# Of one pass over the rows in the time of a search (8 queries: within 1.2 times of it), and of the machine's peak, by queries.
BANDWIDTH_SHARES, PEAK_SHARES, SCRATCH_SHARE = {1: 0.85, 8: 1 / 1.2}, {64: 0.75, 1024: 0.85}, 0.01
MAXSIM_GOALS = [(f"late interaction in {name} beside maxsim-cpu", f"tessera {dtype}", least) for name, dtype, least in (("fp32", "f32", 2.0), ("bf16", "bf16", 3.0), ("int8", "int8", 4.0))]


def report_of(script, a, batches, folder):
    """Runs a script of peers; returns the report that it wrote."""
    command = [sys.executable, HERE / script, "--tessera", a.tessera, "--n", a.n, "--d", a.d, "--k", a.k, "--threads", a.threads, "--rounds", a.rounds, "--batches", ",".join(map(str, batches)), "--results", folder]
    if script == "corpus_peers.py" and a.library:
        command += ["--library", a.library]
    subprocess.run([str(c) for c in command], check=True)
    (path,) = pathlib.Path(folder).glob(f"*/*-{script.split('_')[0]}.json")
    return json.loads(path.read_text())


def judged(what, cells, least):
    return dict(what=what, target=f">= {least:g}x", cells=cells, held=bool(cells) and all(c["ratio"] >= least for c in cells), sure=bool(cells) and all(c["low"] >= least for c in cells))


def ratio_row(goal, reports):
    what, report, ours, theirs, batches, least = goal
    cells = []
    for cell in reports[report]["cells"]:
        seconds = cell["seconds"]
        if cell["batch"] in batches and ours in seconds and len(seconds.get(theirs, ())) > 0:
            ratio = peer_stats.ratio_to_best({ours: seconds[ours], theirs: seconds[theirs]}, ours)
            cells.append(dict(threads=cell["threads"], batch=cell["batch"], rounds=min(len(seconds[ours]), len(seconds[theirs])), **ratio))
    return judged(what, cells, least)


@contextlib.contextmanager
def tool_on_random_rows(a, threads, queries=100):
    """The tool with a.n rows, ready to search with up to so many queries."""
    import numpy as np
    from search_peers import Tool

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        draw = np.random.default_rng(0)
        for what, m in (("rows", a.n), ("queries", queries)):
            draw.standard_normal((m, a.d), dtype=np.float32).tofile(folder / what)
        tool = Tool(a, threads, folder)
        try:
            yield tool
        finally:
            tool.close()


def share_row(what, least, cells):
    return dict(what=what, target=f">= {least:.0%}", cells=cells, held=all(c["share"] >= least for c in cells), sure=all(c["low"] >= least for c in cells))


def bandwidth_row(a, batch):
    """A search beside reading as many floats once, each thread its part by a BLAS dot product of it with itself, in turn."""
    from concurrent.futures import ThreadPoolExecutor

    import numpy as np
    from search_peers import Call, measure
    from threadpoolctl import threadpool_limits

    cells = []
    for threads in map(int, a.threads.split(",")):
        parts = np.array_split(np.ones(a.n * a.d, dtype=np.float32), threads)
        with tool_on_random_rows(a, threads) as tool, threadpool_limits(1), ThreadPoolExecutor(threads) as pool:
            times = measure(a, {"search": tool, "read": Call(lambda _: list(pool.map(lambda x: np.dot(x, x), parts)))}, batch)
        share = peer_stats.ratio_to_best(times, "search")
        cells.append(dict(threads=threads, batch=batch, share=share.pop("ratio"), **share, limit=f"{a.n * a.d * 4e-9 / statistics.median(times['read']):.1f} GB/s"))
    return share_row(f"fp32, {batch} {'query' if batch == 1 else 'queries'}: share of the bandwidth of reading the rows once", BANDWIDTH_SHARES[batch], cells)


def peak_row(a, batch):
    """A search beside its multiplications and additions at the most that independent ones reach, asked for in each round."""
    cells = []
    for threads in map(int, a.threads.split(",")):
        with tool_on_random_rows(a, threads, batch) as tool:
            tool.seconds(batch)
            rounds = [(tool.seconds(batch), float(tool.ask("peak"))) for _ in range(a.rounds)]
        peak = rounds[-1][1]  # the most so far
        times = {"search": [t for t, _ in rounds], "limit": [2e-9 * a.n * a.d * batch / peak] * a.rounds}
        share = peer_stats.ratio_to_best(times, "search")
        cells.append(dict(threads=threads, batch=batch, share=share.pop("ratio"), **share, limit=f"{peak:.0f} GFLOP/s"))
    return share_row(f"fp32, {batch} queries: share of the peak", PEAK_SHARES[batch], cells)


USEARCH = """
import sys, numpy as np
from usearch.index import MetricKind, search
n, d, k, threads = map(int, sys.argv[1:5])
draw = np.random.default_rng(0)
rows, queries = (draw.standard_normal((m, d), dtype=np.float32) for m in (n, 100))
search(rows[:100], queries[:1], k, MetricKind.IP, exact=True, threads=threads)
peak = lambda key: next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith(key))
open("/proc/self/clear_refs", "w").write("5")
before = peak("VmRSS:")
search(rows, queries, k, MetricKind.IP, exact=True, threads=threads)
print(peak("VmHWM:") - before)
"""


def scratch_row(a):
    """Memory that a search of 100 queries takes beside rows and queries: by the process's peak."""
    threads = max(int(t) for t in a.threads.split(","))
    with tool_on_random_rows(a, threads) as tool:
        status = lambda key: next(int(l.split()[1]) for l in pathlib.Path(f"/proc/{tool.process.pid}/status").read_text().splitlines() if l.startswith(key))
        pathlib.Path(f"/proc/{tool.process.pid}/clear_refs").write_text("5")  # the peak so far is forgotten
        before = status("VmRSS:")
        tool.ids(100)
        ours = max(status("VmHWM:") - before, 1)
    done = subprocess.run([sys.executable, "-c", USEARCH, *map(str, (a.n, a.d, a.k, threads))], capture_output=True, text=True)
    theirs = int(done.stdout) if done.returncode == 0 and done.stdout.strip() else 0
    row = dict(what="100 queries: memory for it beside what usearch takes", target=f"< {SCRATCH_SHARE:g}", cells=[], held=False)
    if theirs:
        row.update(cells=[dict(threads=threads, batch=100, kib=ours, kib_usearch=theirs, share=ours / theirs)], held=ours / theirs < SCRATCH_SHARE)
    return row


def maxsim_rows(a):
    """Rows of late interaction, documents of equal and of other lengths together; without figures where maxsim_rate was not built."""
    rate, cells = a.tessera.parent.parent / "bench" / "maxsim_rate", []
    if rate.exists():
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, HERE / "maxsim_peers.py", "--rate", rate, "--n", a.n // 100, "--threads", a.threads, "--rounds", a.rounds, "--results", folder]
            subprocess.run([str(c) for c in command], check=True)
            for path in sorted(pathlib.Path(folder).glob("*/*-maxsim-*.json")):
                report = json.loads(path.read_text())
                cells += [dict(cell, threads=report["threads"]) for cell in report["cells"]]
    rows = []
    for what, ours, least in MAXSIM_GOALS:
        there = [dict(threads=c["threads"], batch=c["batch"], documents=c["what"], **c["ratios"][f"{ours} / maxsim-cpu"]) for c in cells]
        rows.append(judged(what, there, least))
    return rows


def shown(cell):
    documents = f", {cell['documents']} lengths" if "documents" in cell else ""
    where = f"B {cell['batch']}, {cell['threads']} thread{'s' * (cell['threads'] > 1)}{documents}: "
    if "ratio" in cell:
        return where + f"{cell['ratio']:.2f} [{cell['low']:.2f}, {cell['high']:.2f}]"
    if "kib" in cell:
        return where + f"{cell['kib']} KiB of {cell['kib_usearch']}: {cell['share']:.4f}"
    return where + f"{cell['share']:.0%} [{cell['low']:.0%}, {cell['high']:.0%}] of {cell['limit']}"


def verdict(row):
    if not row["cells"]:
        return "not measured"
    if not row["held"]:
        return "no"
    return "yes" if row.get("sure", True) else "yes, but for the interval"


def markdown(report):
    versions = ", ".join(f"{k} {v}" for k, v in report["versions"].items())
    out = [f"# Goals of exact search, {report['date']}, commit {report['commit']}", "",
           f"{report['cpu']}; {report['n']} random rows of {report['d']} numbers, length 1; {report['k']} best; {report['rounds']} rounds. {versions}.",
           f"At most {report['steal']:.0%} of the processors' time was stolen, {report['others']:.0%} used by others.", ""]
    if report["others"] > 0.05:
        out += ["**The machine was not quiet: these figures are no measure of speed.**", ""]
    out += ["The ratio is the peer's time over tessera's, of medians, with its 95 % bootstrap interval.", "",
            "| | goal | measured | held |", "| --- | --- | --- | --- |"]
    out += [f"| {r['what']} | {r['target']} | {'<br>'.join(shown(c) for c in r['cells'])} | {verdict(r)} |" for r in report["rows"]]
    return "\n".join(out) + "\n"


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--tessera", required=True, type=pathlib.Path, help="the tool")
    p.add_argument("--library", type=pathlib.Path, help="libtessera.so; else that of the tool's build")
    p.add_argument("--n", type=int, default=100_000)
    p.add_argument("--d", type=int, default=384)
    p.add_argument("--k", type=int, default=10)
    p.add_argument("--threads", default="1,2")
    p.add_argument("--rounds", type=int, default=9)
    p.add_argument("--quick", action="store_true", help="2,000 rows of 64 numbers, 3 rounds: whether everything runs")
    p.add_argument("--results", type=pathlib.Path, default=HERE / "results")
    a = p.parse_args()
    if a.quick:
        a.n, a.d, a.rounds = 2000, 64, 3
    a.tessera = a.tessera.resolve()
    commit = subprocess.run(["git", "-C", HERE, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    clock = Quiet()
    late = maxsim_rows(a)
    with tempfile.TemporaryDirectory() as folder:
        reports = {script.split("_")[0]: report_of(script, a, batches, folder) for script, batches in (("search_peers.py", SEARCH_BATCHES), ("corpus_peers.py", CORPUS_BATCHES))}
    rows = [ratio_row(goal, reports) for goal in GOALS]
    rows[2:2] = [bandwidth_row(a, batch) for batch in BANDWIDTH_SHARES] + [peak_row(a, batch) for batch in PEAK_SHARES]
    rows.insert(next(i for i, r in enumerate(rows) if "usearch" in r["what"]) + 1, scratch_row(a))
    rows += late
    steal, others = clock.shares()
    report = {"date": datetime.date.today().isoformat(), "commit": commit, "cpu": peer_stats.cpu_model(), "n": a.n, "d": a.d, "k": a.k, "rounds": a.rounds, "versions": reports["search"]["versions"], "steal": steal, "others": others, "rows": rows, "reports": reports}
    place = a.results / peer_stats.slug(report["cpu"])
    place.mkdir(parents=True, exist_ok=True)
    stem = place / f"{report['date']}-{commit}-similarity"
    stem.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n")
    stem.with_suffix(".md").write_text(markdown(report))
    print(markdown(report))
    print(stem.with_suffix(".md"))


class Quiet:
    """Time stolen, and used by others than this process and its children, as shares of all processors' time."""

    def __init__(self):
        self.start = self.read()

    @staticmethod
    def read():
        user, nice, system, idle, iowait, irq, softirq, steal = map(int, pathlib.Path("/proc/stat").read_text().split()[1:9])
        own = sum(os.times()[:4]) * os.sysconf("SC_CLK_TCK")
        return steal, user + nice + system + irq + softirq, user + nice + system + idle + iowait + irq + softirq + steal, own

    def shares(self):
        steal, busy, total, own = (b - x for x, b in zip(self.start, self.read()))
        return steal / max(total, 1), max(0, busy - own) / max(total, 1)


if __name__ == "__main__":
    main()
