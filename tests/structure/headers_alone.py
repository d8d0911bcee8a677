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


# Headers only, what may differ is an X.hpp that ends by including its bodies, X-inl.hpp: those alone are compiled again.
every = headers()
names = [h for h in every if defines or h.removesuffix(".hpp") + "-inl.hpp" in every]
with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
    problems = [p for p in pool.map(compile_alone, names) if p]
finish(problems, f"{len(names)} headers")
