"""tessera maxsim: transformers' numbers, and a picture with a map a token; mistakes."""

import json
import unittest

from classify_test import IMAGES, DualTest
from toolkit import GOLDENS, PLAIN, TOLERANCE, floats, read_png, read_svg, worst_error

GOLDEN = json.loads((GOLDENS / "maxsim.json").read_text())


class Maxsim(DualTest):
    def setUp(self):
        super().setUp()
        self.file("texts.txt", "".join(text + "\n" for text in GOLDEN["texts"]))
        self.images = [IMAGES / name for name in GOLDEN["images"]]

    def maxsim(self, *args, text="texts.txt", **options):
        return self.lines("maxsim", "--text", text, *args, **options)

    def test_numbers_are_those_of_transformers(self):
        for name in ("clip", "siglip"):
            want, got = GOLDEN[name], iter(self.maxsim(model=self.dual(name) if name != "clip" else None))
            for i, image in enumerate(self.images):
                for t in range(len(GOLDEN["texts"])):
                    with self.subTest(name, image=image.name, text=t):
                        line = next(got)
                        self.assertEqual((line["image"], line["query"], line["patches"], line["tokens"]), (str(image), t, want["grid"], want["tokens"][t]))
                        self.assertEqual([5 * r + c for r, c in zip(line["rows"], line["columns"])], want["best"][i][t])
                        self.assertLessEqual(worst_error(line["values"], want["values"][i][t]), TOLERANCE)
                        self.assertLessEqual(worst_error([line["score"]], [want["scores"][i][t]]), TOLERANCE)
            self.assertEqual(list(got), [])

    def test_a_line_is_the_same_in_any_company(self):
        whole = self.maxsim("--threads", 3)
        self.assertEqual(whole, self.maxsim("--threads", 1))
        self.assertEqual(self.maxsim(text=GOLDEN["texts"][0], images=self.images[1:2]), [whole[len(GOLDEN["texts"])]])

    def test_a_text_without_tokens(self):
        self.assertEqual({k: v for k, v in self.maxsim(text="", images=self.images[:1])[0].items() if k != "image"},
                         {"query": 0, "score": 0, "patches": [5, 5], "tokens": [], "rows": [], "columns": [], "values": []})  # fmt: skip

    def test_sheet(self):
        png, svg = self.same_bytes_of_sheets()
        self.check_agreement(png, svg)
        lines = self.maxsim(text=GOLDEN["texts"][0])
        self.assertEqual(len(svg.images), 3 * (1 + 3))
        self.assertEqual([t for t in svg.texts if t.startswith("a red circle: ")], [f"a red circle: {line['score']:.3f}" for line in lines])
        for line in lines:
            for token, value, row, column in zip(line["tokens"], line["values"], line["rows"], line["columns"]):
                self.assertIn(token, svg.texts)
                self.assertTrue(any(t.endswith(f" to {value:.3f}, row {row}, column {column}") for t in svg.texts))
        for i, line in enumerate(lines):
            plain, *maps = [image for *_, image in svg.images[4 * i : 4 * i + 4]]
            self.assertEqual((plain.width, plain.height), (30, 30))  # what patches of 6 pixels cover
            for picture, row, column in zip(maps, line["rows"], line["columns"]):
                # Framed in black and white, which neither colours nor greys of a map are.
                for y in range(6):
                    for x in range(6):
                        depth = min(x, y, 5 - x, 5 - y)
                        if depth < 2:
                            self.assertEqual(picture.pixel(6 * column + x, 6 * row + y), ((0, 0, 0), (255, 255, 255))[depth])
                black = sum(picture.pixel(x, y) == (0, 0, 0) for x in range(30) for y in range(30))
                self.assertEqual(black, 20, "one patch alone")

    def same_bytes_of_sheets(self):
        pictures = []
        for ending in ("png", "svg"):
            seen = set()
            for threads in (1, 3, 3):
                self.maxsim("--sheet", f"p.{ending}", "--threads", threads, text=GOLDEN["texts"][0])
                seen.add((self.dir / f"p.{ending}").read_bytes())
            self.assertEqual(len(seen), 1)
            pictures.append(seen.pop())
        return read_png(pictures[0]), read_svg(pictures[1])

    def test_the_brightest_is_where_the_value_is(self):
        """Of the patches the one whose middle is nearest to the yellow end is not far below the largest value."""
        line = self.maxsim("--sheet", "s.svg", text="snow", images=self.images[:1])[0]
        image = read_svg((self.dir / "s.svg").read_bytes()).images[1][4]
        luma = lambda p: 0.2126 * p[0] + 0.7152 * p[1] + 0.0722 * p[2]
        middles = {(r, c): luma(image.pixel(6 * c + 3, 6 * r + 3)) for r in range(5) for c in range(5)}
        best = (line["rows"][0], line["columns"][0])
        self.assertGreaterEqual(middles[best], sorted(middles.values())[-3])

    def test_sheets_have_an_end(self):
        done = self.tool("maxsim", "--model", self.folder, "--text", "a red circle", "--image", *self.images[1:2] * 101, "--sheet", "s.svg")
        self.assertEqual(done.stderr, "tessera: s.svg shows 100 of 101 pairs: 400 images at most\n")
        self.assertEqual(len(read_svg((self.dir / "s.svg").read_bytes()).images), 400)

    def test_what_cannot_be_read_is_named(self):
        done = self.tool("maxsim", "--model", self.folder, "--text", "snow", "--image", "none.png", self.images[0], IMAGES / "cut-420.jpg", "--sheet", "s.svg", code=3)
        self.assertEqual(done.stdout.count("\n"), 1)
        self.assertIn("none.png skipped: ", done.stderr)
        self.assertIn("cut-420.jpg skipped: JPEG: truncated", done.stderr)
        self.assertEqual(len(read_svg((self.dir / "s.svg").read_bytes()).images), 2)

    def test_what_is_not_finite_is_named(self):
        def poison(tensors):
            name = "visual_projection.weight"
            tensors[name] = floats(tensors[name].shape, [float("nan")] * (tensors[name].shape[0] * tensors[name].shape[1]))

        self.change_weights(self.folder, poison)
        done = self.tool("maxsim", "--model", self.folder, "--text", "snow", "--image", self.images[0], "--allow-nonfinite", code=6)
        self.assertEqual(done.stdout, "")
        self.assertIn("skipped: ", done.stderr)

    def test_mistakes(self):
        image = self.images[0]
        for code, args, says in (
            (2, ["--model", self.folder, "--image", image], ["--text"]),
            (2, ["--model", self.folder, "--text", "a"], ["--image"]),
            (2, ["--model", self.folder, "--text", "a", "--image", image, "--sheet", "a.gif"], ["--sheet a.gif", ".png or .svg"]),
            (2, ["--model", self.folder, "--text", "-", "--image", "-"], ["--text -", "--image -"]),
            (4, ["--model", PLAIN, "--text", "a", "--image", image], ["images and texts"]),
            (1, ["--model", self.folder, "--text", "none.txt", "--image", image], ["none.txt", "cannot read"]),
        ):
            with self.subTest(args):
                before = self.names()
                self.mistake(code, "maxsim", *args, says=says)
                self.assertEqual(self.names(), before)


if __name__ == "__main__":
    unittest.main()
