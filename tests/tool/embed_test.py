"""tessera embed: values against sentence-transformers, streams, options, shards, signals, the progress bar."""
import json
import os
import pty
import signal
import subprocess
import time
import unittest

from tool import ST, TEXTS, TOOL, ToolTest, read_npy, texts, worst_row_error


class Values(ToolTest):
    def test_equal_recorded_embeddings(self):
        compared = 0
        for folder in sorted(p for p in ST.iterdir() if p.is_dir()):
            for golden in sorted(folder.glob("embeddings*.npy")):
                prompt = golden.name.split(".")[2] if ".prompt." in golden.name else None
                got = self.embed("--text", TEXTS, "--jsonl", *(["--prompt-name", prompt] if prompt else []), model=folder.name)
                self.assertLessEqual(worst_row_error(got, read_npy(golden)), self.BOUND, golden)
                compared += 1
        self.assertGreaterEqual(compared, 6)

    def test_threads_and_batches_change_no_byte(self):
        seen = set()
        for options in ([], ["--threads", "1"], ["--threads", "3"], ["--batch-tokens", "1"], ["--batch-tokens", "100", "--threads", "2"]):
            self.embed("--text", TEXTS, "--jsonl", *options)
            seen.add((self.dir / "out.npy").read_bytes())
        self.assertEqual(len(seen), 1)

    def test_options_change_what_they_say(self):
        whole = self.embed("--text", TEXTS, "--jsonl")
        for options, columns in ([["--pooling", "mean"], whole[1] // 6], [["--layers", "1"], whole[1]],
                                 [["--max-length", "4"], whole[1]], [["--prompt", "x: "], whole[1]]):
            got = self.embed("--text", TEXTS, "--jsonl", *options)
            self.assertEqual(got[:2], (whole[0], columns), options)
            self.assertNotEqual(got[2][:columns], whole[2][:columns], options)
        kept = self.embed("--text", TEXTS, "--jsonl", "--dims", "5")
        self.assertEqual(kept[:2], (whole[0], 5))
        self.assertEqual(kept[2][:5], whole[2][:5])  # this folder does not normalise

    def test_no_normalize(self):
        one = self.embed("--text", TEXTS, "--jsonl", model="cls_dense_tanh")
        raw = self.embed("--text", TEXTS, "--jsonl", "--no-normalize", model="cls_dense_tanh")
        length = lambda e: sum(x * x for x in e[2][:e[1]])
        self.assertAlmostEqual(length(one), 1, places=5)
        self.assertGreater(abs(length(raw) - 1), 1e-3)


class Streams(ToolTest):
    def test_lines_as_they_come(self):
        want = self.embed("--text", "-", stdin=b"one\ntwo words\n\nlast")
        self.assertEqual(want[0], 4)
        self.assertEqual(self.embed("--text", "-", stdin=b"one\r\ntwo words\r\n\r\nlast\r\n"), want)
        lines = "".join(json.dumps(t) + "\n" for t in ["one", "two words", "", "last"])
        self.assertEqual(self.embed("--text", "-", "--jsonl", stdin=lines.encode()), want)

    def test_no_input_is_an_empty_array(self):
        self.assertEqual(self.embed("--text", "-")[0], 0)

    def test_a_nul_is_part_of_a_text(self):
        plain = self.embed("--text", "-", stdin=b"a\0b\nc\n")
        self.assertEqual(plain[0], 2)
        self.assertEqual(self.embed("--text", "-", "--jsonl", stdin=b'"a\\u0000b"\n"c"\n'), plain)

    def test_more_than_a_batch_from_a_slow_writer(self):
        command = [TOOL, "embed", "--model", str(ST / "mean_sqrt_len"), "--text", "-", "-o", str(self.dir / "slow.npy"), "--batch-tokens", "16"]
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        for i in range(50):
            child.stdin.write(f"text number {i}\n".encode())
            child.stdin.flush()
            if i % 20 == 0:
                time.sleep(0.05)
        child.stdin.close()
        self.assertEqual(child.wait(60), 0)
        self.assertEqual(child.stderr.read(), b"")  # no bar and no noise in a pipe
        child.stderr.close()
        self.assertEqual(read_npy(self.dir / "slow.npy")[0], 50)

    def test_skipped_inputs_are_named_and_mapped(self):
        done = self.run_tool("embed", "--model", ST / "all_modes", "--text", "-", "-o", self.dir / "s.npy", stdin=b"a\n\xff\xfe\nb\n\xc3(\n", code=3)
        lines = done.stderr.decode().splitlines()
        self.assertEqual(len(lines), 2, lines)
        self.assertIn("line 2", lines[0])
        self.assertIn("line 4", lines[1])
        rows = self.dir / "s.npy.rows.jsonl"
        self.assertEqual([json.loads(x) for x in rows.read_text().splitlines()], [{"row": 0, "input": 0}, {"row": 1, "input": 2}])
        self.assertEqual(read_npy(self.dir / "s.npy"), self.embed("--text", "-", stdin=b"a\nb\n"))
        self.embed("--text", "-", out="s.npy", stdin=b"a\n")
        self.assertFalse(rows.exists())  # a map of an earlier run would lie

    def test_a_json_line_that_is_no_string(self):
        done = self.run_tool("embed", "--model", ST / "all_modes", "--text", "-", "--jsonl", "-o", self.dir / "j.npy", stdin=b'"a"\n{"x": 1}\n"b\n', code=3)
        self.assertEqual(len(done.stderr.decode().splitlines()), 2)
        self.assertEqual(read_npy(self.dir / "j.npy")[0], 1)


class Shards(ToolTest):
    def shard(self, i, n, *args, code=0, model=ST / "mean_sqrt_len"):
        self.run_tool("embed", "--model", model, "--text", TEXTS, "--jsonl", "-o", self.dir / "parts", "--shard", f"{i}/{n}", *args, code=code)
        return self.dir / "parts" / f"part-{i:05d}-of-{n:05d}.npy"

    def test_parts_make_the_whole(self):
        whole = self.embed("--text", TEXTS, "--jsonl", model="mean_sqrt_len")
        for n in (1, 5, 70):  # 62 texts: some parts of 70 are empty
            joined = b""
            for i in range(n):
                rows, _, numbers = read_npy(self.shard(i, n))
                self.assertEqual(rows, (i + 1) * 62 // n - i * 62 // n)
                joined += numbers.tobytes()
            self.assertEqual(joined, whole[2].tobytes())

    def test_resume_keeps_what_matches_and_nothing_else(self):
        part = self.shard(1, 3)
        manifest = json.loads((self.dir / "parts" / "part-00001-of-00003.manifest.json").read_text())
        self.assertEqual((manifest["rows"], manifest["skipped"], manifest["shard"], manifest["of"]), (21, [], 1, 3))
        stamp = part.stat().st_ino, part.stat().st_mtime_ns
        now = lambda: (part.stat().st_ino, part.stat().st_mtime_ns)
        self.shard(1, 3, "--resume")
        self.assertEqual(now(), stamp)
        self.shard(1, 3, "--resume", "--max-length", "5")  # other options
        self.assertNotEqual(now(), stamp)
        stamp = now()
        self.shard(1, 3, "--resume", "--max-length", "5", model=self.model("cls_dense_tanh"))  # another model
        self.assertNotEqual(now(), stamp)
        self.shard(1, 3)
        good = part.read_bytes()
        part.write_bytes(good[:-4])  # damaged
        self.shard(1, 3, "--resume")
        self.assertEqual(part.read_bytes(), good)
        stamp = now()
        self.shard(1, 3)  # without --resume it is made again
        self.assertNotEqual(now(), stamp)


class Stops(ToolTest):
    def start(self, out, *args, wait_rows=True):
        command = [TOOL, "embed", "--model", str(ST / "mean_sqrt_len"), "--text", "-", "-o", str(out), "--batch-tokens", "1", *args]
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if wait_rows:
            for i in range(40):
                child.stdin.write(f"text {i}\n".encode())
            child.stdin.flush()
            time.sleep(1.0)
        return child

    def test_a_signal_keeps_the_rows_that_are_done(self):
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            out = self.dir / f"{code}.npy"
            child = self.start(out)
            child.send_signal(number)
            _, errors = child.communicate(timeout=30)
            self.assertEqual(child.returncode, code, errors)
            self.assertEqual(len(errors.decode().splitlines()), 1, errors)
            self.assertGreater(read_npy(out)[0], 0)
            self.assertEqual(self.leftovers(), [])

    def test_an_older_output_is_not_given_up_for_nothing(self):
        out = self.dir / "old.npy"
        out.write_bytes(b"precious")
        child = self.start(out, wait_rows=False)
        time.sleep(1.0)
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=30)
        self.assertEqual(child.returncode, 130)
        self.assertEqual(out.read_bytes(), b"precious")
        self.assertEqual(self.leftovers(), [])

    def test_a_reader_never_sees_a_half_file(self):
        out = self.dir / "atomic.npy"
        out.write_bytes(b"before")
        child = self.start(out)
        self.assertEqual(out.read_bytes(), b"before")
        child.communicate(timeout=30)
        self.assertEqual(read_npy(out)[0], 40)

    def test_a_bar_on_a_terminal(self):
        text = self.dir / "many.txt"
        text.write_text("some words to embed here\n" * 100000)
        leader, follower = pty.openpty()
        child = subprocess.Popen([TOOL, "embed", "--model", str(ST / "mean_sqrt_len"), "--text", str(text), "-o", str(self.dir / "b.npy"), "--threads", "1"], stderr=follower)
        os.close(follower)
        seen = b""
        try:
            while part := os.read(leader, 4096):
                seen += part
        except OSError:
            pass  # the terminal ends with its last writer
        os.close(leader)
        self.assertEqual(child.wait(60), 0)
        self.assertIn(b"/s", seen)
        self.assertIn(b"left", seen)
        self.assertIn(b"[#", seen)


if __name__ == "__main__":
    unittest.main()
