#!/usr/bin/env python3
"""Exact search in a corpus that is spread over many machines: one Ray actor a shard, and their answers merged.

    tessera index --npy parts/part-00000-of-00004.npy -o shard0.safetensors     and so on: each part a corpus of its own
    examples/ray/search.py --corpus shard0.safetensors shard1.safetensors ... --npy QUERIES.npy -k 10 [--address ADDRESS]

Prints what `tessera search --corpus` prints for all rows in one corpus, to the last bit, however they are spread: a row's
score depends on the row and the query alone, and equal scores are ordered by id. Ids count through the shards in the order
in which they are named. Without --address a cluster of this machine alone is started; files must have the same paths everywhere.
"""

import argparse
import json
import os
import pathlib
import sys

import numpy as np
import ray

MODULE = str(pathlib.Path(__file__).resolve().parents[1] / "python")


class Shard:
    """The actor: one corpus, mapped. After a crash Ray starts it again, and the call that was under way too."""

    def __init__(self, path, threads):
        sys.path.insert(0, MODULE)
        import tessera

        self.corpus = tessera.Corpus(path, context=tessera.Context(threads))

    def rows(self):
        return self.corpus.rows

    def search(self, queries, k):
        return tuple(self.corpus.search(queries, k))


def merge(answers, offsets, k):
    """The k best of the shards' (ids, scores, counts), as one search has them: score descending, then id ascending."""
    last = np.iinfo(np.int64).max  # where a shard found fewer: behind all
    ids = np.concatenate([np.where(ids >= 0, ids + offset, last) for (ids, _, _), offset in zip(answers, offsets)], axis=1)
    scores = np.concatenate([scores for _, scores, _ in answers], axis=1)
    order = np.lexsort((ids, -scores), axis=1)[:, :k]
    counts = np.minimum(np.sum([counts for _, _, counts in answers], axis=0), k)
    found = np.arange(order.shape[1]) < counts[:, None]
    return np.where(found, np.take_along_axis(ids, order, axis=1), -1), np.take_along_axis(scores, order, axis=1), counts


class ShardedCorpus:
    """Corpora searched as one. cpus: processors that each actor holds, may be 0.5; 0 takes what is there."""

    def __init__(self, paths, cpus=0, timeout=600):
        have = ray.cluster_resources().get("CPU", 0)
        if cpus * len(paths) > have:
            raise ValueError(f"{len(paths)} shards of {cpus:g} processors each, the cluster has {have:g}: the last would wait for ever")
        actor = ray.remote(Shard).options(num_cpus=cpus, max_restarts=3, max_task_retries=3, scheduling_strategy="SPREAD")
        self.shards = [actor.remote(os.path.abspath(p), max(1, int(cpus))) for p in paths]
        self.timeout = timeout
        rows = ray.get([s.rows.remote() for s in self.shards], timeout=timeout)
        self.offsets, self.rows = np.cumsum([0, *rows[:-1]]), sum(rows)

    def search(self, queries, k):
        """ids int64 and scores float32 [B, k], counts [B], as tessera.Corpus has them; k at most as many as there are rows."""
        queries, k = ray.put(queries), min(k, max(1, self.rows))
        return merge(ray.get([s.search.remote(queries, k) for s in self.shards], timeout=self.timeout), self.offsets, k)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", nargs="+", required=True, help="the shards, in the order of their ids")
    parser.add_argument("--npy", required=True, help="queries [B, E], of tessera embed")
    parser.add_argument("-k", type=int, default=10)
    parser.add_argument("--address", help="of a Ray cluster; else one is started here")
    parser.add_argument("--cpus", type=float, default=0, help="that each shard holds, may be 0.5; it runs as many threads, one at least")
    parser.add_argument("--timeout", type=float, default=600, help="seconds for opening the shards, and for each batch of queries")
    args = parser.parse_args()
    if args.k < 1 or args.cpus < 0 or args.timeout <= 0:
        parser.error("-k must be at least 1, --cpus at least 0, --timeout more than 0")
    answers, sys.stdout = sys.stdout, sys.stderr  # Ray's warnings go to stdout
    try:
        queries = np.load(args.npy, mmap_mode="r", allow_pickle=False)
        ray.init(address=args.address or "local", log_to_driver=False, **({} if args.address else {"include_dashboard": False}))
        corpus = ShardedCorpus(args.corpus, args.cpus, args.timeout)
        for first in range(0, len(queries), 1024):
            for b, (ids, scores, n) in enumerate(zip(*corpus.search(np.asarray(queries[first : first + 1024]), args.k))):
                print(json.dumps({"query": first + b, "ids": ids[:n].tolist(), "scores": scores[:n].tolist()}), file=answers)
    except (OSError, ValueError, ray.exceptions.RayError) as e:  # of a shard's error what it says, at the end of its trace
        sys.exit(f"search.py: {str(e).strip().splitlines()[-1]}")


if __name__ == "__main__":
    main()
