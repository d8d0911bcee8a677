"""What each instruction set's unit of kernels compiles to, at -O0 and at the -O2 that users have.

isa_units.py COMPILER...

Symbols: code for an instruction set that not every machine has must not leak under names that baseline code uses too. A weak
function (an inline one of the standard library, say) that a unit of AVX-512 code emits may be the copy that the linker keeps
for everybody: a crash on older machines. So every weak symbol of such a unit must name the instruction set.

Tiles (x86_64, -O2): the register tiles of the matrix products keep their accumulators in registers: the innermost loop of every
full tile has as many fused multiply-adds as the tile, and no vector that goes to the stack or comes from it. A g++ that is not
told to unroll the loops over registers keeps them in memory, ten times as slow and with the same results: no other test would
see it.
"""

import concurrent.futures
import os
import pathlib
import platform
import re
import subprocess
import sys
import tempfile

from tree import INCLUDE_ROOTS, ROOT, finish

# Units that use what another one has too may emit the weak symbols of that one, which mean the same code in both.
UNITS = {"x86_64": {"avx2": [], "avx512": [], "avx512_vnni": ["avx512"], "avx512_bf16_vnni": ["avx512"], "amx": ["avx512"]}, "aarch64": {"neon_dotprod": ["neon"], "neon_bf16": ["neon"]}}.get(platform.machine(), {})  # NEON is every aarch64's baseline

# Product, the instruction of a multiply-add, rows and f32x16 columns of the full tile, registers of one f32x16. NEON is not among
# them: of its 24 accumulators g++ 12 keeps three on the stack, and whether a lower tile would be faster has to be measured on such
# a machine first. Of weights of bf16 a step is two multiply-adds, or one instruction.
TILES = {
    "avx2": [("Float32", "vfmadd", 6, 1, 2), ("Bf16ByFma", "vfmadd", 6, 1, 4), ("Int8ByParts", "vpmaddwd", 6, 1, 4)],
    "avx512": [("Float32", "vfmadd", 6, 4, 1), ("Bf16ByFma", "vfmadd", 6, 4, 2), ("Int8ByParts", "vpmaddwd", 6, 4, 2)],
    "avx512_bf16_vnni": [("Bf16ByInstruction", "vdpbf16ps", 6, 4, 1)],
    "avx512_vnni": [("Int8ByInstruction", "vpdpbusd", 6, 4, 1)],
}
# The frame pointer counts only where an instruction makes it one: else it is a register as any other.
STACK, FRAME, IS_FRAME = "(%rsp", "(%rbp", ("mov", "%rsp,%rbp")
VECTOR = re.compile(r"%[xyz]mm")
INSTRUCTION = re.compile(r"^\s*([0-9a-f]+):\s+(\S+)\s*(.*)$")


def leaks(label, unit, isa, shared):
    """Problems with the symbols of a unit, and how many it has."""
    symbols = subprocess.run(["nm", str(unit)], capture_output=True, text=True, check=True).stdout
    defined = [line.split() for line in symbols.splitlines() if len(line.split()) == 3]
    problems = []
    if not any(isa in name for _, _, name in defined):
        problems.append(f"{label}: defines nothing that names {isa}")
    for _, kind, name in defined:
        # Data (V) holds no instructions; clang makes its terminate helper for the baseline.
        if kind in "Wu" and not any(i in name for i in (isa, *shared)) and name != "__clang_call_terminate":
            problems.append(f"{label}: emits the weak symbol {name}, which names no {isa}")
    return problems, len(defined)


def functions(unit):
    """Demangled name -> [(address, mnemonic, operands)]."""
    text = subprocess.run(["objdump", "-d", "-C", "--no-show-raw-insn", str(unit)], capture_output=True, text=True, check=True).stdout
    found, body = {}, None
    for line in text.splitlines():
        head = re.match(r"^[0-9a-f]+ <(.*)>:$", line)
        if head:
            body = found.setdefault(head[1], [])
        elif body is not None and (m := INSTRUCTION.match(line)):
            body.append((int(m[1], 16), m[2], m[3]))
    return found


def loops(body):
    """The bodies of innermost loops: from the target of a backward jump to the jump, with no other such inside."""
    spans = []
    for address, name, operands in body:
        target = re.match(r"([0-9a-f]+)\b", operands)
        if name.startswith("j") and target and int(target[1], 16) <= address:
            spans.append((int(target[1], 16), address))
    for low, high in spans:
        if not any(low <= l and h <= high and (l, h) != (low, high) for l, h in spans):
            yield [i for i in body if low <= i[0] <= high]


def spills(label, code, product, multiply_add, rows, columns, registers):
    label += f" {product} tile {rows}x{16 * columns}"
    tiles = {name: body for name, body in code.items() if re.search(rf"\btile<[\w:]*\b{product}, {rows}, {columns}\b", name)}
    wanted = rows * columns * registers
    if not tiles:
        return [f"{label}: no function tile<{product}, {rows}, {columns}> found"]
    problems = []
    for name, body in tiles.items():
        hot = [loop for loop in loops(body) if sum(i[1].startswith(multiply_add) for i in loop) >= wanted]
        if not hot:
            counts = [sum(i[1].startswith(multiply_add) for i in loop) for loop in loops(body)]
            problems.append(f"{label}: no loop of {wanted} multiply-adds in registers in {name}; loops have {counts}")
        for loop in hot:
            bases = [STACK] + [FRAME] * any((i[1], i[2]) == IS_FRAME for i in body)
            spilled = [f"{i[1]} {i[2]}" for i in loop if VECTOR.search(i[2]) and any(base in i[2] for base in bases)]
            fused = sum(i[1].startswith(multiply_add) for i in loop)
            if spilled:
                problems.append(f"{label}: {len(spilled)} spilled vectors in its loop, the first: {spilled[0]}")
            print(f"{label}: {fused} multiply-adds, {len(loop)} instructions, {len(spilled)} of them move vectors to or from the stack")
    return problems


def look(compiler, level, isa):
    """Problems, symbols and tiles of one unit."""
    label = f"{pathlib.Path(compiler).name} {level} {isa}"
    with tempfile.TemporaryDirectory() as folder:
        unit = pathlib.Path(folder) / "unit.o"
        command = [compiler, "-std=c++20", level, "-DTESSERA_COMPILED", "-c", str(ROOT / f"kernels/tessera/compiled/{isa}.cpp"), "-o", str(unit)]
        subprocess.run(command + [f"-I{root}" for root in INCLUDE_ROOTS], check=True)
        problems, symbols = leaks(label, unit, isa, UNITS[isa])
        tiles = TILES.get(isa, []) if level == "-O2" else []
        code = functions(unit) if tiles else {}
    for tile in tiles:
        problems += spills(label, code, *tile)
    return problems, symbols, len(tiles)


jobs = [(compiler, level, isa) for compiler in sys.argv[1:] for level in ("-O0", "-O2") for isa in UNITS]
with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
    results = list(pool.map(lambda job: look(*job), jobs))
finish([p for problems, _, _ in results for p in problems], f"{sum(r[1] for r in results)} symbols, {sum(r[2] for r in results)} tiles")
