#!/usr/bin/env python3
"""Trains the dual encoder in model/ on drawn scenes and writes it as a Hugging Face folder.

    nice python3 train.py [--steps 3600] [--workers 2] [--work FOLDER] [--resume]

Needs torch, transformers, tokenizers, safetensors, numpy, Pillow. Data parallel: each worker is a process of one thread with
its own scenes and half of the batch. WORK/checkpoint.pt is written every 100 steps; --resume goes on from there.

The loss is CLIP's (Radford et al., arXiv:2103.00020) where each image also sees a caption of its own scene with two attributes
swapped or a relation reversed, as NegCLIP does (Yuksekgonul et al., arXiv:2210.01936); a caption that happens to be true of
another image of the batch is no negative for it. Three heads that are thrown away make it learn fast: each patch names what lies
on it, and linear layers, shared by both embeddings, name the pairs of attributes and the relations that are shown or told.
"""
import argparse
import copy
import json
import os
import pathlib
import random
import sys
import tempfile
import time

# Big tensors come from malloc; by default each one is given back to the system and faulted in again, which costs four fifths of the time.
KEEP_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(10**11), "MALLOC_TOP_PAD_": str(10**9)}
if __name__ == "__main__" and os.environ.get("MALLOC_MMAP_MAX_") is None:
    os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **KEEP_MEMORY})
os.environ["HF_HUB_OFFLINE"] = os.environ["TQDM_DISABLE"] = "1"

import numpy
import torch
import torch.distributed as dist
import torch.nn.functional as F
import transformers as tf
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

import captions as words
from evaluate import evaluate
from render import Scene, as_model_sees

HERE = pathlib.Path(__file__).resolve().parent
SIDE, PATCH, WIDTH, EMBEDDING, MAX_TOKENS = 64, 8, 128, 128, 64
MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
PAD, UNK, BOS, EOS = range(4)
SIZES = [len(n) for n in (words.COLOURS, words.SHAPES, words.SIZES, words.TEXTURES)]
# Pairs of attributes that the shared head names: colour x shape, colour x size, colour x texture, shape x size.
PAIRS = [(0, 1), (0, 2), (0, 3), (1, 2)]
PAIR_START = [sum(SIZES[a] * SIZES[b] for a, b in PAIRS[:i]) for i in range(len(PAIRS) + 1)]


