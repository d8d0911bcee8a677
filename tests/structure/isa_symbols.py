"""Code for an instruction set that not every machine has must not leak under names that baseline code uses too.

A weak function (an inline one of the standard library, say) that a unit of AVX-512 code emits may be the copy that the
linker keeps for everybody: a crash on older machines. So every weak symbol of such a unit must name the instruction set.
"""

import pathlib
import platform
import subprocess
import sys
import tempfile

from tree import INCLUDE_ROOTS, ROOT, finish

# Units that use what another one has too may emit the weak symbols of that one, which mean the same code in both.
units = {"x86_64": {"avx2": [], "avx512": [], "avx512_vnni": ["avx512"], "avx512_bf16_vnni": ["avx512"], "amx": ["avx512"]}, "aarch64": {"neon_dotprod": ["neon"]}}.get(platform.machine(), {})  # NEON is every aarch64's baseline
problems, checked = [], 0
for compiler in sys.argv[1:]:
    for level in ("-O0", "-O2"):
        for isa, shared in units.items():
            source = ROOT / f"kernels/tessera/compiled/{isa}.cpp"
            with tempfile.TemporaryDirectory() as folder:
                unit = pathlib.Path(folder) / "unit.o"
                command = [compiler, "-std=c++20", level, "-DTESSERA_COMPILED", "-c", str(source), "-o", str(unit)]
                subprocess.run(command + [f"-I{root}" for root in INCLUDE_ROOTS], check=True)
                symbols = subprocess.run(["nm", str(unit)], capture_output=True, text=True, check=True).stdout
            defined = [line.split() for line in symbols.splitlines() if len(line.split()) == 3]
            if not any(isa in name for _, _, name in defined):
                problems.append(f"{compiler} {level}: {source.name} defines nothing that names {isa}")
            for _, kind, name in defined:
                checked += 1
                # Data (V) holds no instructions; clang makes its terminate helper for the baseline.
                if kind in "Wu" and not any(i in name for i in (isa, *shared)) and name != "__clang_call_terminate":
                    problems.append(f"{compiler} {level}: {source.name} emits the weak symbol {name}, which names no {isa}")
finish(problems, f"{checked} symbols")
