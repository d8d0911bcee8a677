"""tessera forward, tokenize, inspect and bench."""
import array
import contextlib
import json
import subprocess
import unittest

from tool import BERT, ST, TEXTS, TOOL, ToolTest, read_safetensors, texts, worst_row_error


class Forward(ToolTest):
    def test_names_and_values_are_those_of_transformers(self):
        compared = 0
        for folder in sorted(p for p in BERT.iterdir() if p.is_dir()):
            for suffix in ("", "_positions", "_ids_only"):
                out = self.dir / "out.safetensors"
                self.run_tool("forward", "--model", folder, folder / f"inputs{suffix}.safetensors", out, *([] if suffix else ["--hidden-states"]))
                got, want = read_safetensors(out), read_safetensors(folder / f"outputs{suffix}.safetensors")
                names = [n for n in want if not n.startswith("layer0.")]
                self.assertEqual(sorted(got), sorted(names))
                for name in names:
                    self.assertEqual(got[name][:2], want[name][:2])
                    a, b = (array.array("f", t[name][2]) for t in (got, want))
                    columns = got[name][1][-1]
                    real = [r for r in range(len(a) // columns) if any(b[r * columns:(r + 1) * columns])]
                    for r in set(range(len(a) // columns)) - set(real):  # padding
                        self.assertFalse(any(a[r * columns:(r + 1) * columns]), (name, r))
                    rows = lambda x: array.array("f", b"".join(x[r * columns:(r + 1) * columns].tobytes() for r in real))
                    self.assertLessEqual(worst_row_error((len(real), columns, rows(a)), (len(real), columns, rows(b))), self.BOUND, (folder, name))
                    compared += 1
        self.assertGreater(compared, 50)


class Tokenize(ToolTest):
    def lines(self, *args, stdin, model="cls_dense_tanh"):
        done = self.run_tool("tokenize", "--model", ST / model, *args, stdin=stdin)
        self.assertEqual(done.stderr, b"")
        return [json.loads(line) for line in done.stdout.decode().splitlines()]

    def test_ids_are_the_recorded_ones(self):
        for folder in sorted(p for p in ST.iterdir() if p.is_dir() and p.name != "cls_dense_tanh"):
            want = [json.loads(line) for line in (folder / "tokens.jsonl").read_text().splitlines()]
            got = self.lines("--jsonl", "--no-truncation", stdin=TEXTS.read_bytes(), model=folder.name)
            self.assertEqual(len(got), len(want))
            for g, w in zip(got, want):
                ids = w["ids"] if isinstance(w, dict) else w
                self.assertEqual(g["ids"][:len(ids) - 1], ids[:-1])
                self.assertEqual(g["ids"][-1], ids[-1])

    def test_offsets_are_code_points(self):
        text = "\u00e9t\u00e9 \U0001f600 a"
        for e in self.lines("--jsonl", "--no-special-tokens", stdin=(json.dumps(text) + "\n").encode()):
            self.assertEqual(len(e["ids"]), len(e["tokens"]))
            self.assertEqual(e["offsets"][0][0], 0)
            self.assertEqual(e["offsets"][-1], [6, 7])

    def test_special_tokens_and_pairs(self):
        (whole,), (bare,) = self.lines(stdin=b"a text\n"), self.lines("--no-special-tokens", stdin=b"a text\n")
        self.assertEqual(whole["ids"][1:-1], bare["ids"])
        (pair,) = self.lines("--jsonl", stdin=b'{"text": "a text", "pair": "a text"}\n')
        self.assertEqual(pair["ids"], whole["ids"] + whole["ids"][1:])

    def test_a_line_that_is_no_text_is_named(self):
        done = self.run_tool("tokenize", "--model", ST / "all_modes", stdin=b"a\n\xff\nb\n", code=3)
        self.assertEqual(len(done.stdout.decode().splitlines()), 2)
        self.assertEqual(len(done.stderr.decode().splitlines()), 1)
        self.assertIn("line 2", done.stderr.decode())

    def test_a_reader_that_leaves_is_no_crash(self):
        child = subprocess.Popen([TOOL, "tokenize", "--model", str(ST / "all_modes")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        child.stdout.close()
        try:
            child.stdin.write(b"some text\n" * 200000)
        except BrokenPipeError:
            pass
        with contextlib.suppress(BrokenPipeError):
            child.stdin.close()
        errors = child.stderr.read().decode()
        child.stderr.close()
        self.assertIn(child.wait(60), (5, 141, -13))
        self.assertLessEqual(len(errors.splitlines()), 1, errors)


class Inspect(ToolTest):
    def test_a_folder_a_file_and_the_machine(self):
        said = self.run_tool("inspect", ST / "all_modes").stdout.decode()
        for word in ("bert", "parameters", "f32", "prompt query"):
            self.assertIn(word, said)
        said = self.run_tool("inspect", ST / "all_modes" / "model.safetensors").stdout.decode()
        self.assertIn("embeddings.word_embeddings.weight", said)
        self.assertEqual(len(said.splitlines()), len(read_safetensors(ST / "all_modes" / "model.safetensors")) + 1 + said.count("metadata "))
        machine = self.run_tool("inspect", "--machine").stdout.decode()
        self.assertIn("generic", machine)

    def test_the_instruction_set_asked_for_is_used(self):
        self.assertIn("used by default: generic", self.run_tool("inspect", "--machine", env={"TESSERA_ISA": "generic"}).stdout.decode())

    def test_no_name_plays_with_the_terminal(self):
        folder = self.model()
        config = json.loads((folder / "config_sentence_transformers.json").read_text())
        config["prompts"] = {"\x1b[31mred": "\x07"}
        (folder / "config_sentence_transformers.json").write_text(json.dumps(config))
        self.assertNotIn(b"\x1b", self.run_tool("inspect", folder).stdout)


class Bench(ToolTest):
    def test_stdio(self):
        command = [TOOL, "bench", "--model", str(BERT / "plain_h20"), "--kind", "text", "--batch", "2", "--seq", "8", "--threads", "1", "--stdio"]
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.assertEqual(child.stdout.readline(), "ready\n")
        for n in (1, 3):
            child.stdin.write(f"go {n}\n")
            child.stdin.flush()
            self.assertGreater(float(child.stdout.readline()), 0)
        child.stdin.close()
        self.assertEqual(child.wait(30), 0)
        child.stdout.close()

    def test_lengths(self):
        lengths = self.dir / "lengths.txt"
        lengths.write_text("# a comment\n3 5\n7\n")
        said = self.run_tool("bench", "--model", BERT / "plain_h20", "--lengths", lengths, "--rounds", "1").stdout.decode()
        self.assertIn("3 sequences, 15 tokens", said)
        lengths.write_text("3 x\n")
        self.mistake(1, [lengths, "'x'"], "bench", "--model", BERT / "plain_h20", "--lengths", lengths)


if __name__ == "__main__":
    unittest.main()
