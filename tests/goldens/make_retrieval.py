#!/usr/bin/env python3
"""Writes retrieval.json: metrics and fused rankings by ranx, of random judgements, runs and rankings.

    python3 make_retrieval.py        (needs ranx, numpy)

metrics: qrels and a run as TREC files, read by ranx, its mean of each metric and its value for each query. Queries without a
relevant document, without an answer and without judgements are among them. Scores of a ranking never tie: ranx leaves ties
to its sort. fusions: rankings as [id, score], and the score of each id by rrf with some k, or wsum under some norm; ids have
one length, as ranx 0.3.21 cuts them to the longest of the first run.
"""
import json
import pathlib
import tempfile

import numpy
from ranx import Qrels, Run, evaluate, fuse

from common import versions

HERE = pathlib.Path(__file__).parent
SEED = 2009
NAMES = ("recall", "precision", "hit_rate", "mrr", "map", "ndcg", "ndcg_burges")
METRICS = [name + at for name in NAMES for at in ("", "@1", "@3", "@10", "@100")]


def judged(g, queries, documents, highest):
    """Lines of qrels and of a run, the run's shuffled, so that scores alone order them."""
    qrels, run = [], []
    for q in range(queries):
        relevant = q % 5 != 1  # others have grades of 0 and less only
        for d in g.choice(documents, g.integers(documents // 2, documents), replace=False):
            qrels.append(f"q{q} 0 d{d} {g.integers(-1, (highest if relevant else 0) + 1)}")
        if q % 7 == 3:
            continue  # no answer
        found = g.choice(documents, g.integers(1, documents + 1), replace=False)
        scores = g.permutation(len(found)) + g.random(len(found)) / 2 - 5
        lines = [f"q{q} Q0 d{d} {rank} {float(score)!r} random" for rank, (d, score) in enumerate(zip(found, scores))]
        run += [lines[i] for i in g.permutation(len(lines))]
    return "\n".join(qrels) + "\n", "\n".join(run) + "\nunjudged Q0 d0 1 1.5 random\n"


def metrics(g):
    cases = []
    for queries, documents, highest in ((1, 8, 1), (3, 5, 2), (12, 16, 1), (9, 40, 4), (6, 130, 7)):
        qrels, run = judged(g, queries, documents, highest)
        with tempfile.TemporaryDirectory() as folder:
            for name, text in (("qrels.txt", qrels), ("run.txt", run)):
                (pathlib.Path(folder) / name).write_text(text)
            by, of = Qrels.from_file(folder + "/qrels.txt", kind="trec"), Run.from_file(folder + "/run.txt", kind="trec")
        means = evaluate(by, of, METRICS, make_comparable=True)
        values = {m: {q: float(v) for q, v in of.scores[m].items()} for m in METRICS}
        cases.append({"qrels": qrels, "run": run, "means": {m: float(v) for m, v in means.items()}, "values": values})
    return cases


def fusions(g):
    cases = []
    for lengths in ((6, 6), (1, 20), (9, 4, 15), (30, 30, 2, 11)):
        rankings = []
        for scale, n in zip((1, 20, 0.01, 3), lengths):
            scores = numpy.sort(scale * (g.permutation(3 * n)[:n] + g.random(n) / 2 - n))[::-1]
            rankings.append([[int(d), float(s)] for d, s in zip(10 + g.choice(40, n, replace=False), scores)])
        runs = lambda: [Run({"q": {str(d): s for d, s in r}}) for r in rankings]
        weights = [float(w) for w in g.normal(size=len(rankings))]
        for method, norm, params in (
            *(("rrf", None, {"k": k}) for k in (60, 1)),
            *(("wsum", norm, {"weights": weights}) for norm in (None, "min-max", "zmuv")),
        ):
            fused = dict(fuse(runs(), norm=norm, method=method, params=params)["q"])
            cases.append({"rankings": rankings, "method": method, "norm": norm, **params, "scores": {d: float(s) for d, s in fused.items()}})
    return cases


if __name__ == "__main__":
    g = numpy.random.default_rng(SEED)
    out = {"command": "python3 make_retrieval.py", "seed": SEED, "versions": versions("ranx", "numpy", "numba"), "metrics": metrics(g), "fusions": fusions(g)}
    (HERE / "retrieval.json").write_text(json.dumps(out) + "\n")
    print(len(out["metrics"]), "evaluations,", len(out["fusions"]), "fusions")
