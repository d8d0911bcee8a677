"""tessera index and search --corpus: exact answers, whatever happens to the writer."""

import json
import math
import random
import shutil
import signal
import time
import unittest

from indexkit import IndexTest, matrix, npy, ranked
from toolkit import GOLDENS, PLAIN

IMAGES = GOLDENS / "images"


class Numbers(IndexTest):
    def test_answers_are_exact(self):
        self.assertEqual(self.index("--npy", "rows.npy"), {"corpus": "c.safetensors", "rows": 120, "added": 120, "dim": 8})
        for k in (1, 5, 120, 500):
            self.check(self.search("--npy", "queries.npy", k=k), self.rows, k)
        self.assertEqual(self.names(), ["c.safetensors", "queries.npy", "rows.npy"])
        done = self.tool("search", "--corpus", "c.safetensors", "--npy", "queries.npy", "--certified", "--threads", 2)
        self.assertRegex(done.stderr, r"certified: \d+ rows computed in f32 for 9 queries among 120")

    def test_rows_are_added_and_removed(self):
        self.index("--npy", "rows.npy")
        more = matrix(77, 8, 3)
        self.file("more.npy", npy(more, "<f2"))
        self.assertEqual(self.index("--npy", "more.npy", "--append"), {"corpus": "c.safetensors", "rows": 197, "added": 77, "dim": 8})
        self.check(self.search("--npy", "queries.npy", k=20), self.rows + more, 20)
        self.index("--remove", 3, 130, 196)
        self.check(self.search("--npy", "queries.npy", k=20), self.rows + more, 20, set(range(197)) - {3, 130, 196})
        self.index("--npy", "rows.npy")  # a new one in its place
        self.check(self.search("--npy", "queries.npy"), self.rows, 5)
        self.assertEqual(len([n for n in self.names() if n.startswith("c")]), 1)

    def test_less_exact_types(self):
        for dtype in ("bf16", "int8"):
            self.index("--npy", "rows.npy", "--dtype", dtype)
            for answer, query in zip(self.search("--npy", "queries.npy"), self.queries):
                for i, score in zip(answer["ids"], answer["scores"]):
                    exact = sum(a * b for a, b in zip(query, self.rows[i]))
                    self.assertAlmostEqual(score, exact, delta=0.05)
            self.mistake(2, "search", "--corpus", "c.safetensors", "--npy", "queries.npy", "--certified", says=["--dtype f32"])
            self.mistake(2, "index", "-o", "c.safetensors", "--npy", "rows.npy", "--append", "--dtype", "f32", says=["--append", "holds"])

    def test_the_first_numbers(self):
        self.index("--npy", "rows.npy", "--dims", 5)
        for answer, query in zip(self.search("--npy", "queries.npy", "--dims", 5), self.queries):
            self.assertEqual((answer["ids"], answer["scores"]), ranked(query[:5], [row[:5] for row in self.rows], 5))
        self.mistake(2, "search", "--corpus", "c.safetensors", "--npy", "queries.npy", says=["8 numbers", "have 5"])
        self.mistake(2, "search", "--corpus", "c.safetensors", "--npy", "queries.npy", "--dims", 9, says=["--dims 9", "have 8"])
        self.mistake(2, "index", "-o", "c.safetensors", "--npy", "rows.npy", "--dims", 9, says=["--dims 9", "have 8"])

    def test_the_first_numbers_of_rows_that_have_more(self):
        for options, code in (((), 0), (("--dtype", "bf16"), 0), (("--dtype", "int8"), 1)):
            self.index("--npy", "rows.npy", *options)
            if code:
                self.mistake(1, "search", "--corpus", "c.safetensors", "--npy", "queries.npy", "--dims", 4, says=["int8", "--dims"])
                continue
            for answer, query in zip(self.search("--npy", "queries.npy", "--dims", 4), self.queries):
                self.assertEqual((answer["ids"], answer["scores"]), ranked(query[:4], [row[:4] for row in self.rows], 5))

    def test_rows_by_number(self):
        self.index("--npy", "rows.npy")
        self.check(self.search("--npy", "queries.npy", "--rows", "10:30"), self.rows, 5, range(10, 30))
        self.check(self.search("--npy", "queries.npy", "--rows", "119,3,60:62,3"), self.rows, 5, {3, 60, 61, 119})
        self.assertEqual([a["ids"] for a in self.search("--npy", "queries.npy", "--rows", "7:7")], [[]] * 9)
        for wrong in ("120", "5:121", "-1", "a", "1:", "1,"):
            self.mistake(2, "search", "--corpus", "c.safetensors", "--npy", "queries.npy", f"--rows={wrong}", says=["--rows"])

    def test_every_row_above_a_score(self):
        for dtype in ("f32", "int8"):
            self.index("--npy", "rows.npy", "--dtype", dtype)
            most = self.search("--npy", "queries.npy", k=120)
            for least in (1, 0.5, 9):
                want = [[i for i, score in zip(a["ids"], a["scores"]) if score >= least] for a in most]
                self.assertEqual([a["ids"] for a in self.search("--npy", "queries.npy", "--all", "--least", least, k=1)], want)
        self.mistake(2, "search", "--corpus", "c.safetensors", "--npy", "queries.npy", "--all", says=["--all", "--least"])

    def test_queries_of_several_modalities(self):
        others = [matrix(9, 8, seed) for seed in (5, 6)]
        for name, rows in zip(("image.npy", "audio.npy"), others):
            self.file(name, npy(rows))
        self.index("--npy", "rows.npy")
        answers = self.search("--npy", "queries.npy", "--times", "image.npy", "--times", "audio.npy")
        products = [[a * b * c for a, b, c in zip(*modalities)] for modalities in zip(self.queries, *others)]
        for answer, query in zip(answers, products):
            ids, scores = ranked(query, self.rows, 5)
            self.assertEqual(answer["ids"], ids)
            for got, want in zip(answer["scores"], scores):
                self.assertAlmostEqual(got, want, delta=1e-6)
        self.file("holed.npy", npy([row if i != 4 else [math.inf] * 8 for i, row in enumerate(others[0])]))
        left = self.search("--npy", "queries.npy", "--times", "holed.npy", code=6)
        self.assertEqual([a["query"] for a in left], [0, 1, 2, 3, 5, 6, 7, 8])
        self.file("few.npy", npy(others[0][:8]))
        search = ["search", "--corpus", "c.safetensors", "--npy", "queries.npy", "--times"]
        self.mistake(2, *search, "few.npy", says=["few.npy", "8 rows for 9 queries"])
        self.file("wide.npy", npy([[1.0] * 9] * 9))
        self.mistake(2, *search, "wide.npy", says=["wide.npy", "9 numbers"])
        self.mistake(1, *search, "none.npy", says=["none.npy"])

    def test_bits(self):
        self.index("--npy", "rows.npy", "--dtype", "bits")
        differs = lambda a, b: sum((x > 0) != (y > 0) for x, y in zip(a, b))
        for answer, query in zip(self.search("--npy", "queries.npy", k=30), self.queries):
            scores = [-differs(query, row) for row in self.rows]
            order = sorted(range(120), key=lambda i: (-scores[i], i))[:30]
            self.assertEqual((answer["ids"], answer["scores"]), (order, [scores[i] for i in order]))

    def test_cosines(self):
        self.file("zero.npy", npy(self.rows[:50] + [[0.0] * 8] + self.rows[50:]))
        self.index("--npy", "zero.npy", "--normalize")
        for answer, query in zip(self.search("--npy", "queries.npy", k=200), self.queries):
            self.assertEqual(len(answer["ids"]), 121)
            self.assertEqual(answer["scores"][answer["ids"].index(50)], 0)
            for i, score in zip(answer["ids"], answer["scores"]):
                row = (self.rows[:50] + [[1.0] * 8] + self.rows[50:])[i]
                cosine = sum(a * b for a, b in zip(query, row)) / math.hypot(*query) / math.hypot(*row)
                self.assertAlmostEqual(score, 0 if i == 50 else cosine, delta=1e-6)

    def test_documents_and_filters(self):
        documents = [{"id": f"d{i}", "year": 1990 + i % 40, "tags": ["even"] if i % 2 == 0 else ["odd", "x"]} for i in range(120)]
        self.file("d.jsonl", "".join(json.dumps(d) + "\n" for d in documents))
        self.index("--npy", "rows.npy", "--documents", "d.jsonl")
        among = {i for i in range(120) if 1990 + i % 40 >= 2010 and i % 2 == 1}
        answers = self.search("--npy", "queries.npy", "--filter", "year>=2010", "--filter", "tags=odd")
        self.check(answers, self.rows, 5, among)
        self.check(self.search("--npy", "queries.npy", "--filter", "year=1", k=3), self.rows, 3, set())
        for answer, plain in zip(self.search("--npy", "queries.npy", "--ids", "id", "--documents"), self.search("--npy", "queries.npy")):
            self.assertEqual(answer["ids"], [f"d{i}" for i in plain["ids"]])
            self.assertEqual(answer["documents"], [documents[i] for i in plain["ids"]])
        scores = self.search("--npy", "queries.npy")[0]["scores"]
        self.assertEqual(self.search("--npy", "queries.npy", "--least", scores[2])[0]["scores"], [s for s in scores if s >= scores[2]])
        self.mistake(1, "search", "--corpus", "c.safetensors", "--npy", "queries.npy", "--ids", "none", says=["document", "'none' is absent"])
        self.mistake(2, "search", "--corpus", "c.safetensors", "--npy", "queries.npy", "--filter", "year", says=["FIELD=VALUE"])

    def test_rows_that_are_not_finite_are_left_out_and_mapped(self):
        rows = [list(r) for r in self.rows[:6]]
        rows[2][3], rows[4][0] = math.nan, math.inf
        self.file("bad.npy", npy(rows))
        done = self.tool("index", "-o", "c.safetensors", "--npy", "bad.npy", code=6)
        self.assertIn("bad.npy, row 2 skipped", done.stderr)
        mapped = lambda: [tuple(json.loads(line).values()) for line in (self.dir / "c.safetensors.rows.jsonl").read_text().splitlines()]
        self.assertEqual(mapped(), [(0, 0), (1, 1), (2, 3), (3, 5)])
        self.tool("index", "-o", "c.safetensors", "--npy", "bad.npy", "--append", code=6)
        self.index("--npy", "rows.npy", "--append")
        self.assertEqual(mapped(), [(0, 0), (1, 1), (2, 3), (3, 5), (4, 0), (5, 1), (6, 3), (7, 5)] + [(8 + i, i) for i in range(120)])
        self.index("--npy", "rows.npy")
        self.assertFalse((self.dir / "c.safetensors.rows.jsonl").exists())
        done = self.tool("search", "--corpus", "c.safetensors", "--npy", "bad.npy", code=6)
        self.assertEqual([json.loads(line)["query"] for line in done.stdout.splitlines()], [0, 1, 3, 5])


