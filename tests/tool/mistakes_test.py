"""Common mistakes of use, input and results: each gives one line that says what, where and what to do, and its exit code."""

import json
import os
import unittest

from toolkit import PLAIN, ST, MistakeTest, Tensor, floats, integers, write_safetensors


class Use(MistakeTest):
    """Wrong use: 2, before anything is done; and what this build or machine has not: 1."""

    def wrong(self, *args, says):
        self.embed_mistake(2, *args, says=says)

    def test_options(self):
        for args, says in (
            (["--frobnicate"], ["--frobnicate", "--help"]),
            (["--dtype", "float16"], ["--dtype", "float16", "f32"]),
            (["--device", "tpu"], ["--device", "tpu", "cpu"]),
            (["--threads", "many"], ["--threads", "many"]),
            (["--threads", "-1"], ["--threads", "-1"]),
            (["--dims", "0"], ["--dims", "0"]),
            (["--dims", "21"], ["dims 21", "have 20 numbers"]),
            (["--dims", "x"], ["--dims", "x"]),
            (["--layers", "9"], ["--layers 9", "this model has 1"]),
            (["--max-length", "0"], ["--max-length", "0"]),
            (["--max-length", "1"], ["max_length 1", "no room for the 2 special tokens"]),
            (["--max-length", "49"], ["max length 49", "positions for 48 tokens"]),
            (["--pooling", "median"], ["--pooling", "median", "mean"]),
            (["--prompt-name", "query"], ["'query'", "it has none"]),
            (["--prompt", "a", "--prompt-name", "b"], ["--prompt", "--prompt-name"]),
            (["--batch-tokens", "0"], ["--batch-tokens"]),
            (["--resume"], ["--resume", "--shard"]),
        ):
            with self.subTest(args):
                self.wrong(*args, says=says)

    def test_one_pooling_where_two_are_joined(self):
        self.embed_mistake(2, "--pooling", "mean", model=ST / "weighted_last_prompt", says=["Dense module", "takes 56", "the pooling asked for gives 28"])

    def test_unknown_prompt_names_the_known(self):
        self.embed_mistake(2, "--prompt-name", "none", model=ST / "weighted_last_prompt", says=["'none'", "passage, query"])

    def test_malformed_shards(self):
        for shard in ("", "1", "1/", "/2", "2/2", "-1/2", "0/0", "0/-1", "1/2/3", "0x0/2", " 0/2", "0/2 ", "0 /2", "+0/2", "0/100000", "99999999999999999999/2", "a/b"):
            with self.subTest(shard):
                self.wrong(f"--shard={shard}", says=["--shard", "0/4"] if shard else ["--shard"])

    def test_shards_need_a_file(self):
        self.embed_mistake(2, "--shard", "0/2", text="-", says=["--shard", "standard input"])
        os.mkfifo(self.dir / "pipe")
        holder = os.open(self.dir / "pipe", os.O_RDWR)  # so that opening it does not wait for a writer
        self.addCleanup(os.close, holder)
        self.embed_mistake(2, "--shard", "0/2", text="pipe", says=["pipe", "--shard", "regular file"])

    def test_what_is_required(self):
        for args, says in (
            ([], ["subcommand", "--help"]),
            (["frobnicate"], ["--help"]),
            (["embed", "--text", "in.txt", "-o", "o.npy"], ["--model"]),
            (["embed", "--model", PLAIN, "-o", "o.npy"], ["--text"]),
            (["embed", "--model", PLAIN, "--text", "in.txt"], ["--out"]),
            (["forward", "--model", PLAIN], ["in"]),
            (["inspect"], ["inspect", "--machine"]),
            (["inspect", PLAIN, "--machine"], ["inspect", "--machine"]),
            (["classify", "--model", PLAIN, "--image", "a.png"], ["--labels"]),
            (["classify", "--model", PLAIN, "--labels", "in.txt", "--image", "a.png", "--sheet", "a.bmp"], ["--sheet a.bmp", ".png or .svg"]),
            (["search", "--model", PLAIN, "--image", "a.png"], ["--text"]),
            (["attention", "--model", PLAIN, "--image", "a.png"], ["--out"]),
            (["attention", "--model", PLAIN, "--image", "a.png", "-o", "a"], ["-o a", ".png or .svg"]),
            (["bench"], ["--model", "--search"]),
            (["bench", "--model", PLAIN, "--kind", "video"], ["--kind", "video"]),
            (["bench", "--model", PLAIN, "--seq", "49"], ["--seq 49", "48 positions"]),
        ):
            with self.subTest(args):
                self.mistake(2, *args, says=says)
        self.assertEqual(self.names(), ["in.txt"])

    def test_no_cuda(self):
        self.embed_mistake(1, "--device", "cuda", says=["--device cuda", "no cuda", "leave the option out"])

    def test_unknown_instruction_set(self):
        self.embed_mistake(1, env={"TESSERA_ISA": "mmx"}, says=["TESSERA_ISA", "'mmx'", "generic"])
        self.mistake(1, "inspect", "--machine", env={"TESSERA_ISA": "mmx"}, says=["TESSERA_ISA", "'mmx'"])

    def test_help_and_version_are_no_mistakes(self):
        for args in (["--help"], *([c, "--help"] for c in ("embed", "classify", "search", "attention", "bench")), ["--version"]):
            done = self.tool(*args)
            self.assertEqual(done.stderr, "")
            self.assertTrue(done.stdout)


