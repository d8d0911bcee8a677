"""tessera index and search --corpus: kept words, few files of many, searches in stages."""

import array
import json
import unittest

from indexkit import IndexTest, npy, ranked
from toolkit import GOLDENS, read_safetensors


class Words(IndexTest):
    def test_kept_words_answer_as_counted_ones(self):
        texts = [f"the w{i % 7} dog w{i % 31}" for i in range(120)]
        self.file("d.jsonl", "".join(json.dumps({"text": t}) + "\n" for t in texts))
        answers = []
        for field in ("text", ""):
            self.index("--npy", "rows.npy", "--documents", "d.jsonl", "--field", field)
            self.index("--npy", "rows.npy", "--documents", "d.jsonl", "--append", "--field", field)
            self.index("--remove", 3, 125)
            answers.append(self.search("--text", "w3 the w30", "--by", "bm25", k=40))
            self.assertEqual(any(n.startswith("words.") for n in read_safetensors(next(self.dir.glob("c-*.safetensors")))), bool(field))
        self.assertEqual(answers[0], answers[1])
        self.assertEqual(len(answers[0][0]["ids"]), 40)
        self.index("--compact")
        self.assertEqual(self.search("--text", "w3 the w30", "--by", "bm25", k=40), answers[0])


class Compaction(IndexTest):
    def test_few_files_answer_as_many(self):
        self.index("--npy", "rows.npy")
        self.assertEqual(self.index("--compact"), {"corpus": "c.safetensors", "parts": 1})
        for _ in range(3):
            self.index("--npy", "rows.npy", "--append")
        self.index("--remove", 5, 130)
        before = self.search("--npy", "queries.npy", k=500)
        self.assertEqual(len([n for n in self.names() if n.startswith("c")]), 5)
        self.assertEqual(self.index("--compact"), {"corpus": "c.safetensors", "parts": 1})
        self.assertEqual(len([n for n in self.names() if n.startswith("c")]), 2)
        self.assertEqual(self.search("--npy", "queries.npy", k=500), before)
        self.mistake(2, "index", "-o", "c.safetensors", "--compact", "--npy", "rows.npy", says=["--compact goes alone"])
        self.mistake(2, "index", "-o", "c.safetensors", "--compact", "--remove", 1, says=["--remove goes alone"])
        self.mistake(1, "index", "-o", "none.safetensors", "--compact", says=["none.safetensors"])


