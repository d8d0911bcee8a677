"""Token merging from the papers, in PyTorch float64: what the goldens of make_merge.py are made with.

A plan is a list of rows; a row is the list of tokens that it is made of, its destination first, the others ascending. Ties go to
the token of the lowest index everywhere (stable sorts). Written from the papers, not from the authors' code:
ToMe arXiv:2210.09461, PiToMe arXiv:2405.16148, ToFu arXiv:2312.01026, EViT arXiv:2202.07800, AIM arXiv:2412.03248.
"""
import math

import torch


class TooClose(Exception):
    """Two different scores compete within what float32 can tell apart: no fair question to a float32 program."""


def unit(x):
    return x / x.norm(dim=-1, keepdim=True).clamp_min(1e-12)


def products(a, b):
    # Element by element, so that equal tokens have equal products whatever their place.
    return (a[:, None, :] * b[None, :, :]).sum(-1)


def apart(values, gap=2e-6):
    """Neighbouring values are equal to the last bit or clearly different."""
    v, _ = torch.sort(values[torch.isfinite(values)].flatten())
    d = v[1:] - v[:-1]
    if ((d > 0) & (d < gap)).any():
        raise TooClose


def best_first(scores):
    return torch.argsort(-scores, stable=True)


def first_argmax(scores):
    top = scores.max(dim=1).values
    for row, t in zip(scores, top):
        apart(row[row >= t - 1e-5])
    return top, (scores == top[:, None]).int().argmax(dim=1)  # argmax of 0 and 1: the first 1


def rows_of(n, order, into):
    return [[d] + [t for t in range(n) if t != d and into.get(t) == d] for d in order]


def bipartite(metric, r, prefix, by_score):
    """metric [T, D] unit rows. ToMe, section 3.1: A = even, B = odd places; class token and others of the prefix take no part."""
    n = len(metric)
    r = max(0, min(r, (n - prefix) // 2))
    if r == 0:
        return [[t] for t in range(n)]
    a, b = list(range(0, n, 2)), list(range(1, n, 2))
    scores = products(metric[a], metric[b])
    scores[:, [j for j, t in enumerate(b) if t < prefix]] = -math.inf
    top, to = first_argmax(scores)
    top[[i for i, t in enumerate(a) if t < prefix]] = -math.inf
    apart(top)
    order = best_first(top).tolist()
    into = {a[i]: b[to[i]] for i in order[:r]}
    stay = [a[i] for i in order[r:] if a[i] >= prefix]
    if not by_score:
        stay.sort()
    return rows_of(n, list(range(prefix)) + stay + [t for t in b if t >= prefix], into)


def energy(metric, r, margin, prefix):
    """PiToMe, sections 3.1 and 3.2, with the energy of its released code (mean over j of ELU(cos - margin))."""
    n = len(metric)
    free = metric[prefix:]
    r = max(0, min(r, (n - prefix) // 2))
    if r == 0:
        return [[t] for t in range(n)]
    e = torch.nn.functional.elu(products(free, free) - margin).mean(dim=1)
    apart(e)
    order = best_first(e).tolist()
    a, b = order[: 2 * r : 2], order[1 : 2 * r : 2]
    _, to = first_argmax(products(free[a], free[b]))
    into = {prefix + a[i]: prefix + b[to[i]] for i in range(r)}
    return rows_of(n, list(range(prefix)) + [prefix + t for t in order[2 * r :]] + [prefix + t for t in b], into)


def keep_top(scores, keep, prefix, by_score):
    apart(scores[prefix:])
    chosen = best_first(scores[prefix:])[:keep].tolist()
    if not by_score:
        chosen.sort()
    return [[t] for t in range(prefix)] + [[prefix + t] for t in chosen]


def merge(rows, x, sizes, mode, coefficients=None):
    """New tokens and sizes. x [T, C], sizes [T]."""
    out, new = [], []
    for row in rows:
        t, s = x[row], sizes[row]
        new.append(s[0] if mode in ("keep", "combine") else s.sum())
        if mode == "combine":
            out.append((t * coefficients[row, None]).sum(0))
        elif mode == "keep" or len(row) == 1:
            out.append(t[0])
        elif mode == "weighted_mean":
            out.append((t * s[:, None]).sum(0) / s.sum())
        elif mode == "mean":
            out.append(t.mean(0))
        elif mode == "norm_preserving":
            out.append(unit(t.sum(0)) * t.norm(dim=-1).max())
        else:
            out.append({"sum": t.sum(0), "max": t.max(0).values}[mode])
    return torch.stack(out), torch.stack(new)


def schedule(r, inflect, layers):
    """ToMe's r of each layer: linear from r (1 - inflect) to its mirror about r, rounded down."""
    first = int(r * (1 - inflect))
    step = (2 * r - first - first) / (layers - 1)
    return [int(first + step * i) for i in range(layers)]


def policy(name, layer, layers, prefix, x, k, attention, sizes, options):
    """rows, mode, coefficients for one sequence. x [T, C], k [H, T, D], attention [H, T, T]."""
    n = len(x)
    metric = unit(k.mean(0))
    if name == "tome":
        return bipartite(metric, options["r"][layer], prefix, prefix == 0), "weighted_mean", None
    if name == "tofu":
        return bipartite(metric, options["r"][layer], prefix, prefix == 0), "keep" if layer < options["prune_layers"] else "norm_preserving", None
    if name == "pitome":
        free = n - prefix
        return energy(metric, math.floor(free - free * options["keep"]), 0.9 - 0.9 * layer / layers, prefix), "weighted_mean", None
    if name == "evit":
        if layer not in options["layers"]:
            return [[t] for t in range(n)], "weighted_mean", None
        a = attention.mean(0)[0]
        rows = keep_top(a, math.ceil(options["keep"] * (n - prefix)), prefix, True)
        gone = sorted(set(range(n)) - {row[0] for row in rows})
        if not gone:
            return rows, "weighted_mean", None
        weights = torch.ones(n, dtype=x.dtype)
        weights[gone] = a[gone]
        return rows + [gone], "combine", weights
    raise ValueError(name)
