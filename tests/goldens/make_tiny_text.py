"""Write tiny random folders of the text families beside BERT, with what transformers computes for them.

    python make_tiny_text.py [--out FOLDER] [WORD...]          # default: tiny_text/ beside this script

As make_tiny_bert.py: every parameter randomised, saved by save_pretrained, run in float64 with eager attention, five rows
(full, padded right and left, holes, a lone token) whose ids may hold the padding token; results as float32, 0 where padded.
relative_buckets.json has transformers' bucket of each distance. Needs: numpy, torch, transformers, safetensors.
"""
import argparse
import json
import os
import pathlib
import shutil

os.environ["HF_HUB_OFFLINE"] = os.environ["TQDM_DISABLE"] = "1"

import torch
import transformers as tf
from safetensors.torch import save_file
from transformers.models.mpnet.modeling_mpnet import MPNetEncoder
from transformers.models.t5.modeling_t5 import T5Attention

from common import randomise, softmax_in_f64, versions
from make_tiny_bert import make_inputs

SMALL = dict(hidden_size=20, num_attention_heads=4, intermediate_size=37, num_hidden_layers=2, vocab_size=61, max_position_embeddings=44)
WIDE = dict(hidden_size=30, num_attention_heads=3, intermediate_size=41, num_hidden_layers=2, vocab_size=53, max_position_embeddings=40)
# name, model, tokens a row, element type of the checkpoint
MODELS = [
    ("roberta", lambda: tf.RobertaModel(tf.RobertaConfig(**SMALL, type_vocab_size=1, layer_norm_eps=1e-5)), 33, torch.float32),
    ("roberta_classifier", lambda: tf.RobertaForSequenceClassification(tf.RobertaConfig(**WIDE, type_vocab_size=2, pad_token_id=4, hidden_act="gelu_new")), 17, torch.float32),
    ("xlm_roberta_f16", lambda: tf.XLMRobertaModel(tf.XLMRobertaConfig(**SMALL, type_vocab_size=1)), 19, torch.float16),
    ("xlm_roberta_masked_lm", lambda: tf.XLMRobertaForMaskedLM(tf.XLMRobertaConfig(**WIDE, type_vocab_size=1, pad_token_id=0)), 11, torch.float32),
    ("camembert", lambda: tf.CamembertModel(tf.CamembertConfig(**SMALL, type_vocab_size=1), add_pooling_layer=False), 13, torch.float32),
    ("camembert_relu", lambda: tf.CamembertModel(tf.CamembertConfig(**WIDE, type_vocab_size=1, hidden_act="relu")), 12, torch.float32),
    ("electra_e12", lambda: tf.ElectraModel(tf.ElectraConfig(**SMALL, embedding_size=12)), 21, torch.float32),
    ("electra_discriminator", lambda: tf.ElectraForPreTraining(tf.ElectraConfig(**WIDE, embedding_size=30, type_vocab_size=3)), 10, torch.float32),
    ("distilbert", lambda: tf.DistilBertModel(tf.DistilBertConfig(vocab_size=61, max_position_embeddings=40, dim=20, n_heads=4, hidden_dim=33, n_layers=2)), 31, torch.float32),
    ("distilbert_sinusoidal_masked_lm", lambda: tf.DistilBertForMaskedLM(tf.DistilBertConfig(vocab_size=47, max_position_embeddings=40, dim=30, n_heads=3, hidden_dim=25, n_layers=2, activation="relu", sinusoidal_pos_embds=True)), 12, torch.float32),
    ("mpnet", lambda: tf.MPNetModel(tf.MPNetConfig(**SMALL)), 37, torch.float32),
    ("mpnet_masked_lm_bf16", lambda: tf.MPNetForMaskedLM(tf.MPNetConfig(**WIDE, pad_token_id=2, layer_norm_eps=1e-5)), 14, torch.bfloat16),
    ("t5", lambda: tf.T5EncoderModel(tf.T5Config(vocab_size=61, d_model=22, d_kv=7, d_ff=41, num_layers=2, num_heads=5)), 35, torch.float32),
    ("t5_gated", lambda: tf.T5EncoderModel(tf.T5Config(vocab_size=61, d_model=24, d_kv=9, d_ff=30, num_layers=2, num_heads=3, feed_forward_proj="gated-gelu", relative_attention_num_buckets=8, relative_attention_max_distance=20, layer_norm_epsilon=1e-5)), 27, torch.float32),
    ("t5_with_decoder", lambda: tf.T5ForConditionalGeneration(tf.T5Config(vocab_size=43, d_model=20, d_kv=5, d_ff=24, num_layers=1, num_decoder_layers=1, num_heads=2, feed_forward_proj="gated-silu")), 9, torch.float32),
    ("mt5", lambda: tf.MT5EncoderModel(tf.MT5Config(vocab_size=61, d_model=24, d_kv=8, d_ff=27, num_layers=2, num_heads=3)), 15, torch.float32),
    ("clip_text", lambda: tf.CLIPTextModel(tf.CLIPTextConfig(**SMALL)), 21, torch.float32),
    ("clip_text_gelu_bf16", lambda: tf.CLIPTextModelWithProjection(tf.CLIPTextConfig(**WIDE, hidden_act="gelu", eos_token_id=7, projection_dim=12)), 14, torch.bfloat16),
    ("siglip_text", lambda: tf.SiglipTextModel(tf.SiglipTextConfig(**SMALL)), 18, torch.float32),
    ("siglip2_text_f16", lambda: tf.Siglip2TextModel(tf.Siglip2TextConfig(**WIDE)), 13, torch.float16),
]
TOWERS = (tf.CLIPPreTrainedModel, tf.SiglipPreTrainedModel, tf.Siglip2PreTrainedModel)  # which do not pool the first token
BUCKETS = [(32, 128), (8, 20), (64, 256), (12, 40), (32, 9), (16, 1000)]


