"""The ways to make the parts of a file side by side: whichever it is, they have the same bytes, manifests included."""

import hashlib
import os
import shutil
import subprocess
import unittest

from toolkit import PATIENCE, PLAIN, TOOL, MistakeTest, ToolTest, environment

PARTS = 5
EMBED = [TOOL, "embed", "--model", str(PLAIN), "--text", "in.txt", "--resume", "--threads", "1"]


def array(task, least=0, step=1, count=PARTS, **changes):
    """What Slurm sets for a task of --array=least-...:step."""
    values = {"ID": least + step * task, "MIN": least, "MAX": least + step * (count - 1), "STEP": step, "COUNT": count, **changes}
    return {f"SLURM_ARRAY_TASK_{k}": str(v) for k, v in values.items() if v is not None}


class Ways(ToolTest):
    def setUp(self):
        super().setUp()
        self.file("in.txt", b"\xff\n" + b"".join(b"the dog and the cat %d\n" % i for i in range(300)))
        for i in range(PARTS):
            self.tool(*EMBED[1:], "-o", "alone", "--shard", f"{i}/{PARTS}", code=0 if i else 3)
        self.want = self.sums("alone")
        self.assertEqual(len(self.want), 2 * PARTS + 1)

    def sums(self, folder):
        return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted((self.dir / folder).iterdir())}

    def shell(self, command, code=0):
        done = subprocess.run(command, shell=True, cwd=self.dir, env=environment(self.dir), capture_output=True, timeout=PATIENCE)
        self.assertEqual(done.returncode, code, done.stderr)

    def test_threads(self):
        for i in range(PARTS):
            self.tool(*EMBED[1:-1], "2", "-o", "parts", "--shard", f"{i}/{PARTS}", code=0 if i else 3)
        self.assertEqual(self.sums("parts"), self.want)

    def test_xargs(self):
        command = " ".join(EMBED)
        for again in range(2):  # xargs says 123 where one of its programs said 1 to 125: the skipped line's 3
            self.shell(f"seq 0 {PARTS - 1} | xargs -P2 -I{{}} {command} -o parts --shard {{}}/{PARTS}", code=123)
            self.assertEqual(self.sums("parts"), self.want)

    def test_slurm(self):
        for least, step in ((0, 1), (1, 1), (10, 3)):
            with self.subTest(least=least, step=step):
                for i in reversed(range(PARTS)):
                    self.tool(*EMBED[1:], "-o", "parts", "--shard", "slurm", env=array(i, least, step), code=0 if i else 3)
                self.assertEqual(self.sums("parts"), self.want)
                shutil.rmtree(self.dir / "parts")

    def test_slurm_counts_to_its_last_task(self):
        """--array=1-14:3 is 1, 4, 7, 10 and 13, whether MAX is 13 or 14; --array=7 is all in one."""
        for i in range(PARTS):
            self.tool(*EMBED[1:], "-o", "parts", "--shard", "slurm", env=array(i, 1, 3, MAX=14), code=0 if i else 3)
        self.assertEqual(self.sums("parts"), self.want)
        self.tool(*EMBED[1:], "-o", "one", "--shard", "slurm", env=array(0, 7, 1, 1), code=3)
        self.assertIn("part-00000-of-00001.npy", self.sums("one"))

    def test_ranks_of_mpirun(self):
        if not shutil.which("mpirun"):
            self.skipTest("no mpirun here")
        command = " ".join(EMBED)
        root = "--allow-run-as-root" if os.geteuid() == 0 else ""
        self.shell(f"mpirun {root} --oversubscribe -n {PARTS} sh -c '{command} -o parts --shard $OMPI_COMM_WORLD_RANK/$OMPI_COMM_WORLD_SIZE || test $? = 3'")
        self.assertEqual(self.sums("parts"), self.want)


class Mistakes(MistakeTest):
    def test_slurm(self):
        for env, says in (
            ({}, ["SLURM_ARRAY_TASK_ID is not set", "sbatch --array=0-63"]),
            (array(0, COUNT=None), ["SLURM_ARRAY_TASK_COUNT is not set"]),
            (array(0, STEP=""), ["SLURM_ARRAY_TASK_STEP is not set"]),
            (array(0, ID="1x"), ["SLURM_ARRAY_TASK_ID is '1x'"]),
            (array(0, ID=-1), ["'-1'"]),
            (array(0, MAX="9" * 30), ["SLURM_ARRAY_TASK_MAX"]),
            (array(0, 3, 4, 2, STEP=1), ["task 3 of 2", "whole range", "--resume"]),  # --array=3,7
            (array(1, 0, 3, ID=4), ["task 4 of 5", "0 to 12 by 3"]),
            (array(0, ID=5), ["task 5 of 5"]),
            (array(0, 2, ID=1), ["task 1 of 5"]),
            (array(0, STEP=0), ["by 0"]),
            (array(0, count=100000), ["100000 tasks, at most 99999"]),
        ):
            with self.subTest(env):
                self.embed_mistake(2, "--shard", "slurm", out="parts", env=env, says=["--shard slurm", *says])
        self.embed_mistake(2, "--shard", "pbs", out="parts", says=["--shard pbs", "0/4, or slurm"])


if __name__ == "__main__":
    unittest.main()
