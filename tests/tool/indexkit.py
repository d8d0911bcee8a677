"""What tests of tessera index share: exact rows, and the answers that they must get."""

import array
import json
import random
import struct

from toolkit import ToolTest


def npy(rows, kind="<f4"):
    """[N, E] of float32 or float16."""
    header = repr({"descr": kind, "fortran_order": False, "shape": (len(rows), len(rows[0]))}).encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    pack = {"<f4": "f", "<f2": "e"}[kind]
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + b"".join(struct.pack(f"<{len(r)}{pack}", *r) for r in rows)


def matrix(rows, columns, seed):
    """Multiples of 1/64, so that products are exact in any order."""
    rng = random.Random(seed)
    return [[rng.randint(-64, 64) / 64 for _ in range(columns)] for _ in range(rows)]


def ranked(query, rows, k, among=None):
    """(ids, scores), the larger score first, of equal ones the lower id."""
    scores = {i: sum(a * b for a, b in zip(query, row)) for i, row in enumerate(rows) if among is None or i in among}
    ids = sorted(scores, key=lambda i: (-scores[i], i))[:k]
    return ids, [scores[i] for i in ids]


class IndexTest(ToolTest):
    def setUp(self):
        super().setUp()
        self.rows, self.queries = matrix(120, 8, 1), matrix(9, 8, 2)
        self.file("rows.npy", npy(self.rows))
        self.file("queries.npy", npy(self.queries))

    def index(self, *args, out="c.safetensors", **options):
        return json.loads(self.tool("index", "-o", out, *args, **options).stdout or "null")

    def search(self, *args, corpus="c.safetensors", k=5, **options):
        done = self.tool("search", "--corpus", corpus, "-k", k, *args, **options)
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        for answer in answers:
            answer["scores"] = array.array("f", answer["scores"]).tolist()  # printed as short as they read back
        return answers

    def check(self, answers, rows, k, among=None):
        self.assertEqual([a["query"] for a in answers], list(range(len(self.queries))))
        for answer, query in zip(answers, self.queries):
            self.assertEqual((answer["ids"], answer["scores"]), ranked(query, rows, k, among))
