"""The README's two programs compile by one bare compiler line each, within the budget, and run.

example_lines.py COMPILER... prints, for each, the compiler's seconds and its largest memory. The budget is 20 s and
1.5 GB; seconds depend on what else the machine does, so only five times that many are a failure.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import time

from tree import INCLUDE_ROOTS, ROOT, finish

MOST_BYTES, SECONDS = 1.5e9, 20.0
cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "tessera/all-MiniLM-L6-v2"
model = pathlib.Path(os.environ.get("TESSERA_MODEL_DIR", cache))
problems = []
if not (model / "config.json").is_file():
    problems.append(f"no model in {model}: tests/run gets it; or set TESSERA_MODEL_DIR")

with tempfile.TemporaryDirectory() as folder:
    for compiler in sys.argv[1:]:
        for name, arguments in (("embed_two", [str(model)]), ("one_kernel", [])):
            program = f"{folder}/{name}"
            source = str(ROOT / f"examples/{name}.cpp")
            command = [compiler, "-std=c++20", "-O2", *(f"-I{root}" for root in INCLUDE_ROOTS), source, "-o", program]
            began = time.monotonic()
            child = subprocess.Popen(command)
            _, status, usage = os.wait4(child.pid, 0)
            seconds, peak = time.monotonic() - began, usage.ru_maxrss * 1024
            print(f"{pathlib.Path(compiler).name:10} {name:12} {seconds:6.1f} s (cpu {usage.ru_utime + usage.ru_stime:.1f} s) {peak / 1e6:7.0f} MB", flush=True)
            if status != 0:
                problems.append(f"does not compile: {' '.join(command)}")
                continue
            if peak > MOST_BYTES:
                problems.append(f"{compiler} needs {peak / 1e6:.0f} MB for {name}; the budget is {MOST_BYTES / 1e6:.0f}")
            if seconds > 5 * SECONDS:
                problems.append(f"{compiler} needs {seconds:.0f} s for {name}; the budget is {SECONDS:.0f}")
            result = subprocess.run([program, *arguments], capture_output=True, text=True)
            print(result.stdout, end="")
            if result.returncode != 0 or not result.stdout:
                problems.append(f"{name} by {compiler} exits {result.returncode}: {result.stderr}")
finish(problems, "2 programs")
