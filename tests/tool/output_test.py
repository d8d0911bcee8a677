"""Outputs are whole or not there, whatever fails; and what happens to standard output that nobody reads."""

import os
import resource
import shlex
import shutil
import signal
import subprocess
import threading
import unittest

from toolkit import BERT, PATIENCE, ST, TOOL, ToolTest, environment, floats, write_safetensors

PLAIN = ST / "max_vocab_txt"
OLD = b"an older output"


class OutputTest(ToolTest):
    def setUp(self):
        super().setUp()
        self.file("in.txt", "a cat\nthe dog\n")

    def unwritten(self, out, *args, says, **options):
        return self.mistake(5, "embed", "--model", PLAIN, "--text", "in.txt", "-o", out, *args, says=says, **options)


class Refused(OutputTest):
    def test_folder_missing(self):
        self.unwritten("none/out.npy", says=["none/out.npy", "folder does not exist", "make it first"])
        self.assertEqual(self.names(), ["in.txt"])

    def test_path_is_a_folder(self):
        (self.dir / "out").mkdir()
        for out in ("out", "out/", "."):
            self.unwritten(out, says=[out, "a folder", "name a file in it"])
        self.assertEqual(self.names("out"), [])

    def test_part_of_the_path_is_a_file(self):
        self.unwritten("in.txt/out.npy", says=["in.txt/out.npy", "cannot write"])

    def test_not_a_regular_file(self):
        """A rename would replace the device by a file."""
        for out in ("/dev/full", "/dev/null"):
            self.unwritten(out, says=[out, "not a regular file"])
        os.mkfifo(self.dir / "pipe")
        self.unwritten("pipe", says=["pipe", "not a regular file"])

    def test_empty_name(self):
        self.unwritten("", says=["empty name"])
        self.assertEqual(self.names(), ["in.txt"])

    def test_parts_into_a_file(self):
        self.file("out", OLD)
        self.unwritten("out", "--shard", "0/2", says=["out", "folder"])
        self.assertEqual((self.dir / "out").read_bytes(), OLD)

    def test_forward(self):
        inputs = BERT / "plain_h20/inputs.safetensors"
        self.mistake(5, "forward", "--model", BERT / "plain_h20", inputs, "none/y.safetensors", says=["none/y.safetensors", "make it first"])
        self.mistake(5, "forward", "--model", BERT / "plain_h20", inputs, ".", says=[".: cannot write", "a folder"])


class FullDisk(OutputTest):
    """The old output stays, and nothing half is left."""

    def limited(self, *args, says):
        """With files of at most 4 kB."""
        return self.mistake(5, *args, says=says, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)))

    def check(self, *args, out, says):
        self.file(out, OLD)
        before = self.names()
        self.limited(*args, says=says)
        self.assertEqual(self.names(), before)
        self.assertEqual((self.dir / out).read_bytes(), OLD)

    def test_embed(self):
        self.file("many.txt", "a cat\n" * 1000)
        for batch in (1, 4096):
            self.check("embed", "--model", PLAIN, "--text", "many.txt", "-o", "out.npy", "--batch-tokens", batch, out="out.npy", says=["out.npy: cannot write", "File too large"])

    def test_map_of_rows(self):
        """The rows would fit, what they came from would not."""
        self.file("many.txt", b"\xff\n" + b"a cat\n" * 200)
        self.file("out.npy", OLD)
        done = self.tool(
            "embed", "--model", PLAIN, "--text", "many.txt", "-o", "out.npy", "--dims", 1, "--force-dims", code=5,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
        )  # fmt: skip
        self.assertIn("out.npy.rows.jsonl: cannot write", done.stderr)
        self.assertEqual(self.names(), ["in.txt", "many.txt", "out.npy"])
        self.assertEqual((self.dir / "out.npy").read_bytes(), OLD)

    def test_forward(self):
        self.check("forward", "--model", BERT / "plain_h20", BERT / "plain_h20/inputs.safetensors", "y.safetensors", "--hidden-states", out="y.safetensors", says=["y.safetensors: cannot write"])

    def test_a_file_system_without_room(self):
        """On a small file system of its own, where this machine lets us make one; a limit stands for it elsewhere (above)."""
        (self.dir / "small").mkdir()
        self.file("many.txt", "a cat\n" * 4000)
        alone = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
        mount = "mount -t tmpfs -o size=64k none small"
        if not shutil.which("unshare") or subprocess.run([*alone, mount], cwd=self.dir, capture_output=True).returncode != 0:
            self.check("embed", "--model", PLAIN, "--text", "many.txt", "-o", "small/out.npy", out="small/out.npy", says=["cannot write"])
            return
        command = shlex.join([TOOL, "embed", "--model", str(PLAIN), "--text", "many.txt", "-o", "small/out.npy"])
        script = f"{mount} && echo old >small/out.npy && {command}; echo $?; ls -A small; cat small/out.npy"
        done = subprocess.run([*alone, script], cwd=self.dir, capture_output=True, env=environment(self.dir), timeout=PATIENCE)
        self.assertEqual(done.stdout.decode(), "5\nout.npy\nold\n")
        self.assertEqual(done.stderr.decode(), "tessera: small/out.npy: cannot write: No space left on device\n")


