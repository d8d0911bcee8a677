"""The files of the repository, as the structure checks see them. Python's standard library only."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
INCLUDE_ROOTS = (ROOT / "include", ROOT / "kernels")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
SOURCES = {".hpp", ".inl", ".inc", ".cpp", ".cuh", ".cu", ".h", ".py"}


def headers():
    """The headers that can be included by themselves, as written in an #include line (tessera/core/view.hpp)."""
    return sorted(p.relative_to(r).as_posix() for r in INCLUDE_ROOTS for p in r.rglob("*.hpp"))


def library_files():
    """Everything of both include roots: written name -> path."""
    return {
        p.relative_to(r).as_posix(): p
        for r in INCLUDE_ROOTS
        for p in sorted(r.rglob("*"))
        if p.suffix in (".hpp", ".inl", ".inc", ".cuh") and p.is_file()
    }


def sources(suffixes=SOURCES):
    """The project's own files: all but hidden and build folders. Without git, which an unpacked archive does not have."""
    tops = [p for p in ROOT.iterdir() if p.is_dir() and not p.name.startswith((".", "build"))]
    return sorted(p for top in tops for p in top.rglob("*") if p.suffix in suffixes and p.is_file())


def finish(problems, done):
    """Ends a check: every problem on a line of its own, or what was looked at."""
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{len(problems)} problems, {done}")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":  # the files with the endings that are given, one a line
    print(*(p.relative_to(ROOT) for p in sources(set(sys.argv[1:]))), sep="\n")
