"""tessera embed: the recorded numbers, what counts as a text, each option, and the same bytes however it is run."""

import json
import math
import os
import threading
import unittest

from toolkit import GOLDENS, ST, TEXTS, ToolTest, integers, read_npy, read_safetensors, unit, write_safetensors

MODELS = ("all_modes", "cls_dense_tanh", "max_vocab_txt", "mean_sqrt_len", "weighted_last_prompt")
TOKENS = [json.loads(line) for line in (ST / "all_modes/tokens.jsonl").read_text().splitlines()]
PLAIN = ST / "max_vocab_txt"


class Goldens(ToolTest):
    def check(self, got, golden):
        want = read_npy(golden)
        self.assertEqual((len(got.rows), got.dim), (len(want.rows), want.dim))
        for g, w in zip(got.rows, want.rows):
            self.assert_close(g, w)

    def test_every_folder(self):
        for name in MODELS:
            with self.subTest(name):
                self.check(self.embed(ST / name, TEXTS, "--jsonl"), ST / name / "embeddings.npy")

    def test_prompts_by_name_and_as_text(self):
        for name, prompts in {"all_modes": {"query": "Represent this: "}, "weighted_last_prompt": {"query": "search query: ", "passage": "passage: "}}.items():
            for prompt, text in prompts.items():
                with self.subTest(f"{name} {prompt}"):
                    golden = ST / name / f"embeddings.prompt.{prompt}.npy"
                    self.check(self.embed(ST / name, TEXTS, "--jsonl", "--prompt-name", prompt), golden)
                    self.check(self.embed(ST / name, TEXTS, "--jsonl", "--prompt", text), golden)

    def test_an_empty_prompt_is_none(self):
        """It switches the default prompt of the folder off."""
        folder = self.model(ST / "weighted_last_prompt")
        without = self.embed(folder, TEXTS, "--jsonl", "--prompt", "")
        config = json.loads((folder / "config_sentence_transformers.json").read_text())
        (folder / "config_sentence_transformers.json").write_text(json.dumps({**config, "default_prompt_name": None}))
        self.assertEqual(without, self.embed(folder, TEXTS, "--jsonl"))
        self.assertNotEqual(without, self.embed(ST / "weighted_last_prompt", TEXTS, "--jsonl"))


class Inputs(ToolTest):
    """What a line is."""

    def texts(self, *texts):
        """Rows of these texts by the one way that has no lines: JSON strings."""
        return self.embed(PLAIN, self.file("wanted.jsonl", "".join(json.dumps(t) + "\n" for t in texts)), "--jsonl", out="wanted.npy")

    def lines(self, content, *args, **options):
        return self.embed(PLAIN, self.file("in.txt", content), *args, **options)

    def test_one_text_a_line(self):
        self.assertEqual(self.lines("a cat\nthe dog\n"), self.texts("a cat", "the dog"))

    def test_last_line_without_newline(self):
        self.assertEqual(self.lines("a cat\nthe dog"), self.texts("a cat", "the dog"))

    def test_windows_line_ends(self):
        self.assertEqual(self.lines("a cat\r\nthe dog\r\n"), self.texts("a cat", "the dog"))
        self.assertEqual(self.lines('"a cat"\r\n"the dog"\r\n', "--jsonl"), self.texts("a cat", "the dog"))

    def test_empty_lines_are_texts(self):
        self.assertEqual(self.lines("\na cat\n\n\n"), self.texts("", "a cat", "", ""))

    def test_empty_input(self):
        for got in (self.lines(""), self.lines("", "--jsonl"), self.embed(PLAIN, "-")):
            self.assertEqual((got.rows, got.dim), ([], 20))

    def test_nul_inside_a_line(self):
        want = self.texts("a c\0at", "the dog")
        self.assertEqual(self.lines(b"a c\0at\nthe dog\n"), want)
        self.assertEqual(self.lines('"a c\\u0000at"\n"the dog"\n', "--jsonl"), want)

    def test_raw_nul_is_no_json(self):
        self.mistake(3, "embed", "--model", PLAIN, "--jsonl", "--text", self.file("in.jsonl", b'"a"\n"b\0"\n'), "-o", "o.npy", says=["in.jsonl, line 2 (input 1)", "NUL"])

    def test_newlines_inside_json_strings(self):
        self.assertEqual(len(self.lines('"a\\ncat"\n', "--jsonl").rows), 1)

    def test_standard_input(self):
        want = self.texts("a cat", "the dog")
        self.assertEqual(self.embed(PLAIN, "-", stdin=b"a cat\nthe dog\n"), want)
        self.assertEqual(self.embed(PLAIN, "-", "--jsonl", stdin=b'"a cat"\n"the dog"'), want)

    def test_slow_writer(self):
        """Half lines, and half characters, as a pipe delivers them."""
        process = self.start("embed", "--model", PLAIN, "--text", "-", "-o", "slow.npy", "--batch-tokens", 8)
        for piece in ("a c".encode(), "at\nthe caf\u00e9"[:-1].encode(), "\u00e9".encode()[:1], "\u00e9".encode()[1:], b"\nthe", b" dog"):
            process.stdin.write(piece)
            process.stdin.flush()
            threading.Event().wait(0.02)
        process.stdin.close()
        self.assertEqual((process.wait(), process.stderr.read()), (0, b""))
        self.assertEqual(read_npy(self.dir / "slow.npy"), self.texts("a cat", "the caf\u00e9", "the dog"))

    def test_named_pipe(self):
        os.mkfifo(self.dir / "pipe")
        writer = threading.Thread(target=lambda: (self.dir / "pipe").write_text("a cat\nthe dog\n"))
        writer.start()
        self.assertEqual(self.embed(PLAIN, "pipe"), self.texts("a cat", "the dog"))
        writer.join()

    def test_much_more_than_a_batch(self):
        few = [f"the dog {i} a cat" for i in range(50)]
        want = self.texts(*few).rows
        got = self.embed(PLAIN, "-", "--batch-tokens", 16, stdin=("\n".join(few * 40) + "\n").encode())
        self.assertEqual(got.rows, want * 40)

    def test_long_text_is_cut(self):
        self.assertEqual(self.lines("a cat " * 20000), self.texts("a cat " * 100))


