"""--shard i/n and --resume: parts that make up the whole, kept when nothing changed and made again when anything did."""

import json
import shutil
import tarfile
import unittest

from toolkit import GOLDENS, ST, ToolTest, floats, read_npy

PLAIN = ST / "max_vocab_txt"
MODEL = ST / "weighted_last_prompt"
IMAGES = GOLDENS / "images"


class ShardTest(ToolTest):
    def part(self, i, n, *args, model=PLAIN, text="in.txt", code=0, out="parts", **options):
        return self.tool("embed", "--model", model, "--text", text, "-o", out, "--shard", f"{i}/{n}", *args, code=code, **options)

    def path(self, i=0, n=1, ending="npy"):
        return self.dir / f"parts/part-{i:05}-of-{n:05}.{ending}"

    def manifest(self, i=0, n=1):
        return json.loads(self.path(i, n, "manifest.json").read_text())


class Parts(ShardTest):
    def test_boundaries(self):
        """Part i holds inputs floor(i M / n) to floor((i + 1) M / n), and together they are the whole."""
        lines = [f"the dog {chr(97 + i)}" for i in range(11)]
        for m in (0, 1, 5, 11):
            self.file("in.txt", "".join(line + "\n" for line in lines[:m]))
            whole = self.embed(PLAIN, "in.txt").rows
            for n in (1, 2, 3, 4, 7, 13):
                with self.subTest(m=m, n=n):
                    for i in range(n):
                        self.part(i, n)
                    parts = [read_npy(self.path(i, n)).rows for i in range(n)]
                    bounds = [i * m // n for i in range(n + 1)]
                    self.assertEqual([len(p) for p in parts], [b - a for a, b in zip(bounds, bounds[1:])])
                    self.assertEqual([row for p in parts for row in p], whole)
                    manifests = [self.manifest(i, n) for i in range(n)]
                    self.assertEqual([[x["first"], x["last"]] for x in manifests], [list(b) for b in zip(bounds, bounds[1:])])

    def test_files(self):
        self.file("in.txt", "a cat\nthe dog\na tree\n")
        self.part(1, 2, out="a/b/parts")
        self.assertEqual(self.names("a/b/parts"), ["part-00001-of-00002.manifest.json", "part-00001-of-00002.npy"])

    def test_manifest(self):
        self.file("in.txt", b"a cat\nthe dog\n\xff\na tree\n")
        done = self.part(1, 2, code=3)
        self.assertEqual(done.stderr.split(" skipped")[0], "tessera: in.txt, line 3 (input 2)")
        m = self.manifest(1, 2)
        self.assertEqual({k: m[k] for k in ("shard", "of", "first", "last", "rows", "skipped", "nonfinite")}, dict(shard=1, of=2, first=2, last=4, rows=1, skipped=[2], nonfinite=[]))
        for digest in ("inputs", "model", "options", "part"):
            self.assertRegex(m[digest], r"\A[0-9a-f]{16}\Z")
        self.assertEqual(self.path(1, 2, "npy.rows.jsonl").read_text(), '{"row": 0, "input": 3}\n')  # inputs of the whole

    def test_jsonl(self):
        self.file("in.txt", '"a\\ncat"\n"the dog"\n"a tree"')
        whole = self.embed(PLAIN, "in.txt", "--jsonl").rows
        for i in range(2):
            self.part(i, 2, "--jsonl")
        self.assertEqual(read_npy(self.path(0, 2)).rows + read_npy(self.path(1, 2)).rows, whole)


class Resume(ShardTest):
    numbers = 4 * 20  # of a whole

    def setUp(self):
        super().setUp()
        self.file("in.txt", "a cat\nthe dog\na tree\nthe cat\n")

    def stamp(self, i=0, n=1):
        """Changes whenever the part is written."""
        s = self.path(i, n).stat()
        return s.st_ino, s.st_mtime_ns

    def kept(self, i=0, n=1, *args, code=0, **options):
        before = self.stamp(i, n), self.path(i, n, "manifest.json").stat().st_mtime_ns
        done = self.part(i, n, "--resume", *args, code=code, **options)
        self.assertEqual(done.stderr, f"tessera: parts/part-{i:05}-of-{n:05}.npy is finished and kept\n")
        self.assertEqual((self.stamp(i, n), self.path(i, n, "manifest.json").stat().st_mtime_ns), before)

    def remade(self, i=0, n=1, *args, **options):
        before = self.stamp(i, n)
        done = self.part(i, n, "--resume", *args, **options)
        self.assertNotIn("kept", done.stderr)
        self.assertNotEqual(self.stamp(i, n), before)

    def test_kept(self):
        self.part(0, 1)
        self.kept()
        for args in (["--threads", 1], ["--batch-tokens", 7]):  # the bytes are the same
            self.kept(0, 1, *args)

    def test_made_when_not_there(self):
        self.part(0, 1, "--resume")
        self.assertEqual(len(read_npy(self.path()).rows), 4)

    def test_made_again_without_resume(self):
        self.part(0, 1)
        before = self.stamp()
        self.part(0, 1)
        self.assertNotEqual(self.stamp(), before)

    def test_other_inputs(self):
        self.part(0, 2), self.part(1, 2)
        self.file("in.txt", "a cat\nthe dog\na tree\nthe cats\n")
        self.kept(0, 2)
        self.remade(1, 2)
        self.kept(1, 2)
        self.file("in.txt", "a cat\nthe\ndog\na tree\n")  # as many inputs, the same bytes but for a newline
        self.remade(0, 2)
        self.file("in.txt", "a cat\nthe\ndog\na tree\nthe cat\n")  # the part is as it was, its place is another
        self.remade(1, 2)

    def test_line_ends_are_no_inputs(self):
        self.part(0, 1)
        self.file("in.txt", "a cat\r\nthe dog\r\na tree\r\nthe cat")
        self.kept()

    def test_other_options(self):
        for model, option, *values in (
            (MODEL, "--dims", 5, 6),
            (MODEL, "--layers", 1, 0),
            (MODEL, "--no-normalize"),
            (MODEL, "--prompt", "", "a", "b"),
            (MODEL, "--prompt-name", "passage"),
            (MODEL, "--max-length", 8, 9),
            (PLAIN, "--pooling", "mean", "cls"),
        ):
            self.part(0, 1, model=model)
            for args in ([[option, v] for v in values] or [[option]]) + [[]]:  # each beside the one before
                with self.subTest(args):
                    self.remade(0, 1, *args, model=model)
                    self.kept(0, 1, *args, model=model)

    def test_lines_as_json_or_as_text(self):
        self.file("in.txt", '"a cat"\n')
        self.part(0, 1)
        self.remade(0, 1, "--jsonl")

    def test_other_model(self):
        model = self.model(ST / "cls_dense_tanh")
        self.part(0, 1, model=model)
        shutil.copytree(model, self.dir / "same")
        self.kept(model=self.dir / "same")  # wherever it lies

        def weights(folder):
            def change():
                def shift(tensors):
                    name = next(n for n, t in tensors.items() if t.dtype == "F32")
                    values = tensors[name].floats()
                    values[0] += 1
                    tensors[name] = floats(tensors[name].shape, values)

                self.change_weights(folder, shift)

            return change

        def text(path, old, new):
            def change():
                content = path.read_text()
                self.assertIn(old, content)
                path.write_text(content.replace(old, new))

            return change

        for change in (
            weights(model),
            weights(model / "2_Dense"),
            text(model / "config.json", '"hidden_act": "', '"hidden_act": "gelu", "was": "'),
            text(model / "tokenizer.json", "[SEP]", "[PES]"),
            text(model / "sentence_bert_config.json", "16", "15"),
            text(model / "2_Dense/config.json", "Tanh", "Identity"),
            text(model / "tokenizer_config.json", "{", '{"note": "", '),
        ):
            change()
            self.remade(model=model)
            self.kept(model=model)
        plain = self.model(PLAIN, "plain")
        self.part(0, 1, model=plain)
        text(plain / "vocab.txt", "\n##a\n", "\n##qqq\n")()
        self.remade(model=plain)

    def test_damaged_parts(self):
        self.part(0, 1)
        whole = self.path().read_bytes()
        self.assertEqual(len(whole), 128 + 4 * self.numbers)
        for damaged in (b"", whole[:100], whole[:-1], whole + b"x", whole[:200] + bytes([whole[200] ^ 1]) + whole[201:]):
            self.path().write_bytes(damaged)
            self.remade()
            self.assertEqual(self.path().read_bytes(), whole)

    def test_damaged_manifests(self):
        self.part(0, 1)
        whole = self.path(ending="manifest.json").read_text()
        without_rows = json.dumps({k: v for k, v in json.loads(whole).items() if k != "skipped"})
        for damaged in ("", "{}", "[]", whole[:-5], without_rows, whole.replace('"shard": 0', '"shard": 1')):
            self.path(ending="manifest.json").write_text(damaged)
            self.remade()
            self.assertEqual(self.path(ending="manifest.json").read_text(), whole)
        self.path(ending="manifest.json").unlink()
        self.remade()
        self.path().unlink()
        self.part(0, 1, "--resume")
        self.assertTrue(self.path().exists())

    def test_skipped_inputs_stay_an_exit_code(self):
        self.file("in.txt", b"a cat\n\xff\n")
        self.part(0, 1, code=3)
        self.kept(code=3)
        self.path(ending="npy.rows.jsonl").unlink()
        self.remade(code=3)

    def test_nonfinite_rows_stay_an_exit_code(self):
        model = self.model(ST / "max_vocab_txt")

        def poison(tensors):
            name = "encoder.layer.0.output.dense.bias"
            tensors[name] = floats(tensors[name].shape, [float("nan")] * tensors[name].shape[0])

        self.change_weights(model, poison)
        self.part(0, 1, "--allow-nonfinite", model=model, code=6)
        self.assertEqual(self.manifest()["nonfinite"], [0, 1, 2, 3])
        self.kept(0, 1, "--allow-nonfinite", model=model, code=6)

    def test_a_run_that_fails_takes_nothing(self):
        self.part(0, 1)
        self.part(0, 1, "--dims", 21, code=2)
        self.kept()


class Images(Resume):
    """The same of --image: what Resume holds for lines holds for files."""

    numbers = 5 * 18

    def setUp(self):
        ShardTest.setUp(self)
        self.clip = self.model(GOLDENS / "tiny_image/clip", "clip")
        (self.clip / "preprocessor_config.json").write_text(json.dumps({"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 30}, "crop_size": 30}))
        (self.dir / "in").mkdir()
        for i, name in enumerate(("rgb.png", "420.jpg", "gray.png", "lossy.webp", "palette.png")):
            shutil.copy(IMAGES / name, self.dir / f"in/{i}-{name}")

    def part(self, i, n, *args, images=("in",), model=None, code=0, out="parts", **options):
        return self.tool("embed", "--model", model or self.clip, "--image", *images, "-o", out, "--shard", f"{i}/{n}", *args, code=code, **options)

    def whole(self):
        self.tool("embed", "--model", self.clip, "--image", "in", "-o", "whole.npy")
        return read_npy(self.dir / "whole.npy").rows

    def test_parts_make_up_the_whole(self):
        whole = self.whole()
        for n in (1, 2, 3, 5, 7):
            for i in range(n):
                self.part(i, n, "--batch-tokens", 40)
            self.assertEqual([row for i in range(n) for row in read_npy(self.path(i, n)).rows], whole)
            self.assertEqual([self.manifest(i, n)["first"] for i in range(n)], [i * 5 // n for i in range(n)])

    def test_an_archive(self):
        with tarfile.open(self.dir / "in.tar", "w") as tar:
            for path in sorted((self.dir / "in").iterdir()):
                tar.add(path, path.name)
        whole = self.whole()
        for i in range(2):
            self.part(i, 2, images=("in.tar",))
            self.kept(i, 2)  # the same bytes, as files
        self.assertEqual([row for i in range(2) for row in read_npy(self.path(i, 2)).rows], whole)

    def test_other_inputs(self):
        self.part(0, 2), self.part(1, 2)
        shutil.copy(IMAGES / "gray.png", self.dir / "in/4-palette.png")
        self.kept(0, 2)
        self.remade(1, 2)
        self.kept(1, 2)
        (self.dir / "in").rename(self.dir / "moved")
        self.kept(1, 2, images=("moved",))
        shutil.copy(IMAGES / "gray.png", self.dir / "moved/5.png")  # 2 | 3 becomes 3 | 3
        self.remade(0, 2, images=("moved",))

    def test_line_ends_are_no_inputs(self):
        """Nor are files that are no images."""
        self.part(0, 1)
        self.file("in/notes.txt", "x")
        self.kept()

    def test_other_options(self):
        for option, *values in (("--dims", 5, 6), ("--layers", 1, 0), ("--no-normalize",), ("--pooling", "mean", "cls"), ("--backend", "torchvision")):
            self.part(0, 1)
            for args in ([[option, v] for v in values] or [[option]]) + [[]]:
                with self.subTest(args):
                    self.remade(0, 1, *args)
                    self.kept(0, 1, *args)

    def test_other_model(self):
        self.part(0, 1)
        path = self.clip / "preprocessor_config.json"
        path.write_text(path.read_text().replace("30", "36"))
        self.remade(0, 1)

    def test_lines_as_json_or_as_text(self):
        self.part(0, 1, "--jsonl", code=2)

    def test_skipped_inputs_stay_an_exit_code(self):
        shutil.copy(IMAGES / "cut-420.jpg", self.dir / "in/2-gray.png")
        done = self.part(1, 2, code=3)
        self.assertEqual(done.stderr, "tessera: in/2-gray.png skipped: JPEG: truncated\n")
        self.assertEqual(self.manifest(1, 2)["skipped"], [2])
        self.assertEqual(self.path(1, 2, "npy.rows.jsonl").read_text(), '{"row": 0, "input": 3}\n{"row": 1, "input": 4}\n')
        self.kept(1, 2, code=3)

    def test_nonfinite_rows_stay_an_exit_code(self):
        def poison(tensors):
            name = "visual_projection.weight"
            tensors[name] = floats(tensors[name].shape, [float("nan")] * (tensors[name].shape[0] * tensors[name].shape[1]))

        self.change_weights(self.clip, poison)
        self.part(0, 1, "--allow-nonfinite", code=6)
        self.assertEqual(self.manifest()["nonfinite"], [0, 1, 2, 3, 4])
        self.kept(0, 1, "--allow-nonfinite", code=6)

    def test_made_when_not_there(self):
        self.part(0, 1, "--resume")
        self.assertEqual(len(read_npy(self.path()).rows), 5)

    def test_lists_cannot_be_counted(self):
        self.mistake(2, "embed", "--model", self.clip, "--image", "-", "-o", "parts", "--shard", "0/2", says=["--shard", "standard input"])
        self.mistake(2, "embed", "--model", self.clip, "--image", "in", "-o", "parts", "--shard", "2/2", says=["--shard 2/2", "0/4"])
        self.mistake(2, "embed", "--model", self.clip, "--image", "in", "-o", "parts", "--resume", says=["--resume", "--shard"])
        self.assertEqual(self.names(), ["clip", "in"])


if __name__ == "__main__":
    unittest.main()