class Input(MistakeTest):
    def test_missing(self):
        self.embed_mistake(1, text="none.txt", says=["none.txt", "cannot read", "No such file", "check the path"])
        self.embed_mistake(1, "--shard", "0/2", text="none.txt", says=["none.txt", "cannot read"])

    def test_unreadable(self):
        self.embed_mistake(1, text="/proc/self/mem", says=["/proc/self/mem", "cannot read"])
        if os.geteuid() != 0:  # permissions do not bind root
            self.text.chmod(0)
            self.embed_mistake(1, says=["in.txt", "Permission denied"])

    def test_a_folder(self):
        self.embed_mistake(1, text=".", says=[".: a folder", "one text a line"])

    def test_not_utf8(self):
        self.file("in.txt", b"a cat\nthe \xff dog\nthe dog\n")
        self.embed_mistake(3, says=["in.txt, line 2 (input 1) skipped", "not valid UTF-8 at byte 4", "iconv"], leaves=["out.npy", "out.npy.rows.jsonl"])

    def test_broken_json_line(self):
        for broken in ("{broken", '"no end', "a cat", "", '"a" "b"', '"' + "x" * 5000, '"\\ud800"', '"\xff"'.encode("latin-1")):
            with self.subTest(broken):
                self.file("in.txt", b'"a cat"\n' + (broken if isinstance(broken, bytes) else broken.encode()) + b'\n"the dog"\n')
                done = self.tool("embed", "--model", PLAIN, "--text", "in.txt", "-o", "out.npy", "--jsonl", code=3)
                self.assertRegex(done.stderr, r"\Atessera: in.txt, line 2 \(input 1\) skipped: the line: not valid JSON: .*\n\Z")
                self.assertLess(len(done.stderr), 400)

    def test_json_of_another_kind(self):
        self.file("in.txt", '{"text": 1}\n')
        self.embed_mistake(3, "--jsonl", says=["line 1 (input 0)", "not a JSON string", "in quotes"], leaves=["out.npy", "out.npy.rows.jsonl"])

    def test_each_skipped_line_is_named(self):
        self.file("in.txt", b"\xff\na\n\xfe\nb\n\xfd\n")
        done = self.tool("embed", "--model", PLAIN, "--text", "in.txt", "-o", "out.npy", "--batch-tokens", 1, code=3)
        self.assertEqual([line.split(" skipped")[0] for line in done.stderr.splitlines()], [f"tessera: in.txt, line {i + 1} (input {i})" for i in (0, 2, 4)])

    def test_forward_inputs(self):
        one = integers([[1, 2, 3]])
        vocabulary = json.loads((PLAIN / "config.json").read_text())["vocab_size"]
        for tensors, says in (
            ({"attention_mask": one}, ["no tensor input_ids"]),
            ({"input_ids": one, "attention_masks": one}, ["attention_masks is not read", "attention_mask, "]),
            ({"input_ids": one, "attention_mask": integers([[1, 1]])}, ["attention_mask", "another shape"]),
            ({"input_ids": floats((1, 3), [1, 2, 3])}, ["input_ids", "I64 or I32"]),
            ({"input_ids": Tensor("I64", (3,), one.data)}, ["input_ids", "[batch, tokens]"]),
            ({"input_ids": integers([[1, 2, vocabulary]])}, [f"{vocabulary}"]),
            ({"input_ids": integers([[1, 2, -1]])}, ["-1"]),
            ({"input_ids": integers([[1, 2, 2**40]])}, ["input_ids", str(2**40)]),
            ({"input_ids": one, "position_ids": integers([[0, 1, 48]])}, ["48"]),
            ({"input_ids": integers([[1] * 49])}, ["48"]),
        ):
            with self.subTest(says):
                write_safetensors(self.dir / "x.safetensors", tensors)
                self.mistake(1, "forward", "--model", PLAIN, "x.safetensors", "y.safetensors", says=says)
                self.assertNotIn("y.safetensors", self.names())
        self.mistake(1, "forward", "--model", PLAIN, "none.safetensors", "y.safetensors", says=["none.safetensors", "No such file"])
        self.mistake(1, "forward", "--model", PLAIN, "in.txt", "y.safetensors", says=["in.txt", "not a valid safetensors file"])