def make_tokenizer():
    """Lower-cased words; what is not a caption's word is [UNK]."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    tokens = ["[PAD]", "[UNK]", "[BOS]", "[EOS]", *words.vocabulary()]
    t = Tokenizer(models.WordLevel({w: i for i, w in enumerate(tokens)}, unk_token="[UNK]"))
    t.normalizer = normalizers.Lowercase()
    t.pre_tokenizer = pre_tokenizers.Whitespace()
    t.post_processor = processors.TemplateProcessing(single="[BOS] $A [EOS]", special_tokens=[("[BOS]", BOS), ("[EOS]", EOS)])
    return tf.PreTrainedTokenizerFast(tokenizer_object=t, pad_token="[PAD]", unk_token="[UNK]", bos_token="[BOS]",
                                      eos_token="[EOS]", model_max_length=MAX_TOKENS)


def make_model(vocabulary):
    both = dict(hidden_size=WIDTH, num_attention_heads=WIDTH // 32, intermediate_size=4 * WIDTH, projection_dim=EMBEDDING,
                hidden_act="gelu")
    ids = dict(pad_token_id=PAD, bos_token_id=BOS, eos_token_id=EOS)
    model = tf.CLIPModel(tf.CLIPConfig(
        text_config=dict(**both, **ids, num_hidden_layers=3, vocab_size=vocabulary, max_position_embeddings=MAX_TOKENS),
        vision_config=dict(**both, num_hidden_layers=4, image_size=SIDE, patch_size=PATCH), projection_dim=EMBEDDING))
    model.set_attn_implementation("eager")  # the fused one has a slow bf16 gradient on the CPU
    return model


def make_processor():
    return CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}, resample=3,
                                 image_mean=list(MEAN), image_std=list(STD))


class Pool:
    """Scenes of seeds first, first + stride, ...: pictures and tables. Kept in a file, for the next start."""

    def __init__(self, count, first, stride, file):
        if file.exists():
            saved = numpy.load(file)
            self.images, self.rows, self.places, self.radii = (saved[n] for n in ("images", "rows", "places", "radii"))
            return
        self.images = numpy.zeros((count, SIDE, SIDE, 3), numpy.uint8)
        self.rows = numpy.full((count, 3, 4), -1, numpy.int64)
        self.places = numpy.full((count, 3, 2), 9.0, numpy.float32)
        self.radii = numpy.zeros((count, 3), numpy.float32)
        for i in range(count):
            scene = Scene(first + i * stride, (1, 1, 2, 2, 3, 3, 3))
            n = len(scene.rows)
            self.images[i] = as_model_sees(scene.draw())
            self.rows[i, :n], self.places[i, :n], self.radii[i, :n] = scene.rows, scene.places, scene.radii
        numpy.savez(file, images=self.images, rows=self.rows, places=self.places, radii=self.radii)

    def batch(self, rng, size):
        """size scenes, half of them mirrored: pixels, rows, places, radii."""
        pick = numpy.array([rng.randrange(len(self.images)) for _ in range(size)])
        images, places = self.images[pick], self.places[pick].copy()
        mirrored = numpy.array([rng.random() < 0.5 for _ in range(size)])
        images[mirrored] = images[mirrored, :, ::-1]
        places[mirrored, :, 0] = numpy.where(places[mirrored, :, 0] > 2, 9.0, 1 - places[mirrored, :, 0])
        return pixel_values(images), self.rows[pick], places, self.radii[pick]


def pixel_values(images):
    """[N, H, W, 3] uint8 to what CLIPImageProcessor makes of it."""
    x = torch.from_numpy(numpy.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 255
    return (x - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def patch_labels(rng, rows, places, radii, keep):
    """[B, keep] indices of patches and [B, keep, 4] what is on them: the attributes of the object that reaches furthest over
    the patch's centre, 0 for the ground. Where keep is not all of them, patches of the ground are left out, drawn by rng."""
    n = SIDE // PATCH
    at = (numpy.arange(n) + 0.5) / n
    centres = numpy.stack(numpy.meshgrid(at, at), -1).reshape(1, -1, 1, 2)
    over = numpy.hypot(*numpy.moveaxis(centres - places[:, None], -1, 0)) - radii[:, None]
    nearest, over = over.argmin(-1), over.min(-1)
    labels = numpy.take_along_axis(rows[:, None] + 1, nearest[..., None, None], 2)[:, :, 0]
    labels = numpy.where(over[..., None] < 0.02, labels, 0)
    noise = numpy.random.default_rng(rng.getrandbits(32)).random(over.shape)
    kept = numpy.where(over < 0.08, over, 0.08 + noise).argsort(1)[:, :keep]
    return torch.from_numpy(kept), torch.from_numpy(numpy.take_along_axis(labels, kept[..., None], 1))


def pair_targets(rows, said):
    """[B, pairs] 0/1: which pairs of attributes are there. said: [B, 3, 4], which attributes count."""
    out = torch.zeros(len(rows), PAIR_START[-1])
    for (a, b), start in zip(PAIRS, PAIR_START):
        told = said[..., a] & said[..., b] & (rows[..., 0] >= 0)
        index = start + rows[..., a] * SIZES[b] + rows[..., b]
        i, j = numpy.nonzero(told)
        out[i, index[i, j]] = 1
    return out


def relation_targets(rows, relations):
    """[B, (colours + shapes) * 4] 0/1: which colours and shapes are left of, right of, above, below another object.
    relations: by scene, (object, relation, other object), colour and shape of both told or not."""
    colours = SIZES[0] * len(words.RELATIONS)
    out = torch.zeros(len(rows), colours + SIZES[1] * len(words.RELATIONS))
    for i, found in enumerate(relations):
        for a, r, b, said_a, said_b in found:
            for o, way, said in ((a, r, said_a), (b, words.OPPOSITE[r], said_b)):
                if said[0]:
                    out[i, rows[i, o, 0] * 4 + way] = 1
                if said[1]:
                    out[i, colours + rows[i, o, 1] * 4 + way] = 1
    return out


