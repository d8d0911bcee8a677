"""Models whose embedding is not one row a text, and what a folder says of it: embed, rerank, inspect."""

import json
import math
import unittest

from toolkit import GOLDENS, ST, ToolTest, read_npy, read_safetensors

HEADS = GOLDENS / "heads"
TEXTS = HEADS / "texts.jsonl"
LINES = [json.loads(line) for line in TEXTS.read_text().splitlines()]


def dense(line, size):
    row = json.loads(line)
    out = [0.0] * size
    for i, w in zip(row["ids"], row["weights"], strict=True):
        out[i] = w
    return out


class Embed(ToolTest):
    def heads(self, model, *args, text=TEXTS, **options):
        return self.tool("embed", "--model", model, "--text", text, "--jsonl", "-o", "out", *args, **options)

    def sparse(self, model, *args, **options):
        self.heads(model, "--sparse", *args, **options)
        return (self.dir / "out").read_text().splitlines()

    def check(self, lines, golden):
        want = read_npy(golden)
        self.assertEqual(len(lines), len(want.rows))
        for line, row in zip(lines, want.rows):
            self.assert_close(dense(line, want.dim), row)

    def test_sparse(self):
        for name in ("splade_bert", "splade_distilbert", "mlm_electra", "bge_m3"):
            with self.subTest(name):
                self.check(self.sparse(HEADS / name), HEADS / name / "sparse.npy")
        self.check(self.sparse(HEADS / "splade_bert", "--prompt-name", "query"), HEADS / "splade_bert/sparse.query.npy")
        few = [json.loads(line) for line in self.sparse(HEADS / "splade_bert", "--top", 2, "--batch-tokens", 1, "--threads", 1)]
        self.assertEqual({len(row["ids"]) for row in few}, {2})

    def test_sparse_leaves_out_what_is_no_text(self):
        lines = self.sparse(HEADS / "splade_bert", text=self.file("in.jsonl", '"a cat"\n7\n"a dog"\n'), code=3)
        self.assertEqual(len(lines), 2)
        self.assertEqual((self.dir / "out.rows.jsonl").read_text(), '{"row": 0, "input": 0}\n{"row": 1, "input": 2}\n')

    def test_multi_vector(self):
        for name, role in (("colbert_stanford", "query"), ("colbert_pylate", "document"), ("bge_m3", "document")):
            with self.subTest(name):
                self.heads(HEADS / name, "--multi-vector", role, "--batch-tokens", 20)
                got = read_safetensors(self.dir / "out")
                lengths = json.loads((HEADS / name / f"{role}.lengths.json").read_text())
                self.assertEqual(got["offsets"].shape, (len(LINES) + 1,))
                offsets = memoryview(got["offsets"].data).cast("q").tolist()
                self.assertEqual([b - a for a, b in zip(offsets, offsets[1:])], lengths)
                want, dim = read_npy(HEADS / name / f"{role}.npy"), got["embeddings"].shape[1]
                values = got["embeddings"].floats()
                self.assertEqual(got["ids"].shape, (len(want.rows),))
                for i, row in enumerate(want.rows):
                    self.assert_close(values[i * dim : (i + 1) * dim], row)

    def test_several_layers(self):
        model = HEADS / "t5_layers"
        self.heads(model, "--layers", "0,2,3", "--dims", 7)
        self.assertEqual(self.names(), [f"out.layer-{n}" for n in (0, 2, 3)])
        for n in (0, 2, 3):
            got = read_npy(self.dir / f"out.layer-{n}")
            self.assertEqual(got, self.embed(model, TEXTS, "--jsonl", "--layers", n, "--dims", 7, out="one.npy"))

    def test_mistakes(self):
        out = ("--text", TEXTS, "--jsonl", "-o", "o")
        for args, says in (
            (["--sparse", "--shard", "0/2"], ["--shard", "--sparse"]),
            (["--sparse", "--dims", 3], ["--dims", "--sparse"]),
            (["--sparse", "--prompt-name", "none"], ["'none'", "query"]),
            (["--top", 3], ["--top", "--sparse"]),
            (["--multi-vector", "query", "--layers", "1"], ["--layers", "--multi-vector"]),
            (["--layers", "1,9"], ["--layers 9", "this model has 2"]),
        ):
            with self.subTest(args):
                self.mistake(2, "embed", "--model", HEADS / ("token_dense" if "1,9" in args else "splade_bert"), *out, *args, says=says)
        self.mistake(4, "embed", "--model", HEADS / "splade_bert", *out, says=["SpladePooling", "--sparse"])
        self.mistake(4, "embed", "--model", HEADS / "colbert_pylate", *out, says=["--multi-vector"])
        self.mistake(4, "embed", "--model", HEADS / "token_dense", *out, "--sparse", says=["modules.json", "not a sparse model"])
        self.assertEqual(self.names(), [])

    def test_pickles_are_not_read(self):
        model = self.model(HEADS / "bge_m3", without=("sparse_linear.safetensors", "colbert_linear.safetensors"))
        for stem, option in (("sparse_linear", ["--sparse"]), ("colbert_linear", ["--multi-vector", "query"])):
            (model / f"{stem}.pt").write_bytes(b"\x80")
            says = [f"{stem}.pt: a pickle", "convert it once: python -c", "weights_only=True", f"{stem}.safetensors"]
            self.mistake(4, "embed", "--model", model, "--text", TEXTS, "-o", "o", *option, says=says)
        shown = self.tool("inspect", model).stdout
        self.assertIn("note: sparse_linear.pt is a pickle, which is not read; for embed --sparse convert it: python -c", shown)


