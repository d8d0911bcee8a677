"""examples/python/tessera.py: the bits of the command line tool, the ranking of numpy, and a clear exception for every mistake."""

import importlib.util
import json
import os
import pathlib
import pickle
import subprocess
import sys
import tempfile
import threading
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
if not importlib.util.find_spec("numpy"):
    print(f"skipped: {sys.executable} has no numpy (Debian: python3-numpy)")
    sys.exit(77)
sys.path.insert(0, str(ROOT / "examples/python"))

import numpy as np
import tessera

TOOL = os.environ["TESSERA_TOOL"]
GOLDENS = ROOT / "tests/goldens"
PLAIN = GOLDENS / "tiny_st/max_vocab_txt"
PROMPTS = GOLDENS / "tiny_st/weighted_last_prompt"
SCENES = ROOT / "examples/scenes/model"
TEXTS = GOLDENS / "tiny_st/texts.jsonl"
PICTURES = [GOLDENS / "images" / name for name in ("420.jpg", "565.bmp", "exif-6.jpg", "exif.png", "exif.webp")]


class TesseraTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="tessera-python-")
        self.addCleanup(folder.cleanup)
        self.dir = pathlib.Path(folder.name)

    def tool(self, *args):
        done = subprocess.run([TOOL, *map(str, args)], capture_output=True, text=True, cwd=self.dir, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)

    def same_bits(self, got, want):
        self.assertEqual((got.dtype, got.shape), (want.dtype, want.shape))
        self.assertEqual(got.tobytes(), want.tobytes())

    def error(self, code, *words):
        """Raises Error of that code, with these words."""
        test = self

        class Expect:
            def __enter__(self):
                pass

            def __exit__(self, kind, error, trace):
                test.assertIsInstance(error, tessera.Error)
                test.assertEqual(error.code, code, error)
                for word in words:
                    test.assertIn(str(word), str(error))
                return True

        return Expect()


class Encoders(TesseraTest):
    texts = [json.loads(line) for line in TEXTS.read_text().splitlines()]

    def test_texts_as_the_tool(self):
        for dtype in ("f32", "bf16", "int8"):
            with tessera.TextEncoder(PROMPTS, dtype=dtype, context=tessera.Context(threads=2)) as encoder:
                for options, flags in (
                    ({}, []),
                    ({"prompt": ""}, ["--prompt", ""]),
                    ({"prompt": "the "}, ["--prompt", "the "]),
                    ({"prompt_name": "passage"}, ["--prompt-name", "passage"]),
                    ({"max_length": 8}, ["--max-length", 8]),
                    ({"dims": 5}, ["--dims", 5]),
                    ({"normalize": False}, ["--no-normalize"]),
                ):
                    with self.subTest(dtype=dtype, **options):
                        self.tool("embed", "--model", PROMPTS, "--text", TEXTS, "--jsonl", "-o", "out.npy", "--dtype", dtype, "--threads", 1, *flags)
                        self.same_bits(encoder.embed(self.texts, **options), np.load(self.dir / "out.npy"))

    def test_images_as_the_tool(self):
        with tessera.ImageEncoder(SCENES) as encoder:
            self.tool("embed", "--model", SCENES, "--image", *PICTURES, "-o", "out.npy")
            want = np.load(self.dir / "out.npy")
            self.same_bits(encoder.embed(PICTURES), want)
            mixed = [str(PICTURES[0]), *(kind(p.read_bytes()) for kind, p in zip((bytes, bytearray, memoryview, bytes), PICTURES[1:]))]
            self.same_bits(encoder.embed(mixed), want)
            self.assertEqual(encoder.embed(PICTURES[:1], dims=3).shape, (1, encoder.dim(3)))
            raw = encoder.embed(PICTURES, normalize=False)
            self.assertGreater(np.abs(np.linalg.norm(raw, axis=1) - 1).min(), 1e-3)
            np.testing.assert_allclose(raw / np.linalg.norm(raw, axis=1, keepdims=True), want, atol=1e-6)

    def test_nothing_to_do(self):
        with tessera.TextEncoder(PLAIN) as encoder:
            self.assertEqual(encoder.embed([]).shape, (0, encoder.dim()))

    def test_threads(self):
        """One encoder for all, by contexts of their own and by one that is waited for."""
        shared = tessera.Context(threads=1)
        with tessera.TextEncoder(PLAIN, context=shared) as encoder:
            want, got = encoder.embed(self.texts), {}

            def work(i):
                context = shared if i % 2 else tessera.Context(threads=2)
                got[i] = [encoder.embed(self.texts, context=context) for _ in range(5)]

            threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
            for t in threads:
                t.start()
            for t in threads:
                t.join(120)
            self.assertEqual(len(got), 6)
            for rows in sum(got.values(), []):
                self.same_bits(rows, want)

    def test_other_threads_run_during_a_call(self):
        with tessera.TextEncoder(PLAIN, context=tessera.Context(threads=1)) as encoder:
            texts, took, beats = ["the cat and the dog " * 3] * 200, 0, 0
            while took < 0.4:  # then a held lock would show
                texts, times = texts * 2, []
                thread = threading.Thread(target=lambda: times.extend((time.monotonic(), encoder.embed(texts), time.monotonic())))
                thread.start()
                stamps = []
                while thread.is_alive():
                    stamps.append(time.monotonic())
                    time.sleep(0.001)
                took = times[2] - times[0]
                beats = sum(times[0] + took / 4 < s < times[2] - took / 4 for s in stamps)
            self.assertGreater(beats, 5)

    def test_errors_travel_between_processes(self):
        with self.assertRaises(tessera.Error) as raised:
            tessera.TextEncoder("/no/such/model")
        copy = pickle.loads(pickle.dumps(raised.exception))
        self.assertEqual((copy.code, str(copy)), ("not found", str(raised.exception)))

    def test_mistakes(self):
        with self.error("not found", "/no/such"):
            tessera.TextEncoder("/no/such/model")
        with self.error("bad argument", "threads"):
            tessera.Context(threads=-1)
        for path in ("a\0b", b"a\0b"):
            with self.assertRaisesRegex(ValueError, "NUL"):
                tessera.TextEncoder(path)
        with self.assertRaisesRegex(ValueError, "f64"):
            tessera.TextEncoder(PLAIN, dtype="f64")
        with tessera.TextEncoder(PLAIN) as encoder:
            with self.assertRaisesRegex(TypeError, "a sequence of texts"):
                encoder.embed("a cat")
            with self.assertRaises(UnicodeEncodeError):
                encoder.embed(["\ud800"])
            with self.assertRaisesRegex(ValueError, "NUL"):
                encoder.embed(["a cat"], prompt="a\0b")
            with self.error("bad argument", "nobody"):
                encoder.embed(["a cat"], prompt_name="nobody")
            with self.error("bad argument", "dims: -1"):
                encoder.embed(["a cat"], dims=-1)
            self.assertEqual(encoder.embed(["a cat"]).shape[0], 1, "as before, after all these")
        with self.assertRaisesRegex(ValueError, "TextEncoder is closed"):
            encoder.embed(["a cat"])
        encoder.close()
        with tessera.ImageEncoder(SCENES) as images:
            with self.assertRaisesRegex(TypeError, "a sequence of images"):
                images.embed(b"P5")
            with self.error("bad format", "file 1: not an image"):
                images.embed([PICTURES[0], b"no image"])
            with self.assertRaises(FileNotFoundError):
                images.embed([self.dir / "missing.png"])