def shown_relations(places):
    all_said = (True, True)
    return [[(a, words.relation(p[a], p[b]), b, all_said, all_said) for a in range(3) for b in range(a)
             if p[a][0] < 2 and p[b][0] < 2 and words.clear(p[a], p[b])] for p in places.tolist()]


class Captions:
    """Captions of a batch: text, one that is false (or None), which attributes and relations are told."""

    def __init__(self, rng, rows, places, late):
        self.texts, self.wrong, self.relations = [], [], []
        self.said = numpy.zeros(rows.shape, bool)
        for i, (table, where) in enumerate(zip(rows, places)):
            n = int((table[:, 0] >= 0).sum())
            table, where = [tuple(r) for r in table[:n].tolist()], where[:n].tolist()
            text, told = words.caption(rng, table, where, full=rng.random() < 0.4)
            mentions, relations, _ = told
            for o, said in mentions:
                self.said[i, o] = said
            self.relations.append([(mentions[a][0], r, mentions[b][0], mentions[a][1], mentions[b][1]) for a, r, b in relations])
            false, kind = None, rng.random()
            if kind < (0.45 if late else 0.25):
                false = words.reversed_relation(rng, table, told)
            elif kind < (0.85 if late else 0.75):
                false = words.swapped(rng, table, told)
            self.texts.append(text)
            self.wrong.append(false)

    def true_of(self, rows):
        """[texts, images]: all that is told of the objects (relations aside) is there."""
        told = numpy.where(self.said, rows, -1)[:, None, :, None]  # [T, 1, 3, 1, 4]
        same = ((told == -1) | (told == rows[None, :, None])) & (rows[None, :, None, :, :1] >= 0)
        matched = same.all(-1).any(-1) | ~self.said.any(-1)[:, None]
        return torch.from_numpy(matched.all(-1))


def token_ids(tokenizer, rng, texts):
    """A few texts get an unknown word somewhere, so that it disturbs little."""
    ids = [e.ids for e in tokenizer.encode_batch(texts)]
    for row in ids:
        if rng.random() < 0.1:
            row.insert(rng.randrange(1, len(row)), UNK)
    assert max(map(len, ids)) <= MAX_TOKENS
    return ids


class Trainer(torch.nn.Module):
    """The model and the heads that are thrown away."""

    def __init__(self, model):
        super().__init__()
        self.model = model
        self.patch_head = torch.nn.Sequential(torch.nn.LayerNorm(WIDTH), torch.nn.Linear(WIDTH, sum(n + 1 for n in SIZES)))
        self.pair_head = torch.nn.Linear(EMBEDDING, PAIR_START[-1])
        self.relation_head = torch.nn.Linear(EMBEDDING, (SIZES[0] + SIZES[1]) * len(words.RELATIONS))

    def embed_images(self, pixels, kept):
        """Embeddings, and the last hidden state of the kept patches: the vision model on a part of its tokens."""
        m = self.model.vision_model
        x = m.embeddings(pixels.bfloat16())
        x = torch.cat([x[:, :1], x[:, 1:].gather(1, kept[..., None].expand(-1, -1, WIDTH))], 1)
        x = m.encoder(inputs_embeds=m.pre_layrnorm(x)).last_hidden_state
        return F.normalize(self.model.visual_projection(m.post_layernorm(x[:, 0])).float(), dim=-1), x[:, 1:]

    def embed_texts(self, ids):
        """ids: lists, sorted into four groups of like lengths, so that little is padding."""
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        rows = []
        for part in numpy.array_split(order, 4):
            longest = max(len(ids[i]) for i in part)
            padded = torch.tensor([ids[i] + [PAD] * (longest - len(ids[i])) for i in part])
            rows.append(self.model.text_projection(self.model.text_model(input_ids=padded).pooler_output))
        return F.normalize(torch.cat(rows)[numpy.argsort(order)].float(), dim=-1)

    def forward(self, pixels, ids, has_wrong, not_negative, kept, patches, pairs, relations, weights):
        """ids: of the true captions, then of the false ones, for the images that has_wrong marks."""
        m = self.model
        images, hidden = self.embed_images(pixels, kept)
        texts, wrong = self.embed_texts(ids).split([len(images), len(ids) - len(images)])
        scale = m.logit_scale.float().exp().clamp(max=100)
        logits = scale * images @ texts.T  # [images, texts]
        logits = logits.masked_fill(not_negative.T, -1e4)
        false = scale * images @ wrong.T
        target = torch.arange(len(images))
        contrast = (F.cross_entropy(torch.cat([logits, false], 1), target) + F.cross_entropy(logits.T, target)) / 2
        own = (images[has_wrong] * (texts[has_wrong] - wrong)).sum(-1)
        binding = F.softplus(-scale * own).mean()
        patch = sum(F.cross_entropy(x.flatten(0, 1).float(), y.flatten()) for x, y in zip(
            self.patch_head(hidden).split([n + 1 for n in SIZES], -1), patches.unbind(-1)))
        named = [sum(F.binary_cross_entropy_with_logits(head(8 * e.bfloat16()).float(), y, reduction="sum") / len(y)
                     for e, y in ((images, shown), (texts, told)))
                 for head, (shown, told) in ((self.pair_head, pairs), (self.relation_head, relations))]
        loss = contrast + 0.5 * binding + weights[0] * patch + weights[1] * named[0] + weights[2] * named[1]
        return loss, {"contrast": contrast, "binding": binding, "right": (own > 0).float().mean(), "patch": patch,
                      "pairs": named[0], "relations": named[1]}


