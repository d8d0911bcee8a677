"""What the tests of the tool share: running it, its files (npy, safetensors) read and written, folders of tiny models.

Only Python's standard library. TESSERA_TOOL names the program.
"""

import array
import base64
import json
import math
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import typing
import unittest
import xml.etree.ElementTree
import zlib

TOOL = os.environ["TESSERA_TOOL"]
GOLDENS = pathlib.Path(__file__).resolve().parent.parent / "goldens"
ST = GOLDENS / "tiny_st"
PLAIN = ST / "max_vocab_txt"
BERT = GOLDENS / "tiny_bert"
TEXTS = ST / "texts.jsonl"
TOLERANCE = 2e-5  # of the largest value of a row
PATIENCE = 60  # seconds for what takes milliseconds: sanitizers and busy machines

assert sys.byteorder == "little", "npy and safetensors are read here as the machine has them"


# ---- npy ------------------------------------------------------------------------------------------------------------


class Npy(typing.NamedTuple):
    rows: list  # of array('f')
    dim: int


def read_npy(path):
    """A [rows, dim] float32 file, and nothing else."""
    data = pathlib.Path(path).read_bytes()
    assert data[:8] == b"\x93NUMPY\x01\x00", f"{path}: {data[:8]!r}"
    size = struct.unpack("<H", data[8:10])[0]
    assert (10 + size) % 64 == 0
    header = data[10 : 10 + size].decode("ascii")
    shape = re.fullmatch(r"\{'descr': '<f4', 'fortran_order': False, 'shape': \((\d+), (\d+)\), \} *\n", header)
    assert shape, header
    rows, dim = int(shape[1]), int(shape[2])
    values = array.array("f", data[10 + size :])
    assert len(values) == rows * dim, f"{path}: {len(values)} numbers for {rows} x {dim}"
    return Npy([values[r * dim : (r + 1) * dim] for r in range(rows)], dim)


# ---- safetensors ----------------------------------------------------------------------------------------------------


class Tensor(typing.NamedTuple):
    dtype: str
    shape: tuple
    data: bytes

    def floats(self):
        assert self.dtype == "F32"
        return array.array("f", self.data)


def integers(rows):
    """[B, T] of I64."""
    return Tensor("I64", (len(rows), len(rows[0])), array.array("q", [x for row in rows for x in row]).tobytes())


def floats(shape, values):
    return Tensor("F32", tuple(shape), array.array("f", values).tobytes())


def read_safetensors(path):
    data = pathlib.Path(path).read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    header.pop("__metadata__", None)
    body = data[8 + size :]
    return {n: Tensor(t["dtype"], tuple(t["shape"]), body[slice(*t["data_offsets"])]) for n, t in header.items()}


def write_safetensors(path, tensors, shift=0):
    """shift: so many bytes that the tensors begin after a multiple of 8."""
    header, body = {}, b""
    for name, t in tensors.items():
        header[name] = {"dtype": t.dtype, "shape": list(t.shape), "data_offsets": [len(body), len(body) + len(t.data)]}
        body += t.data
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8 + shift)
    pathlib.Path(path).write_bytes(struct.pack("<Q", len(text)) + text + body)


# ---- pictures -------------------------------------------------------------------------------------------------------


class Png(typing.NamedTuple):
    width: int
    height: int
    rows: list  # of bytes, three a pixel

    def pixel(self, x, y):
        return tuple(self.rows[y][3 * x : 3 * x + 3])

    def part(self, x, y, width, height):
        return [row[3 * x : 3 * (x + width)] for row in self.rows[y : y + height]]


def paeth(a, b, c):
    p = a + b - c
    distances = (abs(p - a), a), (abs(p - b), b), (abs(p - c), c)
    return min(distances, key=lambda d: d[0])[1]


