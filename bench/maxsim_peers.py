#!/usr/bin/env python3
"""Time late interaction (MaxSim) of queries with all documents, and what a user would pick instead.

    python bench/maxsim_peers.py --rate PATH/bench/maxsim_rate [--n 1000] [--d 128] [--batches 1,8] [--threads 1,2] [--rounds 9]

Queries of 32 tokens; documents of 180 tokens each ("equal"), and of 20 to 340 ("ragged"); random tokens of length 1. Peers:
maxsim-cpu (its call for equal lengths and its call for others, query by query, as it takes one), and a product and a maximum
by numpy and by torch, document by document where they are ragged; where they are installed, the scoring of pylate (of equal
lengths) and of colpali-engine (which pads). tessera runs in f32, bf16 and int8. The peers' arrays and
tessera's packed documents are made before. Before timing, the scores of each are compared with float64. Rounds are interleaved
in a new order each time.

Needs: numpy, torch, maxsim-cpu, threadpoolctl; takes pylate and colpali-engine; writes results/<cpu>/<date>-<commit>-maxsim.md and .json.
"""
import argparse
import datetime
import importlib.metadata
import importlib.util
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

import peer_stats
from search_peers import HERE, Call, measure

QUERY_TOKENS, DOCUMENT_TOKENS = 32, 180
OURS = {"tessera f32": 1e-5, "tessera bf16": 1e-2, "tessera int8": 3e-2}  # and the error, of the largest score, that is accepted
ASKED = {"tessera f32": 2, "tessera bf16": 3, "tessera int8": 4}  # of maxsim-cpu