class NonFiniteRows(MistakeTest):
    """One token's embedding is NaN: only texts that hold it are left out."""

    def setUp(self):
        super().setUp()
        self.poisoned = self.model()
        dog = json.loads(self.tool("tokenize", "--model", PLAIN, "--no-special-tokens", stdin=b"dog\n").stdout)["ids"]

        def change(tensors):
            name = "embeddings.word_embeddings.weight"
            values = tensors[name].floats()
            values[dog[-1] * tensors[name].shape[1]] = float("nan")
            tensors[name] = floats(tensors[name].shape, values)

        self.change_weights(self.poisoned, change)

    def run_it(self, content, code, *args):
        self.file("in.txt", content)
        return self.tool("embed", "--model", self.poisoned, "--allow-nonfinite", "--text", "in.txt", "-o", "out.npy", *args, code=code)

    def test_left_out_and_named(self):
        done = self.run_it("a cat\nthe dog\na tree\n", 6)
        self.assertEqual(done.stderr, "tessera: in.txt, line 2 (input 1) skipped: its embedding holds NaN or infinity\n")
        self.file("in.txt", "a cat\na tree\n")
        want = (self.dir / "out.npy").read_bytes()
        self.embed(PLAIN, "in.txt")
        self.assertEqual((self.dir / "out.npy").read_bytes(), want)

    def test_wins_over_skipped(self):
        for batch in (1, 4096):
            done = self.run_it(b"\xff\na cat\nthe dog\n\xff\na tree\n", 6, "--batch-tokens", batch)
            self.assertEqual(done.stderr.count("skipped"), 3)
            rows = [json.loads(line) for line in (self.dir / "out.npy.rows.jsonl").read_text().splitlines()]
            self.assertEqual(rows, [{"row": 0, "input": 1}, {"row": 1, "input": 4}])

    def test_other_texts_are_fine(self):
        self.run_it("a cat\na tree\n", 0)

    def test_forward_writes_nothing(self):
        ids = json.loads(self.tool("tokenize", "--model", PLAIN, stdin=b"dog\n").stdout)["ids"]
        write_safetensors(self.dir / "x.safetensors", {"input_ids": integers([ids])})
        self.mistake(6, "forward", "--model", self.poisoned, "--allow-nonfinite", "x.safetensors", "y.safetensors", says=["x.safetensors", "last_hidden_state", "NaN or infinity"])
        self.assertNotIn("y.safetensors", self.names())


if __name__ == "__main__":
    unittest.main()
