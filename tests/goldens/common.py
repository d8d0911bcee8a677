"""What the golden scripts share: versions, hashes, random parameters."""
import hashlib
import importlib.metadata
import math
import platform

import torch


def versions(*names):
    out = {n: importlib.metadata.version(n) for n in names}
    out["python"] = platform.python_version()
    return out


def file_sha256(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


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
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=g)
        if name in fan_in:
            p.copy_(noise / math.sqrt(fan_in[name]))
        elif "LayerNorm" in name or "norm" in name.lower():
            p.copy_(1 + 0.25 * noise if name.endswith("weight") else 0.25 * noise)
        elif "embeddings" in name:
            p.copy_(noise)
        else:
            p.copy_(noise / math.sqrt(p.shape[-1]))
