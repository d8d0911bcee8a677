"""examples/ray/embed.py --actors: the bytes of the tool, manifests included, whatever is killed on the way."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
import unittest

from raykit import PATIENCE, ROOT, RayTest, descendants

PLAIN = ROOT / "tests/goldens/tiny_st/max_vocab_txt"
PROMPTS = ROOT / "tests/goldens/tiny_st/weighted_last_prompt"
SHARDS = 6


class Actors(RayTest):
    def setUp(self):
        super().setUp()
        (self.dir / "in.txt").write_text("".join(f"the {chr(97 + i % 26)} dog and the cat {i}\n" for i in range(3000)))

    def command(self, *options, model=PLAIN, actors=2, out="parts"):
        return ["--model", model, "--text", "in.txt", "-o", out, "--shards", SHARDS, "--actors", actors, *options]

    def embed(self, *options, code=0, **more):
        return self.example("embed.py", *self.command(*options, **more), code=code)

    def alone(self, *options, model=PLAIN, code=0):
        for i in range(SHARDS):
            self.tool("embed", "--model", model, "--text", "in.txt", "-o", "alone", "--shard", f"{i}/{SHARDS}", *options, code=code if i == 0 else 0)

    def sums(self, folder):
        return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted((self.dir / folder).iterdir())}

    def test_the_bytes_of_the_tool(self):
        """And each keeps what the other made."""
        (self.dir / "in.txt").write_bytes(b"the cat\r\n\xff\n\n" + b"the dog and the cat\n" * 20 + b"a tree")
        self.alone(code=3)
        self.assertIn("in.txt, line 2 (input 1) skipped: not valid UTF-8 at byte 0", self.embed(code=3).stderr)
        self.assertEqual(self.sums("parts"), self.sums("alone"))
        done = self.tool("embed", "--model", PLAIN, "--text", "in.txt", "-o", "parts", "--shard", f"2/{SHARDS}", "--resume")
        self.assertIn("is finished and kept", done.stderr)
        for i, ending in enumerate((".npy", ".manifest.json")):
            path = self.dir / f"alone/part-{i + 3:05}-of-{SHARDS:05}{ending}"
            path.write_bytes(path.read_bytes()[:-2])
        before = {p.name: p.stat().st_ino for p in (self.dir / "alone").glob("*.npy")}
        self.embed(code=3, actors=1, out="alone")
        self.assertEqual(self.sums("alone"), self.sums("parts"), "what is damaged is made again")
        kept = [name for name, inode in before.items() if (self.dir / "alone" / name).stat().st_ino == inode]
        self.assertEqual(sorted(kept), [f"part-{i:05}-of-{SHARDS:05}.npy" for i in (0, 1, 2, 5)])

    def test_options(self):
        options = ["--dims", "5", "--prompt-name", "passage", "--max-length", "9", "--no-normalize", "--dtype", "bf16"]
        self.alone(*options, model=PROMPTS)
        self.embed("--", *options, model=PROMPTS)
        self.assertEqual(self.sums("parts"), self.sums("alone"))

    def test_actors_and_the_driver_are_killed(self):
        self.alone()
        want = self.sums("alone")
        command = [str(c) for c in [sys.executable, ROOT / "examples/ray/embed.py", *self.command()]]
        log = self.dir / "log"
        for victim in ("actor", "driver"):
            shutil.rmtree(self.dir / "parts", ignore_errors=True)
            with open(log, "w") as out:
                driver = subprocess.Popen(command, cwd=self.dir, stderr=out, stdout=out)
            kills, end = 0, time.monotonic() + PATIENCE
            while driver.poll() is None and time.monotonic() < end and kills < (3 if victim == "actor" else 1):
                busy = [pid for pid, name in descendants(driver.pid) if name.startswith("ray::Parts.embed")]
                if victim == "driver" and len(list(self.dir.glob("parts/*.json"))) > 0:
                    busy = [driver.pid]
                elif victim == "driver":
                    busy = []
                for pid in busy[:1]:
                    os.kill(pid, signal.SIGKILL)
                    kills += 1
                    time.sleep(0.2)
                time.sleep(0.002)
            code = driver.wait(PATIENCE)
            self.assertGreater(kills, 0, log.read_text())
            if victim == "actor":
                self.assertEqual(code, 0, log.read_text())
                self.assertLessEqual(log.read_text().count("its actor was lost, again"), kills, "launches <= parts + kills")
            else:
                self.assertEqual(code, -signal.SIGKILL)
                self.embed()
            left = self.sums("parts")
            self.assertEqual({n: s for n, s in left.items() if ".tmp" not in n}, want)

    def test_mistakes(self):
        for options, code, says in (
            (["--cpus", str(os.cpu_count() / 2)], 1, f"2 actors of {os.cpu_count() / 2:g} processors would hold all"),
            (["--", "--layers", "1"], 2, "--layers"),
            (["--actors", "-1"], 2, "--actors"),
        ):
            with self.subTest(options):
                self.assertIn(says, self.embed(*options, code=code).stderr)
        done = self.embed(model="/no/such/model", code=4)
        self.assertEqual(done.stderr.count("failed, exit code 4"), SHARDS)
        self.assertIn("/no/such/model: no model folder", done.stderr)
        self.assertIn("--actors", self.example("embed.py", "--model", PLAIN, "--image", "a.png", "-o", "parts", "--shards", 1, "--actors", 1, code=2).stderr)


if __name__ == "__main__":
    unittest.main()