class Models(IndexTest):
    def test_texts(self):
        texts = ["a cat", "the dog", "a house", "the red car"]
        self.file("in.txt", "".join(t + "\n" for t in texts))
        self.index("--model", PLAIN, "--text", "in.txt", "--normalize")
        answers = self.search("--model", PLAIN, "--text", "the dog", "--documents", k=2)
        self.assertEqual(answers[0]["ids"][0], 1)
        self.assertEqual(answers[0]["documents"][0], {"text": "the dog"})
        self.embed(PLAIN, "in.txt")
        self.index("--npy", "out.npy", "--normalize", out="npy.safetensors")
        self.assertEqual(self.search("--npy", "out.npy"), self.search("--npy", "out.npy", corpus="npy.safetensors"))
        self.assertEqual(self.search("--model", PLAIN, "--text", "in.txt"), self.search("--npy", "out.npy"))

    def test_objects_are_documents(self):
        objects = [{"text": "a cat", "n": 1}, {"n": 2, "text": "the dog"}]
        self.file("in.jsonl", "".join(json.dumps(o) + "\n" for o in objects) + '{"n": 3}\n"a house"\n')
        done = self.tool("index", "--model", PLAIN, "--text", "in.jsonl", "--jsonl", "--normalize", "-o", "c.safetensors", code=3)
        self.assertIn("line 3 (input 2) skipped", done.stderr)
        found = self.search("--model", PLAIN, "--text", "a cat", "--documents", "--filter", "n!=2")[0]
        self.assertEqual((found["ids"], found["documents"]), ([0, 2], [objects[0], {"text": "a house"}]))

    def test_words_and_both(self):
        texts = ["a cat on the house", "the dog", "a house, a red house", "the red car", "a cat"]
        self.file("in.txt", "".join(t + "\n" for t in texts))
        self.index("--model", PLAIN, "--text", "in.txt", "--normalize")
        words = self.search("--text", "red house", "--by", "bm25")[0]
        self.assertEqual(words["ids"], [2, 3, 0])
        self.index("--remove", 3)
        words = self.search("--text", "red house", "--by", "bm25")[0]
        self.assertEqual(words["ids"], [2, 0])
        self.assertEqual(words["scores"], sorted(words["scores"], reverse=True))
        dense = self.search("--model", PLAIN, "--text", "red house")[0]
        self.assertEqual(sorted(dense["ids"]), [0, 1, 2, 4])
        rrf = lambda lists: {i: sum(1 / (61 + ids.index(i)) for ids in lists if i in ids) for i in range(5)}
        for k in (1, 5):
            both = self.search("--model", PLAIN, "--text", "red house", "--by", "hybrid", k=k)[0]
            want = rrf([dense["ids"], words["ids"]])
            order = sorted((i for i in want if want[i]), key=lambda i: (-want[i], i))[:k]
            self.assertEqual(both["ids"], order)
            for i, score in zip(both["ids"], both["scores"]):
                self.assertAlmostEqual(score, want[i], delta=1e-8)
        self.file("d.jsonl", '{"body": "red"}\n' * 120)
        self.index("--npy", "rows.npy", "--documents", "d.jsonl")
        self.assertEqual(self.search("--text", "red", "--by", "bm25", "--field", "body", k=2)[0]["ids"], [0, 1])
        self.assertEqual(self.search("--text", "red", "--by", "bm25", k=2)[0]["ids"], [])

    def test_a_collection_as_beir_has_it(self):
        """corpus.jsonl, queries.jsonl and qrels: indexed, searched, judged."""
        corpus = [("d1", "a cat on the house"), ("d2", "the dog"), ("d3", "a house, a red house")]
        self.file("corpus.jsonl", "".join(json.dumps({"_id": i, "title": "", "text": t}) + "\n" for i, t in corpus))
        self.file("queries.jsonl", '{"_id": "q7", "text": "red house"}\n{"_id": "q9", "text": "dog"}\n')
        self.file("qrels.tsv", "query-id\tcorpus-id\tscore\nq7\td3\t1\nq9\td2\t1\n")
        self.index("--model", PLAIN, "--text", "corpus.jsonl", "--jsonl", "--normalize")
        for by in ("bm25", "hybrid"):
            model = ["--model", PLAIN] if by == "hybrid" else []
            done = self.tool("search", "--corpus", "c.safetensors", *model, "--text", "queries.jsonl", "--jsonl", "--ids", "_id", "--by", by)
            self.assertEqual([json.loads(line)["query"] for line in done.stdout.splitlines()], ["q7", "q9"])
            self.file("run.jsonl", done.stdout)
            judged = json.loads(self.tool("eval", "--qrels", "qrels.tsv", "--run", "run.jsonl", "--metrics", "mrr,recall@1").stdout)
            self.assertEqual(judged["queries"], 2)
            if by == "bm25":
                self.assertEqual(judged["metrics"], {"mrr": 1, "recall@1": 1})
        self.file("bare.jsonl", '{"text": "dog"}\n')
        self.mistake(1, "search", "--corpus", "c.safetensors", "--text", "bare.jsonl", "--jsonl", "--ids", "_id", "--by", "bm25", says=["query 0", "'_id' is absent"])

    def test_images(self):
        model = self.model(GOLDENS / "tiny_image/clip")
        for file in (GOLDENS / "classify/clip").iterdir():
            shutil.copy(file, model)
        names = [str(IMAGES / n) for n in ("rgb.png", "420.jpg")]
        self.index("--model", model, "--image", *names)
        found = self.search("--model", model, "--image", names[1], "--documents", k=1)
        self.assertEqual(found[0]["documents"], [{"image": names[1]}])


