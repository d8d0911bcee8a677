"""Record what transformers decodes greedily, from folders that are here already and from two of its own.

    python make_generate.py [--out FOLDER]          # default: this folder; writes generate/ and generate.json

In float64, one prompt at a time; a step whose two best logits are nearer than 1e-4 fails, since f32 may choose the other one.
Of its own are a tied Qwen 3 with a tokenizer and a generation_config.json that punishes repetition, and a Phi-3 whose angles
change while it decodes. Needs: numpy, torch, transformers, tokenizers, safetensors.
"""
import argparse
import json
import os
import pathlib
import shutil

os.environ["HF_HUB_OFFLINE"] = os.environ["TQDM_DISABLE"] = "1"

import torch
import transformers as tf

from common import randomise, versions
from make_heads import ROBERTA_SPECIALS, tokenizer
from make_sentence_transformers import write_json
from make_tiny_rotary import LONG, sizes  # which makes eager attention take its softmax in float64

HERE = pathlib.Path(__file__).resolve().parent
# Folders of tiny_rotary whose tokens see only those before them, and that have a head or are tied.
SHARED = ["llama_yarn", "mistral_without_window", "qwen2_windows", "phi3_window", "gemma", "gemma2", "gemma2_uncapped", "gemma3", "gpt2", "opt", "opt_post_norm", "opt_projected_wider"]
TEXTS = ["the dog is", "a", "search: cat cat cat cat"]


def qwen3(folder):
    tok = tokenizer(ROBERTA_SPECIALS, "<s>", "</s>")
    tok.post_processor = None
    tok.save(str(folder / "tokenizer.json"))
    write_json(folder / "tokenizer_config.json", dict(tokenizer_class="PreTrainedTokenizerFast", eos_token="</s>", unk_token="<unk>"))
    own = sizes(24, 4, 2, 27, 2, tok.get_vocab_size(), head_dim=10, tie_word_embeddings=True)
    model = tf.Qwen3ForCausalLM(tf.Qwen3Config(**own))
    model.generation_config = tf.GenerationConfig(eos_token_id=[3, 7], repetition_penalty=1.3, do_sample=True, temperature=0.6, top_k=20)
    return model


def phi3(folder):
    return tf.Phi3ForCausalLM(tf.Phi3Config(**sizes(20, 2, 1, 27, 2, 61), original_max_position_embeddings=24, partial_rotary_factor=0.6, **LONG))


def decoded(model, ids, count, **more):
    """What follows the ids, and the logits behind the last of them."""
    x = torch.tensor([ids])
    with torch.inference_mode():
        y = model.generate(x, attention_mask=torch.ones_like(x), do_sample=False, max_new_tokens=count, output_scores=True, return_dict_in_generate=True, **more)
        first = model(x).logits[0, -1]
    for scores in y.scores:
        best = scores[0].topk(2).values
        assert best[0] - best[1] > 1e-4, best
    return dict(prompt=ids, new=y.sequences[0, len(ids):].tolist(), logits=first.float().tolist())


def load(folder):
    return tf.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager").eval()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--out", default=HERE, type=pathlib.Path)
    a = p.parse_args()
    torch.set_num_threads(1)
    tf.logging.set_verbosity_error()
    cases = {}
    g = torch.Generator().manual_seed(8100)
    for name in SHARED:
        model = load(HERE / "tiny_rotary" / name)
        vocabulary, most = model.config.get_text_config().vocab_size, 20 if "opt_p" in name else 34
        lengths = [1, 7, most - 6]
        # No end token: as many as asked for.
        cases[f"tiny_rotary/{name}"] = [decoded(model, torch.randint(3, vocabulary, (n,), generator=g).tolist(), 6, eos_token_id=None, pad_token_id=0) for n in lengths]
    for i, make in enumerate((qwen3, phi3)):
        folder = a.out / "generate" / make.__name__
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        model = make(folder)
        randomise(model, 8200 + i)
        model.save_pretrained(folder)
        if make is phi3:
            (folder / "generation_config.json").unlink(missing_ok=True)
        model = load(folder)
        if make is phi3:
            cases["generate/phi3"] = [decoded(model, torch.randint(3, 61, (n,), generator=g).tolist(), 9, eos_token_id=None, pad_token_id=0) for n in (2, 20, 24, 30)]
        else:
            tok = tf.AutoTokenizer.from_pretrained(folder)
            cases["generate/qwen3"] = [dict(decoded(model, tok(t)["input_ids"], 12, pad_token_id=0), text=t) for t in TEXTS]
            for c in cases["generate/qwen3"]:
                c["follows"] = tok.decode(c["new"], skip_special_tokens=True)
    out = dict(command="python make_generate.py", versions=versions("torch", "transformers", "tokenizers"), cases=cases)
    (a.out / "generate.json").write_text(json.dumps(out) + "\n")
    for name, all_of in cases.items():
        print(name, *([len(c["prompt"]), c["new"]] for c in all_of))


if __name__ == "__main__":
    main()
