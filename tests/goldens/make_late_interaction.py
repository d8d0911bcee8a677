#!/usr/bin/env python3
"""Writes late_interaction.safetensors: residual codes and PLAID's stages of random documents, in float64 by numpy, written from
the papers alone (ColBERTv2, arXiv:2112.01488, section 3.3; PLAID, arXiv:2205.09707, section 4).

    python3 make_late_interaction.py        (needs numpy, safetensors)

For bits b of 2 and 4: tokens, document_offsets, query; centroids, cutoffs.b and weights.b as quantiles, ids, codes.b and decoded.b;
then for the settings s in "settings" [S, 3] (n_probe, threshold, n_docs): probed.b.s, pruned.b.s, centroid.b.s, and "exact.b", the
MaxSim of the query with all documents' decoded tokens. Cases in which a choice hangs on less than 1e-5 are drawn anew.
"""
import pathlib

import numpy as np
from safetensors.numpy import save_file

HERE = pathlib.Path(__file__).parent
SEED, DOCUMENTS, CENTROIDS, DIM, QUERY = 5, 60, 24, 24, 7
SETTINGS = [(1, 0.5, 16), (2, 0.35, 12), (3, 0.9, 8), (24, -1.0, 20), (2, 0.3, 240)]


class TooClose(Exception):
    pass


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def far(values, least=1e-5):
    """Values whose order decides must not be nearly equal."""
    gaps = np.diff(np.sort(np.asarray(values).ravel()))
    if len(gaps) and gaps.min() < least:
        raise TooClose
    return values


def largest(scores, count):
    """Places of the `count` largest, by score, then place."""
    order = sorted(range(len(scores)), key=lambda i: (-scores[i], i))
    if 0 < count < len(order):
        a, b = scores[order[count - 1]], scores[order[count]]
        if np.isfinite(a) and abs(a - b) < 1e-5:
            raise TooClose
    return sorted(order[:count])


def code_bits(codes, bits):
    """Each code's lowest bit first, eight to a byte from the highest bit down."""
    stream = (codes[..., None] >> np.arange(bits)) & 1
    return np.packbits(stream.reshape(len(codes), -1).astype(np.uint8), axis=1)


def interaction(scores, documents, ids, offsets, threshold):
    """Sums over the query's tokens of the best centroid of each document, of those that reach the threshold."""
    if np.abs(scores.max(1) - threshold).min() < 1e-5:
        raise TooClose
    stays = scores.max(1) >= threshold
    found = []
    for d in documents:
        cells = [c for c in ids[offsets[d] : offsets[d + 1]] if stays[c]]
        found.append(scores[cells].max(0).sum() if cells else -np.inf)
    return np.array(found)


def draw(random):
    lengths = random.integers(0, 9, DOCUMENTS)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    topics = unit(random.standard_normal((12, DIM)))
    tokens = unit(topics[random.integers(0, 12, offsets[-1])] + 0.25 * random.standard_normal((offsets[-1], DIM))).astype(np.float32)
    query = unit(topics[random.integers(0, 12, QUERY)] + 0.15 * random.standard_normal((QUERY, DIM))).astype(np.float32)
    centroids = unit(tokens[random.permutation(len(tokens))[:CENTROIDS]] + 0.1 * random.standard_normal((CENTROIDS, DIM))).astype(np.float32)
    out = {"tokens": tokens, "document_offsets": offsets, "query": query, "centroids": centroids}
    x, c, q = (a.astype(np.float64) for a in (tokens, centroids, query))
    near = x @ c.T
    for row in near:
        largest(row, 1)
    ids = near.argmax(1)
    out["ids"] = ids.astype(np.int32)
    rest = x - c[ids]
    scores = c @ q.T
    lists = [sorted({d for d in range(DOCUMENTS) if k in ids[offsets[d] : offsets[d + 1]]}) for k in range(CENTROIDS)]
    for bits in (2, 4):
        buckets = 2**bits
        cutoffs = np.quantile(rest, np.arange(1, buckets) / buckets).astype(np.float32)
        weights = np.quantile(rest, (np.arange(buckets) + 0.5) / buckets).astype(np.float32)
        if np.abs((tokens - centroids[ids]).ravel()[:, None] - cutoffs).min() < 1e-8:
            raise TooClose
        codes = (rest[..., None] > cutoffs.astype(np.float64)).sum(-1)
        decoded = unit(c[ids] + weights.astype(np.float64)[codes])
        out |= {f"cutoffs.{bits}": cutoffs, f"weights.{bits}": weights, f"codes.{bits}": code_bits(codes, bits), f"decoded.{bits}": decoded.astype(np.float32)}
        out[f"exact.{bits}"] = np.array([(decoded[a:b] @ q.T).max(0).sum() if a < b else -np.inf for a, b in zip(offsets, offsets[1:])]).astype(np.float32)
    for s, (n_probe, threshold, n_docs) in enumerate(SETTINGS):
        cells = {k for token in scores.T for k in largest(token, n_probe)}
        probed = sorted({d for k in cells for d in lists[k]})
        keep = lambda documents, bound, most: documents if len(documents) <= most else [documents[i] for i in largest(interaction(scores, documents, ids, offsets, bound), most)]
        pruned = keep(probed, threshold, n_docs)
        last = keep(pruned, -np.inf, max(1, n_docs // 4))
        for name, documents in (("probed", probed), ("pruned", pruned), ("centroid", last)):
            out[f"{name}.{s}"] = np.array(documents, dtype=np.int64)
    out["settings"] = np.array(SETTINGS, dtype=np.float32)
    return out


def main():
    random, tries = np.random.default_rng(SEED), 0
    while True:
        tries += 1
        try:
            out = draw(random)
            break
        except TooClose:
            continue
    sizes = [(len(out[f"probed.{s}"]), len(out[f"pruned.{s}"]), len(out[f"centroid.{s}"])) for s in range(len(SETTINGS))]
    save_file({k: np.ascontiguousarray(v) for k, v in out.items()}, HERE / "late_interaction.safetensors", {"seed": str(SEED), "numpy": np.__version__, "tries": str(tries)})
    print(tries, sizes)


if __name__ == "__main__":
    main()
