"""tessera classify and search: transformers' numbers, mistakes, and pictures that are the same bytes every time."""

import json
import os
import shutil
import signal
import tarfile
import unittest

from toolkit import GOLDENS, TOLERANCE, ToolTest, floats, read_png, read_svg, worst_error

IMAGES = GOLDENS / "images"
GOLDEN = json.loads((GOLDENS / "classify/golden.json").read_text())


class DualTest(ToolTest):
    def setUp(self):
        super().setUp()
        self.folder = self.dual("clip")
        self.labels = self.file("labels.txt", "".join(label + "\n" for label in GOLDEN["labels"]))
        self.images = [IMAGES / name for name in GOLDEN["images"]]

    def dual(self, name):
        path = self.model(GOLDENS / "tiny_image" / name, name)
        for file in (GOLDENS / "classify" / name).iterdir():
            shutil.copy(file, path)
        return path

    def lines(self, command, *args, images=None, model=None, **options):
        done = self.tool(command, "--model", model or self.folder, "--image", *(images or self.images), *args, **options)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def classify(self, *args, **options):
        return self.lines("classify", "--labels", "labels.txt", *args, **options)

    def search(self, text, *args, **options):
        return self.lines("search", "--text", text, *args, **options)

    def same_bytes(self, command, option, *args):
        """The picture of every number of threads and of a second run."""
        pictures = []
        for ending in ("png", "svg"):
            seen = set()
            for threads in (1, 3, 3):
                self.lines(command, *args, option, f"p.{ending}", "--threads", threads, "--batch-tokens", 1000 // threads)
                seen.add((self.dir / f"p.{ending}").read_bytes())
            self.assertEqual(len(seen), 1)
            pictures.append(seen.pop())
        return read_png(pictures[0]), read_svg(pictures[1])

    def check_agreement(self, png, svg):
        """An image of the SVG lies in the PNG, enlarged as it says."""
        for x, y, width, height, image in svg.images:
            factor = width // image.width
            self.assertEqual((image.width * factor, image.height * factor), (width, height))
            part = png.part(x, y, width, height)
            self.assertEqual(part[::factor], [b"".join(row[3 * i : 3 * i + 3] * factor for i in range(image.width)) for row in image.rows])


class Classify(DualTest):
    def test_probabilities_are_those_of_transformers(self):
        for name in ("clip", "siglip"):
            model = self.dual(name) if name != "clip" else self.folder
            for template, golden in zip(GOLDEN["templates"], GOLDEN[name]):
                with self.subTest(name, template=template):
                    got = self.classify("--template", template, model=model)
                    self.assertEqual([line["image"] for line in got], [str(i) for i in self.images])
                    for line, want in zip(got, golden["probabilities"]):
                        order = sorted(range(len(want)), key=lambda i: -want[i])
                        self.assertEqual(line["labels"], [GOLDEN["labels"][i] for i in order])
                        self.assertLessEqual(worst_error(line["probabilities"], [want[i] for i in order]), TOLERANCE)

    def test_top_and_template(self):
        whole = self.classify()
        for line, one in zip(whole, self.classify("--top", 2)):
            self.assertEqual((line["labels"][:2], line["probabilities"][:2]), (one["labels"], one["probabilities"]))
        self.assertEqual(whole, self.classify("--top", 99, "--template", "{}"))

    def test_an_image_has_its_line_whatever_its_company(self):
        together = self.classify("--threads", 2)
        self.assertEqual(together, self.classify("--batch-tokens", 1, "--threads", 1))
        for image, line in zip(self.images, together):
            self.assertEqual(self.classify(images=[image]), [line])

    def test_what_cannot_be_read_is_named(self):
        done = self.tool("classify", "--model", self.folder, "--labels", "labels.txt", "--image", "none.png", self.images[0], IMAGES / "cut-420.jpg", code=3)
        self.assertEqual(done.stdout.count("\n"), 1)
        self.assertIn("none.png skipped: ", done.stderr)
        self.assertIn("cut-420.jpg skipped: JPEG: truncated", done.stderr)

    def test_names_that_are_not_utf8(self):
        path = os.fsencode(self.dir) + b"/\xff\x1b[2J.png"
        shutil.copy(self.images[1], path)
        done = self.tool("classify", "--model", self.folder, "--labels", "labels.txt", "--image", os.fsdecode(path), "--sheet", "s.svg")
        self.assertTrue(json.loads(done.stdout)["image"].endswith("/\ufffd\x1b[2J.png"))
        self.assertNotIn("\x1b", done.stdout)
        read_svg((self.dir / "s.svg").read_bytes())

    def test_sheet(self):
        png, svg = self.same_bytes("classify", "--sheet", "--labels", "labels.txt")
        self.check_agreement(png, svg)
        self.assertEqual(len(svg.images), len(self.images))
        self.assertEqual(svg.texts[0], "7 images, 6 labels")
        best = self.classify()
        for line in best:
            self.assertIn(f"{line['probabilities'][0]:.3f} {line['labels'][0]}"[:19], [t[:19] for t in svg.texts])
        rgb = next(image for *_, image in svg.images if (image.width, image.height) == (37, 29))
        self.assertGreater(len(set(rgb.rows)), 20)
        # Our own decoder takes it.
        self.assertEqual(len(self.classify(images=["p.png"])), 1)

    def test_heat_map(self):
        png, svg = self.same_bytes("classify", "--heat-map", "--labels", "labels.txt")
        self.check_agreement(png, svg)
        numbers = [t for t in svg.texts if t.startswith("0.")]
        want = [p for line in self.classify() for _, p in sorted((GOLDEN["labels"].index(a), b) for a, b in zip(line["labels"], line["probabilities"]))]
        self.assertEqual(numbers[: len(want)], [f"{p:.3f}" for p in want])
        self.assertEqual(numbers[len(want) :], [f"{min(want):.3f}", f"{max(want):.3f}"])
        self.assertIn("Élan", svg.texts)

    def test_heat_maps_of_many(self):
        self.file("many.txt", "".join(f"label {i}\n" for i in range(101)))
        self.mistake(2, "classify", "--model", self.folder, "--labels", "many.txt", "--image", self.images[0], "--heat-map", "h.svg", says=["--heat-map", "at most 100 labels", "many.txt has 101"])
        self.classify("--heat-map", "h.svg", "--sheet", "s.svg", images=self.images[1:2] * 103)
        heat, sheet = (read_svg((self.dir / name).read_bytes()) for name in ("h.svg", "s.svg"))
        self.assertEqual((heat.texts[0], len(heat.images)), ("103 images, 6 labels, the first 100", 100))
        self.assertEqual((sheet.texts[0], len(sheet.images)), ("103 images, 6 labels", 103))

    def test_results_that_are_not_finite(self):
        def poison(tensors):
            tensors[name] = floats(tensors[name].shape, [float("nan")] * (tensors[name].shape[0] * tensors[name].shape[1]))

        name = "visual_projection.weight"
        self.change_weights(self.folder, poison)
        args = ("classify", "--model", self.folder, "--labels", "labels.txt", "--image", "none.png", self.images[0])
        self.assertIn("allow-nonfinite", self.tool(*args, code=4).stderr)
        done = self.tool(*args, "--allow-nonfinite", code=6)
        self.assertEqual(done.stdout, "")
        self.assertIn("420.jpg skipped: its embedding holds NaN or infinity", done.stderr)
        name = "text_projection.weight"
        self.change_weights(self.folder, poison)
        self.assertEqual(self.tool(*args, "--allow-nonfinite", code=6).stdout, "")

    def test_a_signal_leaves_whole_lines(self):
        process = self.start("classify", "--model", self.folder, "--labels", "labels.txt", "--image", "-", "--batch-tokens", 1, "--sheet", "s.png")
        process.stdin.write(f"{self.images[0]}\n".encode() * 100)  # lines and answers fit into the pipes
        process.stdin.flush()
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest, said = process.stdout.read(), process.stderr.read()
        self.assertEqual(process.wait(), 130)
        for line in (first + rest).splitlines():
            json.loads(line)
        self.assertIn(b"stopped by a signal", said)
        self.assertNotIn("s.png", self.names())

    def test_pictures_of_nothing(self):
        self.tool("classify", "--model", self.folder, "--labels", "labels.txt", "--image", "none.png", "--sheet", "s.png", "--heat-map", "h.png", code=3)
        for name in ("s.png", "h.png"):
            read_png((self.dir / name).read_bytes())


class Search(DualTest):
    def test_scores_are_those_of_transformers(self):
        for name in ("clip", "siglip"):
            got = self.search("labels.txt", "-k", 5, model=self.dual(name) if name != "clip" else None)
            self.assertEqual([line["query"] for line in got], list(range(6)))
            for line, want in zip(got, GOLDEN[name][0]["cosines"]):
                order = sorted(range(len(want)), key=lambda i: (-want[i], i))[:5]
                self.assertEqual(line["ids"], order)
                self.assertEqual(line["images"], [str(self.images[i]) for i in order])
                self.assertLessEqual(worst_error(line["scores"], [want[i] for i in order]), TOLERANCE)

    def test_a_text_itself(self):
        whole = self.search("labels.txt")
        self.assertEqual(self.search("snow"), [{**whole[3], "query": 0}])
        self.assertEqual(self.search("-", stdin=b"snow\nsnow\n"), [{**whole[3], "query": i} for i in (0, 1)])

    def test_an_archive(self):
        with tarfile.open(self.dir / "g.tar", "w") as tar:
            for image in self.images:
                tar.add(image, image.name)
        plain, packed = (self.search("snow", "--sheet", f"{i}.svg", images=images)[0] for i, images in enumerate((self.images, ["g.tar"])))
        self.assertEqual([plain[k] for k in ("ids", "scores")], [packed[k] for k in ("ids", "scores")])
        self.assertEqual(packed["images"][0], f"g.tar/{self.images[packed['ids'][0]].name}")
        self.assertEqual(*(read_svg((self.dir / f"{i}.svg").read_bytes()).images for i in range(2)))

    def test_sheets_have_an_end(self):
        self.file("q.txt", "a\n" * 5)
        done = self.tool("search", "--model", self.folder, "--text", "q.txt", "--image", *self.images[1:2] * 90, "-k", 90, "--sheet", "s.svg")
        self.assertEqual(done.stderr, "tessera: s.svg shows 4 of 5 texts: 400 images at most\n")
        self.assertEqual(len(read_svg((self.dir / "s.svg").read_bytes()).images), 360)

    def test_of_equals_the_lowest_number(self):
        image, other = self.images[1], self.images[0]
        got = self.search("snow", images=[other, image, image, "none.png", image], code=3)[0]
        place = got["ids"].index(1)
        self.assertEqual(got["ids"][place : place + 3], [1, 2, 4])
        self.assertEqual(len(set(got["scores"])), 2)
        self.assertEqual(self.search("snow", "-k", 1, images=[image] * 9)[0]["ids"], [0])

    def test_a_line_that_is_no_text(self):
        self.file("q.txt", b"snow\n\xff\nred circle\n")
        done = self.tool("search", "--model", self.folder, "--text", "q.txt", "--image", *self.images, code=3)
        self.assertEqual([json.loads(line)["query"] for line in done.stdout.splitlines()], [0, 2])
        self.assertIn("q.txt, line 2 (query 1) skipped: not valid UTF-8", done.stderr)

    def test_sheet(self):
        png, svg = self.same_bytes("search", "--sheet", "--text", "labels.txt", "-k", "3")
        self.check_agreement(png, svg)
        self.assertEqual(len(svg.images), 18)
        got = self.search("labels.txt", "-k", 3)
        self.assertEqual([t for t in svg.texts if t[:2] in ("1.", "2.", "3.")], [f"{r + 1}. {s:.3f}" for line in got for r, s in enumerate(line["scores"])])


class Mistakes(DualTest):
    def check(self, code, *args, says, **options):
        before = self.names()
        self.mistake(code, *args, says=says, **options)
        self.assertEqual(self.names(), before)

    def classify_mistake(self, code, *args, says, labels="labels.txt", model=None, image=IMAGES / "rgb.png", **options):
        self.check(code, "classify", "--model", model or self.folder, "--labels", labels, "--image", image, *args, says=says, **options)

    def test_labels(self):
        for content, says in (
            ("", ["no labels"]),
            ("a\n\nb\n", ["line 2", "empty label"]),
            ("a\n \t\n", ["line 2", "empty label"]),
            ("a\nb\na\n", ["line 3", "'a' again", "line 1"]),
            (b"a\n\xff\n", ["line 2", "not valid UTF-8", "iconv"]),
        ):
            with self.subTest(content):
                self.file("bad.txt", content)
                self.classify_mistake(1, labels="bad.txt", says=["bad.txt", *says])
        self.classify_mistake(1, labels="none.txt", says=["none.txt", "cannot read", "check the path"])
        self.classify_mistake(1, labels=".", says=["a folder"])
        self.classify_mistake(2, labels="-", image="-", says=["--labels -", "--image -"])

    def test_options(self):
        for args, says in (
            (["--template", "a photo"], ["--template", "{}"]),
            (["--template", os.fsdecode(b"\xff {}")], ["--template", "UTF-8"]),
            (["--top", "0"], ["--top"]),
            (["--sheet", "x.jpg"], ["--sheet x.jpg", ".png or .svg"]),
            (["--heat-map", "x"], ["--heat-map x", ".png or .svg"]),
            (["--backend", "cv"], ["--backend", "pil"]),
        ):
            self.classify_mistake(2, *args, says=says)
        self.check(2, "classify", "--model", self.folder, "--labels", "labels.txt", says=["--image"])
        self.check(2, "classify", "--model", self.folder, "--image", "x.png", says=["--labels"])
        search = ("search", "--model", self.folder, "--image", IMAGES / "rgb.png")
        self.check(2, *search, says=["--text"])
        self.check(1, *search, "--text", "none.txt", says=["none.txt", "cannot read"])
        self.check(2, *search, "--text", "a", "-k", "0", says=["-k"])
        self.check(2, *search, "--text", "a", "--sheet", "x.gif", says=["--sheet x.gif"])
        self.check(2, *search, "--text", os.fsdecode(b"\xff"), says=["--text", "UTF-8"])
        self.check(2, "search", "--model", self.folder, "--image", "-", "--text", "-", says=["--text -"])

    def test_models(self):
        self.classify_mistake(4, model=GOLDENS / "tiny_image/vit_p7", says=["model_type 'vit'", "images and texts", "clip, siglip"])
        (self.folder / "tokenizer.json").unlink()
        self.classify_mistake(4, says=["tokenizer"])
        self.folder = self.dual("siglip")
        (self.folder / "preprocessor_config.json").unlink()
        self.classify_mistake(4, says=["preprocessor_config.json"])

    def test_a_picture_that_cannot_be_written(self):
        for option in ("--sheet", "--heat-map"):
            done = self.tool("classify", "--model", self.folder, "--labels", "labels.txt", "--image", IMAGES / "rgb.png", option, "none/x.png", code=5)
            self.assertIn("none/x.png", done.stderr)


if __name__ == "__main__":
    unittest.main()