class Stages(IndexTest):
    def setUp(self):
        super().setUp()
        self.file("d.jsonl", "".join(json.dumps({"text": f"the dog w{i % 9}"} if i % 10 else {}) + "\n" for i in range(120)))
        self.index("--npy", "rows.npy", "--documents", "d.jsonl")
        self.index("--npy", "rows.npy", "--dtype", "bits", out="bits.safetensors")
        self.index("--npy", "rows.npy", "--dims", 3, out="prefix.safetensors")

    def test_they_are_the_commands_one_by_one(self):
        first = self.search("--npy", "queries.npy", corpus="bits.safetensors", k=50)
        done = self.tool("search", "--corpus", "c.safetensors", "--npy", "queries.npy", "--stage", "bits.safetensors:50", "--stage", "prefix.safetensors:20", "--stage", "dense", "-k", 4)
        for line, query, found in zip(done.stdout.splitlines(), self.queries, first):
            among = set(ranked(query[:3], [row[:3] for row in self.rows], 20, set(found["ids"]))[0])
            answer = json.loads(line)
            self.assertEqual(list(answer), ["query", "ids", "scores"])
            self.assertEqual((answer["ids"], array.array("f", answer["scores"]).tolist()), ranked(query, self.rows, 4, among))
        self.assertRegex(done.stderr, r"stage 1, bits.safetensors: 1080 rows seen, 450 kept, [\d.]+ ms\n.*stage 2, prefix.safetensors: 450 rows seen, 180 kept, .* ms\n.*stage 3, dense: 180 rows seen, 36 kept")
        self.index("--remove", 0, 1, 2)  # of one corpus alone
        self.check(self.search("--npy", "queries.npy", "--stage", "bits.safetensors:120", "--stage", "dense:9"), self.rows, 9, set(range(3, 120)))

    def test_a_limit_in_time_is_told(self):
        args = ["search", "--corpus", "c.safetensors", "--npy", "queries.npy", "--stage", "bits.safetensors:30:0", "--stage", "dense:3"]
        done = self.tool(*args, code=3)
        for line, found in zip(done.stdout.splitlines(), self.search("--npy", "queries.npy", corpus="bits.safetensors", k=30)):
            answer = json.loads(line)
            self.assertEqual({**answer, "scores": array.array("f", answer["scores"]).tolist()}, {**found, "skipped": ["dense"]})
        self.assertIn("stage 2, dense: 0 rows seen, 0 kept, 0.0 ms; skipped for 9 queries, whose time was up", done.stderr)
        args[6] = "bits.safetensors:30:600000"
        self.assertNotIn("skipped", self.tool(*args).stdout)

    def test_words_then_a_cross_encoder(self):
        model = GOLDENS / "cross_encoder/one_label"
        self.file("q.txt", "dog w3\nw4\n")
        run = self.tool("search", "--corpus", "c.safetensors", "--text", "q.txt", "--by", "bm25", "-k", 30).stdout
        self.file("run.jsonl", run)
        apart = self.tool("rerank", "--model", model, "--query", "q.txt", "--corpus", "c.safetensors", "--run", "run.jsonl", "-k", 6).stdout
        done = self.tool("search", "--corpus", "c.safetensors", "--text", "q.txt", "--stage", "bm25:30", "--stage", f"{model}:6")
        self.assertEqual(done.stdout, apart)
        ids = [json.loads(line)["ids"] for line in run.splitlines()]
        self.assertGreater(len(ids[0]), 10)
        self.file("texts.txt", "".join(f"the dog w{i % 9}\n" for i in range(120)))
        self.assertEqual(self.tool("rerank", "--model", model, "--query", "q.txt", "--text", "texts.txt", "--run", "run.jsonl", "-k", 6).stdout, apart)
        self.file("run.jsonl", '{"query": 0, "ids": [10, 4]}\n{"query": 1, "ids": [120]}\n')
        done = self.tool("rerank", "--model", model, "--query", "q.txt", "--corpus", "c.safetensors", "--run", "run.jsonl", code=3)
        self.assertEqual(json.loads(done.stdout)["ids"], [4])
        self.assertIn("row 10 skipped: its document has no string 'text'", done.stderr)
        self.assertIn("text 120, and c.safetensors has 120 rows", done.stderr)

    def test_mistakes(self):
        search = ["search", "--corpus", "c.safetensors", "--npy", "queries.npy"]
        for stage, says in (("dense:0", "WHAT:K"), (":3", "WHAT:K"), ("dense:1.5", "WHAT:K"), ("none:3", "not there"), ("bm25:3", "--corpus with --text")):
            self.mistake(2, *search, "--stage", stage, says=[says])
        self.mistake(2, *search, "--stage", "dense:3", "--by", "bm25", says=["--by"])
        self.file("few.npy", npy(self.rows[:7]))
        self.index("--npy", "few.npy", out="few.safetensors")
        self.mistake(2, *search, "--stage", "few.safetensors:3", says=["few.safetensors", "7 rows", "120"])
        self.mistake(2, *search[:3], "--text", "dog", "--stage", "none:3", says=["none: a cross-encoder cannot be the first"])
        self.mistake(4, *search[:3], "--text", "dog", "--stage", "bm25:3", "--stage", "none:3", says=["none"])
        self.mistake(2, "search", "--stage", "dense:3", "--text", "a", says=["--stage"])
        rerank = ["rerank", "--model", GOLDENS / "cross_encoder/one_label", "--query", "a"]
        self.mistake(2, *rerank, says=["--text", "--corpus"])
        self.mistake(2, *rerank, "--corpus", "c.safetensors", says=["--corpus needs --run"])
        self.mistake(2, *rerank, "--corpus", "c.safetensors", "--text", "d.jsonl", says=["one of"])


if __name__ == "__main__":
    unittest.main()
