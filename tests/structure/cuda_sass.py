"""What the machine code of the sm_90a kernels must and must not have, and the registers that they take.

    cuda_sass.py OBJECT [--write]      an object file of nvcc; --write: the table of resources anew

Needs cuobjdump and nvdisasm: from the toolkit, or from the Python packages nvidia-cuda-cuobjdump and nvidia-cuda-nvdisasm.
Without them it says so and ends with 77.
"""

import importlib.util
import os
import pathlib
import re
import shutil
import subprocess
import sys

from tree import ROOT, finish

TABLE = ROOT / "tests/goldens/cuda/sm90_resources.txt"
SLACK = 8  # registers: what another version of the compiler may take more
ALWAYS = {"HGMMA": "products by wgmma", "UTMALDG": "copies by TMA", "SYNCS": "barriers in shared memory",
          "USETMAXREG.DEALLOC": "registers given by the producer", "USETMAXREG.TRY_ALLOC": "registers taken by the consumers",
          "ACQBULK": "the wait for the kernel before", "PREEXIT": "the start of the next one"}
WITH_BF16 = {"UTMASTG": "C stored by TMA", "STSM": "stmatrix"}
NEVER = {"LDL": "local memory is read", "STL": "local memory is written", "ATOM.": "atomics", "RED.": "reductions in memory"}


def tool(name):
    """Path of a tool of the toolkit, or None."""
    places = [os.environ.get("PATH", ""), "/usr/local/cuda/bin"]
    for package in ("nvidia", "nvidia.cu13", "nvidia.cu12"):
        try:
            spec = importlib.util.find_spec(package)
        except ModuleNotFoundError:
            continue
        for folder in spec.submodule_search_locations or () if spec else ():
            places += map(str, pathlib.Path(folder).glob("**/bin"))
    return shutil.which(name, path=os.pathsep.join(places))


def output(*command):
    environment = {**os.environ, "PATH": os.pathsep.join([str(pathlib.Path(disassembler).parent), os.environ.get("PATH", "")])}
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout


def readable(mangled):
    """sm90_gemm_kernel<128x256 2 1, gated, act, bf16> of a mangled name."""
    tile = re.search(r"Sm90GemmTileILi(\d+)ELi(\d+)ELi(\d+)ELi(\d+)E", mangled)
    rest = re.search(r"Lb([01])ELNS_10ActivationE(\d+)E(f|NS_4bf16E)", mangled)
    if not tile or not rest:
        return mangled
    rows, columns, size, teams = tile.groups()
    return (f"sm90_gemm_kernel {rows}x{columns} {teams} team{'s' if teams != '1' else ''} of {size}"
            f"{', gated' if rest[1] == '1' else ''}, activation {rest[2]}, {'f32' if rest[3] == 'f' else 'bf16'}")


dumper, disassembler = tool("cuobjdump"), tool("nvdisasm")
if not dumper or not disassembler:
    print(f"machine code of sm_90a not checked: no {'cuobjdump' if not dumper else 'nvdisasm'} (nvidia-cuda-cuobjdump, nvidia-cuda-nvdisasm)")
    sys.exit(77)

problems, lines = [], []
resources = dict(re.findall(r"Function (\S+):\s+(REG:.*)", output(dumper, "--dump-resource-usage", sys.argv[1])))
code = re.split(r"^\s*Function : (\S+)$", output(dumper, "--dump-sass", sys.argv[1]), flags=re.MULTILINE)
for mangled, text in zip(code[1::2], code[2::2]):
    name = readable(mangled)
    instructions = re.findall(r"^\s*/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+ )?\s*([A-Z][A-Z0-9_.]*)", text, flags=re.MULTILINE)
    if not instructions:
        problems.append(f"{name}: no instructions found")
    wanted = ALWAYS | (WITH_BF16 if name.endswith("bf16") else {})
    problems += [f"{name}: no {i}: {what}" for i, what in wanted.items() if not any(x.startswith(i) for x in instructions)]
    problems += [f"{name}: {i}: {what}" for i, what in NEVER.items() if any(x.startswith(i) for x in instructions)]
    if not re.search(r"WARPGROUP\.DEPBAR\.LE gsb0, 0x1 ", text):
        problems.append(f"{name}: no group of products stays under way while the next one is issued")
    usage = dict(pair.split(":") for pair in resources[mangled].split() if ":" in pair)
    if usage["STACK"] != "0" or usage["LOCAL"] != "0":
        problems.append(f"{name}: {usage['STACK']} bytes of stack, {usage['LOCAL']} of local memory")
    lines.append((name, int(usage["REG"]), sum(i.startswith("HGMMA") for i in instructions), len(instructions)))

lines.sort()
if "--write" in sys.argv:
    TABLE.parent.mkdir(exist_ok=True)
    TABLE.write_text("".join(f"{name}: {registers} registers, {products} HGMMA, {count} instructions\n" for name, registers, products, count in lines))
expected = {m[1]: (int(m[2]), int(m[3])) for m in re.finditer(r"^(.*): (\d+) registers, (\d+) HGMMA", TABLE.read_text(), flags=re.MULTILINE)}
for name, registers, products, _ in lines:
    if name not in expected:
        problems.append(f"{name}: not in {TABLE.name}")
    elif registers > expected[name][0] + SLACK or products != expected[name][1]:
        problems.append(f"{name}: {registers} registers and {products} HGMMA, not {expected[name][0]} and {expected[name][1]}")
problems += [f"{name}: in {TABLE.name}, but not there" for name in expected.keys() - {line[0] for line in lines}]
finish(problems, f"{len(lines)} kernels of sm_90a")