class Rate:
    """maxsim_rate: lines in, lines out."""

    def __init__(self, a, folder, dtype, threads):
        command = [str(a.rate.resolve()), str(folder), str(a.d), dtype, str(threads)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        if self.process.stdout.readline() != "ready\n":
            sys.exit(f"{' '.join(command)}: ended before it was ready")

    def scores(self, batch):
        self.process.stdin.write(f"scores {batch}\n")
        return [[float(x) for x in self.process.stdout.readline().split()] for _ in range(batch)]

    def seconds(self, batch):
        self.process.stdin.write(f"go {batch}\n")
        return float(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def peers(threads, queries, documents, equal):
    """Each takes a batch and returns scores."""
    import maxsim_cpu
    import numpy as np
    import torch

    torch.set_num_threads(threads)
    found = {}
    if equal:
        together = np.stack(documents)
        flat, shape = together.reshape(-1, together.shape[2]), together.shape[:2]
        tq, td = torch.from_numpy(np.concatenate(queries)), torch.from_numpy(flat)
        found["maxsim-cpu"] = lambda b: [maxsim_cpu.maxsim_scores(q, together) for q in queries[:b]]
        found["numpy"] = lambda b: [(q @ flat.T).reshape(len(q), *shape).max(2).sum(0) for q in queries[:b]]

        def by_torch(b):
            return [s.sum(0).numpy() for s in (tq[: b * QUERY_TOKENS] @ td.T).view(b, QUERY_TOKENS, *shape).amax(3)]
    else:
        tq, td = [torch.from_numpy(q) for q in queries], [torch.from_numpy(d) for d in documents]
        found["numpy"] = lambda b: [np.array([(q @ d.T).max(1).sum() for d in documents]) for q in queries[:b]]

        def by_torch(b):
            return [torch.stack([(q @ d.T).amax(1).sum() for d in td]).numpy() for q in tq[:b]]

    if equal and importlib.util.find_spec("pylate"):
        from pylate.scores import colbert_scores
        many, of_documents = torch.from_numpy(np.stack(queries)), torch.from_numpy(together)
        found["pylate"] = lambda b: colbert_scores(many[:b], of_documents).numpy()
    if importlib.util.find_spec("colpali_engine"):
        from colpali_engine.utils.processing_utils import BaseVisualRetrieverProcessor
        lists = [[torch.from_numpy(x) for x in what] for what in (queries, documents)]
        found["colpali-engine"] = lambda b: BaseVisualRetrieverProcessor.score_multi_vector(lists[0][:b], lists[1], device="cpu").float().numpy()
    found["maxsim-cpu variable"] = lambda b: [maxsim_cpu.maxsim_scores_variable(q, documents) for q in queries[:b]]
    found["torch"] = by_torch
    calls = {}
    for name, scores in found.items():
        calls[name] = Call(scores)
        calls[name].scores = scores
    return calls


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--rate", required=True, type=pathlib.Path, help="the program maxsim_rate")
    p.add_argument("--n", type=int, default=1000, help="documents")
    p.add_argument("--d", type=int, default=128)
    p.add_argument("--batches", default="1,8")
    p.add_argument("--threads", default="1,2")
    p.add_argument("--rounds", type=int, default=9)
    p.add_argument("--results", type=pathlib.Path, default=HERE / "results")
    a = p.parse_args()
    batches, threads = ([int(x) for x in text.split(",")] for text in (a.batches, a.threads))
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"):
        os.environ.setdefault(name, str(max(threads)))
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    if len(threads) > 1:  # maxsim-cpu's threads are fixed when it is loaded: each count has a process of its own
        for count in threads:
            again = [sys.executable, __file__, *sys.argv[1:], "--threads", str(count)]
            places = {name: str(count) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")}
            if subprocess.run(again, env={**os.environ, **places}, check=False).returncode:
                sys.exit(1)
        return
    peer_stats.name_openblas_kernels()
    import numpy as np
    from threadpoolctl import threadpool_limits

    (count,) = threads
    draw = np.random.default_rng(0)

    def tokens(lengths):
        return [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (draw.standard_normal((n, a.d), dtype=np.float32) for n in lengths)]

    queries = tokens([QUERY_TOKENS] * max(batches))
    commit = subprocess.run(["git", "-C", HERE, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    more = [p for p in ("pylate", "colpali-engine") if importlib.util.find_spec(p.replace("-", "_"))]
    versions = {package: importlib.metadata.version(package) for package in ["numpy", "torch", "maxsim-cpu", *more]}
    report = {"date": datetime.date.today().isoformat(), "commit": commit, "cpu": peer_stats.cpu_model(), "n": a.n, "d": a.d, "threads": count, "rounds": a.rounds, "versions": versions, "cells": []}
    for kind, lengths in (("equal", [DOCUMENT_TOKENS] * a.n), ("ragged", draw.integers(20, 341, a.n).tolist())):
        documents = tokens(lengths)
        oracle = np.array([[(q.astype(np.float64) @ d.T.astype(np.float64)).max(1).sum() for d in documents] for q in queries])
        with tempfile.TemporaryDirectory() as name, threadpool_limits(count):
            folder = pathlib.Path(name)
            np.concatenate(queries).tofile(folder / "queries")
            np.concatenate(documents).tofile(folder / "documents")
            np.cumsum([0] + [QUERY_TOKENS] * len(queries)).astype(np.int64).tofile(folder / "cu_q")
            np.cumsum([0] + lengths).astype(np.int64).tofile(folder / "cu_d")
            contenders = {who: Rate(a, folder, who.split()[1], count) for who in OURS}
            contenders |= peers(count, queries, documents, kind == "equal")
            errors = {}
            for who, contender in contenders.items():
                errors[who] = float(np.abs(np.array(contender.scores(len(queries))) - oracle).max() / np.abs(oracle).max())
                if errors[who] > OURS.get(who, 1e-5):
                    sys.exit(f"{who}: scores differ from float64 by {errors[who]:.1e} of the largest; nothing is timed")
            for batch in batches:
                times = measure(a, contenders, batch)
                ratios = {}
                for ours in OURS:
                    for theirs in ("maxsim-cpu", "all"):
                        there = peer_stats.comparable(times, [t for t in times if t not in OURS and (theirs == "all" or t.startswith("maxsim-cpu"))])
                        if there:
                            ratios[f"{ours} / {theirs}"] = peer_stats.ratio_to_best({ours: times[ours], **there}, ours)
                report["cells"].append({"what": kind, "batch": batch, "tokens": sum(lengths), "seconds": times, "errors": errors, "ratios": ratios})
                for who, t in sorted(times.items(), key=lambda kv: statistics.median(kv[1])):
                    gflop = 2e-9 * batch * QUERY_TOKENS * sum(lengths) * a.d
                    print(f"t{count} {kind} B {batch:3d}  {who:20s} {1e3 * statistics.median(t):9.2f} ms  best {1e3 * min(t):9.2f}  {gflop / min(t):6.0f} GFLOP/s  error {errors[who]:.1e}", flush=True)
                for who, r in ratios.items():
                    print(f"t{count} {kind} B {batch:3d}  {who}: {r['ratio']:.2f} [{r['low']:.2f}, {r['high']:.2f}]", flush=True)
            for contender in contenders.values():
                contender.close()
    place = a.results / peer_stats.slug(report["cpu"])
    place.mkdir(parents=True, exist_ok=True)
    stem = place / f"{report['date']}-{commit}-maxsim-{count}"
    stem.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n")
    out = [f"# MaxSim beside its peers, {count} thread{'s' * (count > 1)}, {report['date']}, commit {commit}", "",
           f"{report['cpu']}; {a.n} documents, queries of {QUERY_TOKENS} tokens, tokens of {a.d} numbers; {a.rounds} rounds. " + ", ".join(f"{k} {v}" for k, v in versions.items()) + ".", "",
           "`error`: the largest difference to float64, of the largest score. The ratios are the time of the best of maxsim-cpu's calls, and of the best of all peers, over tessera's,",
           "with their 95 % bootstrap intervals; asked are 2, 3 and 4 of maxsim-cpu in f32, bf16 and int8."]
    for cell in report["cells"]:
        lengths = f"{DOCUMENT_TOKENS} tokens each" if cell["what"] == "equal" else "20 to 340 tokens"
        out += ["", f"## {cell['batch']} quer{'y' if cell['batch'] == 1 else 'ies'}, documents of {lengths}", "",
                "| contender | ms | best ms | GFLOP/s | error | maxsim-cpu / tessera | best peer / tessera | |", "| --- | --- | --- | --- | --- | --- | --- | --- |"]
        for who, t in sorted(cell["seconds"].items(), key=lambda kv: statistics.median(kv[1])):
            median, columns, verdict = statistics.median(t), [], ""
            for theirs in ("maxsim-cpu", "all"):
                r = cell["ratios"].get(f"{who} / {theirs}")
                columns.append(f"{r['ratio']:.2f} [{r['low']:.2f}, {r['high']:.2f}]" if r else "")
                if r and theirs == "maxsim-cpu":
                    verdict = "" if r["ratio"] >= ASKED[who] else f"below {ASKED[who]}"
            gflop = 2e-9 * cell["batch"] * QUERY_TOKENS * cell["tokens"] * a.d
            out.append(f"| {who} | {1e3 * median:.2f} | {1e3 * min(t):.2f} | {gflop / median:.0f} | {cell['errors'][who]:.1e} | {columns[0]} | {columns[1]} | {verdict} |")
    stem.with_suffix(".md").write_text("\n".join(out) + "\n")
    print(stem.with_suffix(".md"))


if __name__ == "__main__":
    main()