class Mistakes(IndexTest):
    def test_each_says_what_to_do(self):
        out = ["-o", "c.safetensors"]
        self.mistake(2, "index", *out, says=["--npy", "--text", "--image"])
        self.mistake(2, "index", *out, "--text", "rows.npy", says=["--model"])
        self.mistake(2, "index", *out, "--npy", "rows.npy", "--jsonl", says=["--jsonl", "--text"])
        self.mistake(2, "index", *out, "--npy", "rows.npy", "--remove", 1, says=["--remove"])
        self.mistake(1, "index", *out, "--npy", "none.npy", says=["none.npy"])
        self.mistake(1, "index", *out, "--npy", "rows.npy", "--append", says=["c.safetensors"])
        self.file("few.jsonl", "{}\n" * 119)
        self.mistake(1, "index", *out, "--npy", "rows.npy", "--documents", "few.jsonl", says=["119 lines for 120 rows"])
        self.file("many.jsonl", "{}\n" * 121)
        self.mistake(1, "index", *out, "--npy", "rows.npy", "--documents", "many.jsonl", says=["more lines than the 120"])
        self.file("odd.jsonl", "{}\n" * 7 + "[]\n")
        self.mistake(1, "index", *out, "--npy", "rows.npy", "--documents", "odd.jsonl", says=["line 8", "not a JSON object"])
        self.file("mine.safetensors", "mine")
        self.mistake(1, "index", "-o", "mine.safetensors", "--npy", "rows.npy", says=["mine.safetensors", "no corpus"])
        self.assertEqual([n for n in self.names() if n.startswith("c")], [])
        self.index("--npy", "rows.npy")
        self.file("wide.npy", npy([[1.0] * 9]))
        self.mistake(2, "index", *out, "--npy", "wide.npy", "--append", says=["8 numbers", "9"])
        self.mistake(2, "search", "--corpus", "c.safetensors", "--npy", "wide.npy", says=["wide.npy: 9 numbers", "have 8"])
        self.mistake(1, "index", *out, "--remove", 120, says=["no row 120"])
        self.mistake(2, "search", "--corpus", "c.safetensors", says=["--npy, --text and --image"])
        self.mistake(2, "search", "--corpus", "c.safetensors", "--npy", "queries.npy", "--by", "hybrid", says=["--by", "--text"])
        self.mistake(2, "search", "--npy", "queries.npy", says=["--npy", "--corpus"])
        self.mistake(2, "search", "--text", "x", says=["--corpus is required"])
        self.mistake(1, "search", "--corpus", "mine.safetensors", "--npy", "queries.npy", says=["mine.safetensors"])


