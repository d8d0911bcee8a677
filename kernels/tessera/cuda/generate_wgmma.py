"""Writes sm90_wgmma.inc: the lists of registers and operands of wgmma for every N. tests/cuda holds the file equal to this.

    python3 kernels/tessera/cuda/generate_wgmma.py > kernels/tessera/cuda/sm90_wgmma.inc
"""

BLOCK = 4  # a column block of 8 is four registers of a thread


def blocks(items):
    return [", ".join(items[i:i + BLOCK]) for i in range(0, len(items), BLOCK)]


print("// Made by generate_wgmma.py: TESSERA_WGMMA(N, names of the N / 2 registers of sums, those as operands, names of the six")
print("// operands behind them) for every N.")
names = blocks([f"%{r}" for r in range(128)])
operands = blocks([f'"+f"(d[{r}])' for r in range(128)])
for n in range(8, 257, 8):
    last = n // 8 - 1
    before = f'TESSERA_NAMES_{n - 8} ", ' if last else '"'
    print(f'#define TESSERA_NAMES_{n} {before}{names[last]}"')
    before = f"TESSERA_SUMS_{n - 8}, " if last else ""
    print(f"#define TESSERA_SUMS_{n} {before}{operands[last]}")
for n in range(8, 257, 8):
    behind = ", ".join(f'"%{n // 2 + i}"' for i in range(6))
    print(f"TESSERA_WGMMA({n}, TESSERA_NAMES_{n}, TESSERA_SUMS_{n}, {behind})")
for n in range(8, 257, 8):
    print(f"#undef TESSERA_NAMES_{n}\n#undef TESSERA_SUMS_{n}")