def read_png(data):
    """8-bit RGB, not interlaced: what the tool writes. Checksums are held to."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, chunks = 8, []
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + size]
        assert struct.unpack(">I", data[at + 8 + size : at + 12 + size])[0] == zlib.crc32(kind + body)
        chunks.append((kind, body))
        at += size + 12
    assert chunks[0][0] == b"IHDR" and chunks[-1] == (b"IEND", b"") and {k for k, _ in chunks[1:-1]} == {b"IDAT"}
    width, height, *rest = struct.unpack(">IIBBBBB", chunks[0][1])
    assert rest == [8, 2, 0, 0, 0], rest
    raw = zlib.decompress(b"".join(body for kind, body in chunks if kind == b"IDAT"))
    stride = 3 * width
    assert len(raw) == height * (stride + 1)
    rows, above = [], bytes(stride)
    for y in range(height):
        kind, line = raw[y * (stride + 1)], bytearray(raw[y * (stride + 1) + 1 : (y + 1) * (stride + 1)])
        assert kind in (0, 4), kind
        if kind == 4:
            for i in range(stride):
                left, corner = (line[i - 3], above[i - 3]) if i >= 3 else (0, 0)
                line[i] = (line[i] + paeth(left, above[i], corner)) & 255
        above = bytes(line)
        rows.append(above)
    return Png(width, height, rows)


class Svg(typing.NamedTuple):
    texts: list
    images: list  # of (x, y, width, height, Png)


def read_svg(data):
    root = xml.etree.ElementTree.fromstring(data)
    space = "{http://www.w3.org/2000/svg}"
    assert root.tag == space + "svg" and {e.tag for e in root} <= {space + t for t in ("rect", "text", "image")}
    images = []
    for e in root.iter(space + "image"):
        head, body = e.get("href").split(",")
        assert head == "data:image/png;base64"
        images.append((*(int(e.get(k)) for k in ("x", "y", "width", "height")), read_png(base64.b64decode(body, validate=True))))
    return Svg([e.text for e in root.iter(space + "text")], images)


# ---- numbers --------------------------------------------------------------------------------------------------------


def worst_error(got, want):
    """Largest difference, as a share of the largest wanted value; infinite where it is not a number."""
    assert len(got) == len(want), f"{len(got)} numbers, expected {len(want)}"
    top = max((abs(x) for x in want), default=0.0) or 1.0
    differences = [abs(a - b) for a, b in zip(got, want)]
    return math.inf if any(math.isnan(d) for d in differences) else max(differences, default=0.0) / top


def unit(row):
    n = math.sqrt(sum(x * x for x in row))
    return [x / n for x in row]


# ---- running the tool -----------------------------------------------------------------------------------------------


def environment(home, **changes):
    """That of the test, without what would lead the tool elsewhere."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "TESSERA_", "XDG_"))}
    return {**env, "HOME": str(home), **{k: str(v) for k, v in changes.items()}}


class ToolTest(unittest.TestCase):
    """A folder of its own for each test, and ways to run the tool in it."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="tessera-tool-")
        self.addCleanup(folder.cleanup)
        self.dir = pathlib.Path(folder.name)

    def tool(self, *args, code=0, stdin=b"", env=None, **options):
        """Runs it to its end; stdout and stderr are text of the result."""
        done = subprocess.run(
            [TOOL, *map(str, args)],
            input=stdin,
            capture_output=True,
            cwd=self.dir,
            env=environment(self.dir, **(env or {})),
            timeout=PATIENCE,
            **options,
        )
        done.stdout, done.stderr = done.stdout.decode(), done.stderr.decode()
        self.assertEqual(done.returncode, code, f"{args}: {done.stderr}")
        return done

    def start(self, *args, **options):
        """Starts it, with pipes; ended at the latest with the test."""
        pipe = subprocess.PIPE
        streams = {"stdin": pipe, "stdout": pipe, "stderr": pipe, **options}
        process = subprocess.Popen([TOOL, *map(str, args)], cwd=self.dir, env=environment(self.dir), **streams)

        def end():
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream:
                    try:
                        stream.close()
                    except BrokenPipeError:
                        pass

        self.addCleanup(end)
        return process

    def embed(self, model, text, *args, out="out.npy", **options):
        """Rows of `tessera embed`."""
        self.tool("embed", "--model", model, "--text", text, "-o", out, *args, **options)
        return read_npy(self.dir / out)

    def mistake(self, code, *args, says, **options):
        """One line on stderr, with all of these words in it, and this exit code."""
        done = self.tool(*args, code=code, **options)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertTrue(done.stderr.startswith("tessera: ") and done.stderr.endswith("\n"), done.stderr)
        self.assertLess(len(done.stderr), 600, "a line that can be read")
        for word in says:
            self.assertIn(str(word), done.stderr)
        self.assertEqual(done.stdout, "")
        return done.stderr

    def file(self, name, content):
        path = self.dir / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def names(self, folder="."):
        return sorted(p.name for p in (self.dir / folder).iterdir())

    def model(self, source=ST / "max_vocab_txt", name="model", without=()):
        """A copy that may be changed."""
        path = self.dir / name
        shutil.copytree(source, path, ignore=lambda folder, _: without if pathlib.Path(folder) == source else ())
        return path

    def change_config(self, model, **changes):
        path = model / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    def change_weights(self, model, change):
        tensors = read_safetensors(model / "model.safetensors")
        change(tensors)
        write_safetensors(model / "model.safetensors", tensors)

    def assert_close(self, got, want):
        self.assertLessEqual(worst_error(got, want), TOLERANCE)

    def wait_for(self, condition, what):
        end = time.monotonic() + PATIENCE
        while not condition():
            self.assertLess(time.monotonic(), end, f"waited too long for {what}")
            time.sleep(0.002)


class MistakeTest(ToolTest):
    """Of embed: in.txt is a text that is right."""

    def setUp(self):
        super().setUp()
        self.text = self.file("in.txt", "a cat\n")

    def embed_mistake(self, code, *args, says, model=PLAIN, text="in.txt", out="out.npy", leaves=None, **options):
        """As mistake(), of embed; and nothing is left behind that was not there (but `leaves`)."""
        before = self.names()
        line = self.mistake(code, "embed", "--model", model, "--text", text, "-o", out, *args, says=says, **options)
        self.assertEqual(self.names(), sorted(before + (leaves or [])))
        return line
