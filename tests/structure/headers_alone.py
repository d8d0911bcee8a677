"""Every header compiles by itself, without a warning, headers only and with TESSERA_COMPILED."""

import concurrent.futures
import os
import subprocess
import sys

from tree import INCLUDE_ROOTS, finish, headers

compiler = sys.argv[1]
defines = sys.argv[2:]
command = [compiler, "-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"]
command += [f"-I{root}" for root in INCLUDE_ROOTS] + defines + ["-x", "c++", "-"]


def compile_alone(header):
    # Twice: a header without a guard fails here.
    source = f"#include <{header}>\n#include <{header}>\nint main() {{}}\n"
    result = subprocess.run(command, input=source, text=True, capture_output=True)
    return None if result.returncode == 0 else f"{header} does not compile alone {' '.join(defines)}:\n{result.stderr[:2000]}"


# Headers only, an X-inl.hpp has been seen with X.hpp, which ends by including it.
names = [h for h in headers() if defines or not h.endswith("-inl.hpp")]
with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
    problems = [p for p in pool.map(compile_alone, names) if p]
finish(problems, f"{len(names)} headers")