class Corpora(TesseraTest):
    rows, dim = 200, 12

    def setUp(self):
        super().setUp()
        rng = np.random.default_rng(7)
        # Sixteenths, so that products are exact in any order, and few of them, so that many are equal.
        self.corpus = rng.integers(-2, 3, (self.rows, self.dim)).astype(np.float32) / 16
        self.queries = rng.integers(-2, 3, (9, self.dim)).astype(np.float32) / 16
        np.save(self.dir / "rows.npy", self.corpus)
        (self.dir / "documents.jsonl").write_text("".join(json.dumps({"name": f"row {i} \u00e9"}) + "\n" for i in range(self.rows)))
        self.tool("index", "--npy", "rows.npy", "--documents", "documents.jsonl", "-o", "c.safetensors")

    def open(self):
        opened = tessera.Corpus(self.dir / "c.safetensors")
        self.addCleanup(opened.close)
        return opened

    def brute_force(self, queries, k, allowed=None, least=-np.inf):
        scores = queries @ self.corpus.T
        wanted = []
        for row in scores:
            order = [i for i in np.lexsort((np.arange(self.rows), -row)) if row[i] >= least and (allowed is None or allowed[i])][:k]
            wanted.append((order, [row[i] for i in order]))
        return wanted

    def same(self, found, wanted, k):
        self.assertEqual([a.dtype for a in found], [np.int64, np.float32, np.int64])
        self.assertEqual([a.shape for a in found], [(len(wanted), k), (len(wanted), k), (len(wanted),)])
        for b, (ids, scores) in enumerate(wanted):
            self.assertEqual(found.counts[b], len(ids))
            self.assertEqual(found.ids[b].tolist(), ids + [-1] * (k - len(ids)))
            self.assertEqual(found.scores[b].tolist(), scores + [-np.inf] * (k - len(ids)))

    def test_search_as_numpy(self):
        corpus = self.open()
        allowed = np.random.default_rng(1).random(self.rows) < 0.3
        self.assertEqual((len(corpus), corpus.rows, corpus.removed, corpus.dim), (self.rows, self.rows, 0, self.dim))
        for k in (1, 10, self.rows, self.rows + 5):
            for options in ({}, {"allowed": allowed}, {"least": 0.03125}, {"allowed": allowed, "least": 0.0}, {"allowed": np.zeros(self.rows, bool)}):
                with self.subTest(k=k, options=list(options)):
                    self.same(corpus.search(self.queries, k, **options), self.brute_force(self.queries, k, **options), k)

    def test_removed_rows(self):
        best = int(self.open().search(self.queries[:1], 1).ids[0, 0])
        self.tool("index", "-o", "c.safetensors", "--remove", best)
        corpus = self.open()
        self.assertEqual((len(corpus), corpus.rows, corpus.removed), (self.rows - 1, self.rows, 1))
        self.same(corpus.search(self.queries, 7), self.brute_force(self.queries, 7, np.arange(self.rows) != best), 7)

    def test_documents(self):
        corpus = self.open()
        self.assertEqual([corpus.document(i)["name"] for i in (0, 137, self.rows - 1)], [f"row {i} \u00e9" for i in (0, 137, self.rows - 1)])
        self.tool("index", "--npy", "rows.npy", "-o", "c.safetensors")
        self.assertIsNone(self.open().document(0))
        for row in (-1, self.rows):
            with self.error("bad argument", f"no row {row}"):
                corpus.document(row)

    def test_whatever_holds_the_queries(self):
        class Interface:  # as of another library
            def __init__(self, array):
                self.array, self.__array_interface__ = array, array.__array_interface__

        class DLPack:
            def __init__(self, array):
                self.array = array

            def __dlpack__(self, **options):
                return self.array.__dlpack__(**options)

            def __dlpack_device__(self):
                return self.array.__dlpack_device__()

        corpus = self.open()
        want = corpus.search(self.queries, 5)
        wide = np.full((9, 2 * self.dim), np.nan, np.float32)
        wide[:, ::2] = self.queries
        for queries in (
            Interface(self.queries),
            DLPack(self.queries),
            wide[:, ::2],
            np.asfortranarray(self.queries),
            self.queries.astype(np.float16),
            self.queries.astype(np.float64),
            self.queries.astype(">f4"),
            self.queries.tolist(),
        ):
            for got, wanted in zip(corpus.search(queries, 5), want):
                self.same_bits(got, wanted)

    def test_mistakes(self):
        corpus = self.open()
        for queries in (self.queries[0], self.queries[None]):
            with self.assertRaisesRegex(ValueError, "dimensions"):
                corpus.search(queries, 3)
        with self.assertRaises(TypeError):
            corpus.search(self.queries.astype(complex), 3)
        with self.error("shape mismatch", "11"):
            corpus.search(self.queries[:, :11], 3)
        for k in (0, -1):
            with self.error("bad argument", "dim and k must be positive"):
                corpus.search(self.queries, k)
        for allowed in (np.ones(self.rows - 1, bool), np.ones(self.rows, np.int8), np.ones((1, self.rows), bool)):
            with self.assertRaisesRegex(ValueError, "allowed: expected bool"):
                corpus.search(self.queries, 3, allowed=allowed)
        with self.error("not found", "missing"):
            tessera.Corpus(self.dir / "missing")
        cut = self.dir / "cut.safetensors"
        cut.write_bytes((self.dir / "c.safetensors").read_bytes()[:300])
        with self.error("bad format", "cut.safetensors"):
            tessera.Corpus(cut)
        corpus.close()
        with self.assertRaisesRegex(ValueError, "Corpus is closed"):
            corpus.search(self.queries, 3)
        with self.assertRaisesRegex(ValueError, "Corpus is closed"):
            corpus.document(0)


class Loading(TesseraTest):
    def imported(self, **env):
        command = [sys.executable, "-c", "import tessera; print(tessera._library._name)"]
        clean = {k: v for k, v in os.environ.items() if k != "TESSERA_LIBRARY"}
        return subprocess.run(command, cwd=ROOT / "examples/python", capture_output=True, text=True, timeout=60, env={**clean, **env})

    def test_found_beside_the_build(self):
        if not list(ROOT.glob("build/*/capi/libtessera.so")):
            self.skipTest("the build folder is elsewhere")
        done = self.imported()
        self.assertIn("/capi/libtessera.so", done.stdout, done.stderr)

    def test_not_there(self):
        self.assertIn("ImportError: cannot load libtessera", self.imported(TESSERA_LIBRARY="/no/such.so").stderr)

    def test_another_version(self):
        source, library = self.dir / "other.c", self.dir / "other.so"
        source.write_text("int tessera_abi_version(void) { return 99; }\n")
        subprocess.run(["gcc", "-shared", "-fPIC", source, "-o", library], check=True, timeout=60)
        self.assertIn("has version 99 of the interface", self.imported(TESSERA_LIBRARY=str(library)).stderr)


if __name__ == "__main__":
    unittest.main()
