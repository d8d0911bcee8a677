"""tessera bench: the protocol that side-by-side runs speak, and a line for people."""

import time
import unittest

from toolkit import BERT, ToolTest

MODEL = BERT / "plain_h20"


class BenchTest(ToolTest):
    def bench(self, *args):
        return self.start("bench", "--model", MODEL, "--kind", "text", "--stdio", *args)

    def ask(self, process, line):
        process.stdin.write(line.encode() + b"\n")
        process.stdin.flush()
        return process.stdout.readline().decode()

    def check_protocol(self, *args):
        process = self.bench(*args)
        self.assertEqual(process.stdout.readline(), b"ready\n")
        for times in (1, 50):
            start = time.monotonic()
            answer = self.ask(process, f"go {times}")
            self.assertRegex(answer, r"\A\d+\.\d{9}\n\Z")
            self.assertTrue(0 < float(answer) <= time.monotonic() - start)
        process.stdin.close()
        self.assertEqual((process.wait(), process.stdout.read(), process.stderr.read()), (0, b"", b""))

    def test_protocol(self):
        self.check_protocol("--batch", 3, "--seq", 7, "--threads", 2)

    def test_lengths(self):
        self.file("lengths", "# a comment, 99999\n3 5\n\n7 # another\n1\n")
        self.check_protocol("--lengths", "lengths")
        done = self.tool("bench", "--model", MODEL, "--lengths", "lengths", "--rounds", 1)
        self.assertIn(" 4 sequences, 16 tokens:", done.stdout)

    def test_more_passes_take_longer(self):
        process = self.bench("--batch", 8, "--seq", 32, "--threads", 1)
        process.stdout.readline()
        few, many = (min(float(self.ask(process, f"go {n}")) for _ in range(5)) for n in (1, 40))
        self.assertGreater(many, 5 * few)

    def test_line_for_people(self):
        done = self.tool("bench", "--model", MODEL, "--batch", 2, "--seq", 8, "--rounds", 1, "--threads", 1)
        self.assertRegex(done.stdout, r"\A[a-z0-9]+, 1 threads, 2 sequences, 16 tokens: median \d+\.\d{3} ms, least \d+\.\d{3} ms, \d+ tokens/s\n\Z")
        self.assertEqual(done.stderr, "")

    def test_mistakes(self):
        for line in ("stop", "go", "go 0", "go -1", "", "go x"):
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
        self.mistake(1, "bench", "--model", MODEL, "--dtype", "bf16", says=["bf16"])


if __name__ == "__main__":
    unittest.main()
