#!/usr/bin/env python3
"""Time tessera's exact search and what a user would pick instead, on the same random rows of length 1.

    python bench/search_peers.py --tessera PATH [--n 100000] [--d 384] [--k 10] [--batches 1,8,64,1024] [--threads 1,2] [--rounds 9]

Peers: faiss (flat; its scalar quantisers of 8 bits and of bf16), usearch (exact), numpy, and sentence-transformers'
semantic_search where it is installed. tessera runs in f32, bf16 and int8, and certified: by bf16 or int8, with the result of f32.
Before timing, ids are compared with a search in float64: who calls itself exact must have its ids wherever scores differ by more
than f32 rounds; of the others the share of ids that are right is in the table. Rounds are interleaved in a new order each time.

Needs: numpy, faiss-cpu, usearch; writes results/<cpu>/<date>-<commit>-search.md and .json.
"""
import argparse
import datetime
import importlib.metadata
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time

import peer_stats

HERE = pathlib.Path(__file__).resolve().parent
EXACT_PEERS = ("faiss flat", "usearch exact", "numpy", "semantic_search")
# Who is compared with whom: the best of the latter.
CLASSES = {
    "tessera f32": EXACT_PEERS,
    "tessera certified bf16": EXACT_PEERS,
    "tessera certified int8": EXACT_PEERS,
    "tessera bf16": ("faiss bf16",),
    "tessera int8": ("faiss sq8",),
}
# Seconds before each call: a contender's threads may spin for a while after their work, on the processors of the next one.
PAUSE = 0.1
# Calls shorter than that are made again and again for as long, and the middle one counts: the first one after a pause finds
# threads asleep and caches taken by others.
SHORT = 0.02


