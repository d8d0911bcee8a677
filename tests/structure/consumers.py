"""Other projects can use the library: consumers.py MODE BUILD_FOLDER COMPILER

find_package  after an installation that was moved, headers only and compiled
pkg_config    the same installation, its flags by pkg-config
subdirectory  as a folder of the other project
bare          one compiler line, with nothing but -I
"""

import pathlib
import shutil
import subprocess
import sys
import tempfile

from tree import INCLUDE_ROOTS, ROOT, library_files

mode, build, compiler = sys.argv[1], sys.argv[2], sys.argv[3]
consumer = ROOT / "tests/structure/consumer"


def run(*command, **options):
    print("+", *command, flush=True)
    return subprocess.run([str(c) for c in command], check=True, **options)


def installed(folder):
    """Installs, then moves the whole prefix: nothing in it may know where it was."""
    run("cmake", "--install", build, "--prefix", folder / "first", stdout=subprocess.DEVNULL)
    shutil.move(folder / "first", folder / "moved")
    missing = [name for name in library_files() if not (folder / "moved/include" / name).is_file()]
    if missing:
        sys.exit(f"not installed: {missing}")
    return folder / "moved"


def configure_and_run(folder, targets, *options):
    run("cmake", "-G", "Ninja", "-S", consumer, "-B", folder / "build", f"-DCMAKE_CXX_COMPILER={compiler}", *options)
    run("cmake", "--build", folder / "build", "--target", *targets)
    for target in targets:
        run(folder / "build" / target)


with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name).resolve()
    if mode == "find_package":
        configure_and_run(folder, ["headers_only", "compiled", "image_headers_only", "image_compiled", "c_library"], f"-DCMAKE_PREFIX_PATH={installed(folder)}")
    elif mode == "pkg_config":
        prefix = installed(folder)
        (found,) = prefix.rglob("tessera.pc")
        asked = ["env", f"PKG_CONFIG_PATH={found.parent}", "pkg-config", "--cflags", "--libs", "tessera"]
        flags = run(*asked, capture_output=True, text=True).stdout.split()
        if prefix / "include" not in [pathlib.Path(flag[2:]).resolve() for flag in flags if flag.startswith("-I")]:
            sys.exit(f"pkg-config does not point into {prefix}: {flags}")
        run(compiler, "-std=c++20", "-O2", consumer / "main.cpp", "-o", folder / "program", *flags)
        run(folder / "program")
    elif mode == "subdirectory":
        configure_and_run(folder, ["headers_only", "image_headers_only"], f"-DTESSERA_SOURCE={ROOT}")
    elif mode == "bare":
        run(compiler, "-std=c++20", "-O2", *(f"-I{root}" for root in INCLUDE_ROOTS), consumer / "main.cpp", "-o", folder / "program")
        run(folder / "program")
    else:
        sys.exit(__doc__)
