"""Write tiny random folders of the families with rotary positions, with what transformers computes for them.

    python make_tiny_rotary.py [--out FOLDER] [WORD...]    # default: tiny_rotary/ beside this script; only names with a WORD

As make_tiny_text.py, but that each folder is loaded again by AutoModel, in float64, after what its line says was done to
config.json: half of them have the keys that folders had before transformers 5, or those of families that had code of their
own then, which transformers no longer reads: those are put in last. Windows are shorter than the rows, heads are
grouped, rows are padded on both sides and have holes. Those with positions of their own have inputs_positions as well; of
LongRoPE they are the long ones. Needs: numpy, torch, transformers, safetensors.
"""
import argparse
import json
import os
import pathlib
import shutil

os.environ["HF_HUB_OFFLINE"] = os.environ["TQDM_DISABLE"] = "1"

import torch
import transformers as tf
from safetensors.torch import load_file, save_file

from common import randomise, softmax_in_f64, versions
from make_tiny_bert import make_inputs

F32, F16, BF16 = torch.float32, torch.float16, torch.bfloat16


def before_5(config):
    """The keys of older folders: rope_theta and rope_scaling, or two thetas."""
    rope = config.pop("rope_parameters")
    if config["model_type"] == "modernbert":
        config["global_rope_theta"], config["local_rope_theta"] = rope["full_attention"]["rope_theta"], rope["sliding_attention"]["rope_theta"]
        config["global_attn_every_n_layers"] = 2
    elif config["model_type"].startswith("gemma3"):
        config["rope_theta"], config["rope_local_base_freq"] = rope["full_attention"].pop("rope_theta"), rope["sliding_attention"]["rope_theta"]
        config["rope_scaling"] = rope["full_attention"]
        config["sliding_window_pattern"] = 2
    else:
        config["rope_theta"] = rope.pop("rope_theta")
        config["rope_scaling"] = None if rope["rope_type"] == "default" else {"type": rope.pop("rope_type"), **rope}
    for key in ("layer_types", "transformers_version"):
        config.pop(key, None)


def nomic_of_its_own(config):
    """A folder of when NomicBERT had code of its own, with GPT-2's keys."""
    for new, old in dict(hidden_size="n_embd", num_attention_heads="n_head", num_hidden_layers="n_layer", intermediate_size="n_inner", layer_norm_eps="layer_norm_epsilon",
                         max_position_embeddings="max_trained_positions").items():
        config[old] = config.pop(new)
    config |= dict(activation_function="swiglu", rotary_emb_base=config.pop("rope_parameters")["rope_theta"], rotary_emb_fraction=1.0, rotary_emb_interleaved=False,
                   rotary_scaling_factor=None, prenorm=False, parallel_block=False, use_rms_norm=False, n_positions=8192)
    for key in ("hidden_act", "head_dim", "transformers_version"):
        config.pop(key, None)


STRETCH = 3.0


def gte_of_its_own(config):
    """The same of GTE. Its ntk is linear in transformers' words, with another base."""
    rope = config.pop("rope_parameters")
    config |= dict(model_type="new", position_embedding_type="rope", rope_theta=rope["rope_theta"] / STRETCH, rope_scaling=dict(type="ntk", factor=STRETCH),
                   layer_norm_type="layer_norm", logn_attention_scale=False, pack_qkv=True, unpad_inputs=False)
    config.pop("transformers_version")


OWN_CODE = (nomic_of_its_own, gte_of_its_own)  # which transformers does not read again


def sizes(hidden, heads, kv, mlp, layers, vocab, **more):
    kv = {} if kv is None else dict(num_key_value_heads=kv)
    return dict(hidden_size=hidden, num_attention_heads=heads, intermediate_size=mlp, num_hidden_layers=layers, vocab_size=vocab,
                max_position_embeddings=64, pad_token_id=0, bos_token_id=1, eos_token_id=2, **kv, **more)


def bert_sizes(hidden, heads, mlp, layers, vocab):
    return dict(hidden_size=hidden, num_attention_heads=heads, intermediate_size=mlp, num_hidden_layers=layers, vocab_size=vocab, max_position_embeddings=40, pad_token_id=0)


def rope(theta, kind="default", **more):
    return dict(rope_parameters=dict(rope_theta=theta, rope_type=kind, **more))


def two_ropes(full, local):
    return dict(rope_parameters=dict(full_attention=full, sliding_attention=local))


