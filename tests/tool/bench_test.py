"""tessera bench: the protocol that side-by-side runs speak, and a line for people."""

import json
import re
import struct
import time
import unittest

from toolkit import BERT, GOLDENS, ToolTest

MODEL = BERT / "plain_h20"


class BenchTest(ToolTest):
    def bench(self, *args, model=MODEL):
        return self.start("bench", "--model", model, "--stdio", *args)

    def ask(self, process, line):
        process.stdin.write(line.encode() + b"\n")
        process.stdin.flush()
        return process.stdout.readline().decode()

    def check_protocol(self, *args, **options):
        process = self.bench(*args, **options)
        self.assertEqual(process.stdout.readline(), b"ready\n")
        for times in (1, 50):
            start = time.monotonic()
            answer = self.ask(process, f"go {times}")
            self.assertRegex(answer, r"\A\d+\.\d{9}\n\Z")
            self.assertTrue(0 < float(answer) <= time.monotonic() - start)
        process.stdin.close()
        self.assertEqual((process.wait(), process.stdout.read(), process.stderr.read()), (0, b"", b""))

    def test_protocol(self):
        self.check_protocol("--kind", "text", "--batch", 3, "--seq", 7, "--threads", 2)

    def test_lengths(self):
        self.file("lengths", "# a comment, 99999\n3 5\n\n7 # another\n1\n")
        self.check_protocol("--lengths", "lengths")
        done = self.tool("bench", "--model", MODEL, "--lengths", "lengths", "--rounds", 1)
        self.assertIn(" 4 sequences, 16 tokens:", done.stdout)

    def test_a_model_without_a_table_of_positions(self):
        decoder = GOLDENS / "tiny_rotary" / "qwen2"
        done = self.tool("bench", "--model", decoder, "--seq", 40, "--rounds", 1)
        self.assertIn(" 1 sequences, 40 tokens:", done.stdout)
        self.mistake(2, "bench", "--model", decoder, "--seq", 65, says=["--seq 65", "the model has 64 positions"])

    def test_more_passes_take_longer(self):
        process = self.bench("--batch", 8, "--seq", 32, "--threads", 1)
        process.stdout.readline()
        few, many = (min(float(self.ask(process, f"go {n}")) for _ in range(5)) for n in (1, 40))
        self.assertGreater(many, 5 * few)

    def test_line_for_people(self):
        done = self.tool("bench", "--model", MODEL, "--batch", 2, "--seq", 8, "--rounds", 1, "--threads", 1)
        self.assertRegex(done.stdout, r"\A[a-z0-9_]+, 1 threads, 2 sequences, 16 tokens: median \d+\.\d{3} ms, least \d+\.\d{3} ms, \d+ tokens/s\n\Z")
        self.assertEqual(done.stderr, "")

    def test_breakdown(self):
        image = GOLDENS / "tiny_image" / "vit_p7"
        for model, args in ((MODEL, ("--batch", 2, "--seq", 9)), (image, ("--kind", "image")), (MODEL, ("--dtype", "bf16")), (MODEL, ("--dtype", "int8"))):
            lines = self.tool("bench", "--model", model, *args, "--rounds", 3, "--threads", 1, "--breakdown").stdout.splitlines()
            rows = [re.fullmatch(r"(.{34}) +([\d.]*) +(\d+\.\d{3}) +(\d+\.\d{3}) +(\d+\.\d)%", line) for line in lines[1:7]]
            self.assertTrue(all(rows), lines)
            self.assertEqual([row[1].strip() for row in rows], ["norm, queries, keys, values", "attention", "attention output, residual", "norm, MLP in, activation", "MLP out, residual", "one layer"])
            self.assertAlmostEqual(sum(float(row[3]) for row in rows[:5]), float(rows[5][3]), delta=0.004)
            self.assertRegex(lines[7], r"\Alimit: \d+ GFLOP/s, attention \d+,")
            self.assertEqual(len(lines), 8)

    def test_images_and_both_towers(self):
        tiny = GOLDENS / "tiny_image"
        for kind, model, args, what in (
            ("image", "vit_p7", (), "2 images of 28 x 28, 34 tokens"),
            ("image", "dinov2_registers", ("--size", 35), "2 images of 35 x 35, 58 tokens"),
            ("image", "vit_gray_f16", (), "2 images of 28 x 28, 34 tokens"),
            ("clip-image", "clip", (), "2 images of 30 x 30, 52 tokens"),
            ("clip-image", "siglip", ("--size", "42"), "2 images of 42 x 42, 98 tokens"),
            ("clip-text", "clip", (), "2 sequences, 32 tokens"),
            ("clip-text", "siglip", ("--seq", "7"), "2 sequences, 14 tokens"),
        ):
            with self.subTest(kind=kind, model=model):
                done = self.tool("bench", "--model", tiny / model, "--kind", kind, "--batch", 2, "--rounds", 1, "--threads", 2, *args)
                unit = "images" if "image" in kind else "tokens"
                self.assertRegex(done.stdout, rf"\A[a-z0-9_]+, 2 threads, {what}: median \d+\.\d{{3}} ms, least \d+\.\d{{3}} ms, \d+ {unit}/s\n\Z")
        self.check_protocol("--kind", "clip-image", "--batch", 2, model=tiny / "clip")
        self.check_protocol("--kind", "clip-text", model=tiny / "clip")
        for kind, model, args, code, says in (
            ("image", "vit_p7", ("--seq", 3), 2, "--size is for images"),
            ("text", "clip", ("--size", 30), 2, "--size is for images"),
            ("clip-text", "clip", ("--seq", 17), 2, "--seq 17: the model has 16 positions"),
            ("image", "vit_p7", ("--size", 3), 2, "3 x 3"),
            ("clip-image", "vit_p7", (), 2, "no space of texts"),
            ("clip-text", "vit_p7", (), 4, "not supported for texts"),
        ):
            self.mistake(code, "bench", "--model", tiny / model, "--kind", kind, *args, says=[says])
        self.mistake(2, "bench", "--model", MODEL, "--kind", "clip-text", says=["no space of images"])

    def test_search(self):
        rows, d = 130, 9
        corpus = [((i * 7919) % 101 - 50) / 64 for i in range(rows * d)]  # their sums are exact
        queries = [((i * 31) % 17 - 8) / 8 for i in range(5 * d)]
        self.file("rows", struct.pack(f"<{rows * d}f", *corpus))
        self.file("queries", struct.pack(f"<{5 * d}f", *queries))

        def score(q, r):
            return sum(queries[q * d + c] * corpus[r * d + c] for c in range(d))

        command = ("bench", "--search", "--n", rows, "--d", d, "--corpus", "rows", "--queries", "queries")
        for args in ((), ("--dtype", "bf16"), ("--dtype", "int8", "--certified", "--k", 3, "--threads", 2)):
            process = self.start(*command, "--stdio", *args)
            self.assertEqual(process.stdout.readline(), b"ready\n")
            for batch in (1, 5):
                self.assertRegex(self.ask(process, f"go {batch}"), r"\A\d+\.\d{9}\n\Z")
            k = 3 if "--k" in args else 10
            found = json.loads(self.ask(process, "ids 5"))
            if "bf16" not in args:
                self.assertEqual(found, [sorted(range(rows), key=lambda r: (-score(q, r), r))[:k] for q in range(5)])
            self.assertEqual([len(f) for f in found], [k] * 5)
            self.assertGreater(float(self.ask(process, "peak")), 0)
            process.stdin.close()
            self.assertEqual((process.wait(), process.stdout.read(), process.stderr.read()), (0, b"", b""))
        done = self.tool(*command, "--batch", 2, "--rounds", 1, "--threads", 1)
        self.assertRegex(done.stdout, r"\A[a-z0-9_]+, 1 threads, 2 queries of 130 rows of 9: median \d+\.\d{3} ms, least \d+\.\d{3} ms, \d+ queries/s\n\Z")
        done = self.tool(*command, "--stdio", stdin=b"go 6\n", code=2)
        self.assertEqual(done.stderr, "tessera: --stdio: expected a line 'go N' with N from 1 to 5\n")
        for code, says, args in (
            (2, "takes no model", (*command, "--model", MODEL)),
            (2, "--n and --d", ("bench", "--search", "--corpus", "rows", "--queries", "queries")),
            (2, "--corpus is required", ("bench", "--search", "--n", 3, "--d", 3, "--queries", "queries")),
            (2, "--dtype bf16 or --dtype int8", (*command, "--certified")),
            (1, "rows: 4680 bytes, expected 4716", (*command[:3], rows + 1, *command[4:])),
            (1, "queries: 180 bytes, not queries of 4680", ("bench", "--search", "--n", 1, "--d", rows * d, *command[6:])),
            (1, "none", (*command[:-1], "none")),
        ):
            with self.subTest(says):
                self.mistake(code, *args, says=[says])
        self.file("rows", struct.pack(f"<{rows * d}f", *[0.5] * 20, float("inf"), *[0.5] * (rows * d - 21)))
        self.mistake(1, *command, "--certified", "--dtype", "int8", says=["row 2 holds NaN or infinity"])

    def test_mistakes(self):
        for line in ("stop", "go", "go 0", "go -1", "", "go x", "peak"):
            with self.subTest(line):
                done = self.tool("bench", "--model", MODEL, "--seq", 4, "--stdio", stdin=line.encode() + b"\n", code=2)
                self.assertEqual((done.stdout, done.stderr), ("ready\n", "tessera: --stdio: expected a line 'go N' with N from 1\n"))
        for content, says in (("3 x", "'x' is not a length"), ("0", "'0' is not"), ("-4", "'-4' is not"), ("12abc", "'12abc' is not"), ("9" * 30, "is not"), ("# none\n", "no lengths")):
            with self.subTest(content):
                self.file("lengths", content)
                self.mistake(1, "bench", "--model", MODEL, "--lengths", "lengths", says=["lengths", says])
        self.file("lengths", "3 9999")
        self.mistake(2, "bench", "--model", MODEL, "--lengths", "lengths", says=["lengths", "9999", "positions"])
        self.mistake(1, "bench", "--model", MODEL, "--lengths", "none", says=["none", "cannot read"])
        self.mistake(4, "bench", "--model", "./none", says=["./none"])


if __name__ == "__main__":
    unittest.main()