class Killed(IndexTest):
    def test_no_row_is_lost_and_none_is_half_there(self):
        """Killed 200 times in the middle of adding; the corpus is then what it was, or has all of what was added."""
        rng = random.Random(4)
        many = matrix(400, 8, 5)
        self.file("many.npy", npy(many))
        self.index("--npy", "rows.npy")
        start = time.monotonic()
        self.index("--npy", "many.npy", out="time.safetensors")
        window = time.monotonic() - start
        killed = appends = 0
        while killed < 200:
            process = self.start("index", "-o", "c.safetensors", "--npy", "many.npy", "--append")
            time.sleep(rng.random() * window)
            process.send_signal(signal.SIGKILL)
            if process.wait() != -signal.SIGKILL:  # it was done
                window *= 0.9
                continue
            window *= 1.02
            killed += 1
            if killed % 10:
                continue
            # Whole appends behind what there was: the same rows again and again.
            found = self.search("--npy", "queries.npy", k=2000000)[0]["ids"]
            self.assertEqual((len(found) - len(self.rows)) % len(many), 0)
            now = (len(found) - len(self.rows)) // len(many)
            rows = self.rows + many * now
            self.assertEqual(sorted(found), list(range(len(rows))))
            self.check(self.search("--npy", "queries.npy", k=3), rows, 3)
            appends += now
            for _ in range(3):  # as hard on what makes few files of many
                process = self.start("index", "-o", "c.safetensors", "--compact")
                time.sleep(rng.random() * window / 2)
                process.send_signal(signal.SIGKILL)
                process.wait()
                self.check(self.search("--npy", "queries.npy", k=3), rows, 3)
            self.index("--npy", "rows.npy", "--append")  # removes what the killed ones left
            names = [n for n in self.names() if n.startswith("c")]
            self.assertFalse([n for n in names if not n.endswith(".safetensors")], names)
            self.index("--compact")
            names = [n for n in self.names() if n.startswith("c")]
            self.assertEqual(len(names), 2, names)  # the small file and one part: nothing that no file names
            self.assertEqual(len(self.search("--npy", "queries.npy", k=2000000)[0]["ids"]), len(rows) + len(self.rows))
            self.index("--npy", "rows.npy")  # a new one, so that it stays small
            self.assertEqual([n for n in self.names() if n.startswith("c")], ["c.safetensors"])
        self.assertGreater(appends, 0, "no append came through")


if __name__ == "__main__":
    unittest.main()
