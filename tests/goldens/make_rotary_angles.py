"""Write rotary_angles.json: the frequencies that transformers makes of rope_parameters, kind by kind.

    python make_rotary_angles.py

Needs: torch, transformers.
"""
import json
import pathlib

import torch
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from common import versions

# head_dim, max_position_embeddings, rope_parameters
CASES = [
    (64, 2048, dict(rope_type="default", rope_theta=10000.0)),
    (128, 32768, dict(rope_type="default", rope_theta=1000000.0)),
    (64, 8192, dict(rope_type="linear", rope_theta=160000.0, factor=8.0)),
    (64, 4096, dict(rope_type="dynamic", rope_theta=10000.0, factor=4.0)),
    (128, 131072, dict(rope_type="llama3", rope_theta=500000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=8192)),
    (64, 131072, dict(rope_type="llama3", rope_theta=500000.0, factor=32.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=8192)),
    (128, 131072, dict(rope_type="yarn", rope_theta=1000000.0, factor=4.0, original_max_position_embeddings=32768)),
    (64, 163840, dict(rope_type="yarn", rope_theta=10000.0, factor=40.0, original_max_position_embeddings=4096, mscale=0.707, mscale_all_dim=1.0)),
    (32, 4096, dict(rope_type="yarn", rope_theta=10000.0, factor=16.0, original_max_position_embeddings=256, beta_fast=20.0, beta_slow=2.0, truncate=False)),
    (32, 4096, dict(rope_type="yarn", rope_theta=10000.0, factor=16.0, original_max_position_embeddings=256, attention_factor=0.75)),
    (96, 131072, dict(rope_type="longrope", rope_theta=10000.0, original_max_position_embeddings=4096,
                      short_factor=[1.0 + i / 64 for i in range(48)], long_factor=[1.0 + i * i / 32 for i in range(48)])),
    (24, 4096, dict(rope_type="longrope", rope_theta=10000.0, original_max_position_embeddings=512, factor=2.0, partial_rotary_factor=0.75,
                    short_factor=[1.0] * 9, long_factor=[1.5 + i for i in range(9)])),
]


def main():
    cases = []
    for head_dim, positions, rope in CASES:
        config = LlamaConfig(hidden_size=head_dim, num_attention_heads=1, max_position_embeddings=positions, rope_parameters=dict(rope))
        of = ROPE_INIT_FUNCTIONS.get(rope["rope_type"], lambda c, **_: LlamaRotaryEmbedding.compute_default_rope_parameters(c))
        numbers = lambda t: [float(x) for x in t]
        frequencies, scale = of(config, device="cpu")
        case = dict(head_dim=head_dim, max_position_embeddings=positions, rope_parameters=rope, frequencies=numbers(frequencies), scale=float(scale))
        if rope["rope_type"] == "longrope":
            case["long_frequencies"] = numbers(of(config, device="cpu", seq_len=rope["original_max_position_embeddings"] + 1)[0])
        cases.append(case)
    out = dict(command="python make_rotary_angles.py", versions=versions("torch", "transformers"), cases=cases)
    text = json.dumps(out).replace(', {"head_dim"', ',\n{"head_dim"')
    (pathlib.Path(__file__).resolve().parent / "rotary_angles.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
