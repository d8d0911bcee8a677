"""examples/ray/embed.py under kill -9 of an encoder, a worker or the driver at random moments: the same bytes in the end.

TESSERA_KILL_POINTS=20 TESSERA_TOOL=... TESSERA_LIBRARY=... python3 tests/ray/kills_test.py -v     more of them than a test run has time for
"""

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import unittest

from raykit import PATIENCE, ROOT, TOOL, RayTest, descendants

MODEL = ROOT / "tests/goldens/tiny_st/max_vocab_txt"
SHARDS = 8
POINTS = int(os.environ.get("TESSERA_KILL_POINTS", 3))
ENCODER = """#!/bin/sh
echo >> "$NOTES"
exec "$TOOL" "$@"
"""


class Kills(RayTest):
    def setUp(self):
        super().setUp()
        (self.dir / "in.txt").write_text("".join(f"the {chr(97 + i % 26)} dog and the cat {i}\n" for i in range(160000)))
        encoder = self.dir / "encoder.sh"
        encoder.write_text(ENCODER)
        encoder.chmod(0o755)
        self.env = {**os.environ, "TOOL": TOOL, "NOTES": str(self.dir / "launches"), "TESSERA_TOOL": str(encoder)}
        for i in range(SHARDS):
            self.tool("embed", "--model", MODEL, "--text", "in.txt", "-o", "alone", "--shard", f"{i}/{SHARDS}", "--threads", 1)
        self.want = self.sums("alone")
        self.assertEqual(len(self.want), 2 * SHARDS)

    def sums(self, folder):
        """Of parts and manifests: what a killed process had begun stands beside them under another name."""
        return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted((self.dir / folder).glob("part-*")) if p.suffix in (".npy", ".json")}

    def start(self, *options):
        command = [sys.executable, ROOT / "examples/ray/embed.py", "--model", MODEL, "--text", "in.txt", "-o", "parts", "--shards", SHARDS, "--cpus", 0.5, *options]
        with open(self.dir / "log", "a") as log:
            return subprocess.Popen([str(c) for c in command], cwd=self.dir, env=self.env, stdout=log, stderr=log)

    def launches(self):
        """Of encoders so far."""
        return (self.dir / "launches").read_text().count("\n") if (self.dir / "launches").exists() else 0

    def finished(self):
        """Parts that have a manifest, and which files they are."""
        parts = [p.with_name(p.name.replace(".manifest.json", ".npy")) for p in self.dir.glob("parts/*.manifest.json")]
        return {p.name: (p.stat().st_ino, p.stat().st_mtime_ns) for p in parts}

    def at_work(self, driver, name):
        return [pid for pid, command in descendants(driver.pid) if command.startswith(name)]

    def kill_one(self, victim, rng, *options):
        """One run with one kill, and another one if the first did not get to its end."""
        shutil.rmtree(self.dir / "parts", ignore_errors=True)
        for name in ("launches", "log"):
            (self.dir / name).unlink(missing_ok=True)
        names = {"encoder": TOOL, "worker": "ray::Parts.embed" if options else "ray::embed_shard"}
        driver = self.start(*options)
        goal, delay = rng.randrange(SHARDS), rng.uniform(0, 0.3)  # so many parts, and a moment later
        end, lost = time.monotonic() + PATIENCE, 0
        while driver.poll() is None and lost == 0:
            self.assertLess(time.monotonic(), end, (self.dir / "log").read_text())
            if len(list(self.dir.glob("parts/*.json"))) < goal:
                time.sleep(0.002)
                continue
            time.sleep(delay)
            busy = self.at_work(driver, names["worker"])
            hit = [driver.pid] if victim == "driver" else self.at_work(driver, names[victim])
            if busy and hit and driver.poll() is None:
                try:
                    os.kill(rng.choice(hit), signal.SIGKILL)
                except ProcessLookupError:
                    delay = 0.001
                    continue
                lost = 1
            delay = 0.001
        code = driver.wait(PATIENCE)
        if victim == "driver" and lost:
            self.assertEqual(code, -signal.SIGKILL)
            kept = self.finished()
            for _ in range(3):  # a cluster that cannot start beside what is left of the old one is another reason to run again
                if (code := self.start(*options).wait(PATIENCE)) == 0:
                    break
            self.assertEqual(code, 0, (self.dir / "log").read_text())
            now = self.finished()
            self.assertEqual({name: now[name] for name in kept}, kept, "what was finished is not made again")
        else:
            self.assertEqual(code, 0, (self.dir / "log").read_text())
        self.assertEqual(self.sums("parts"), self.want)
        if options:
            self.assertLessEqual((self.dir / "log").read_text().count("its actor was lost, again"), lost)
        elif victim != "driver":  # whose workers may begin more until they hear of its end
            self.assertLessEqual(self.launches(), SHARDS + lost)
        return lost

    def points(self, victims, *options):
        kills = []
        for point in range(POINTS):
            victim = victims[point % len(victims)]
            with self.subTest(point=point, victim=victim):
                try:
                    lost = self.kill_one(victim, random.Random(1000 * len(options) + point), *options)
                except AssertionError as e:  # said now: the other points take minutes
                    print(f"point {point}, {victim}: {e}", file=sys.stderr, flush=True)
                    raise
                kills.append((victim, lost))
                print(f"{' '.join(map(str, options)) or 'tasks'}: point {point}, {victim}: {'killed' if lost else 'had ended before'}", file=sys.stderr, flush=True)
        self.assertGreater(sum(lost > 0 for _, lost in kills), len(kills) // 2, "most moments are before the end")

    def test_tasks(self):
        self.points(("encoder", "worker", "driver"))

    def test_actors(self):
        self.points(("worker", "driver"), "--actors", 2)


if __name__ == "__main__":
    unittest.main()
