"""The programs in README.md are the files of examples/ that they claim to be, to the letter, and are short.

A block of code that follows a line <!-- examples/NAME.cpp --> is compared with that file.
"""

import re

from tree import ROOT, finish

LONGEST = 24  # "20 lines" of code, and a few of comment
text = (ROOT / "README.md").read_text(encoding="utf-8")
blocks = re.findall(r"<!-- (examples/\S+) -->\n```cpp\n(.*?)```", text, re.DOTALL)
problems = []
for name, code in blocks:
    path = ROOT / name
    if not path.is_file():
        problems.append(f"README.md shows {name}, which is not there")
    elif path.read_text(encoding="utf-8") != code:
        problems.append(f"README.md and {name} differ: copy the file into the README's block")
    if len(code.splitlines()) > LONGEST:
        problems.append(f"{name}: {len(code.splitlines())} lines; the README promises a short program")
for needed in ("examples/embed_two.cpp", "examples/one_kernel.cpp"):
    if needed not in [name for name, _ in blocks]:
        problems.append(f"README.md does not show {needed}")
finish(problems, f"{len(blocks)} programs")
