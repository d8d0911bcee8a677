"""What the golden scripts share: versions, hashes, random parameters."""
import hashlib
import importlib.metadata
import math
import platform

import numpy
import torch


def versions(*names):
    out = {n: importlib.metadata.version(n) for n in names}
    out["python"] = platform.python_version()
    return out


def file_sha256(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def fnv(data):
    """64-bit FNV-1a, as tests/support/hash.hpp has it: a short name for many bytes."""
    h = 0xCBF29CE484222325
    for b in data:
        h = (h ^ b) * 0x100000001B3 % 2**64
    return f"{h:016x}"


def draw(kind, width, height, channels):
    """A picture by a formula, [height, width, channels] uint8, as tests/support/pictures.hpp draws it."""
    y, x, c = numpy.meshgrid(numpy.arange(height), numpy.arange(width), numpy.arange(channels), indexing="ij")
    if kind == "noise":
        h = (x * 0x9E3779B1 + y * 0x85EBCA77 + c * 0xC2B2AE3D).astype(numpy.uint32)
        h ^= h >> 15
        h = (h * numpy.uint32(0x2C1B3C6D)).astype(numpy.uint32)
        return (h >> 24).astype(numpy.uint8)
    if kind == "ramp":
        return ((x * 3 + y * 2 + c * 50) % 256).astype(numpy.uint8)
    return (((x // 3 + y // 2 + c) % 2) * 255).astype(numpy.uint8)  # checkers: overshoots are clamped


@torch.no_grad()
def randomise(model, seed):
    """Every parameter random: matrices and biases N(0, 1/fan_in), norm weights 1 + N(0, 0.25^2), embeddings N(0, 1).

    Default initialisation (zero biases, unit norms) would hide a swapped or missing parameter.
    """
    g = torch.Generator().manual_seed(seed)
    fan_in = {}
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            fan_in[name + ".weight"] = fan_in[name + ".bias"] = module.in_features
        if isinstance(module, torch.nn.Conv2d):
            fan_in[name + ".weight"] = fan_in[name + ".bias"] = module.weight[0].numel()
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=g)
        if name in fan_in:
            p.copy_(noise / math.sqrt(fan_in[name]))
        elif "LayerNorm" in name or "norm" in name.lower():
            p.copy_(1 + 0.25 * noise if name.endswith("weight") else 0.25 * noise)
        elif "embeddings" in name:
            p.copy_(noise)
        else:
            p.copy_(noise / math.sqrt((p.shape or (1,))[-1]))


def softmax_in_f64():
    """Has eager attention take its softmax in the type of its scores: in f32 the f64 mask of a query that sees nothing is -inf
    throughout, which makes NaN, and that spreads to all of its row."""
    softmax = torch.nn.functional.softmax
    torch.nn.functional.softmax = lambda x, dim=None, dtype=None: softmax(x, dim=dim)
