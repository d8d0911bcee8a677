"""The register tiles of the matrix product keep their accumulators in registers, at the -O2 that users have.

register_tiles.py COMPILER...: disassembles the kernels of each instruction set and looks at the innermost loop of every full
tile: as many fused multiply-adds as the tile has, and no vector that goes to the stack or comes from it. A g++ that is not told to unroll the
loops over registers keeps them in memory, ten times as slow and with the same results: no other test would see it.
"""

import pathlib
import re
import subprocess
import sys
import tempfile

from tree import INCLUDE_ROOTS, ROOT, finish

# Rows and f32x16 columns of the full tile, registers of one f32x16. NEON is not among them: of its 24 accumulators g++ 12
# keeps three on the stack, and whether a lower tile would be faster has to be measured on such a machine first.
# Of weights of bf16 a step is two multiply-adds, or one instruction.
TILES = [
    ("avx2", "Float32", "vfmadd", (6, 1, 2)),
    ("avx512", "Float32", "vfmadd", (6, 4, 1)),
    ("avx2", "Bf16ByFma", "vfmadd", (6, 1, 4)),
    ("avx512", "Bf16ByFma", "vfmadd", (6, 4, 2)),
    ("avx512_bf16_vnni", "Bf16ByInstruction", "vdpbf16ps", (6, 4, 1)),
    ("avx2", "Int8ByParts", "vpmaddwd", (6, 1, 4)),
    ("avx512", "Int8ByParts", "vpmaddwd", (6, 4, 2)),
    ("avx512_vnni", "Int8ByInstruction", "vpdpbusd", (6, 4, 1)),
]
# The frame pointer counts only where an instruction makes it one: else it is a register as any other.
STACK, FRAME, IS_FRAME = "(%rsp", "(%rbp", ("mov", "%rsp,%rbp")
VECTOR = re.compile(r"%[xyz]mm")
INSTRUCTION = re.compile(r"^\s*([0-9a-f]+):\s+(\S+)\s*(.*)$")


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


def look(compiler, isa, product, multiply_add, rows, columns, registers):
    source = ROOT / f"kernels/tessera/compiled/{isa}.cpp"
    with tempfile.TemporaryDirectory() as folder:
        unit = pathlib.Path(folder) / "unit.o"
        command = [compiler, "-std=c++20", "-O2", "-DTESSERA_COMPILED", "-c", str(source), "-o", str(unit)]
        subprocess.run(command + [f"-I{root}" for root in INCLUDE_ROOTS], check=True)
        tiles = {name: body for name, body in functions(unit).items() if re.search(rf"\btile<[\w:]*\b{product}, {rows}, {columns}\b", name)}
    label = f"{pathlib.Path(compiler).name} {isa} {product} tile {rows}x{16 * columns}"
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


problems, done = [], 0
for compiler in sys.argv[1:]:
    for isa, product, multiply_add, tile in TILES:
        problems += look(compiler, isa, product, multiply_add, *tile)
        done += 1
finish(problems, f"{done} tiles")
