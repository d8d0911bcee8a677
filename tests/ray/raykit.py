"""What the tests of examples/ray share. Opt-in: without ray they say so and are counted as skipped."""

import importlib.util
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

for name in ("ray", "numpy"):
    if not importlib.util.find_spec(name):
        print(f"skipped: {sys.executable} has no {name}; pip install ray numpy, and configure with -DPython3_EXECUTABLE=that python")
        sys.exit(77)
os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_AUTH_MODE="disabled")  # before ray is imported: no word to anybody

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = os.environ["TESSERA_TOOL"]
os.environ["PYTHONPATH"] = str(ROOT / "examples/ray")  # of the workers too
PATIENCE = 180  # seconds for what takes some ten: nothing here may hang


class RayTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="tessera-ray-")
        self.addCleanup(folder.cleanup)
        self.dir = pathlib.Path(folder.name)

    def run_it(self, *command, code=0, **options):
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True, cwd=self.dir, timeout=PATIENCE, **options)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def tool(self, *args, **options):
        return self.run_it(TOOL, *args, **options)

    def example(self, name, *args, **options):
        return self.run_it(sys.executable, ROOT / "examples/ray" / name, *args, **options)
