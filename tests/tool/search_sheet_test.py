"""tessera search --corpus --sheet: queries beside the images that the documents of what was found name."""

import json
import os
import shutil
import tarfile
import unittest

from classify_test import GOLDEN, IMAGES, DualTest
from index_test import npy
from toolkit import read_png, read_svg

FRAME = (150, 150, 150)


class SheetTest(DualTest):
    def setUp(self):
        super().setUp()
        (self.dir / "g").mkdir()
        for name in GOLDEN["images"]:
            shutil.copy(IMAGES / name, self.dir / "g")
        self.names_of_images = sorted(f"g/{name}" for name in GOLDEN["images"])

    def index(self, *args, out="c.safetensors"):
        self.tool("index", "-o", out, *args)

    def sheet(self, *args, out="s.svg", code=0, k=3, corpus="c.safetensors"):
        """What was found, the picture, stderr."""
        done = self.tool("search", "--corpus", corpus, "-k", k, "--sheet", out, *args, code=code)
        data = (self.dir / out).read_bytes()
        return [json.loads(line) for line in done.stdout.splitlines()], read_svg(data) if out.endswith("svg") else read_png(data), done.stderr

    def ranks(self, found):
        return [f"{place + 1}. {score:.3f}" for line in found for place, score in enumerate(line["scores"])]

    def shown(self, svg):
        return [t for t in svg.texts if ". " in t and t.split(". ")[0].isdigit()]


class Sheet(SheetTest):
    def test_texts(self):
        self.index("--model", self.folder, "--image", "g")
        found, svg, said = self.sheet("--model", self.folder, "--text", "labels.txt")
        self.assertEqual(said, "")
        self.assertEqual(len(svg.images), 18)
        self.assertEqual(self.shown(svg), self.ranks(found))
        self.assertEqual(svg.texts[0], GOLDEN["labels"][0])
        # Names and pixels are those of a search among the images themselves.
        self.lines("search", "--text", "labels.txt", "-k", 3, "--sheet", "plain.svg", images=["g"])
        plain = read_svg((self.dir / "plain.svg").read_bytes())
        self.assertEqual((plain.texts, plain.images), (svg.texts, svg.images))
        # What is printed is as without a sheet.
        self.assertEqual(found, [json.loads(line) for line in self.tool("search", "--corpus", "c.safetensors", "-k", 3, "--model", self.folder, "--text", "labels.txt").stdout.splitlines()])

    def test_images(self):
        self.index("--model", self.folder, "--image", "g")
        found, svg, _ = self.sheet("--model", self.folder, "--image", "g/rgb.png", "g/420.jpg", k=2)
        self.assertEqual([line["ids"][0] for line in found], [self.names_of_images.index(n) for n in ("g/rgb.png", "g/420.jpg")])
        self.assertEqual([t for t in svg.texts if t == "query"], ["query"] * 2)
        self.assertEqual(self.shown(svg), self.ranks(found))
        pictures = [image for *_, image in svg.images]
        self.assertEqual(len(pictures), 6)
        for query in (0, 3):  # an image finds itself
            self.assertEqual(pictures[query], pictures[query + 1])
            self.assertNotEqual(pictures[query], pictures[query + 2])

    def test_numbers(self):
        self.file("rows.npy", npy([[1.0, 0.0], [0.0, 1.0], [0.5, 0.25]]))
        self.file("documents.jsonl", "".join(json.dumps({"image": f"g/{n}"}) + "\n" for n in ("rgb.png", "420.jpg", "plain.ppm")))
        self.index("--npy", "rows.npy", "--documents", "documents.jsonl")
        self.file("q.npy", npy([[1.0, 0.0], [0.0, 2.0]]))
        _, svg, _ = self.sheet("--npy", "q.npy")
        self.assertEqual(self.shown(svg), ["1. 1.000", "2. 0.500", "3. 0.000", "1. 2.000", "2. 0.500", "3. 0.000"])
        self.assertEqual([t for t in svg.texts if t.startswith(("query", "g/"))], ["query 0", "g/rgb.png", "g/plain.ppm", "g/420.jpg", "query 1", "g/420.jpg", "g/plain.ppm", "g/rgb.png"])

    def test_same_bytes(self):
        self.index("--model", self.folder, "--image", "g")
        pictures = []
        for ending in ("png", "svg"):
            seen = set()
            for threads in (1, 3, 3):
                self.sheet("--model", self.folder, "--text", "labels.txt", "--threads", threads, out=f"p.{ending}")
                seen.add((self.dir / f"p.{ending}").read_bytes())
            self.assertEqual(len(seen), 1)
            pictures.append(seen.pop())
        self.check_agreement(read_png(pictures[0]), read_svg(pictures[1]))

    def test_an_archive(self):
        with tarfile.open(self.dir / "g.tar", "w") as tar:
            for name in self.names_of_images:
                tar.add(self.dir / name, name)
        self.index("--model", self.folder, "--image", "g")
        self.index("--model", self.folder, "--image", "g.tar", out="packed.safetensors")
        _, plain, _ = self.sheet("--model", self.folder, "--text", "snow")
        _, packed, said = self.sheet("--model", self.folder, "--text", "snow", corpus="packed.safetensors")
        self.assertEqual((packed.images, said), (plain.images, ""))
        (self.dir / "g.tar").write_bytes(b"x" * 1000)
        _, damaged, said = self.sheet("--model", self.folder, "--text", "snow", corpus="packed.safetensors")
        self.assertEqual((len(damaged.images), said.count("not on s.svg"), damaged.texts.count("not found")), (0, 3, 3))

    def test_sheets_have_an_end(self):
        self.file("rows.npy", npy([[1.0]] * 150))
        self.file("documents.jsonl", json.dumps({"image": "g/rgb.png"}) + "\n" + "{}\n" * 149)
        self.index("--npy", "rows.npy", "--documents", "documents.jsonl")
        self.file("q.npy", npy([[1.0]] * 4))
        _, svg, said = self.sheet("--npy", "q.npy", k=150)
        self.assertEqual(len(svg.images), 2)
        self.assertIn("s.svg shows 2 of 4 queries: 400 images at most", said)
        self.assertIn("298 of the rows that were found name no image", said)


