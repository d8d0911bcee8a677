"""tessera eval: ranx' means, files of all kinds, and mistakes."""

import json
import unittest

from classify_test import DualTest
from toolkit import GOLDENS, ToolTest

CASES = json.loads((GOLDENS / "retrieval.json").read_text())["metrics"]
QRELS = "a 0 d1 2\na 0 d2 1\nb 0 d1 1\n"
RUN = "a Q0 d3 1 0.9 t\na Q0 d1 2 0.8 t\nb Q0 d1 1 0.5 t\n"
JSONL = '{"query": "a", "ids": ["d3", "d1"], "scores": [0.9, 0.8]}\n{"query": "b", "ids": ["d1"], "scores": [0.5]}\n'


class Eval(ToolTest):
    def setUp(self):
        super().setUp()
        self.file("q.txt", QRELS)
        self.file("r.txt", RUN)

    def eval(self, *args, qrels="q.txt", run="r.txt", says="", **options):
        done = self.tool("eval", "--qrels", qrels, "--run", run, *args, **options)
        self.assertEqual(done.stderr, says)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def test_recorded_numbers(self):
        """Of each query too; the notes on stderr count what is not in both."""
        for case in CASES:
            self.file("q.txt", case["qrels"])
            self.file("r.txt", case["run"])
            done = self.tool("eval", "--qrels", "q.txt", "--run", "r.txt", "--metrics", ",".join(case["means"]), "--per-query")
            *queries, means = [json.loads(line) for line in done.stdout.splitlines()]
            self.assertEqual(means["queries"], len(queries))
            self.assertEqual([q["query"] for q in queries], sorted(case["values"]["map"]))
            for name, mean in case["means"].items():
                self.assertAlmostEqual(means["metrics"][name], mean, delta=1e-12)
                for q in queries:
                    self.assertAlmostEqual(q["metrics"][name], case["values"][name][q["query"]], delta=1e-12)
            answered = {line.split()[0] for line in case["run"].splitlines()}
            missing = [q for q in case["values"]["map"] if q not in answered]
            note = f"tessera: note: {len(missing)} of the {len(queries)} queries of the qrels are not in the run; they count as 0\n" if missing else ""
            self.assertEqual(done.stderr, note + "tessera: note: 1 queries of the run are not in the qrels; they do not count\n")

    def test_output(self):
        done = self.tool("eval", "--qrels", "q.txt", "--run", "r.txt", "--metrics", "mrr,recall@1", "--metrics", "precision@3", "--per-query")
        self.assertEqual(
            done.stdout,
            '{"query": "a", "metrics": {"mrr": 0.5, "recall@1": 0, "precision@3": 0.3333333333333333}}\n'
            '{"query": "b", "metrics": {"mrr": 1, "recall@1": 1, "precision@3": 0.3333333333333333}}\n'
            '{"queries": 2, "metrics": {"mrr": 0.75, "recall@1": 0.5, "precision@3": 0.3333333333333333}}\n',
        )
        self.assertEqual(list(self.eval()[0]["metrics"]), ["ndcg@10", "map", "mrr@10", "recall@100"])

    def test_files(self):
        """TREC, BEIR and JSON lines, of a file or of standard input, with Windows ends."""
        want = self.eval("--per-query")
        self.file("q.tsv", "query-id\tcorpus-id\tscore\n" + QRELS.replace(" 0 ", "\t").replace(" ", "\t"))
        self.file("r.jsonl", JSONL)
        self.assertEqual(self.eval("--per-query", qrels="q.tsv", run="r.jsonl"), want)
        self.assertEqual(self.eval("--per-query", run="-", stdin=JSONL.replace("\n", "\r\n").encode()), want)
        self.assertEqual(self.eval("--per-query", qrels="-", stdin=QRELS.encode()), want)

    def test_an_empty_run(self):
        note = "tessera: note: 2 of the 2 queries of the qrels are not in the run; they count as 0\n"
        self.assertEqual(self.eval("--metrics", "map", run="-", says=note), [{"queries": 2, "metrics": {"map": 0}}])

    def test_mistakes(self):
        def wrong(code, *args, says, qrels="q.txt", run="r.txt", **options):
            self.mistake(code, "eval", "--qrels", qrels, "--run", run, *args, says=says, **options)

        wrong(2, "--metrics", "map,ndgc@10", says=["'ndgc@10'", "recall, precision, hit_rate, mrr, map, ndcg, ndcg_burges"])
        wrong(2, "--metrics", "map@0", says=["'map@0'"])
        wrong(2, "--metrics", "map,map", says=["'map'", "twice"])
        wrong(2, qrels="-", run="-", says=["--qrels -", "--run -"])
        wrong(1, run="none.txt", says=["none.txt", "cannot read", "check the path"])
        wrong(1, qrels=".", says=[".: a folder"])
        wrong(1, run="-", stdin=b"a Q0 d 1 1 t\na Q0 d\n", says=["standard input, line 2: 3 columns, expected 6"])
        wrong(1, run="-", stdin=b'{"query": 1, "ids": [1], "scores": []}', says=["standard input, line 1", "as many scores as ids"])
        self.file("q.txt", "a 0 d 1\na 0 d 1\n")
        wrong(1, says=["q.txt, line 2", "document 'd' a second time"])
        self.file("q.txt", "")
        wrong(1, says=["the qrels have no query"])
        self.mistake(2, "eval", "--run", "r.txt", says=["--qrels"])
        self.mistake(2, "eval", "--qrels", "q.txt", says=["--run"])


class Search(DualTest):
    def test_what_search_prints(self):
        """Each query is judged to want the image that search found second."""
        lines = self.search("labels.txt", "-k", 3)
        self.file("q.txt", "".join(f"{line['query']} 0 {line['ids'][1]} 1\n" for line in lines))
        text = "".join(json.dumps(line) + "\n" for line in lines)
        done = self.tool("eval", "--qrels", "q.txt", "--run", "-", "--metrics", "mrr,recall@1", stdin=text.encode())
        self.assertEqual(json.loads(done.stdout), {"queries": len(lines), "metrics": {"mrr": 0.5, "recall@1": 0}})
        self.assertEqual(done.stderr, "")


if __name__ == "__main__":
    unittest.main()