class Options(ToolTest):
    def golden(self, name):
        return read_npy(ST / name / "embeddings.npy").rows

    def all_close(self, got, want):
        self.assertEqual(len(got.rows), len(want))
        for g, w in zip(got.rows, want):
            self.assert_close(g, w)

    def test_dims(self):
        """The first numbers, normalised again where the folder normalises."""
        got = self.embed(ST / "cls_dense_tanh", TEXTS, "--jsonl", "--dims", 7)
        self.all_close(got, [unit(row[:7]) for row in self.golden("cls_dense_tanh")])
        self.all_close(self.embed(ST / "mean_sqrt_len", TEXTS, "--jsonl", "--dims", 1, "--force-dims"), [row[:1] for row in self.golden("mean_sqrt_len")])
        self.all_close(self.embed(ST / "mean_sqrt_len", TEXTS, "--jsonl", "--dims", 48), self.golden("mean_sqrt_len"))

    def test_dims_that_the_folder_does_not_declare(self):
        self.mistake(2, "embed", "--model", ST / "mean_sqrt_len", "--text", TEXTS, "--jsonl", "-o", "o.npy", "--dims", 1, says=["dims 1", "Matryoshka", "--force-dims"])
        self.mistake(2, "embed", "--model", ST / "weighted_last_prompt", "--text", TEXTS, "--jsonl", "-o", "o.npy", "--dims", 2, says=["dims 2", "3, 9", "matryoshka_dimensions"])

    def test_no_normalize(self):
        got = self.embed(ST / "cls_dense_tanh", TEXTS, "--jsonl", "--no-normalize")
        self.assertTrue(all(abs(math.hypot(*row) - 1) > 0.01 for row in got.rows))
        for g, w in zip(got.rows, self.golden("cls_dense_tanh")):
            self.assert_close(unit(g), w)

    def test_pooling(self):
        """all_modes joins them all: each is a slice of its embeddings."""
        for pooling, at in {"cls": 0, "max": 1, "mean": 2, "last": 5}.items():
            with self.subTest(pooling):
                got = self.embed(ST / "all_modes", TEXTS, "--jsonl", "--pooling", pooling)
                self.assertEqual(got.dim, 18)
                self.all_close(got, [row[18 * at : 18 * at + 18] for row in self.golden("all_modes")])

    def test_pooling_of_bare_decoders(self):
        """As sentence-transformers has it: by the last token where that has seen all others."""
        model = self.model(GOLDENS / "tiny_rotary/mistral_without_window")
        (model / "vocab.txt").write_text("".join(w + "\n" for w in ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz"]))
        self.file("in.txt", "a b c\nq\n")
        rows = {p: self.embed(model, "in.txt", "--pooling", p) for p in ("mean", "last")}
        self.assertNotEqual(rows["mean"], rows["last"])
        self.assertEqual(self.embed(model, "in.txt"), rows["last"])
        all_see_all = ["--attention", "all"]
        self.assertEqual(self.embed(model, "in.txt", *all_see_all), self.embed(model, "in.txt", *all_see_all, "--pooling", "mean"))
        self.change_config(model, architectures=["MistralModel"])
        self.assertEqual(self.embed(model, "in.txt"), rows["mean"])

    def test_rows_of_a_projected_last_layer(self):
        """Pooled at the width that the projection leaves; earlier layers are of another one."""
        model = self.model(GOLDENS / "tiny_rotary/opt_projected")
        (model / "vocab.txt").write_text("".join(w + "\n" for w in ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz"]))
        self.file("in.txt", "a b c\nq\n")
        self.assertEqual([len(r) for r in self.embed(model, "in.txt", "--pooling", "mean").rows], [10, 10])
        self.assertEqual([len(r) for r in self.embed(model, "in.txt", "--layers", "1").rows], [10, 10])
        self.mistake(2, "embed", "--model", model, "--text", "in.txt", "--layers", "1,2", "-o", "out.npy", says=["another width"])

    def hidden(self, ids, layer):
        """The first token after so many layers, by tessera forward."""
        write_safetensors(self.dir / "ids.safetensors", {"input_ids": integers([ids])})
        self.tool("forward", "--model", ST / "all_modes", "ids.safetensors", "hidden.safetensors", "--hidden-states")
        return read_safetensors(self.dir / "hidden.safetensors")[f"hidden_states.{layer}"].floats()[:18]

    def test_layers(self):
        for layers in (0, 1, 3):
            got = self.embed(ST / "all_modes", TEXTS, "--jsonl", "--pooling", "cls", "--layers", layers)
            for i in (0, 3):
                self.assert_close(got.rows[i], self.hidden(TOKENS[i], layers))

    def test_max_length(self):
        got = self.embed(ST / "all_modes", TEXTS, "--jsonl", "--pooling", "cls", "--max-length", 6)
        for i in (0, 3):
            self.assertGreater(len(TOKENS[i]), 6)
            self.assert_close(got.rows[i], self.hidden(TOKENS[i][:5] + TOKENS[i][-1:], 3))

    def test_same_bytes_however_it_is_run(self):
        def run(*args):
            self.embed(ST / "weighted_last_prompt", TEXTS, "--jsonl", *args)
            return (self.dir / "out.npy").read_bytes()

        want = run()
        for args in (["--threads", 1], ["--threads", 2], ["--threads", 5], ["--batch-tokens", 1], ["--batch-tokens", 77], ["--batch-tokens", 100000, "--threads", 3]):
            with self.subTest(args):
                self.assertEqual(run(*args), want)

    def test_same_bytes_for_every_instruction_set(self):
        listed = self.tool("inspect", "--machine").stdout.split("\n")[0].split(":")[1].split()
        self.assertIn("generic", listed)
        written = set()
        for isa in listed:
            self.embed(ST / "cls_dense_tanh", TEXTS, "--jsonl", env={"TESSERA_ISA": isa})
            written.add((self.dir / "out.npy").read_bytes())
            self.assertIn(f"used by default: {isa} (TESSERA_ISA)", self.tool("inspect", "--machine", env={"TESSERA_ISA": isa}).stdout)
        self.assertEqual(len(written), 1)

    def test_success_is_silent(self):
        done = self.tool("embed", "--model", ST / "all_modes", "--text", TEXTS, "--jsonl", "-o", "out.npy")
        self.assertEqual((done.stdout, done.stderr), ("", ""))
        self.assertEqual(self.names(), ["out.npy"])


class Fast(ToolTest):
    def test_says_once_that_there_is_no_matrix_unit(self):
        """And gives the usual numbers then."""
        text = self.file("in.txt", "a cat\n" * 50)
        sets = self.tool("inspect", "--machine").stdout.splitlines()[0].removeprefix("instruction sets: ").split()
        self.assertIn("generic", sets)
        for isa in sets:
            with self.subTest(isa):
                args = ("embed", "--model", PLAIN, "--text", text, "--dtype", "bf16", "--batch-tokens", 8, "-o")
                env = {"TESSERA_ISA": isa}
                said = self.tool(*args, "fast.npy", "--fast", env=env).stderr
                self.assertEqual(self.tool(*args, "usual.npy", env=env).stderr, "")
                if isa in ("amx", "neon_bf16"):
                    self.assertEqual(said, "")
                    continue
                self.assertEqual(said, f"tessera: note: --fast: no matrix unit here (instruction set {isa}): results are the usual ones\n")
                self.assertEqual((self.dir / "fast.npy").read_bytes(), (self.dir / "usual.npy").read_bytes())


if __name__ == "__main__":
    unittest.main()
