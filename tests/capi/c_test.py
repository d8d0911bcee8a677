"""<tessera/capi.h> is C99, what it declares is what libtessera exports, and a C program runs."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEADER = ROOT / "include/tessera/capi.h"
LIBRARY = pathlib.Path(os.environ["TESSERA_LIBRARY"])
MODEL = ROOT / "tests/goldens/tiny_st/cls_dense_tanh"


def run(*command):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=120)


class C(unittest.TestCase):
    def test_exports_are_the_header(self):
        declared = set(re.findall(r"\b(tessera_\w+)\(", re.sub(r"/\*.*?\*/", "", HEADER.read_text(), flags=re.DOTALL)))
        done = run("nm", "--dynamic", "--defined-only", LIBRARY)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertGreater(len(declared), 10)
        self.assertEqual({line.split()[-1] for line in done.stdout.splitlines()}, declared)
        self.assertLessEqual(len(declared), 40)

    def test_names(self):
        done = run("readelf", "--dynamic", LIBRARY)
        version = re.search(r"TESSERA_ABI_VERSION (\d+)", HEADER.read_text())[1]
        self.assertIn(f"[libtessera.so.{version}]", done.stdout)

    def test_program(self):
        compiler = shutil.which("gcc") or shutil.which("clang")
        self.assertTrue(compiler, "no C compiler, though there is one for C++")
        linker, sanitizers = compiler, []
        if "__asan_init" in run("nm", "--dynamic", "--undefined-only", LIBRARY).stdout:  # the program has to bring it
            sanitizers = ["-fsanitize=address,undefined"]
            if "libasan" not in run("readelf", "--dynamic", LIBRARY).stdout:  # clang's is no library of its own
                linker = shutil.which("clang++")
        with tempfile.TemporaryDirectory() as folder:
            unit, program = f"{folder}/program.o", f"{folder}/program"
            flags = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wstrict-prototypes", "-Werror"]
            done = run(compiler, *flags, f"-I{ROOT}/include", "-c", ROOT / "tests/capi/program.c", "-o", unit)
            self.assertEqual(done.returncode, 0, done.stderr)
            done = run(linker, *sanitizers, unit, "-o", program, f"-L{LIBRARY.parent}", "-ltessera", f"-Wl,-rpath,{LIBRARY.parent}")
            self.assertEqual(done.returncode, 0, done.stderr)
            done = run(program, MODEL)
            self.assertRegex(done.stdout, r"\A\d+ 1\.0000\n\Z", done.stderr)
            done = run(program, "/no/such/model")
            self.assertEqual(done.returncode, 1)
            self.assertIn("load: ", done.stderr)
            self.assertIn("/no/such/model", done.stderr)


if __name__ == "__main__":
    unittest.main()