class Atomic(OutputTest):
    def test_old_output_survives_what_fails(self):
        bad = self.file("bad.txt", b"\xff\n")
        self.file("out.npy", OLD)
        for code, args in ((1, ["--text", "none.txt"]), (4, ["--text", bad, "--model", "/none"]), (2, ["--text", bad, "--dims", "21"])):
            model = [] if "--model" in args else ["--model", PLAIN]
            self.tool("embed", *model, *args, "-o", "out.npy", code=code)
            self.assertEqual((self.dir / "out.npy").read_bytes(), OLD)

    def test_a_read_error_in_the_middle(self):
        """A terminal that goes away in mid-reading gives EIO."""
        self.file("out.npy", OLD)
        ours, theirs = os.openpty()
        process = self.start("embed", "--model", PLAIN, "--text", os.ttyname(theirs), "-o", "out.npy", "--batch-tokens", 1)
        os.write(ours, b"a cat\n")
        self.wait_for(lambda: any(p.stat().st_size > 128 for p in self.dir.glob("out.npy.tmp*")), "the first row")
        os.close(ours)
        self.assertEqual(process.wait(), 1)
        os.close(theirs)
        self.assertIn(b"cannot read: Input/output error", process.stderr.read())
        self.assertEqual((self.dir / "out.npy").read_bytes(), OLD)
        self.assertEqual(self.names(), ["in.txt", "out.npy"])

    def test_a_reader_sees_the_old_or_the_new(self):
        whole = []
        for name, count in (("a.txt", 300), ("b.txt", 400)):
            self.file(name, "a cat\n" * count)
            self.embed(PLAIN, name)
            whole.append((self.dir / "out.npy").read_bytes())
        done, seen = threading.Event(), set()

        def watch():
            while not done.is_set():
                seen.add((self.dir / "out.npy").read_bytes())

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            for _ in range(5):
                for name in ("a.txt", "b.txt"):
                    self.embed(PLAIN, name, "--batch-tokens", 1)
        finally:
            done.set()
            watcher.join()
        self.assertEqual(seen - set(whole), set())
        self.assertEqual(self.names(), ["a.txt", "b.txt", "in.txt", "out.npy"])

    def test_killed_at_once(self):
        self.file("out.npy", OLD)
        process = self.start("embed", "--model", PLAIN, "--text", "-", "-o", "out.npy", "--batch-tokens", 1)
        process.stdin.write(b"a cat\nthe dog\n")
        process.stdin.flush()
        self.wait_for(lambda: any(p.stat().st_size > 128 for p in self.dir.glob("out.npy.tmp*")), "the first row")
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.assertEqual((self.dir / "out.npy").read_bytes(), OLD)

    def test_mode_is_that_of_any_new_file(self):
        self.tool("embed", "--model", PLAIN, "--text", "in.txt", "-o", "out.npy", umask=0o027)
        self.assertEqual((self.dir / "out.npy").stat().st_mode & 0o777, 0o640)

    def test_map_of_rows_comes_and_goes(self):
        self.file("bad.txt", b"a cat\n\xff\nthe dog\n\xfe\n")
        self.embed(PLAIN, "bad.txt", code=3)
        self.assertEqual((self.dir / "out.npy.rows.jsonl").read_text(), '{"row": 0, "input": 0}\n{"row": 1, "input": 2}\n')
        self.embed(PLAIN, "in.txt")
        self.assertEqual(self.names(), ["bad.txt", "in.txt", "out.npy"])

    def test_map_of_no_rows(self):
        self.assertEqual(self.embed(PLAIN, self.file("bad.txt", b"\xff\n"), code=3).rows, [])
        self.assertEqual((self.dir / "out.npy.rows.jsonl").read_text(), "")


