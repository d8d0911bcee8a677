"""tessera merge and --merge: the table, the mosaics, and what is refused."""

import json
import shutil
import unittest

from toolkit import GOLDENS, ToolTest, read_npy, read_png, read_svg

IMAGES = GOLDENS / "images"
PROCESSOR = {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 30}, "crop_size": 30}


class Merge(ToolTest):
    def setUp(self):
        super().setUp()
        self.folder = self.model(GOLDENS / "tiny_image/clip")  # 5 x 5 patches of 6 pixels and a class token, 2 layers
        (self.folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
        self.images = [IMAGES / n for n in ("rgb.png", "420.jpg", "lossy.webp")]

    def merge(self, *options, code=0, images=None):
        return self.tool("merge", "--model", self.folder, "--image", *(images or self.images), *options, code=code)

    def test_the_table(self):
        specs = ("r=0", "r=4", "r=5+0", "pitome,keep=0.8", "tofu,r=3,prune=1", "evit,keep=0.5,layers=0+1", "attention,r=4", "random,r=4,seed=7")
        done = self.merge("--merge", *specs)
        head, *lines = done.stdout.splitlines()
        self.assertEqual(head.split(), ["merge", "tokens", "images/s", "faster", "ideal", "of", "ideal", "cosine"])
        rows = [line.split() for line in lines]
        self.assertEqual([r[0] for r in rows], ["none", *specs])
        tokens = {r[0]: int(r[1]) for r in rows}
        # 26 tokens; ceil(0.8 * 25) = 20 and 16 stay beside the class token; 13 and 7, each time with one that the others became
        self.assertEqual(list(tokens.values()), [26, 26, 18, 21, 17, 20, 9, 18, 18])
        ideal = {r[0]: float(r[4].rstrip("x")) for r in rows}
        cosine = {r[0]: float(r[-1]) for r in rows}
        self.assertEqual((ideal["none"], ideal["r=0"], cosine["r=0"]), (1.0, 1.0, 1.0))
        self.assertGreater(ideal["r=4"], 1.1)
        for name in specs[1:]:
            self.assertLess(cosine[name], 1.0)
        self.assertNotEqual(cosine["r=4"], cosine["random,r=4,seed=7"])

    def test_rounds_give_a_time(self):
        row = self.merge("--merge", "r=4", "--rounds", 2).stdout.splitlines()[2].split()
        self.assertGreater(float(row[2]), 0)
        faster, ideal, share = float(row[3].rstrip("x")), float(row[4].rstrip("x")), float(row[5].rstrip("%")) / 100
        self.assertGreater(ideal, 1)
        # each number is rounded to two digits behind the point (the share to a whole percent), however large the first became on a busy machine
        self.assertAlmostEqual(faster / ideal, share, delta=0.01 + (0.01 + 0.01 * faster) / ideal)

    def test_the_picture(self):
        for ending in ("png", "svg"):
            seen = set()
            for threads in (1, 3):
                self.merge("--merge", "r=6", "-o", f"m.{ending}", "--threads", threads)
                seen.add((self.dir / f"m.{ending}").read_bytes())
            self.assertEqual(len(seen), 1)
        svg = read_svg((self.dir / "m.svg").read_bytes())
        read_png((self.dir / "m.png").read_bytes())
        self.assertEqual(len(svg.images), 3 * 3)  # each as it was and after both layers
        for text in ("26 tokens", "layer 1: 20", "layer 2: 14"):
            self.assertEqual(svg.texts.count(text), 3)
        colours = [len({row[i : i + 3] for row in image.rows for i in range(0, len(row), 3)}) for *_, image in svg.images]
        for plain, first, second in zip(colours[::3], colours[1::3], colours[2::3]):
            self.assertGreater(plain, first)
            self.assertGreaterEqual(first, second)

    def test_embed_takes_it(self):
        def embed(*options):
            self.tool("embed", "--model", self.folder, "--image", *self.images, "-o", "out.npy", *options)
            return read_npy(self.dir / "out.npy")

        plain, merged = embed(), embed("--merge", "r=5")
        self.assertEqual(plain, embed("--merge", "r=0"))
        self.assertNotEqual(plain, merged)
        self.assertEqual(merged, embed("--merge", "tome,r=5", "--threads", 2, "--batch-tokens", 30))
        self.mistake(2, "embed", "--model", self.folder, "--text", self.file("a.txt", "a"), "-o", "o.npy", "--merge", "r=5", says=["--merge", "--image"])

    def test_mistakes(self):
        for spec, says in (("what", "policies are tome"), ("r=x", "not a number"), ("r=-1", "negative"), ("", "policies are tome"), ("tome", "it needs r="), ("r=1,r=2", "each once"), ("r=1,s=2", "what is 's'"), ("pitome,keep=0.2", "0.5 to 1"),
                           ("evit,keep=0.5", "layers"), ("r=1+2,inflect=1", "one r"), ("r=1,inflect=2", "inflect"), ("tome,,r=1", "NAME=VALUE")):  # fmt: skip
            with self.subTest(spec):
                self.mistake(2, "merge", "--model", self.folder, "--image", self.images[0], "--merge", spec, says=["--merge " + spec, says])
        self.mistake(2, "merge", "--model", self.folder, "--image", self.images[0], "-o", "m.gif", says=["m.gif", ".png or .svg"])
        done = self.merge(code=1, images=["none.png"])
        self.assertIn("none.png skipped: ", done.stderr)
        self.assertIn("no image could be read", done.stderr)
        text = self.file("t.txt", "a\nb\n")
        self.mistake(4, "merge", "--model", self.folder, "--image", self.images[0], "--text", text, says=["tokenizer.json"])
        for file in (GOLDENS / "classify/clip").iterdir():
            shutil.copy(file, self.folder)
        self.mistake(1, "merge", "--model", self.folder, "--image", self.images[0], "--text", text, says=["t.txt", "2 texts for 1 images"])
        done = self.merge("--text", text, images=self.images[:2])
        self.assertTrue(done.stdout.splitlines()[0].endswith(" R@1"))

    def test_what_cannot_be_read_is_named(self):
        done = self.merge(code=3, images=[self.images[0], "none.png"])
        self.assertIn("none.png skipped: ", done.stderr)
        self.assertEqual(len(done.stdout.splitlines()), 3)


if __name__ == "__main__":
    unittest.main()