def step_inputs(args, tokenizer, pool, rank, step):
    rng = random.Random(f"{args.seed} {rank} {step}")
    pixels, rows, places, radii = pool.batch(rng, args.batch // args.workers)
    told = Captions(rng, rows, places, step >= args.late)
    has_wrong = torch.tensor([w is not None for w in told.wrong])
    ids = token_ids(tokenizer, rng, told.texts + [w for w in told.wrong if w])
    not_negative = told.true_of(rows)
    not_negative.fill_diagonal_(False)
    keep = args.patches if step < args.steps * 5 // 6 else (SIDE // PATCH) ** 2
    kept, patches = patch_labels(rng, rows, places, radii, keep)
    return dict(pixels=pixels, ids=ids, has_wrong=has_wrong, not_negative=not_negative, kept=kept, patches=patches,
                pairs=(pair_targets(rows, numpy.ones_like(told.said)), pair_targets(rows, told.said)),
                relations=(relation_targets(rows, shown_relations(places)), relation_targets(rows, told.relations)))


def take_gradients(trainer, fast, workers):
    """The gradients of the bf16 copy, averaged over the workers, for the fp32 parameters."""
    parameters, flat = list(trainer.parameters()), torch.cat([p.grad.flatten().float() for p in fast.parameters()])
    if workers > 1:
        dist.all_reduce(flat)
    for p, part in zip(parameters, (flat / workers).split([p.numel() for p in parameters])):
        p.grad = part.view_as(p)


def rate(args, step):
    """Warm-up, a plateau, and over the last third down to nothing: what is a step of the plateau does not depend on --steps."""
    return args.rate * min(1, (step + 1) / args.warmup, (args.steps - step) / (args.steps / 3))


def head_weights(args, step):
    """Of the heads of patches, pairs and relations. The run that made model/ was steered by hand: these are its steps."""
    if step >= 1900:
        return 0.5, 0.1, 0.1
    fading = max(0.15, 1 - step / 2000)
    return 0.5 * fading, 0.2 * fading, 0.3 if step >= args.late else 0.0


def work(rank, args, store):
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    if args.workers > 1:
        dist.init_process_group("gloo", init_method="file://" + store, rank=rank, world_size=args.workers)
    say = (lambda **k: print(json.dumps(k), flush=True)) if rank == 0 else (lambda **k: None)
    began = time.time()
    tokenizer = make_tokenizer()
    trainer = Trainer(make_model(len(tokenizer)))
    decayed = [p for p in trainer.parameters() if p.dim() > 1]
    others = [p for p in trainer.parameters() if p.dim() <= 1]
    optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}],
                                  lr=args.rate, betas=(0.9, 0.98))
    start, spent, file = 0, 0.0, args.work / "checkpoint.pt"
    if args.resume:
        saved = torch.load(file)
        trainer.load_state_dict(saved["trainer"]), optimizer.load_state_dict(saved["optimizer"])
        start, spent = saved["step"], saved["seconds"]
    fast = copy.deepcopy(trainer).bfloat16()  # what computes: half the time of fp32
    drawn = args.work / f"scenes_{args.scenes}_{args.workers}_{rank}.npz"
    pool = Pool(args.scenes // args.workers, rank, args.workers, drawn)
    say(parameters=trainer.model.num_parameters(), vocabulary=len(tokenizer), seconds_rendering=round(time.time() - began, 1))
    sums = {}
    for step in range(start, args.steps):
        for group in optimizer.param_groups:
            group["lr"] = rate(args, step)
        with torch.no_grad():
            for p, q in zip(trainer.parameters(), fast.parameters()):
                q.copy_(p)
        fast.zero_grad()
        loss, parts = fast(**step_inputs(args, tokenizer._tokenizer, pool, rank, step), weights=head_weights(args, step))
        loss.backward()
        take_gradients(trainer, fast, args.workers)
        torch.nn.utils.clip_grad_norm_(trainer.parameters(), 1.0)
        optimizer.step()
        for k, v in parts.items():
            sums[k] = sums.get(k, 0) + v.item()
        done, seconds = step + 1, spent + time.time() - began
        if done % 50 == 0:
            say(step=done, seconds=round(seconds), **{k: round(v / 50, 3) for k, v in sums.items()},
                scale=round(trainer.model.logit_scale.exp().item(), 1))
            sums = {}
        if rank == 0 and (done % 100 == 0 or done == args.steps):
            torch.save({"trainer": trainer.state_dict(), "optimizer": optimizer.state_dict(), "step": done, "seconds": seconds}, str(file) + ".new")
            os.replace(str(file) + ".new", file)
        if rank == 0 and done % args.evaluate == 0 and done < args.steps:
            say(step=done, **evaluate(trainer.model, tokenizer, make_processor(), 500, 256))
    if rank == 0:
        trainer.model.half().save_pretrained(args.out)
        tokenizer._tokenizer.no_padding()  # what evaluate() asked for is no property of the tokenizer
        tokenizer.save_pretrained(args.out)
        config = args.out / "tokenizer_config.json"  # the name of the class that transformers 4 knows as well
        named = {k: v for k, v in json.loads(config.read_text()).items() if k != "backend"}
        config.write_text(json.dumps(named | {"tokenizer_class": "PreTrainedTokenizerFast"}, indent=2) + "\n")
        make_processor().save_pretrained(args.out)
        say(written=str(args.out), seconds=round(spent + time.time() - began))
    if args.workers > 1:
        dist.barrier()
        dist.destroy_process_group()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=3600)
    parser.add_argument("--batch", type=int, default=192, help="of all workers together")
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--warmup", type=int, default=100)
    parser.add_argument("--patches", type=int, default=32, help="patches of an image that take part until five sixths of the steps are done")
    parser.add_argument("--late", type=int, default=1300, help="the step from which relations are taught too: shapes first")
    parser.add_argument("--scenes", type=int, default=80000, help="scenes that are drawn; seeds 0, 1, ...")
    parser.add_argument("--workers", type=int, default=2, help="processes; another number gives another model")
    parser.add_argument("--evaluate", type=int, default=200, help="every so many steps")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "model")
    parser.add_argument("--work", type=pathlib.Path, default=HERE.parents[1] / "build" / "scenes")
    parser.add_argument("--resume", action="store_true")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        store = os.path.join(folder, "store")
        if args.workers == 1:
            return work(0, args, store)
        torch.multiprocessing.spawn(work, (args, store), args.workers)


if __name__ == "__main__":
    main()
