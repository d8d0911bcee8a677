#!/usr/bin/env python3
"""Time searches of a corpus on disk, all rows or a tenth of them, in f32 or by bits, and faiss in memory beside them.

    python bench/corpus_peers.py --tessera PATH [--library libtessera.so] [--n 100000] [--d 384] [--k 10] [--batches 1,8,64,1024] [--threads 1,2]

tessera's corpora are those of `tessera index`, mapped, searched through examples/python/tessera.py; of f32 a search reads int8 and
proves its answer. Peers: faiss' flat index, the same with a bitmap selector, and its binary index. Before timing, ids are compared
with a search in float64 (of bits: distances with counted ones). Rounds are interleaved in a new order each time.

Needs: numpy, faiss-cpu; writes results/<cpu>/<date>-<commit>-corpus.md and .json.
"""
import argparse
import datetime
import importlib.metadata
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

import peer_stats
from search_peers import HERE, Call, faiss_flat, measure, wrong

CELLS = {"all rows": ("corpus f32", "faiss flat"), "a tenth of the rows": ("corpus f32, filtered", "faiss selector"), "bits": ("corpus bits", "faiss binary")}


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--tessera", required=True, type=pathlib.Path, help="the tool")
    p.add_argument("--library", type=pathlib.Path, help="libtessera.so; else that of the tool's build")
    p.add_argument("--n", type=int, default=100_000)
    p.add_argument("--d", type=int, default=384)
    p.add_argument("--k", type=int, default=10)
    p.add_argument("--batches", default="1,8,64,1024")
    p.add_argument("--threads", default="1,2")
    p.add_argument("--rounds", type=int, default=9)
    p.add_argument("--results", type=pathlib.Path, default=HERE / "results")
    a = p.parse_args()
    batches, threads = ([int(x) for x in text.split(",")] for text in (a.batches, a.threads))
    os.environ["TESSERA_LIBRARY"] = str(a.library or a.tessera.resolve().parents[1] / "capi/libtessera.so")
    os.environ["OMP_NUM_THREADS"], os.environ["OMP_WAIT_POLICY"] = str(max(threads)), "PASSIVE"
    sys.path.insert(0, str(HERE.parent / "examples/python"))
    peer_stats.name_openblas_kernels()
    import faiss
    import numpy as np
    import tessera

    draw = np.random.default_rng(0)
    unit = lambda x: x / np.linalg.norm(x, axis=1, keepdims=True)
    rows, queries = (unit(draw.standard_normal((n, a.d), dtype=np.float32)) for n in (a.n, max(batches)))
    tenth = draw.random(a.n) < 0.1
    row_bits, query_bits = (np.packbits(x > 0, axis=1) for x in (rows, queries))
    checked = min(64, max(batches))
    oracle = queries[:checked].astype(np.float64) @ rows.T.astype(np.float64)
    distances = np.bitwise_count(query_bits[:checked, None] ^ row_bits[None]).sum(-1) if hasattr(np, "bitwise_count") else np.array([np.unpackbits(q ^ row_bits, axis=1).sum(1) for q in query_bits[:checked]])
    flat, binary = faiss.IndexFlatIP(a.d), faiss.IndexBinaryFlat(8 * row_bits.shape[1])
    flat.add(rows), binary.add(row_bits)
    selector = faiss.SearchParameters(sel=faiss.IDSelectorBitmap(np.packbits(tenth, bitorder="little")))
    commit = subprocess.run(["git", "-C", HERE, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    report = {"date": datetime.date.today().isoformat(), "commit": commit, "cpu": peer_stats.cpu_model(), "n": a.n, "d": a.d, "k": a.k, "rounds": a.rounds, "faiss": importlib.metadata.version("faiss-cpu"), "cells": []}
    with tempfile.TemporaryDirectory() as folder:
        np.save(folder + "/rows.npy", rows)
        for dtype in ("f32", "bits"):
            subprocess.run([a.tessera.resolve(), "index", "--npy", folder + "/rows.npy", "--dtype", dtype, "-o", f"{folder}/{dtype}.safetensors"], check=True, stdout=subprocess.DEVNULL)
        for count in threads:
            faiss.omp_set_num_threads(count)
            context = tessera.Context(count)
            f32, bits = (tessera.Corpus(f"{folder}/{dtype}.safetensors", context=context) for dtype in ("f32", "bits"))
            contenders = {
                "corpus f32": Call(lambda b: f32.search(queries[:b], a.k).ids),
                "faiss flat": Call(faiss_flat(flat, queries, a.k)),
                "corpus f32, filtered": Call(lambda b: f32.search(queries[:b], a.k, allowed=tenth).ids),
                "faiss selector": Call(lambda b: flat.search(queries[:b], a.k, params=selector)[1]),
                "corpus bits": Call(lambda b: bits.search(queries[:b], a.k).ids),
                "faiss binary": Call(lambda b: binary.search(query_bits[:b], a.k)[1]),
            }
            for who, contender in contenders.items():
                ids, scores = contender.ids(checked), oracle
                if "bits" in who or "binary" in who:
                    scores = -distances
                elif who in CELLS["a tenth of the rows"]:
                    scores = np.where(tenth, oracle, -np.inf)
                if bad := wrong(ids, scores, a.k):
                    sys.exit(f"{who}: {bad} of {checked} queries differ from the oracle; nothing is timed")
            for batch in batches:
                for name, (ours, theirs) in CELLS.items():
                    times = measure(a, {who: contenders[who] for who in (ours, theirs)}, batch)
                    ratio = peer_stats.ratio_to_best(times, ours)
                    report["cells"].append({"what": name, "threads": count, "batch": batch, "seconds": times, "ratio": ratio})
                    print(f"t{count} B {batch:5d}  {name:20s} tessera {1e3 * statistics.median(times[ours]):9.3f} ms  faiss {1e3 * statistics.median(times[theirs]):9.3f} ms  {ratio['ratio']:.2f} [{ratio['low']:.2f}, {ratio['high']:.2f}]", flush=True)
            f32.close(), bits.close()
    place = a.results / peer_stats.slug(report["cpu"])
    place.mkdir(parents=True, exist_ok=True)
    stem = place / f"{report['date']}-{commit}-corpus"
    stem.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n")
    out = [f"# Search of a corpus on disk beside faiss in memory, {report['date']}, commit {commit}", "",
           f"{report['cpu']}; {a.n} random rows of {a.d} numbers, length 1; {a.k} best; {a.rounds} rounds; faiss-cpu {report['faiss']}, both through Python. Ids were compared with float64 before timing.",
           "The ratio is faiss' time over tessera's, with its 95 % bootstrap interval.", "",
           "| | threads | queries | tessera, ms | faiss, ms | faiss / tessera |", "| --- | --- | --- | --- | --- | --- |"]
    for c in report["cells"]:
        ours, theirs = (statistics.median(c["seconds"][who]) for who in CELLS[c["what"]])
        out.append(f"| {c['what']} | {c['threads']} | {c['batch']} | {1e3 * ours:.3f} | {1e3 * theirs:.3f} | {c['ratio']['ratio']:.2f} [{c['ratio']['low']:.2f}, {c['ratio']['high']:.2f}] |")
    stem.with_suffix(".md").write_text("\n".join(out) + "\n")
    print(stem.with_suffix(".md"))


if __name__ == "__main__":
    main()
