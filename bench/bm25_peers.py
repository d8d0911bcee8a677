#!/usr/bin/env python3
"""BM25 beside the package bm25s, in interleaved rounds.

    python3 bench/bm25_peers.py --rate build/release/bench/bm25_rate [--texts 100000] [--queries 1000] [--threads 2] [--rounds 7]

Texts of 10 to 50 words, word r about as often as 1 / (r + 1) of 60000; queries of 2 to 6 such words. Both make texts into words, an
index, and find the ten best of each query; bm25s by its numba backend and by numpy. The scores found must be equal before anything is
timed. Writes and prints a table: medians, and the ratio to the best of them.
"""
import argparse
import datetime
import logging
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import peer_stats

HERE = pathlib.Path(__file__).resolve().parent
VOCABULARY = 60_000


def texts(rng, count, least, most):
    import numpy as np

    weights = 1 / np.arange(1, VOCABULARY + 1)
    lengths = rng.integers(least, most + 1, count)
    drawn = rng.choice(VOCABULARY, lengths.sum(), p=weights / weights.sum())
    return [" ".join(f"word{w}" for w in part) for part in np.split(drawn, np.cumsum(lengths)[:-1])]


def tokens(lines):
    import bm25s

    return bm25s.tokenize(lines, stopwords=None, token_pattern=r"\w+", return_ids=True, show_progress=False)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", required=True, help="the program bm25_rate")
    parser.add_argument("--texts", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=2, help="of a batch")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--results", type=pathlib.Path, default=HERE / "results", help="where the dated table goes")
    o = parser.parse_args()
    import bm25s
    import numba
    import numpy as np

    logging.getLogger("bm25s").setLevel(logging.ERROR)
    numba.set_num_threads(o.threads)
    rng = np.random.default_rng(1)
    documents, queries = texts(rng, o.texts, 10, 50), texts(rng, o.queries, 2, 6)
    kinds = {"bm25s numba": "numba", "bm25s numpy": "numpy"}

    def index(backend):
        made = bm25s.BM25(method="lucene", k1=1.2, b=0.75, backend=backend)
        made.index(tokens(documents), show_progress=False)
        return made

    made = {name: index(backend) for name, backend in kinds.items()}

    def words():
        return [query.split() for query in queries]

    def retrieve(name, threads):
        return made[name].retrieve(words(), k=10, show_progress=False, n_threads=threads)

    def one_by_one(name):
        for query in words():
            found = made[name].retrieve([query], k=10, show_progress=False)
        return found

    def seconds(call):
        start = time.perf_counter()
        call()
        return time.perf_counter() - start

    with tempfile.TemporaryDirectory() as folder:
        for name, lines in (("texts", documents), ("queries", queries)):
            (pathlib.Path(folder) / name).write_text("\n".join(lines) + "\n")
        with subprocess.Popen([o.rate, f"{folder}/texts", f"{folder}/queries", str(o.threads)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as ours:

            def ask(how):
                ours.stdin.write(how + "\n"), ours.stdin.flush()
                return ours.stdout.readline()

            ask("search"), ours.stdin.write("ids\n"), ours.stdin.flush()
            found = [[float(hit.split(":")[1]) for hit in ours.stdout.readline().split()] for _ in queries]
            ours.stdout.readline()
            for name in kinds:
                for q, (mine, theirs) in enumerate(zip(found, retrieve(name, 1).scores)):
                    theirs = [s for s in theirs if s > 0]
                    if len(mine) != len(theirs) or not np.allclose(mine, theirs, rtol=1e-5):
                        sys.exit(f"{name}, query {q}: {theirs}, here {mine}")
            threads = f"{o.threads} threads"
            rows = {  # what: ours, theirs
                "texts to index, s": ("index", {name: (lambda b=backend: index(b)) for name, backend in kinds.items()}, 1),
                "one query, ms": ("search", {name: (lambda n=name: one_by_one(n)) for name in kinds}, 1e3 / o.queries),
                f"a query of a batch, {threads}, ms": ("batch", {name: (lambda n=name: retrieve(n, o.threads)) for name in kinds}, 1e3 / o.queries),
            }
            date = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d")
            commit = subprocess.run(["git", "-C", str(HERE), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
            table = [f"# BM25, {date}, commit {commit}", "", f"{peer_stats.cpu_model()}; bm25s {bm25s.__version__}, numba {numba.__version__}, numpy {np.__version__}; {o.texts} texts of 10 to 50 words, "
                     f"{o.queries} queries of 2 to 6, the ten best; medians of {o.rounds} interleaved rounds.", "", f"| | tessera | {' | '.join(kinds)} | ratio |", "|---|---:|" + "---:|" * len(kinds) + "---:|"]
            print("\n".join(table), flush=True)
            for what, (how, others, scale) in rows.items():
                rounds = [[float(ask(how))] + [seconds(call) for call in others.values()] for _ in range(o.rounds)]
                mine, *theirs = (statistics.median(column) * scale for column in zip(*rounds))
                table.append(f"| {what} | {mine:.3f} | {' | '.join(f'{t:.3f}' for t in theirs)} | {min(theirs) / mine:.1f} |")
                print(table[-1], flush=True)
            ours.stdin.close()
    place = o.results / peer_stats.slug(peer_stats.cpu_model())
    place.mkdir(parents=True, exist_ok=True)
    (place / f"{date}-{commit}-bm25.md").write_text("\n".join(table) + "\n")


main()
