"""The progress bar: on a terminal, with rate and time left; nowhere else."""

import fcntl
import os
import re
import struct
import termios
import unittest

from toolkit import ST, ToolTest

PLAIN = ST / "max_vocab_txt"


class TerminalTest(ToolTest):
    def setUp(self):
        super().setUp()
        self.file("in.txt", "a cat and the dog\n" * 3000)

    def on_terminal(self, *args, columns=100, stdin=None):
        """What a terminal of so many columns is sent, and the exit code."""
        ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        process = self.start("embed", "--model", PLAIN, "-o", "out.npy", "--batch-tokens", 64, *args, stderr=theirs, stdin=stdin)
        os.close(theirs)
        shown = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # EIO: the other end is closed
                break
            if not piece:
                break
            shown += piece
        os.close(ours)
        return shown.decode(), process.wait()

    def bars(self, shown):
        """The states of the line, each drawn over the one before."""
        return [s for s in shown.split("\r\x1b[K")[1:] if s and not s.startswith("tessera:")]

    def test_bar(self):
        shown, code = self.on_terminal("--text", "in.txt")
        self.assertEqual(code, 0)
        bars = self.bars(shown)
        self.assertTrue(bars, shown)
        for bar in bars:
            self.assertRegex(bar, r"\A\[#*\.*\] \d+ texts  \d+/s +\d+ %  \d+:\d\d left\Z")
            self.assertLess(len(bar), 100)
        self.assertRegex(shown, r"\r\x1b\[Ktessera: 3000 texts in \d+\.\d s \(\d+/s\), 0 skipped\r\n\Z")  # the bar is gone

    def test_a_part_counts_from_its_beginning(self):
        shown, _ = self.on_terminal("--text", "in.txt", "--shard", "2/3")
        first = self.bars(shown)[0]
        self.assertLess(int(re.search(r"(\d+) %", first)[1]), 60, "a third of the file is before it")

    def test_narrow(self):
        for columns in (20, 40, 60):
            shown, _ = self.on_terminal("--text", "in.txt", columns=columns)
            for bar in self.bars(shown):
                self.assertLess(len(bar), columns)

    def test_no_time_left_where_the_end_is_not_known(self):
        read, write = os.pipe()
        os.write(write, b"a cat and the dog\n" * 200)
        os.close(write)
        shown, code = self.on_terminal("--text", "-", stdin=read)
        os.close(read)
        self.assertEqual(code, 0)
        bars = self.bars(shown)
        self.assertTrue(bars, shown)
        for bar in bars:
            self.assertRegex(bar, r"\A \d+ texts  \d+/s\Z")

    def test_nothing_in_a_pipe(self):
        done = self.tool("embed", "--model", PLAIN, "--text", "in.txt", "-o", "out.npy", "--batch-tokens", 64)
        self.assertEqual((done.stdout, done.stderr), ("", ""))


if __name__ == "__main__":
    unittest.main()