class StandardOutput(OutputTest):
    def test_reader_goes_away(self):
        """As `| head -1` does: no noise; the status is what a shell shows for SIGPIPE, however that is set."""
        lines = self.file("lines.txt", "a cat and the dog\n" * 20000)
        tensors = {f"tensor.{i:05}": floats((1,), [i]) for i in range(20000)}
        write_safetensors(self.dir / "many.safetensors", tensors)
        for args in (["tokenize", "--model", PLAIN], ["inspect", "many.safetensors"]):
            for ignored in (False, True):
                with self.subTest(f"{args} {ignored}"), lines.open("rb") as stdin:
                    process = self.start(*args, stdin=stdin, restore_signals=not ignored)
                    self.assertTrue(process.stdout.readline())
                    process.stdout.close()
                    self.assertEqual((process.wait(), process.stderr.read()), (141, b""))

    def test_full(self):
        with open("/dev/full", "wb") as full:
            for args, stdin in ((["tokenize", "--model", PLAIN], b"a cat\n"), (["inspect", PLAIN], b""), (["bench", "--model", PLAIN, "--seq", 8, "--stdio"], b"go 1\n")):
                with self.subTest(args):
                    process = self.start(*args, stdout=full)
                    self.assertEqual(process.communicate(stdin)[1], b"tessera: standard output: cannot write: No space left on device\n")
                    self.assertEqual(process.returncode, 5)

    def closed(self, stream, *args):
        """As a shell's `1>&-` leaves it."""
        command = f"exec {shlex.join([TOOL, *map(str, args)])} {stream}"
        return subprocess.run(["sh", "-c", command], cwd=self.dir, env=environment(self.dir), capture_output=True, timeout=PATIENCE)

    def test_closed_streams_do_not_end_up_in_files(self):
        self.file("bad.txt", b"a cat\n\xff\nthe dog\n")
        want = self.embed(PLAIN, "bad.txt", code=3)
        written = (self.dir / "out.npy").read_bytes()
        for stream in ("0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"):
            done = self.closed(stream, "embed", "--model", PLAIN, "--text", "bad.txt", "-o", "new.npy")
            self.assertEqual(done.returncode, 3)
            self.assertEqual((self.dir / "new.npy").read_bytes(), written)
        self.assertEqual(len(want.rows), 2)

    def test_closed_streams_are_errors_of_their_users(self):
        self.assertEqual(self.closed("1>&- </dev/null", "inspect", PLAIN).returncode, 5)
        done = self.closed("0<&-", "embed", "--model", PLAIN, "--text", "-", "-o", "new.npy")
        self.assertEqual((done.returncode, done.stderr.decode()), (1, "tessera: standard input: cannot read: Bad file descriptor\n"))


if __name__ == "__main__":
    unittest.main()
