"""tessera rerank: the recorded scores of sentence-transformers, their order, what a first stage found, mistakes."""

import json
import os
import signal
import unittest

from toolkit import GOLDENS, ST, TOLERANCE, ToolTest, floats, read_safetensors

FOLDER = GOLDENS / "cross_encoder"
PAIRS = [json.loads(line) for line in (FOLDER / "pairs.jsonl").read_text().splitlines()]
DOCUMENTS = ["the dog", "a cat sleeps on the sofa", "", "le chat dort", "the dog", "x = [i for i in range(3)]"]
QUERIES = ["where is the cat", "dog"]


class RerankTest(ToolTest):
    def setUp(self):
        super().setUp()
        self.folder = self.model(FOLDER / "one_label")
        self.file("d.txt", "".join(d + "\n" for d in DOCUMENTS))
        self.file("q.txt", "".join(q + "\n" for q in QUERIES))

    def rerank(self, *args, query="q.txt", text="d.txt", model=None, **options):
        done = self.tool("rerank", "--model", model or self.folder, "--query", query, "--text", text, *args, **options)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        for line in lines:
            self.assertEqual(list(line), ["query", "ids", "scores"])
            self.assertEqual(sorted(zip(line["ids"], line["scores"]), key=lambda h: (-h[1], h[0])), list(zip(line["ids"], line["scores"])))
        return lines

    def run_file(self, *lines):
        self.file("run.jsonl", "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))

    def said(self, code, *args, query="q.txt", text="d.txt"):
        return self.tool("rerank", "--model", self.folder, "--query", query, "--text", text, *args, code=code).stderr


class Scores(RerankTest):
    def test_they_are_those_of_sentence_transformers(self):
        """Of every recorded pair: its first text as a query, its second one as the only document that was found."""
        for file, side in (("q.jsonl", 0), ("d.jsonl", 1)):
            self.file(file, "".join(json.dumps(pair[side]) + "\n" for pair in PAIRS))
        self.run_file(*({"query": i, "ids": [i]} for i in range(len(PAIRS))))
        for name in ("one_label", "saved"):
            want = read_safetensors(FOLDER / name / "golden.safetensors")["scores"].floats()
            got = self.rerank("--run", "run.jsonl", "--jsonl", query="q.jsonl", text="d.jsonl", model=FOLDER / name)
            self.assertEqual([line["ids"] for line in got], [[i] for i in range(len(PAIRS))])
            top = max(map(abs, want))
            for line, score in zip(got, want):
                self.assertLessEqual(abs(line["scores"][0] - score), TOLERANCE * top)

    def test_all_texts(self):
        got = self.rerank()
        self.assertEqual([line["query"] for line in got], [0, 1])
        for line in got:
            self.assertEqual(sorted(line["ids"]), list(range(len(DOCUMENTS))))
            place = line["ids"].index(0)
            self.assertEqual(line["ids"][place + 1], 4, "of equal scores the lower id first")
            self.assertEqual(line["scores"][place], line["scores"][place + 1])
        self.assertNotEqual(got[0]["ids"], got[1]["ids"])

    def test_the_best(self):
        whole = self.rerank()
        for k in (1, 3, 99):
            want = [{"query": w["query"], "ids": w["ids"][:k], "scores": w["scores"][:k]} for w in whole]
            self.assertEqual(self.rerank("-k", k), want)
            self.assertEqual(self.rerank("-k", k, "--batch-tokens", 1), want)

    def test_bits_do_not_depend_on_company(self):
        whole = self.rerank("--threads", 1)
        self.assertEqual(self.rerank("--threads", 3, "--batch-tokens", 7), whole)
        for i, document in enumerate(DOCUMENTS):
            self.file("one.txt", document + "\n")
            for q, line in enumerate(self.rerank(text="one.txt")):
                self.assertEqual(line["scores"], [whole[q]["scores"][whole[q]["ids"].index(i)]])

    def test_a_query_itself_and_standard_input(self):
        whole = self.rerank()
        self.assertEqual(self.rerank(query=QUERIES[1]), [{**whole[1], "query": 0}])
        self.assertEqual(self.rerank(text="-", stdin=(self.dir / "d.txt").read_bytes()), whole)
        self.assertEqual(self.rerank(query="-", stdin=(self.dir / "q.txt").read_bytes()), whole)

    def test_jsonl(self):
        self.file("d.jsonl", "".join(json.dumps(d) + "\n" for d in DOCUMENTS))
        self.file("q.jsonl", "".join(json.dumps(q) + "\n" for q in QUERIES))
        self.assertEqual(self.rerank("--jsonl", query="q.jsonl", text="d.jsonl"), self.rerank())

    def test_max_length(self):
        self.assertNotEqual(self.rerank("--max-length", 5), self.rerank())
        self.assertEqual(len({s for line in self.rerank("--max-length", 3) for s in line["scores"]}), 1)  # special tokens alone

    def test_nothing(self):
        self.file("none", "")
        self.assertEqual(self.rerank(text="none"), [{"query": q, "ids": [], "scores": []} for q in (0, 1)])
        self.assertEqual(self.rerank(query="none"), [])
        self.assertEqual(self.rerank("--run", "none"), [])


class Runs(RerankTest):
    def test_what_a_search_found(self):
        """Only these, in the order of the run; the scores and names of the first stage mean nothing."""
        whole = self.rerank()
        self.run_file({"query": 1, "ids": [5, 0, 3], "scores": [3, 2, 1], "images": ["a", "b", "c"]}, {"query": 0, "ids": []}, {"query": 0, "ids": [4, 1]})
        for args, k in (((), 9), (("-k", 2), 2), (("-k", 1, "--batch-tokens", 1), 1)):
            got = self.rerank("--run", "run.jsonl", *args)
            self.assertEqual([line["query"] for line in got], [1, 0, 0])
            for line, ids in zip(got, ([5, 0, 3], [], [4, 1])):
                kept = [(i, s) for i, s in zip(whole[line["query"]]["ids"], whole[line["query"]]["scores"]) if i in ids][:k]
                self.assertEqual(list(zip(line["ids"], line["scores"])), kept)
        self.assertEqual(self.rerank("--run", "-", stdin=(self.dir / "run.jsonl").read_bytes()), self.rerank("--run", "run.jsonl"))

    def test_its_own_output_is_a_run(self):
        whole = self.rerank("-k", 4)
        self.run_file(*whole)
        self.assertEqual(self.rerank("--run", "run.jsonl"), whole)

    def test_lines_that_cannot_be_used(self):
        for line, why in (
            ("{", "not valid JSON"),
            ("[]", "query"),
            ({"ids": [1]}, "query"),
            ({"query": -1, "ids": [1]}, "query"),
            ({"query": 0}, "expected"),
            ({"query": 0, "ids": 3}, "expected"),
            ({"query": 0, "ids": [1, "2"]}, "an id is"),
            ({"query": 0, "ids": [-1]}, "an id is -1"),
            ({"query": 0, "ids": [1.5]}, "an id is 1.5"),
            ({"query": 0, "ids": [2**64 - 1]}, "an id is 18446744073709551615"),
            ({"query": 0, "ids": [1, 2, 1]}, "the id 1 twice"),
            ({"query": 0, "ids": [6]}, "text 6, and --text has 6 lines"),
            ({"query": 2, "ids": [1]}, "--query has no query 2"),
        ):
            with self.subTest(line):
                self.run_file({"query": 0, "ids": [1]}, line, {"query": 1, "ids": [2]})
                done = self.tool("rerank", "--model", self.folder, "--query", "q.txt", "--text", "d.txt", "--run", "run.jsonl", code=3)
                self.assertEqual(done.stdout.count("\n"), 2)
                self.assertRegex(done.stderr, r"\Atessera: run.jsonl, line 2 skipped: .*\n\Z")
                self.assertIn(why, done.stderr)

    def test_texts_that_cannot_be_read(self):
        self.file("bad.txt", b"a\n\xff\nb\n\xff\n")
        self.run_file({"query": 0, "ids": [2, 1, 0]})
        self.assertEqual([sorted(line["ids"]) for line in self.rerank("--run", "run.jsonl", text="bad.txt", code=3)], [[0, 2]])
        self.assertRegex(self.said(3, "--run", "run.jsonl", text="bad.txt"), r"\Atessera: bad.txt, line 2 \(text 1\) skipped: .*iconv\n\Z")
        self.assertEqual([sorted(line["ids"]) for line in self.rerank(text="bad.txt", code=3)], [[0, 2], [0, 2]])
        self.file("bad.txt", b"a\n\xff\nb\n")
        self.run_file({"query": 1, "ids": [0]}, {"query": 2, "ids": [0]})
        said = self.said(3, "--run", "run.jsonl", query="bad.txt")
        self.assertIn("bad.txt, line 2 (query 1) skipped: ", said)
        self.assertIn("run.jsonl, line 1 skipped: --query has no query 1", said)


class Mistakes(RerankTest):
    def check(self, code, *args, says, query="q.txt", text="d.txt", model=None, **options):
        self.mistake(code, "rerank", "--model", model or self.folder, "--query", query, "--text", text, *args, says=says, **options)

    def test_options(self):
        self.mistake(2, "rerank", "--model", self.folder, "--query", "a", says=["--text"])
        self.mistake(2, "rerank", "--model", self.folder, "--text", "d.txt", says=["--query"])
        self.check(2, "-k", "0", says=["-k"])
        self.check(2, "--max-length", "65", says=["max length 65", "positions for 64"])
        self.check(2, "--max-length", "2", says=["no room for the 3 special tokens"])
        self.check(2, query=os.fsdecode(b"\xff"), says=["--query", "UTF-8"])
        for args in (dict(query="-", text="-"), dict(query="-"), dict(text="-")):
            self.check(2, *(["--run", "-"] if len(args) == 1 else []), says=["standard input can be read once"], **args)

    def test_files(self):
        self.check(1, query="none.txt", says=["none.txt", "cannot read", "check the path"])
        self.check(1, "--jsonl", query="none.jsonl", says=["none.jsonl", "cannot read"])
        self.check(1, text="none.txt", says=["none.txt", "cannot read"])
        self.check(1, text=".", says=["a folder"])
        self.check(1, "--run", "none.jsonl", says=["none.jsonl", "cannot read"])

    def test_models(self):
        self.check(4, model=FOLDER / "three_labels", says=["three_labels", "3 labels", "num_labels 1"])
        self.check(4, model=ST / "max_vocab_txt", says=["max_vocab_txt", "expected one module"])
        self.check(4, model=GOLDENS / "tiny_bert/plain_h20", says=["classifier.weight"])
        self.check(4, model=GOLDENS / "tiny_image/vit_p7", says=["model_type 'vit'", "known: bert"])

    def test_results_that_are_not_finite(self):
        def poison(tensors):
            tensors["classifier.bias"] = floats((1,), [float("nan")])

        self.change_weights(self.folder, poison)
        self.assertIn("allow-nonfinite", self.said(4))
        done = self.tool("rerank", "--model", self.folder, "--query", "a", "--text", "d.txt", "--allow-nonfinite", code=6)
        self.assertEqual(json.loads(done.stdout), {"query": 0, "ids": [], "scores": []})
        self.assertEqual(done.stderr.count("\n"), len(DOCUMENTS))
        self.assertIn("query 0, text 5 skipped: their score is NaN or infinity", done.stderr)

    def test_a_signal(self):
        process = self.start("rerank", "--model", self.folder, "--query", "a", "--text", "-", "--batch-tokens", 1)
        process.stdin.write(b"a text\n" * 100 + b"\xff\n")
        process.stdin.flush()
        self.assertIn(b"line 101 (text 100) skipped", process.stderr.readline())
        process.send_signal(signal.SIGINT)
        shown, said = process.stdout.read(), process.stderr.read()  # while standard input gives nothing
        self.assertEqual((process.wait(), shown), (130, b""))
        self.assertEqual(said, b"tessera: stopped by a signal; the lines that were printed are whole\n")


if __name__ == "__main__":
    unittest.main()