softmax_in_f64()


def encoder_of(model):
    """What AutoModel would load of it."""
    model = getattr(model, model.base_model_prefix, model) if not isinstance(model, (tf.T5PreTrainedModel, tf.MT5PreTrainedModel)) else model
    return model.get_encoder() if isinstance(model, (tf.T5PreTrainedModel, tf.MT5PreTrainedModel)) else model


def golden_forward(model, x):
    with torch.inference_mode():
        y = model(**x, output_hidden_states=True)
    keep = x["attention_mask"].bool().unsqueeze(-1)
    put = lambda t: torch.where(keep, t, torch.zeros_like(t)).float().contiguous()
    out = {"last_hidden_state": put(y.last_hidden_state)}
    states = y.hidden_states[:-1] if isinstance(model, (tf.T5PreTrainedModel, tf.MT5PreTrainedModel)) else y.hidden_states  # T5's last one is normalised
    out |= {f"hidden_states.{i}": put(h) for i, h in enumerate(states)}
    if getattr(y, "pooler_output", None) is not None and not isinstance(model, TOWERS):
        first = x["attention_mask"][:, :1].bool()
        out["pooler_output"] = torch.where(first, y.pooler_output, torch.zeros_like(y.pooler_output)).float().contiguous()
    assert all(t.isfinite().all() for t in out.values())
    return out


class WithTypes:
    """A config of which make_inputs can ask the number of token types."""

    def __init__(self, config):
        self.vocab_size, self.type_vocab_size = config.vocab_size, getattr(config, "type_vocab_size", 1)


def write_folder(out, number, name, make, seq, dtype):
    folder = out / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model = make()
    seed = 3000 + 10 * number
    randomise(model, seed)
    if name.startswith("distilbert_sinusoidal"):
        from transformers.models.distilbert.modeling_distilbert import create_sinusoidal_embeddings

        table = model.distilbert.embeddings.position_embeddings.weight
        create_sinusoidal_embeddings(table.shape[0], table.shape[1], out=table)
    model.to(dtype).save_pretrained(folder)
    encoder = encoder_of(model).double().eval()
    encoder.set_attn_implementation("eager")
    x = make_inputs(WithTypes(model.config), seq, torch.Generator().manual_seed(seed + 1))
    if getattr(model.config, "type_vocab_size", 1) == 1:
        del x["token_type_ids"]
    alone = dict(input_ids=x["input_ids"], attention_mask=torch.ones_like(x["attention_mask"]))
    meta = {"format": "pt"}
    save_file(x, str(folder / "inputs.safetensors"), metadata=meta)
    save_file(golden_forward(encoder, x), str(folder / "outputs.safetensors"), metadata=meta)
    save_file({"input_ids": x["input_ids"]}, str(folder / "inputs_ids_only.safetensors"), metadata=meta)
    last = golden_forward(encoder, alone)
    save_file({k: v for k, v in last.items() if not k.startswith("hidden")}, str(folder / "outputs_ids_only.safetensors"), metadata=meta)
    info = dict(command="python make_tiny_text.py", seed=seed, versions=versions("torch", "transformers", "safetensors"), checkpoint_dtype=str(dtype).removeprefix("torch."))
    (folder / "golden.json").write_text(json.dumps(info) + "\n")
    size = sum(f.stat().st_size for f in folder.iterdir())
    print(f"{name:32s} {size / 1024:5.0f} KiB")
    assert size < 200 * 1024, size


def write_buckets(path):
    distances = torch.arange(-1100, 1101)
    cases = []
    for buckets, most in BUCKETS:
        of = T5Attention._relative_position_bucket(distances, True, buckets, most)
        assert torch.equal(of, MPNetEncoder.relative_position_bucket(distances, buckets, most))
        changes = [[int(d), int(b)] for d, b, before in zip(distances, of, [-1, *of[:-1].tolist()]) if b != before]
        cases.append({"buckets": buckets, "max_distance": most, "from": changes})  # [distance, the bucket from it on]
    path.write_text(json.dumps({"command": "python make_tiny_text.py", "versions": versions("torch", "transformers"), "first": -1100, "last": 1100, "cases": cases}) + "\n")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--out", default=pathlib.Path(__file__).resolve().parent / "tiny_text", type=pathlib.Path)
    p.add_argument("words", nargs="*")
    a = p.parse_args()
    torch.set_num_threads(1)
    tf.logging.set_verbosity_error()
    for i, (name, make, seq, dtype) in enumerate(MODELS):
        if not a.words or any(w in name for w in a.words):
            write_folder(a.out, i, name, make, seq, dtype)
    write_buckets(a.out / "relative_buckets.json")


if __name__ == "__main__":
    main()