class Frames(SheetTest):
    def setUp(self):
        super().setUp()
        os.mkfifo(self.dir / "pipe")
        (self.dir / "cut.jpg").write_bytes((IMAGES / "cut-420.jpg").read_bytes())
        with tarfile.open(self.dir / "g.tar", "w") as tar:
            tar.add(self.dir / "g/rgb.png", "rgb.png")
        self.documents = [{"image": "g/rgb.png"}, {"image": "gone.png"}, {"image": "cut.jpg"}, {"image": "pipe"}, {"image": "g.tar/none.png"}, {"image": "none.tar/a.png"},
                          {"image": ["g/rgb.png"]}, {"text": "a text that stands alone"}, {}, {"image": "/dev/zero"}, {"image": ""}, {"image": "a\u0000b"}]  # fmt: skip
        self.file("documents.jsonl", "".join(json.dumps(d) + "\n" for d in self.documents))
        self.file("rows.npy", npy([[float(-i)] for i in range(len(self.documents))]))
        self.file("q.npy", npy([[1.0]]))
        self.index("--npy", "rows.npy", "--documents", "documents.jsonl")

    def test_what_is_missing_leaves_an_empty_frame(self):
        found, svg, said = self.sheet("--npy", "q.npy", k=20)
        self.assertEqual(found[0]["ids"], list(range(len(self.documents))))
        self.assertEqual(self.shown(svg), self.ranks(found))
        self.assertEqual(len(svg.images), 1)
        for name in ("gone.png", "cut.jpg", "pipe", "g.tar/none.png", "none.tar", "/dev/zero", "name with a NUL"):
            self.assertEqual(len([line for line in said.splitlines() if name in line and "not on s.svg" in line]), 1, said)
        self.assertIn("s.svg: 4 of the rows that were found name no image", said)
        self.assertEqual(svg.texts.count("no image"), 4)
        self.assertIn("..t that stands alone", svg.texts)
        self.assertIn("JPEG: truncated", svg.texts)
        self.assertIn("row 8", svg.texts)

    def test_frames_are_drawn(self):
        _, png, _ = self.sheet("--npy", "q.npy", out="s.png", k=2)
        x, y = 12 + 138, 12 + 2 * 8 + 14  # the second cell
        for corner in ((0, 0), (127, 0), (0, 127), (127, 127)):
            self.assertEqual(png.pixel(x + corner[0], y + corner[1]), FRAME)
        self.assertEqual({png.pixel(x + i, y + 40) for i in range(1, 127)}, {(255, 255, 255)})

    def test_mistakes(self):
        before = self.names()
        self.mistake(2, "search", "--corpus", "c.safetensors", "--npy", "q.npy", "--sheet", "a.gif", says=["--sheet a.gif", ".png or .svg"])
        self.assertEqual(self.names(), before)
        done = self.tool("search", "--corpus", "c.safetensors", "--npy", "q.npy", "--sheet", "none/a.svg", code=5)
        self.assertIn("none/a.svg", done.stderr)
        self.assertEqual(done.stdout.count("\n"), 1, "the answers are there")


if __name__ == "__main__":
    unittest.main()