LLAMA3 = rope(60.0, "llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=40)
LONG = rope(200.0, "longrope", short_factor=[1.0, 1.25, 1.5], long_factor=[1.5, 2.75, 7.0])
# name, model, tokens a row, element type of the checkpoint, what is done to config.json, the least of given positions
MODELS = [
    ("modernbert", lambda: tf.ModernBertModel(tf.ModernBertConfig(**sizes(18, 3, None, 23, 4, 61), cls_token_id=1, sep_token_id=2, local_attention=9)), 19, F32, None, None),
    ("modernbert_masked_lm_biased", lambda: tf.ModernBertForMaskedLM(tf.ModernBertConfig(
        **sizes(30, 3, None, 25, 3, 53), cls_token_id=1, sep_token_id=2, local_attention=4, hidden_activation="gelu_new", norm_bias=True, attention_bias=True,
        mlp_bias=True, layer_types=["full_attention", "sliding_attention", "full_attention"],
        **two_ropes(dict(rope_theta=300.0, rope_type="default"), dict(rope_theta=11.0, rope_type="default")))), 17, F16, before_5, 3),
    ("llama_llama3", lambda: tf.LlamaModel(tf.LlamaConfig(**sizes(24, 6, 2, 29, 2, 61), head_dim=8, **LLAMA3)), 19, F32, None, 20),
    ("llama_linear_seeing_all", lambda: tf.LlamaForCausalLM(tf.LlamaConfig(**sizes(30, 3, None, 21, 2, 47), attention_bias=True, mlp_bias=True, is_causal=False,
                                                                          rms_norm_eps=1e-5, **rope(100.0, "linear", factor=4.0))), 14, BF16, before_5, None),
    ("llama_yarn", lambda: tf.LlamaForCausalLM(tf.LlamaConfig(**sizes(24, 2, 1, 22, 2, 47), **rope(500.0, "yarn", factor=4.0, original_max_position_embeddings=16))), 12, F32, None, 11),
    ("llama_dynamic", lambda: tf.LlamaModel(tf.LlamaConfig(**sizes(20, 2, 2, 17, 1, 47), **rope(500.0, "dynamic", factor=2.0))), 9, F32, before_5, None),
    ("mistral", lambda: tf.MistralModel(tf.MistralConfig(**sizes(24, 4, 1, 31, 2, 61), head_dim=10, sliding_window=5)), 21, F32, None, None),
    ("mistral_seeing_all", lambda: tf.MistralForCausalLM(tf.MistralConfig(**sizes(24, 4, 2, 19, 2, 47), sliding_window=3, is_causal=False, **rope(70.0))), 16, F16, before_5, None),
    ("mistral_without_window", lambda: tf.MistralForCausalLM(tf.MistralConfig(**sizes(20, 2, 2, 19, 1, 47), sliding_window=None)), 10, F32, before_5, None),
    ("qwen2", lambda: tf.Qwen2Model(tf.Qwen2Config(**sizes(28, 7, 1, 33, 2, 61), **rope(1e6))), 18, F32, None, 100),
    ("qwen2_windows", lambda: tf.Qwen2ForCausalLM(tf.Qwen2Config(**sizes(24, 4, 2, 26, 3, 47), use_sliding_window=True, max_window_layers=1, sliding_window=4)), 15, BF16, before_5, None),
    ("qwen3", lambda: tf.Qwen3Model(tf.Qwen3Config(**sizes(24, 6, 2, 27, 2, 61), head_dim=10, attention_bias=True)), 17, F32, None, None),
    ("qwen3_windows_seeing_all", lambda: tf.Qwen3ForCausalLM(tf.Qwen3Config(
        **sizes(20, 3, 3, 23, 2, 47), head_dim=14, use_sliding_window=True, sliding_window=2, is_causal=False, layer_types=["sliding_attention", "full_attention"])), 13, BF16, None, None),
    ("phi3_longrope", lambda: tf.Phi3Model(tf.Phi3Config(**sizes(20, 2, 1, 27, 2, 61), original_max_position_embeddings=24, partial_rotary_factor=0.6, **LONG)), 20, F32, None, 30),
    ("phi3_window", lambda: tf.Phi3ForCausalLM(tf.Phi3Config(**sizes(24, 4, 4, 19, 2, 47), sliding_window=6)), 14, F16, before_5, None),
    ("gemma", lambda: tf.GemmaModel(tf.GemmaConfig(**sizes(24, 3, 1, 31, 2, 61), head_dim=12)), 16, F32, None, None),
    ("gemma_seeing_all", lambda: tf.GemmaForCausalLM(tf.GemmaConfig(**sizes(20, 2, 2, 18, 2, 47), head_dim=6, is_causal=False)), 11, BF16, before_5, None),
    ("gemma2", lambda: tf.Gemma2Model(tf.Gemma2Config(**sizes(24, 4, 2, 29, 3, 61), head_dim=10, sliding_window=5, attn_logit_softcapping=0.7, query_pre_attn_scalar=3)), 17, F32, None, None),
    ("gemma2_uncapped", lambda: tf.Gemma2ForCausalLM(tf.Gemma2Config(**sizes(20, 2, 1, 18, 2, 47), head_dim=8, sliding_window=3, attn_logit_softcapping=None)), 12, BF16, before_5, None),
    ("gemma3", lambda: tf.Gemma3TextModel(tf.Gemma3TextConfig(**sizes(24, 4, 2, 27, 3, 61), head_dim=6, sliding_window=4, query_pre_attn_scalar=5,
                                                             layer_types=["sliding_attention", "full_attention", "sliding_attention"])), 15, F32, None, None),
    ("gemma3_linear_seeing_all", lambda: tf.Gemma3ForCausalLM(tf.Gemma3TextConfig(
        **sizes(20, 2, 1, 18, 2, 47), head_dim=8, sliding_window=7, use_bidirectional_attention=True, layer_types=["sliding_attention", "full_attention"],
        **two_ropes(dict(rope_theta=900.0, rope_type="linear", factor=8.0), dict(rope_theta=30.0, rope_type="default")))), 13, BF16, before_5, None),
    ("eurobert", lambda: tf.EuroBertForMaskedLM(tf.EuroBertConfig(**sizes(24, 6, 2, 27, 2, 61), mask_token_id=3, **rope(2000.0))), 14, F32, before_5, None),
    ("nomic_bert", lambda: tf.NomicBertModel(tf.NomicBertConfig(**bert_sizes(24, 4, 31, 2, 61), type_vocab_size=2)), 17, F32, None, None),
    ("nomic_bert_masked_lm", lambda: tf.NomicBertForMaskedLM(tf.NomicBertConfig(**bert_sizes(20, 2, 18, 2, 47), type_vocab_size=1, layer_norm_eps=1e-5)), 12, BF16, nomic_of_its_own, None),
    ("gte", lambda: tf.GteModel(tf.GteConfig(**bert_sizes(24, 3, 29, 2, 61), type_vocab_size=0)), 16, F32, None, 5),
    ("gte_masked_lm", lambda: tf.GteForMaskedLM(tf.GteConfig(**bert_sizes(20, 2, 18, 2, 47), type_vocab_size=2, **rope(500.0 * STRETCH, "linear", factor=STRETCH ** (2 / 10)))), 13, F16, gte_of_its_own, None),
    ("gpt2", lambda: tf.GPT2Model(tf.GPT2Config(n_embd=24, n_head=4, n_layer=2, n_inner=29, vocab_size=61, n_positions=40)), 16, F32, None, 4),
    ("gpt2_seeing_all", lambda: tf.GPT2LMHeadModel(tf.GPT2Config(n_embd=20, n_head=2, n_layer=1, vocab_size=47, n_positions=20, activation_function="relu",
                                                                 scale_attn_weights=False, is_causal=False)), 11, BF16, None, None),
    ("opt", lambda: tf.OPTModel(tf.OPTConfig(hidden_size=24, num_attention_heads=3, ffn_dim=29, num_hidden_layers=2, vocab_size=61, max_position_embeddings=40)), 15, F32, None, 0),
    ("opt_post_norm", lambda: tf.OPTForCausalLM(tf.OPTConfig(hidden_size=20, num_attention_heads=2, ffn_dim=19, num_hidden_layers=2, vocab_size=47, max_position_embeddings=20,
                                                             do_layer_norm_before=False, enable_bias=False)), 12, F16, None, None),
    ("eurobert_bare", lambda: tf.EuroBertModel(tf.EuroBertConfig(**sizes(30, 5, 5, 19, 3, 47), mask_token_id=3, rms_norm_eps=1e-6, **rope(90.0))), 18, BF16, None, 40),
    ("gemma3_with_images", lambda: tf.Gemma3ForConditionalGeneration(tf.Gemma3Config(
        text_config=dict(**sizes(20, 2, 1, 18, 2, 47), head_dim=8, sliding_window=3, layer_types=["sliding_attention", "full_attention"]),
        vision_config=dict(hidden_size=8, intermediate_size=9, num_hidden_layers=1, num_attention_heads=1, image_size=8, patch_size=4), mm_tokens_per_image=1, image_token_index=46)), 12, BF16, None, None),
    ("opt_projected", lambda: tf.OPTModel(tf.OPTConfig(hidden_size=24, num_attention_heads=3, ffn_dim=29, num_hidden_layers=2, vocab_size=61, max_position_embeddings=40,
                                                       word_embed_proj_dim=10, do_layer_norm_before=False)), 15, F32, None, 3),
    ("opt_projected_wider", lambda: tf.OPTForCausalLM(tf.OPTConfig(hidden_size=20, num_attention_heads=2, ffn_dim=19, num_hidden_layers=2, vocab_size=47, max_position_embeddings=20,
                                                                   word_embed_proj_dim=30)), 12, BF16, None, None),
]


softmax_in_f64()


def golden_forward(model, x):
    with torch.inference_mode():
        y = model(**x, output_hidden_states=True)
    keep = x["attention_mask"].bool().unsqueeze(-1)
    put = lambda t: torch.where(keep, t, torch.zeros_like(t)).float().contiguous()
    states = {f"hidden_states.{i}": put(h) for i, h in enumerate(y.hidden_states[:-1])}  # the last one is normalised
    out = {"last_hidden_state": put(y.last_hidden_state)} | states
    assert all(t.isfinite().all() for t in out.values())
    return out


def write_folder(out, number, name, make, seq, dtype, edit, first_position):
    folder = out / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model = make()
    seed = 7000 + 10 * number
    randomise(model, seed)
    # As transformers calls the tensors, but for every other folder of those that it renames, which has older names.
    model.to(dtype).save_pretrained(folder, save_original_format=edit in OWN_CODE)
    (folder / "generation_config.json").unlink(missing_ok=True)
    if edit and edit not in OWN_CODE:
        config = json.loads((folder / "config.json").read_text())
        edit(config)
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    loaded, problems = tf.AutoModel.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager", output_loading_info=True)
    assert not problems["missing_keys"], problems
    same = dict(loaded.named_parameters())
    for key, p in getattr(model, model.base_model_prefix, model).named_parameters():
        assert torch.equal(same[key], p.double()), key
    loaded.eval()
    g = torch.Generator().manual_seed(seed + 1)
    types = getattr(model.config, "type_vocab_size", 0)
    x = make_inputs(type("Sizes", (), dict(vocab_size=model.config.get_text_config().vocab_size, type_vocab_size=max(types, 1))), seq, g)
    if types < 2:
        del x["token_type_ids"]
    meta = {"format": "pt"}
    save_file(x, str(folder / "inputs.safetensors"), metadata=meta)
    save_file(golden_forward(loaded, x), str(folder / "outputs.safetensors"), metadata=meta)
    last = lambda y: {k: v for k, v in y.items() if not k.startswith("hidden")}
    alone = dict(input_ids=x["input_ids"], attention_mask=torch.ones_like(x["attention_mask"]))
    save_file({"input_ids": x["input_ids"]}, str(folder / "inputs_ids_only.safetensors"), metadata=meta)
    save_file(last(golden_forward(loaded, alone)), str(folder / "outputs_ids_only.safetensors"), metadata=meta)
    if first_position is not None:
        steps = torch.randint(1, 4, x["input_ids"].shape, generator=g)
        positions = dict(x, position_ids=first_position + steps.cumsum(1) - steps[:, :1])
        save_file(positions, str(folder / "inputs_positions.safetensors"), metadata=meta)
        save_file(last(golden_forward(loaded, positions)), str(folder / "outputs_positions.safetensors"), metadata=meta)
    if edit in OWN_CODE:
        config = json.loads((folder / "config.json").read_text())
        edit(config)
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    info = dict(command="python make_tiny_rotary.py", seed=seed, versions=versions("torch", "transformers", "safetensors"), checkpoint_dtype=str(dtype).removeprefix("torch."))
    (folder / "golden.json").write_text(json.dumps(info) + "\n")
    size = sum(f.stat().st_size for f in folder.iterdir())
    print(f"{name:32s} {size / 1024:5.0f} KiB  {sorted(load_file(folder / 'model.safetensors'))[0]}")
    assert size < 120 * 1024, size


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--out", default=pathlib.Path(__file__).resolve().parent / "tiny_rotary", type=pathlib.Path)
    p.add_argument("words", nargs="*")
    a = p.parse_args()
    torch.set_num_threads(1)
    tf.logging.set_verbosity_error()
    for i, (name, *rest) in enumerate(MODELS):
        if not a.words or any(w in name for w in a.words):
            write_folder(a.out, i, name, *rest)


if __name__ == "__main__":
    main()
