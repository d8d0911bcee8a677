"""Stopped by a signal: 130 or 143, a valid file with the rows that were done, and nothing else left."""

import json
import signal
import subprocess
import unittest

from toolkit import ST, ToolTest, read_npy

PLAIN = ST / "max_vocab_txt"
ROW = 20 * 4
HEADER = 128
SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


class SignalTest(ToolTest):
    def embed_start(self, text, *args, out="out.npy"):
        """One text at a time, so that a row is in the file that is being written once it is done."""
        return self.start("embed", "--model", PLAIN, "--text", text, "-o", out, "--batch-tokens", 1, *args)

    def wait_for_rows(self, rows, out="out.npy"):
        self.wait_for(lambda: any(p.stat().st_size >= HEADER + rows * ROW for p in self.dir.glob(out + ".tmp*")), f"{rows} rows")

    def send(self, process, content):
        process.stdin.write(content)
        process.stdin.flush()

    def stop(self, process, number, says):
        process.send_signal(number)
        self.assertEqual(process.wait(10), SIGNALS[number])
        self.assertEqual(process.stderr.read().decode(), f"tessera: stopped by a signal{says}\n")

    def rows(self, content):
        return self.embed(PLAIN, self.file("wanted.txt", content), out="wanted.npy").rows


class Waiting(SignalTest):
    """While standard input gives nothing."""

    def test_rows_are_kept(self):
        want = self.rows("a cat\nthe dog\n")
        for number in SIGNALS:
            with self.subTest(number):
                process = self.embed_start("-")
                self.send(process, b"a cat\nthe dog\n")
                self.wait_for_rows(2)
                self.stop(process, number, "; out.npy holds the rows that were done: 2")
                self.assertEqual(read_npy(self.dir / "out.npy").rows, want)
                self.assertEqual(self.names(), ["out.npy", "wanted.npy", "wanted.txt"])
                (self.dir / "out.npy").unlink()

    def test_half_a_line_is_no_text(self):
        process = self.embed_start("-")
        self.send(process, b"a cat\nthe d")
        self.wait_for_rows(1)
        self.stop(process, signal.SIGTERM, "; out.npy holds the rows that were done: 1")
        self.assertEqual(read_npy(self.dir / "out.npy").rows, self.rows("a cat\n"))

    def test_without_a_finished_row(self):
        process = self.embed_start("-")
        self.wait_for_rows(0)
        self.stop(process, signal.SIGINT, "; out.npy holds the rows that were done: 0")
        self.assertEqual(read_npy(self.dir / "out.npy"), ([], 20))
        self.assertEqual(self.names(), ["out.npy"])

    def test_an_older_output_is_not_given_up_for_none(self):
        self.file("out.npy", "older")
        process = self.embed_start("-")
        self.wait_for_rows(0)
        self.stop(process, signal.SIGINT, " before the first row; out.npy is as it was")
        self.assertEqual((self.dir / "out.npy").read_text(), "older")
        self.assertEqual(self.names(), ["out.npy"])

    def test_skipped_lines_stay_mapped(self):
        process = self.embed_start("-")
        self.send(process, b"\xff\na cat\n\xff\nthe dog\n")
        self.wait_for_rows(2)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(10), 130)
        self.assertEqual(process.stderr.read().count(b"skipped"), 2)
        maps = [json.loads(line) for line in (self.dir / "out.npy.rows.jsonl").read_text().splitlines()]
        self.assertEqual(maps, [{"row": 0, "input": 1}, {"row": 1, "input": 3}])

    def test_at_any_moment(self):
        """Signals from the first instant on: before the handlers are there it ends by the signal itself, and leaves nothing."""
        for pause in range(12):
            process = self.embed_start("-", out=f"{pause}.npy")
            with self.assertRaises(subprocess.TimeoutExpired):  # it is waiting for input
                process.wait(pause * 0.001)
            process.send_signal(signal.SIGTERM)
            code = process.wait(10)
            self.assertIn(code, (143, -signal.SIGTERM))
            self.assertEqual([n for n in self.names() if ".tmp" in n], [])
            if code == 143:
                self.assertEqual(read_npy(self.dir / f"{pause}.npy").rows, [])


class Working(SignalTest):
    """In the middle of a long file."""

    LINES = 100000

    def setUp(self):
        super().setUp()
        self.file("long.txt", "a cat\nthe dog\n" * (self.LINES // 2))

    def test_rows_are_kept(self):
        want = self.rows("a cat\nthe dog\n")
        process = self.embed_start("long.txt")
        self.wait_for_rows(100)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(10), 130)
        rows = read_npy(self.dir / "out.npy").rows
        self.assertTrue(100 <= len(rows) < self.LINES)
        self.assertEqual(process.stderr.read().decode(), f"tessera: stopped by a signal; out.npy holds the rows that were done: {len(rows)}\n")
        self.assertEqual(rows, (want * len(rows))[: len(rows)])
        self.assertEqual(self.names(), ["long.txt", "out.npy", "wanted.npy", "wanted.txt"])

    def test_a_stopped_part_is_made_again(self):
        self.file("few.txt", "a cat\n")
        self.tool("embed", "--model", PLAIN, "--text", "few.txt", "-o", "parts", "--shard", "0/1")  # one that is replaced
        process = self.embed_start("long.txt", "--shard", "0/1", out="parts")
        name = "part-00000-of-00001"
        self.wait_for_rows(100, f"parts/{name}.npy")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(10), 143)
        self.assertEqual(self.names("parts"), [f"{name}.npy"])  # no manifest, so it is not finished
        self.file("long.txt", "a cat\nthe dog\n")
        done = self.tool("embed", "--model", PLAIN, "--text", "long.txt", "-o", "parts", "--shard", "0/1", "--resume")
        self.assertEqual(done.stderr, "")
        self.assertEqual(read_npy(self.dir / f"parts/{name}.npy").rows, self.rows("a cat\nthe dog\n"))
        self.assertEqual(self.names("parts"), [f"{name}.manifest.json", f"{name}.npy"])


if __name__ == "__main__":
    unittest.main()
