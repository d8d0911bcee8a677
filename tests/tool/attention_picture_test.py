"""tessera attention: pictures of every layer, head and of rollout, the same bytes every time; mistakes."""

import json
import unittest

from toolkit import GOLDENS, ToolTest, read_png, read_svg

IMAGE = GOLDENS / "images/rgb.png"
PROCESSORS = {
    "vit_p7": {"image_processor_type": "ViTImageProcessor", "size": 28},
    "dinov2_registers": {"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 28}, "do_center_crop": False},
    "clip": {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 30}, "crop_size": 30},
    "siglip": {"image_processor_type": "SiglipImageProcessor", "size": {"height": 30, "width": 30}},
}


class Attention(ToolTest):
    def folder(self, name):
        path = self.dir / name
        if not path.exists():
            self.model(GOLDENS / "tiny_image" / name, name)
            (path / "preprocessor_config.json").write_text(json.dumps(PROCESSORS[name]))
        return path

    def draw(self, name, *args, out="a.svg", image=IMAGE):
        self.tool("attention", "--model", self.folder(name), "--image", image, "-o", out, *args)
        data = (self.dir / out).read_bytes()
        return read_svg(data) if out.endswith("svg") else read_png(data)

    def test_a_cell_a_head(self):
        for name, heads in (("vit_p7", 4), ("dinov2_registers", 4), ("clip", 2), ("siglip", 2)):
            with self.subTest(name):
                svg = self.draw(name)
                names = [t for t in svg.texts if t.startswith(("head", "mean"))]
                self.assertEqual(names, ["mean of heads", *(f"head {h}" for h in range(heads))])
                self.assertEqual(len(svg.images), heads + 2)
                self.assertEqual(svg.texts[0], "layer 1 of 0-1")
                pictures = [tuple(image.rows) for *_, image in svg.images]
                self.assertEqual(len(set(pictures)), heads + 2)
                # The colours of the least and of the largest are in every map, with two fifths of the image in them; where a
                # patch of 6 pixels has its value, between two of them, there is no pixel.
                for *_, image in svg.images[1:] if "7" in name or "dino" in name else ():
                    plain = svg.images[0][4]
                    pixels = []
                    for y, x in ((y, x) for y in range(image.height) for x in range(image.width)):
                        grey = sum(w * c for w, c in zip((77, 150, 29), plain.pixel(x, y))) / 256
                        pixels.append([(5 * c - 2 * grey) / 3 for c in image.pixel(x, y)])
                    for colour in ((55, 1, 91), (245, 234, 92)):
                        self.assertTrue(any(all(abs(a - b) <= 2 for a, b in zip(p, colour)) for p in pixels), colour)

    def test_layers_heads_and_rollout_differ(self):
        drawn = [self.draw("clip", *args) for args in ((), ("--layer", "0"), ("--rollout",), ("--rollout", "--layer", "0"), ("--head", "1"))]
        self.assertEqual([len(svg.images) for svg in drawn], [4, 4, 2, 2, 2])
        last, first, rolled, once, head = (svg.images[1][4] for svg in drawn)
        self.assertEqual(first, once)  # with one layer rollout is its attention, halved for all patches
        self.assertEqual(len({tuple(image.rows) for image in (last, first, rolled, head)}), 4)
        self.assertEqual(drawn[0].images[3][4], head)
        self.assertEqual(drawn[2].texts[0], "layer 1 of 0-1, rollout")

    def test_only_what_patches_cover_is_shown(self):
        image = self.draw("dinov2_registers").images[0][4]  # 37 x 29 becomes 35 x 28, whole patches of 7
        self.assertEqual((image.width, image.height), (35, 28))

    def test_same_bytes(self):
        for out in ("a.png", "a.svg"):
            seen = set()
            for threads in (1, 3, 3):
                self.draw("vit_p7", "--threads", threads, out=out)
                seen.add((self.dir / out).read_bytes())
            self.assertEqual(len(seen), 1)

    def test_mistakes(self):
        clip = self.folder("clip")
        before = self.names()
        for code, args, says in (
            (2, ("-o", "a.jpg"), ["-o a.jpg", ".png or .svg"]),
            (2, ("-o", "a.png", "--layer", "2"), ["--layer 2", "2 layers"]),
            (2, ("-o", "a.png", "--layer", "-1"), ["--layer"]),
            (2, ("-o", "a.png", "--head", "2"), ["--head 2", "2 heads"]),
            (2, ("-o", "a.png", "--head", "0", "--rollout"), ["--rollout", "--head"]),
            (2, (), ["--out"]),
            (5, ("-o", "none/a.png"), ["none/a.png"]),
        ):
            self.mistake(code, "attention", "--model", clip, "--image", IMAGE, *args, says=says)
        for code, image, says in ((1, "none.png", ["none.png", "No such file"]), (1, GOLDENS / "images/cut-420.jpg", ["cut-420.jpg", "truncated"]), (2, "-", ["expected one image"]), (2, GOLDENS / "images", ["expected one image"])):
            self.mistake(code, "attention", "--model", clip, "--image", image, "-o", "a.png", says=says)
        self.mistake(4, "attention", "--model", GOLDENS / "tiny_bert/plain_h20", "--image", IMAGE, "-o", "a.png", says=["model_type 'bert'", "for images"])
        self.assertEqual(self.names(), before)


if __name__ == "__main__":
    unittest.main()
