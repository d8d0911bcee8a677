"""examples/ray/embed.py: the same bytes as without Ray, whatever is killed on the way; and nothing waits for ever."""

import hashlib
import os
import signal
import subprocess
import sys
import time
import unittest

from raykit import PATIENCE, ROOT, TOOL, RayTest

MODEL = ROOT / "tests/goldens/tiny_st/max_vocab_txt"
SHARDS = 6
# Notes each launch. The first of a part that has a file of its kind kills the encoder at its work, or the worker above it,
# which leaves the encoder behind.
ENCODER = """#!/bin/sh
part=$(echo "$*" | sed 's|.*--shard \\([0-9]*\\)/.*|\\1|')
echo "$part" >> "$NOTES/launches"
if [ -e "$NOTES/encoder-$part" ] && mkdir "$NOTES/killed-$part" 2>/dev/null; then
  "$TOOL" "$@" & sleep 0.02; kill -KILL $!; kill -KILL $$
fi
if [ -e "$NOTES/worker-$part" ] && mkdir "$NOTES/killed-$part" 2>/dev/null; then kill -KILL $PPID; fi
[ -e "$NOTES/slow" ] && sleep 0.5
[ -e "$NOTES/hang" ] && exec sleep 600
exec "$TOOL" "$@"
"""


class Embed(RayTest):
    def setUp(self):
        super().setUp()
        (self.dir / "in.txt").write_text("".join(f"the {chr(97 + i % 26)} dog and the cat {i}\n" for i in range(5000)))
        (self.dir / "notes").mkdir()
        encoder = self.dir / "encoder.sh"
        encoder.write_text(ENCODER)
        encoder.chmod(0o755)
        self.env = {**os.environ, "TOOL": TOOL, "NOTES": str(self.dir / "notes"), "TESSERA_TOOL": str(encoder)}
        self.command = ["--model", MODEL, "--text", "in.txt", "-o", "parts", "--shards", SHARDS, "--cpus", "0.5"]

    def note(self, name):
        (self.dir / "notes" / name).touch()

    def launches(self):
        path = self.dir / "notes/launches"
        return path.read_text().split() if path.exists() else []

    def sums(self, folder, ending="*.npy"):
        return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted((self.dir / folder).glob("part-?????-of-?????" + ending[1:]))}

    def without_ray(self, *options, text="in.txt", code=0):
        for i in range(SHARDS):
            self.tool("embed", "--model", MODEL, "--text", text, "-o", "alone", "--shard", f"{i}/{SHARDS}", *options, code=code if i == 0 else 0)

    def same_as_without(self):
        want = self.sums("alone")
        self.assertEqual(len(want), SHARDS)
        self.assertEqual(self.sums("parts"), want)
        self.assertEqual(self.sums("parts", "*.manifest.json"), self.sums("alone", "*.manifest.json"))

    def embed(self, *options, **more):
        return self.example("embed.py", *self.command, *options, env=self.env, **more)

    def test_encoders_and_workers_are_killed(self):
        self.without_ray("--dims", 8, "--force-dims")
        for name in ("encoder-1", "encoder-4", "worker-2", "worker-5"):
            self.note(name)
        self.embed("--", "--dims", 8, "--force-dims")
        self.same_as_without()
        self.assertEqual(sorted(self.launches()), sorted([str(i) for i in range(SHARDS)] + ["1", "4", "2", "5"]), "parts + kills")
        stamps = [p.stat().st_ino for p in sorted((self.dir / "parts").glob("*.npy"))]
        done = self.embed("--", "--dims", 8, "--force-dims")
        self.assertEqual(done.stderr.count(": done, "), SHARDS)
        self.assertEqual([p.stat().st_ino for p in sorted((self.dir / "parts").glob("*.npy"))], stamps, "all are kept")
        self.same_as_without()

    def test_the_driver_is_killed(self):
        self.without_ray()
        self.note("slow")
        command = [str(c) for c in [sys.executable, ROOT / "examples/ray/embed.py", *self.command]]
        driver = subprocess.Popen(command, cwd=self.dir, env=self.env, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        end = time.monotonic() + PATIENCE
        while len(self.sums("parts")) < 2 and time.monotonic() < end:
            time.sleep(0.02)
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait(PATIENCE)
        self.assertIn(len(self.sums("parts")), range(2, SHARDS))
        self.embed()
        self.same_as_without()

    def test_skipped_inputs(self):
        (self.dir / "in.txt").write_bytes(b"the cat\n\xff\n" + b"the dog\n" * 20)
        self.without_ray(code=3)
        done = self.embed(code=3)
        self.assertIn(f"0/{SHARDS}: done, inputs skipped", done.stderr)
        self.assertIn("line 2 (input 1)", done.stderr)
        self.same_as_without()

    def test_what_no_retry_mends(self):
        self.command[1] = "/no/such/model"
        done = self.embed(code=4)
        self.assertIn(f"0/{SHARDS}: failed, exit code 4", done.stderr)
        self.assertIn("/no/such/model", done.stderr)
        self.assertEqual(len(self.launches()), SHARDS, "once each")

    def test_nothing_waits_for_ever(self):
        done = self.embed("--cpus", 1000, code=1)
        self.assertIn("no machine of the cluster has the 1000 processors", done.stderr)
        self.note("hang")
        done = self.embed("--shards", 1, "--timeout", 1, "--retries", 1, code=1)
        self.assertIn("0/1: failed, exit code 1", done.stderr)
        self.assertIn("given up after 2 tries", done.stderr)
        self.assertIn("timed out after 1.0 seconds", done.stderr)
        self.assertEqual(len(self.launches()), 2)


if __name__ == "__main__":
    unittest.main()
