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


def descendants(pid):
    """(process, name) of all that a process started, and of what those did; names as they call themselves."""
    children, names = {}, {}
    for folder in pathlib.Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
                names[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            except OSError:
                continue  # it ended meanwhile
            children.setdefault(parent, []).append(int(folder.name))
    found, left = [], [pid]
    while left:
        for child in children.get(left.pop(), []):
            found.append((child, names[child]))
            left.append(child)
    return found


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