class Rerank(ToolTest):
    def scores(self, name, query, *args):
        done = self.tool("rerank", "--model", HEADS / name, "--query", query, "--text", TEXTS, "--jsonl", *args)
        answer = json.loads(done.stdout)
        return dict(zip(answer["ids"], answer["scores"]))

    def test_late_interaction(self):
        """Against recorded tokens: the sum over the query's of their largest product."""
        name, q = "colbert_stanford", 2
        tokens, lengths = ({role: read(HEADS / name / (role + end)) for role in ("query", "document")} for read, end in ((lambda p: read_npy(p).rows, ".npy"), (lambda p: json.loads(p.read_text()), ".lengths.json")))

        def of(role, i):
            begin = sum(lengths[role][:i])
            return tokens[role][begin : begin + lengths[role][i]]

        want = {d: sum(max(sum(map(float.__mul__, a, b)) for b in of("document", d)) for a in of("query", q)) for d in range(len(LINES))}
        for batch in (4096, 16):
            got = self.scores(name, LINES[q], "--batch-tokens", batch)
            self.assertEqual(list(got), sorted(want, key=lambda d: (-got[d], d)))
            for d in want:
                self.assertAlmostEqual(got[d], want[d], delta=1e-4)

    def test_sparse(self):
        rows = read_npy(HEADS / "splade_bert/sparse.npy").rows
        query = read_npy(HEADS / "splade_bert/sparse.query.npy").rows[1]
        got = self.scores("splade_bert", LINES[1])
        for d, row in enumerate(rows):
            want = math.fsum(a * b for a, b in zip(query, row))
            self.assertAlmostEqual(got[d], want, delta=1e-4 * max(1, want))


class Inspect(ToolTest):
    def check(self, name, *lines):
        shown = self.tool("inspect", HEADS / name).stdout
        for line in lines:
            self.assertIn(line + "\n", shown)

    def test_modules(self):
        self.check("weighted_layers", "embedding: 11 numbers; texts are cut to 30 tokens (the model has 131072 positions)",
                   "uses: tokens are a mean of layers 1 and above: 1_WeightedLayerPooling/config.json", "uses: pooling max and mean: 2_Pooling/config.json",
                   "uses: Dense 48 -> 21 gelu: 4_Dense/config.json", "uses: LayerNorm: 5_LayerNorm/config.json", "uses: texts are cut to 30 tokens: max_seq_length of the folder",
                   "uses: cut to 11 numbers unless others are asked for: truncate_dim")  # fmt: skip
        self.check("token_dense", "uses: Dense 17 -> 9 tanh of tokens, which nothing reads: 6_Dense/config.json", "uses: may be cut (Matryoshka) to 8, 16, 34: MatryoshkaLoss in README.md",
                   "uses: WeightedLayerPooling does nothing: output_hidden_states of config.json is not set")  # fmt: skip

    def test_kinds(self):
        self.check("splade_distilbert", "uses: sparse: sum over tokens of log(1 + log1p_relu(logits)): 1_SpladePooling/config.json")
        self.check("bge_m3", "also: sparse_linear.safetensors, for embed --sparse", "also: colbert_linear.safetensors, for embed --multi-vector")
        self.check("colbert_stanford", "embedding: 12 numbers a token (embed --multi-vector)", "queries begin with [unused0]", "documents begin with [unused1]",
                   "queries are filled up to 14 tokens with [MASK], which no token attends to", "documents: 32 tokens have no embedding",
                   "documents are cut to 20 tokens (the model has 40 positions)")  # fmt: skip
        self.check("colbert_pylate", "queries begin with [Q] ", "queries are filled up to 10 tokens with [MASK], which others attend to")
        shown = self.tool("inspect", GOLDENS / "cross_encoder/one_label").stdout
        self.assertIn("scores of pairs: 1 label (rerank); pairs are cut to 64 tokens", shown)
        self.assertIn("uses: pooling cls: 1_Pooling/config.json\n", self.tool("inspect", ST / "cls_dense_tanh").stdout)


if __name__ == "__main__":
    unittest.main()
