"""What the tests of the command line tool share: running it, .npy and .safetensors files, model folders to break.

TESSERA_TOOL names the program. Standard library only.
"""
import array
import json
import math
import os
import pathlib
import shutil
import struct
import subprocess
import tempfile
import unittest

TOOL = os.environ["TESSERA_TOOL"]
GOLDENS = pathlib.Path(__file__).resolve().parent.parent / "goldens"
ST, BERT = GOLDENS / "tiny_st", GOLDENS / "tiny_bert"
TEXTS = ST / "texts.jsonl"


def texts():
    return [json.loads(line) for line in TEXTS.read_text(encoding="ascii").splitlines()]


def read_npy(path):
    """(rows, columns, numbers) of a two-dimensional float32 file."""
    data = pathlib.Path(path).read_bytes()
    assert data[:8] == b"\x93NUMPY\x01\x00", data[:8]
    size = struct.unpack("<H", data[8:10])[0]
    header = eval(data[10:10 + size].decode("latin1"), {"__builtins__": {}})  # our own file: a dict of literals
    assert header["descr"] == "<f4" and not header["fortran_order"], header
    rows, columns = header["shape"]
    numbers = array.array("f", data[10 + size:])
    assert len(numbers) == rows * columns, (header, len(numbers))
    return rows, columns, numbers


def read_safetensors(path):
    """name -> (dtype, shape, bytes)."""
    data = pathlib.Path(path).read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    body = data[8 + size:]
    return {n: (t["dtype"], t["shape"], body[slice(*t["data_offsets"])]) for n, t in header.items() if n != "__metadata__"}


def write_safetensors(path, tensors):
    header, body = {}, b""
    for name, (dtype, shape, data) in tensors.items():
        header[name] = dict(dtype=dtype, shape=shape, data_offsets=[len(body), len(body) + len(data)])
        body += data
    text = json.dumps(header).encode()
    pathlib.Path(path).write_bytes(struct.pack("<Q", len(text)) + text + body)


def worst_row_error(got, want):
    """Largest error of any row, relative to that row's largest value."""
    rows, columns, a = got
    assert (rows, columns) == want[:2], (got[:2], want[:2])
    worst = 0.0
    for r in range(rows):
        x, y = a[r * columns:(r + 1) * columns], want[2][r * columns:(r + 1) * columns]
        assert all(map(math.isfinite, x))
        worst = max(worst, max(abs(p - q) for p, q in zip(x, y)) / max(map(abs, y)))
    return worst


class ToolTest(unittest.TestCase):
    BOUND = 2e-5  # of a row's largest value: the project's promise

    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def run_tool(self, *args, code=0, stdin=b"", env=None, **more):
        done = subprocess.run([TOOL, *map(str, args)], input=stdin, capture_output=True, timeout=120, env=dict(os.environ, **(env or {})), **more)
        self.assertEqual(done.returncode, code, f"{args}\n{done.stderr.decode(errors='replace')}")
        return done

    def mistake(self, code, words, *args, **more):
        """One line on stderr that holds each of the words, this exit code, nothing on stdout."""
        done = self.run_tool(*args, code=code, **more)
        lines = done.stderr.decode().splitlines()
        self.assertEqual(len(lines), 1, done.stderr)
        self.assertTrue(lines[0].startswith("tessera: "), lines[0])
        for word in words:
            self.assertIn(str(word), lines[0])
        self.assertEqual(done.stdout, b"")
        return lines[0]

    def model(self, name="all_modes", source=ST):
        """A copy of a folder, to be broken."""
        folder = self.dir / "model"
        shutil.copytree(source / name, folder)
        return folder

    def leftovers(self):
        return [p.name for p in self.dir.rglob("*.tmp*")]

    def embed(self, *args, out="out.npy", model="all_modes", code=0, **more):
        self.run_tool("embed", "--model", ST / model, "-o", self.dir / out, *args, code=code, **more)
        return read_npy(self.dir / out)
