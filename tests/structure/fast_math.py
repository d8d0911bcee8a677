"""-ffast-math changes float arithmetic, so the kernels must refuse to be built with it."""

import subprocess
import sys

from tree import INCLUDE_ROOTS, finish

problems = []
for compiler in sys.argv[1:]:
    command = [compiler, "-std=c++20", "-O2", "-fsyntax-only", *(f"-I{root}" for root in INCLUDE_ROOTS), "-x", "c++", "-"]
    source = "#include <tessera/cpu/cpu.hpp>\nint main() {}\n"
    plain = subprocess.run(command, input=source, text=True, capture_output=True)
    fast = subprocess.run([*command[:2], "-ffast-math", *command[2:]], input=source, text=True, capture_output=True)
    if plain.returncode != 0:
        problems.append(f"{compiler}: does not compile at all:\n{plain.stderr[:1000]}")
    if fast.returncode == 0 or "fast-math" not in fast.stderr:
        problems.append(f"{compiler}: -ffast-math is accepted, or refused without a word about it")
finish(problems, f"{len(sys.argv) - 1} compilers")
