"""examples/ray/search.py: a corpus in 1, 2, 3, 7 and 16 shards answers as in one, and as numpy; also after an actor was killed."""

import json
import os
import signal
import sys
import unittest

from raykit import PATIENCE, ROOT, RayTest

import numpy as np
import ray

sys.path.insert(0, str(ROOT / "examples/ray"))
import search

ROWS, DIM, K = 100, 8, 9


class Search(RayTest):
    @classmethod
    def setUpClass(cls):
        cls.address = ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False).address_info["address"]

    @classmethod
    def tearDownClass(cls):
        ray.shutdown()

    def setUp(self):
        super().setUp()
        rng = np.random.default_rng(3)
        # Quarters, so that products are exact in any order, and few of them, so that equal scores lie in several shards.
        self.corpus = rng.integers(-2, 3, (ROWS, DIM)).astype(np.float32) / 4
        self.queries = rng.integers(-2, 3, (5, DIM)).astype(np.float32) / 4
        np.save(self.dir / "queries.npy", self.queries)

    def index(self, name, rows, *options):
        np.save(self.dir / "rows.npy", rows)
        self.tool("index", "--npy", "rows.npy", "-o", name, *options)
        return self.dir / name

    def shards(self, n, *options):
        return [self.index(f"shard{i}-of-{n}.safetensors", self.corpus[i * ROWS // n : (i + 1) * ROWS // n], *options) for i in range(n)]

    def brute_force(self, k):
        scores = self.queries @ self.corpus.T
        ids = np.stack([np.lexsort((np.arange(ROWS), -row))[:k] for row in scores])
        return ids, np.take_along_axis(scores, ids, axis=1)

    def test_as_one_corpus_and_as_numpy(self):
        self.index("whole.safetensors", self.corpus)
        for k in (K, ROWS + 7):
            lines = self.tool("search", "--corpus", "whole.safetensors", "--npy", "queries.npy", "-k", k).stdout.splitlines()
            want, (ids, scores) = [json.loads(line) for line in lines], self.brute_force(k)
            self.assertEqual([[w["ids"], w["scores"]] for w in want], [list(p) for p in zip(ids.tolist(), scores.tolist())])
            for n in (1, 2, 3, 7, 16) if k == K else (3,):
                with self.subTest(n=n, k=k):
                    done = self.example("search.py", "--corpus", *self.shards(n), "--npy", "queries.npy", "-k", k, "--address", self.address)
                    self.assertEqual([json.loads(line) for line in done.stdout.splitlines()], want)

    def test_bits_of_any_numbers_and_types(self):
        """Scores that no order of additions would agree on by chance, of rows in f32 and rounded."""
        rng = np.random.default_rng(4)
        self.corpus, self.queries = (rng.standard_normal((n, DIM)).astype(np.float32) for n in (ROWS, 5))
        np.save(self.dir / "queries.npy", self.queries)
        for options in ([], ["--dtype", "bf16"], ["--dtype", "int8", "--normalize"]):
            with self.subTest(options):
                self.index("whole.safetensors", self.corpus, *options)
                lines = self.tool("search", "--corpus", "whole.safetensors", "--npy", "queries.npy", "-k", K).stdout.splitlines()
                ids, scores, counts = search.ShardedCorpus(self.shards(3, *options), timeout=PATIENCE).search(self.queries, K)
                for line, i, s, n in zip(lines, ids, scores, counts, strict=True):
                    self.assertEqual(json.loads(line)["ids"], i[:n].tolist())
                    self.assertEqual(np.float32(json.loads(line)["scores"]).tobytes(), s[:n].tobytes())

    def test_an_actor_is_killed(self):
        corpus = search.ShardedCorpus(self.shards(3), timeout=PATIENCE)
        want = self.brute_force(K)
        for shard in corpus.shards:
            os.kill(ray.get(shard.__ray_call__.remote(lambda self: os.getpid()), timeout=PATIENCE), signal.SIGKILL)
            ids, scores, counts = corpus.search(self.queries, K)
            self.assertEqual((ids.tolist(), scores.tolist(), counts.tolist()), (want[0].tolist(), want[1].tolist(), [K] * 5))

    def test_fewer_than_k(self):
        shards = self.shards(3)
        for i, row in enumerate(range(ROWS // 3)):
            if i < ROWS // 3 - 2:
                self.tool("index", "-o", shards[0], "--remove", row)
        ids, scores, counts = search.ShardedCorpus(shards, timeout=PATIENCE).search(self.queries, ROWS)
        left = ROWS - (ROWS // 3 - 2)
        self.assertEqual(counts.tolist(), [left] * 5)
        self.assertTrue((ids[:, left:] == -1).all() and (scores[:, left:] == -np.inf).all())
        self.assertEqual(sorted(ids[0, :left]), list(range(ROWS // 3 - 2, ROWS)), "ids stay")

    def test_mistakes(self):
        shards = self.shards(2)
        self.assertEqual(self.example("search.py", "--corpus", *shards, "--npy", "queries.npy", "-k", 1).stdout.count("\n"), 5, "a cluster of its own")
        with self.assertRaisesRegex(ValueError, "2 shards of 1.5 processors each, the cluster has 2"):
            search.ShardedCorpus(shards, cpus=1.5)
        done = self.example("search.py", "--corpus", shards[0], self.dir / "missing", "--npy", "queries.npy", code=1)
        self.assertIn("missing", done.stderr)
        np.save(self.dir / "wide.npy", np.ones((1, DIM + 1), np.float32))
        done = self.example("search.py", "--corpus", *shards, "--npy", "wide.npy", "--address", self.address, code=1)
        self.assertIn(f"queries of {DIM + 1} numbers", done.stderr)
        self.example("search.py", "--corpus", *shards, "--npy", "queries.npy", "-k", "0", code=2)


if __name__ == "__main__":
    unittest.main()
