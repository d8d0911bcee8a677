"""tessera embed --image: files, folders and lists; what cannot be read is named and skipped; rows do not depend on company."""

import array
import json
import os
import shutil
import tarfile
import unittest

from toolkit import GOLDENS, TOLERANCE, ToolTest, read_npy, integers, read_safetensors, worst_error, write_safetensors

IMAGES = GOLDENS / "images"
PROCESSOR = {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 30}, "crop_size": 30}


def without_padding(states, mask):
    """[B, T, C] with zeros where the mask is 0."""
    c = states.shape[2]
    values = states.floats()
    for row, keep in enumerate(array.array("i", mask.data)):
        if not keep:
            values[row * c : (row + 1) * c] = array.array("f", [0] * c)
    return states._replace(data=values.tobytes())


class Images(ToolTest):
    def setUp(self):
        super().setUp()
        self.folder = self.model(GOLDENS / "tiny_image/clip")
        (self.folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
        self.out = self.dir / "out.npy"

    def embed_images(self, *images, options=(), code=0, stdin=b""):
        done = self.tool("embed", "--model", self.folder, "--image", *images, "-o", self.out, *options, stdin=stdin, code=code)
        return read_npy(self.out), done

    def test_a_folder_skips_what_it_cannot_read(self):
        files = sorted(p.name for p in IMAGES.iterdir() if p.suffix != ".txt")
        refused = {name for name, _ in json.loads((GOLDENS / "images.json").read_text())["refused"]}
        got, done = self.embed_images(IMAGES, code=3)
        good = [i for i, name in enumerate(files) if name not in refused]
        self.assertEqual((len(got.rows), got.dim), (len(good), 18))
        rows = [json.loads(line) for line in (self.dir / "out.npy.rows.jsonl").read_text().splitlines()]
        self.assertEqual(rows, [{"row": r, "input": i} for r, i in enumerate(good)])
        for name in refused - {"text.txt"}:
            self.assertIn(f"{IMAGES}/{name} skipped: ", done.stderr)

    def test_alone_in_a_list_and_in_any_batch_the_same(self):
        names = ["420.jpg", "palette.png", "lossy.webp", "exif-6.jpg"]
        paths = [IMAGES / n for n in names]
        together, _ = self.embed_images(*paths, options=("--threads", "2"))
        listed, _ = self.embed_images("-", stdin="".join(f"{p}\n" for p in paths).encode())
        small, _ = self.embed_images(*paths, options=("--batch-tokens", "1", "--threads", "1"))
        self.assertEqual(together, listed)
        self.assertEqual(together, small)
        for path, row in zip(paths, together.rows):
            alone, _ = self.embed_images(path)
            self.assertEqual(alone.rows, [row])
        self.assertNotEqual(together.rows[0], together.rows[1])

    def archive(self, name, format=tarfile.PAX_FORMAT, folder="scenes/"):
        files = ["rgb.png", "cut-420.jpg", "lossy.webp", "text.txt", "420.jpg"]
        with tarfile.open(self.dir / name, "w", format=format) as tar:
            for file in files:
                tar.add(IMAGES / file, folder + file)
        return [f"{folder}{file}" for file in files if file != "text.txt"]

    def test_an_archive_is_its_images_in_their_order(self):
        for format, folder in ((tarfile.USTAR_FORMAT, "scenes/"), (tarfile.GNU_FORMAT, "long/" * 30), (tarfile.PAX_FORMAT, "Été/" * 40)):
            names = self.archive("gallery.tar", format, folder)
            got, done = self.embed_images("gallery.tar", code=3)
            plain, _ = self.embed_images(*(IMAGES / n.split("/")[-1] for n in names), code=3)
            self.assertEqual(got, plain)
            self.assertEqual(done.stderr, f"tessera: gallery.tar/{names[1]} skipped: JPEG: truncated\n")
            rows = [json.loads(line) for line in (self.dir / "out.npy.rows.jsonl").read_text().splitlines()]
            self.assertEqual(rows, [{"row": r, "input": i} for r, i in enumerate((0, 2, 3))])
        values = self.preprocess("gallery.tar", IMAGES / "rgb.png", code=3)
        self.assertEqual(values["pixel_values"].shape, (4, 3, 30, 30))

    def test_archives_that_are_refused(self):
        self.archive("good.tar")
        good = (self.dir / "good.tar").read_bytes()
        for name, data, says in (("cut.tar", good[:3000], "reaches beyond the end"), ("junk.tar", b"x" * 2000, "checksum"), ("sum.tar", good[:40] + b"x" + good[41:], "checksum")):
            with self.subTest(name):
                self.file(name, data)
                self.image_mistake(1, name, says=[f"{name}: at byte ", says])
        self.image_mistake(1, "none.tar", says=["none.tar", "No such file"])
        for name in ("a.tar.gz", "a.TGZ"):
            self.image_mistake(1, name, says=[name, "compressed", "decompress"])
        os.mkfifo(self.dir / "pipe.tar")
        self.image_mistake(1, "pipe.tar", says=["pipe.tar", "not a regular file"])
        self.file("empty.tar", b"")
        self.assertEqual(self.embed_images("empty.tar")[0].rows, [])

    def image_mistake(self, code, *images, says):
        before = self.names()
        self.mistake(code, "embed", "--model", self.folder, "--image", *images, "-o", "out.npy", says=says)
        self.assertEqual(self.names(), before)

    def test_quoted_patterns(self):
        for name in ("b.png", "a.png", "[.png", "c.jpg"):
            shutil.copy(IMAGES / ("rgb.png" if name != "a.png" else "gray.png"), self.dir / name)
        want, _ = self.embed_images("[.png", "a.png", "b.png")  # the first is a file of that name
        for pattern in ("*.png", "?.png", "./*.png"):
            self.assertEqual(self.embed_images(pattern)[0], want, pattern)
        self.assertEqual(len(self.embed_images("[ab].png", "c*")[0].rows), 3)
        self.image_mistake(1, "*.webp", says=["*.webp", "no file matches"])

    def test_options(self):
        image = IMAGES / "rgb.png"
        self.assertEqual(self.embed_images(image, options=("--dims", "7"))[0].dim, 7)
        self.assertEqual(self.embed_images(image, options=("--pooling", "mean"))[0].dim, 28)
        pil, torchvision = (self.embed_images(image, options=("--backend", b))[0] for b in ("pil", "torchvision"))
        self.assertNotEqual(pil, torchvision)
        self.assertLess(worst_error(pil.rows[0], torchvision.rows[0]), 0.05)

    def test_an_image_smaller_than_a_patch_is_skipped(self):
        (self.folder / "preprocessor_config.json").write_text(json.dumps({**PROCESSOR, "do_resize": False, "do_center_crop": False}))
        got, done = self.embed_images(IMAGES / "plain.ppm", IMAGES / "rgb.png", code=3)
        self.assertEqual(len(got.rows), 1)
        self.assertIn("plain.ppm skipped: ", done.stderr)

    def test_wrong_use(self):
        image = IMAGES / "rgb.png"
        for options in ((), ("--text", "a.txt", "--image", image), ("--image", image, "--jsonl"), ("--image", image, "--max-length", "4"), ("--image", image, "--layers", "9"),
                        ("--image", image, "--dims", "19"), ("--image", "-", "-"), ("--image", image, "--prompt", "a")):  # fmt: skip
            with self.subTest(options):
                self.tool("embed", "--model", self.folder, "-o", self.out, *options, code=2)

    def test_a_model_without_a_processor_is_refused(self):
        (self.folder / "preprocessor_config.json").unlink()
        done = self.tool("embed", "--model", self.folder, "--image", IMAGES / "rgb.png", "-o", self.out, code=4)
        self.assertIn("preprocessor_config.json", done.stderr)

    def preprocess(self, *images, options=(), code=0):
        self.tool("preprocess", "--model", self.folder, "--image", *images, "-o", "values.safetensors", *options, code=code)
        return read_safetensors(self.dir / "values.safetensors")

    def test_preprocess_is_what_embed_takes(self):
        paths = [IMAGES / n for n in ("rgb.png", "huge.png", "420.jpg")]
        values = self.preprocess(*paths, code=3)
        self.assertEqual(set(values), {"pixel_values"})
        self.assertEqual((values["pixel_values"].dtype, values["pixel_values"].shape), ("F32", (2, 3, 30, 30)))
        rows = [json.loads(line) for line in (self.dir / "values.safetensors.rows.jsonl").read_text().splitlines()]
        self.assertEqual(rows, [{"row": 0, "input": 0}, {"row": 1, "input": 2}])
        self.tool("forward", "--model", self.folder, "values.safetensors", "out.safetensors")
        embeds = read_safetensors(self.dir / "out.safetensors")["image_embeds"].floats()
        got, _ = self.embed_images(*paths, code=3, options=("--no-normalize",))
        self.assertEqual([list(r) for r in got.rows], [list(embeds[:18]), list(embeds[18:])])

    def test_preprocess_of_several_sizes(self):
        (self.folder / "preprocessor_config.json").write_text(json.dumps({**PROCESSOR, "do_center_crop": False}))
        values = self.preprocess(IMAGES / "exif-1.jpg", IMAGES / "exif-6.jpg", options=("--threads", "2"))
        self.assertEqual({n: t.shape for n, t in values.items()}, {"pixel_values.0": (3, 30, 38), "pixel_values.1": (3, 38, 30)})

    def test_a_processor_that_resizes_floats(self):
        shutil.rmtree(self.folder)
        shutil.copytree(GOLDENS / "tiny_image/dinov3", self.folder)
        (self.folder / "preprocessor_config.json").write_text(json.dumps({"image_processor_type": "DINOv3ViTImageProcessorFast", "size": {"height": 35, "width": 28}}))
        paths = [IMAGES / "exif-1.jpg", IMAGES / "rgb.png"]
        values = self.preprocess(*paths)
        self.assertEqual(values["pixel_values"].shape, (2, 3, 35, 28))
        self.tool("forward", "--model", self.folder, "values.safetensors", "out.safetensors")
        pooled = read_safetensors(self.dir / "out.safetensors")["pooler_output"].floats()
        for backend in ("pil", "torchvision"):  # it has one
            got, _ = self.embed_images(*paths, options=("--no-normalize", "--backend", backend))
            self.assertEqual([list(r) for r in got.rows], [list(pooled[:24]), list(pooled[24:])])

    def test_patches_of_images_of_any_shape(self):
        shutil.rmtree(self.folder)
        shutil.copytree(GOLDENS / "tiny_image/siglip2", self.folder)
        config = {"image_processor_type": "Siglip2ImageProcessor", "patch_size": 6, "max_num_patches": 30}
        (self.folder / "preprocessor_config.json").write_text(json.dumps(config))
        paths = [IMAGES / n for n in ("exif-1.jpg", "rgb.png", "exif-6.jpg")]
        values = self.preprocess(*paths)
        shapes = {n: (t.dtype, t.shape) for n, t in values.items()}
        self.assertEqual(shapes, {"pixel_values": ("F32", (3, 30, 108)), "pixel_attention_mask": ("I32", (3, 30)), "spatial_shapes": ("I64", (3, 2))})
        sides = array.array("q", values["spatial_shapes"].data)
        self.assertEqual([sum(values["pixel_attention_mask"].data[120 * i : 120 * (i + 1)]) for i in range(3)], [sides[2 * i] * sides[2 * i + 1] for i in range(3)])
        self.assertEqual((sides[0], sides[1]), (sides[5], sides[4]))  # the same picture, turned
        self.tool("forward", "--model", self.folder, "values.safetensors", "out.safetensors")
        pooled = read_safetensors(self.dir / "out.safetensors")["pooler_output"].floats()
        got, _ = self.embed_images(*paths, options=("--no-normalize",))
        self.assertEqual([list(r) for r in got.rows], [list(pooled[28 * i : 28 * (i + 1)]) for i in range(3)])
        (self.folder / "preprocessor_config.json").write_text(json.dumps({**config, "do_resize": False}))
        self.tool("preprocess", "--model", self.folder, "--image", *paths, "-o", "values.safetensors", code=3)  # too many patches


class Forward(ToolTest):
    def forward(self, name, inputs, *args):
        write_safetensors(self.dir / "in.safetensors", inputs)
        self.tool("forward", "--model", GOLDENS / "tiny_image" / name, "in.safetensors", "out.safetensors", *args)
        return read_safetensors(self.dir / "out.safetensors")

    def check(self, got, want, names):
        for name in names:
            self.assertEqual(got[name].shape, want[name].shape, name)
            self.assertLessEqual(worst_error(got[name].floats(), want[name].floats()), TOLERANCE, name)

    def test_every_folder(self):
        folders = sorted(p.name for p in (GOLDENS / "tiny_image").iterdir())
        self.assertEqual(len(folders), 16)
        for name in folders:
            with self.subTest(name):
                want = read_safetensors(GOLDENS / "tiny_image" / name / "golden.safetensors")
                pixels = {n: want[n] for n in ("pixel_values", "pixel_attention_mask", "spatial_shapes") if n in want}
                got = self.forward(name, pixels, "--hidden-states")
                if "spatial_shapes" in want:  # padding is 0 here, and anything there
                    want["last_hidden_state"] = without_padding(want["last_hidden_state"], want["pixel_attention_mask"])
                expected = {n for n in ("last_hidden_state", "pooler_output") if n in want}
                self.check(got, want, expected)
                self.assertEqual(expected, {n for n in got if not n.startswith(("hidden_states", "image_embeds"))})
                self.assertEqual(sum(n.startswith("hidden_states.") for n in got), 3)
                if "input_ids" in want:
                    both = self.forward(name, pixels | {"input_ids": want["input_ids"]})
                    self.check(both, want, ("text_embeds", "image_embeds", "logits_per_image"))
                    text = self.forward(name, {"input_ids": want["input_ids"]})
                    self.assertLessEqual(worst_error(text["last_hidden_state"].floats(), want["text_last_hidden_state"].floats()), TOLERANCE)

    def test_a_file_without_padding_after_its_header(self):
        for name in ("clip", "siglip2"):
            want = read_safetensors(GOLDENS / "tiny_image" / name / "golden.safetensors")
            inputs = {n: want[n] for n in ("pixel_values", "pixel_attention_mask", "spatial_shapes") if n in want}
            outputs = []
            for shift in (0, 1, 2, 7):
                write_safetensors(self.dir / "in.safetensors", inputs, shift)
                self.tool("forward", "--model", GOLDENS / "tiny_image" / name, "in.safetensors", "out.safetensors")
                outputs.append((self.dir / "out.safetensors").read_bytes())
            self.assertEqual(outputs, outputs[:1] * 4)

    def test_a_tensor_that_would_be_left_unread_is_refused(self):
        want = read_safetensors(GOLDENS / "tiny_image/clip/golden.safetensors")
        ids = want["input_ids"]
        for names, code in ((("pixel_values", "attention_mask"), 1), (("pixel_values", "input_ids", "position_ids"), 1), (("pixel_values", "input_ids", "token_type_ids"), 1)):
            write_safetensors(self.dir / "in.safetensors", {n: want.get(n, ids) for n in names})
            self.mistake(code, "forward", "--model", GOLDENS / "tiny_image/clip", "in.safetensors", "out.safetensors", says=(names[-1], "not read"))
        write_safetensors(self.dir / "in.safetensors", {n: want[n] for n in ("pixel_values", "input_ids")})
        self.mistake(2, "forward", "--model", GOLDENS / "tiny_image/clip", "in.safetensors", "out.safetensors", "--hidden-states", says=("--hidden-states",))

    def test_patches_that_do_not_fit_their_shapes_are_refused(self):
        folder = GOLDENS / "tiny_image/siglip2"
        want = read_safetensors(folder / "golden.safetensors")
        good = {n: want[n] for n in ("pixel_values", "pixel_attention_mask", "spatial_shapes")}
        for changed, says in (({"spatial_shapes": None}, "spatial_shapes"), ({"spatial_shapes": integers([[5, 5], [4, 7]])}, "spatial_shapes"), ({"spatial_shapes": integers([[5, 5], [0, 7]])}, "spatial_shapes"),
                              ({"spatial_shapes": integers([[5, 5], [2**31 - 1, 2**31 - 1]])}, "spatial_shapes"), ({"spatial_shapes": integers([[5, 5], [5, 4]])}, "pixel_attention_mask"),
                              ({"pixel_values": want["pixel_values"]._replace(shape=(2, 54, 54))}, "pixel_attention_mask"), ({"pixel_values": want["pixel_values"]._replace(shape=(2, 54, 54)), "pixel_attention_mask": None}, "patches")):  # fmt: skip
            with self.subTest(says=says):
                write_safetensors(self.dir / "in.safetensors", {n: t for n, t in (good | changed).items() if t})
                self.mistake(1, "forward", "--model", folder, "in.safetensors", "out.safetensors", says=(says,))
        for extra in ("pixel_attention_mask", "spatial_shapes"):
            write_safetensors(self.dir / "in.safetensors", {"pixel_values": read_safetensors(GOLDENS / "tiny_image/siglip/golden.safetensors")["pixel_values"], extra: good[extra]})
            self.mistake(1, "forward", "--model", GOLDENS / "tiny_image/siglip", "in.safetensors", "out.safetensors", says=(extra, "not read"))

    def test_a_model_of_images_alone_reads_no_text(self):
        want = read_safetensors(GOLDENS / "tiny_image/clip/golden.safetensors")
        write_safetensors(self.dir / "in.safetensors", {n: want[n] for n in ("pixel_values", "input_ids")})
        done = self.tool("forward", "--model", GOLDENS / "tiny_image/vit_p7", "in.safetensors", "out.safetensors", code=4)
        self.assertIn("vit", done.stderr)


if __name__ == "__main__":
    unittest.main()