class Tool:
    """tessera bench --search --stdio: lines in, lines out."""

    def __init__(self, a, threads, folder, *options):
        command = [a.tessera, "bench", "--search", "--stdio", "--n", a.n, "--d", a.d, "--k", a.k, "--threads", threads, "--corpus", folder / "rows", "--queries", folder / "queries", *options]
        self.process = subprocess.Popen([str(c) for c in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        if self.process.stdout.readline() != "ready\n":
            sys.exit(f"{' '.join(map(str, command))}: ended before it was ready")

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        return self.process.stdout.readline()

    def ids(self, batch):
        return json.loads(self.ask(f"ids {batch}"))

    def seconds(self, batch):
        return float(self.ask(f"go {batch}"))

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Call:
    """A peer in this process: search(batch) returns ids."""

    def __init__(self, search):
        self.ids = search

    def seconds(self, batch):
        start = time.perf_counter()
        self.ids(batch)
        return time.perf_counter() - start

    def close(self):
        pass


def faiss_flat(index, queries, k):
    """Search by whichever of faiss' two ways is faster for so many queries: one after the other, or products by BLAS. By itself
    faiss goes by the number of queries alone, and its builds for AVX2 take BLAS only from 128,000 of them on."""
    import faiss

    def way(threshold):
        def search(batch):
            faiss.cvar.distance_compute_blas_threshold = threshold
            return index.search(queries[:batch], k)[1]

        return search

    ways, faster = (way(1 << 30), way(1)), {}

    def search(batch):
        if batch not in faster:
            faster[batch] = min(ways, key=lambda one: [Call(one).seconds(batch) for _ in range(2)][1])
        return faster[batch](batch)

    return search


def peers(a, threads, rows, queries):
    import faiss
    import numpy as np
    from usearch.index import MetricKind, search

    faiss.omp_set_num_threads(threads)
    flat = faiss.IndexFlatIP(a.d)
    sq8 = faiss.IndexScalarQuantizer(a.d, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT)
    bf16 = faiss.IndexScalarQuantizer(a.d, faiss.ScalarQuantizer.QT_bf16, faiss.METRIC_INNER_PRODUCT)
    for index in (flat, sq8, bf16):
        index.train(rows)
        index.add(rows)

    def by_numpy(batch):
        scores = queries[:batch] @ rows.T
        some = np.argpartition(-scores, a.k, axis=1)[:, : a.k]
        return np.take_along_axis(some, np.argsort(-np.take_along_axis(scores, some, 1), 1), 1)

    found = {
        "faiss flat": faiss_flat(flat, queries, a.k),
        "faiss sq8": lambda b: sq8.search(queries[:b], a.k)[1],
        "faiss bf16": lambda b: bf16.search(queries[:b], a.k)[1],
        "usearch exact": lambda b: np.atleast_2d(search(rows, queries[:b], a.k, MetricKind.IP, exact=True, threads=threads).keys),
        "numpy": by_numpy,
    }
    try:
        import torch
        from sentence_transformers.util import semantic_search

        torch.set_num_threads(threads)
        q, r = torch.from_numpy(queries), torch.from_numpy(rows)
        found["semantic_search"] = lambda b: [[hit["corpus_id"] for hit in hits] for hits in semantic_search(q[:b], r, top_k=a.k)]
    except ImportError:
        pass
    return {name: Call(search) for name, search in found.items()}


def wrong(ids, oracle, k, rounding=1e-6):
    """Queries whose ids are not those of float64, but for rows whose scores f32 cannot tell apart."""
    count = 0
    for found, scores in zip(ids, oracle):
        least = sorted(scores)[-k]
        found = [int(i) for i in found]
        count += len(set(found)) != k or min(scores[found]) < least - rounding or any(scores[i] < scores[j] - rounding for i, j in zip(found, found[1:]))
    return count


def measure(a, contenders, batch):
    """Seconds by name, round by round; who takes 8 times the best one's time has three rounds."""
    times = {name: [] for name in contenders}
    for round_number in range(a.rounds + 1):
        names = list(contenders)
        random.Random(round_number).shuffle(names)
        for name in names:
            slow = len(times[name]) >= 3 and statistics.median(times[name]) > 8 * min(statistics.median(t) for t in times.values() if t)
            if slow:
                continue
            time.sleep(PAUSE)
            seconds = contenders[name].seconds(batch)
            if seconds < SHORT:
                seconds = statistics.median(contenders[name].seconds(batch) for _ in range(int(SHORT / seconds) + 1))
            if round_number:
                times[name].append(seconds)
    return times


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--tessera", required=True, type=pathlib.Path, help="the tool")
    p.add_argument("--n", type=int, default=100_000)
    p.add_argument("--d", type=int, default=384)
    p.add_argument("--k", type=int, default=10)
    p.add_argument("--batches", default="1,8,64,1024")
    p.add_argument("--threads", default="1,2")
    p.add_argument("--rounds", type=int, default=9)
    p.add_argument("--results", type=pathlib.Path, default=HERE / "results")
    a = p.parse_args()
    a.tessera = a.tessera.resolve()
    batches, threads = ([int(x) for x in text.split(",")] for text in (a.batches, a.threads))
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(max(threads))
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    versions = {"OpenBLAS kernels": peer_stats.name_openblas_kernels()}
    import numpy as np
    from threadpoolctl import threadpool_limits

    draw = np.random.default_rng(0)
    unit = lambda x: x / np.linalg.norm(x, axis=1, keepdims=True)
    rows, queries = (unit(draw.standard_normal((n, a.d), dtype=np.float32)) for n in (a.n, max(batches)))
    checked = min(64, max(batches))
    oracle = queries[:checked].astype(np.float64) @ rows.T.astype(np.float64)
    commit = subprocess.run(["git", "-C", HERE, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    for package in ("numpy", "faiss-cpu", "usearch", "sentence-transformers", "torch"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            pass
    report = {"date": datetime.date.today().isoformat(), "commit": commit, "cpu": peer_stats.cpu_model(), "n": a.n, "d": a.d, "k": a.k, "rounds": a.rounds, "versions": versions, "cells": []}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        rows.tofile(folder / "rows")
        queries.tofile(folder / "queries")
        for count in threads:
            with threadpool_limits(count):
                tools = {"f32": (), "bf16": ("--dtype", "bf16"), "int8": ("--dtype", "int8"), "certified bf16": ("--dtype", "bf16", "--certified"), "certified int8": ("--dtype", "int8", "--certified")}
                contenders = {f"tessera {kind}": Tool(a, count, folder, *options) for kind, options in tools.items()}
                contenders |= peers(a, count, rows, queries)
                right = {}
                for who, contender in contenders.items():
                    ids = contender.ids(checked)
                    bad = wrong(ids, oracle, a.k)
                    best = [set(np.argpartition(-scores, a.k)[: a.k].tolist()) for scores in oracle]
                    right[who] = sum(len(b & {int(i) for i in f}) for b, f in zip(best, ids)) / (a.k * checked)
                    if bad and (who in EXACT_PEERS or who == "tessera f32" or "certified" in who):
                        sys.exit(f"{who}: {bad} of {checked} queries differ from float64; nothing is timed")
                for batch in batches:
                    times = measure(a, contenders, batch)
                    ratios = {}
                    for ours, theirs in CLASSES.items():
                        there = peer_stats.comparable(times, theirs)
                        if there:
                            ratios[ours] = peer_stats.ratio_to_best({ours: times[ours], **there}, ours)
                    report["cells"].append({"threads": count, "batch": batch, "seconds": times, "right": right, "ratios": ratios})
                    for who, t in sorted(times.items(), key=lambda kv: statistics.median(kv[1])):
                        print(f"t{count} B {batch:5d}  {who:24s} {1e3 * statistics.median(t):9.2f} ms  best {1e3 * min(t):9.2f}  ids right {right[who]:.4f}", flush=True)
                    for who, r in ratios.items():
                        print(f"t{count} B {batch:5d}  best peer / {who}: {r['ratio']:.2f} [{r['low']:.2f}, {r['high']:.2f}]", flush=True)
                for contender in contenders.values():
                    contender.close()
    place = a.results / peer_stats.slug(report["cpu"])
    place.mkdir(parents=True, exist_ok=True)
    stem = place / f"{report['date']}-{commit}-search"
    stem.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n")
    out = [f"# Exact search beside its peers, {report['date']}, commit {commit}", "",
           f"{report['cpu']}; {a.n} random rows of {a.d} numbers, length 1; {a.k} best; {a.rounds} rounds. " + ", ".join(f"{k} {v}" for k, v in versions.items()) + ".", "",
           f"`ids` is the share that is right, of {checked} queries; GB/s counts the rows in f32, or what the type holds of them, once a search. The ratio is the best peer's time over tessera's, with its 95 % bootstrap interval:",
           "exact and certified against the exact ones, bf16 and int8 against faiss in the same."]
    for cell in report["cells"]:
        out += ["", f"## {cell['batch']} quer{'y' if cell['batch'] == 1 else 'ies'}, {cell['threads']} thread{'s' * (cell['threads'] > 1)}", "",
                "| contender | ms | best ms | GFLOP/s | GB/s | ids | best peer / tessera |", "| --- | --- | --- | --- | --- | --- | --- |"]
        for who, t in sorted(cell["seconds"].items(), key=lambda kv: statistics.median(kv[1])):
            median, width = statistics.median(t), 2 if "bf16" in who else 1 if "int8" in who or "sq8" in who else 4
            r = cell["ratios"].get(who)
            ratio = f"{r['ratio']:.2f} [{r['low']:.2f}, {r['high']:.2f}]" if r else ""
            out.append(f"| {who} | {1e3 * median:.2f} | {1e3 * min(t):.2f} | {2e-9 * cell['batch'] * a.n * a.d / median:.0f} | {1e-9 * a.n * a.d * width / median:.1f} | {cell['right'][who]:.4f} | {ratio} |")
    stem.with_suffix(".md").write_text("\n".join(out) + "\n")
    print(stem.with_suffix(".md"))


if __name__ == "__main__":
    main()
