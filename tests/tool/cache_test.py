"""--cache: the same output with and without it, at the first start and the next, and wherever it cannot be kept."""

import unittest

from toolkit import GOLDENS, PLAIN, TEXTS, ToolTest


class Cache(ToolTest):
    def rows(self, *args, model=PLAIN, **options):
        self.tool("embed", "--model", model, "--text", TEXTS, "--jsonl", "-o", "out.npy", *args, **options)
        return (self.dir / "out.npy").read_bytes()

    def kept(self, folder):
        return sorted(self.dir.glob(f"{folder}/*.packed.safetensors"))

    def test_the_users_own_folder_and_a_named_one(self):
        plain = self.rows()
        for args, folder in ((("--cache",), ".cache/tessera/packed"), (("--cache=kept/here",), "kept/here")):
            with self.subTest(folder):
                self.assertEqual(self.rows(*args), plain)
                (file,) = self.kept(folder)
                self.assertEqual(file.parent.stat().st_mode & 0o777, 0o700)
                stamp = lambda: (file.stat().st_ino, file.stat().st_mtime_ns, file.stat().st_size)  # reading may change the rest
                before = stamp()
                self.assertEqual(self.rows(*args), plain)
                self.assertEqual(stamp(), before, "found, not made again")

    def test_xdg_cache_home(self):
        self.rows("--cache", env={"XDG_CACHE_HOME": self.dir / "xdg"})
        self.assertEqual(len(self.kept("xdg/tessera/packed")), 1)

    def test_no_home_is_an_error_and_a_folder_that_cannot_be_made_a_note(self):
        out = self.tool("embed", "--model", PLAIN, "--text", TEXTS, "--jsonl", "-o", "out.npy", "--cache", code=1, env={"HOME": ""})
        self.assertIn("XDG_CACHE_HOME", out.stderr)
        self.file("occupied", "")
        done = self.tool("embed", "--model", PLAIN, "--text", TEXTS, "--jsonl", "-o", "out.npy", "--cache=occupied/packed")
        self.assertIn("note: --cache: occupied/packed", done.stderr)
        self.assertEqual((self.dir / "out.npy").read_bytes(), self.rows())

    def test_a_damaged_file_is_mended(self):
        plain = self.rows("--cache=kept")
        (file,) = self.kept("kept")
        whole = file.read_bytes()
        file.write_bytes(whole[: len(whole) // 2])
        self.assertEqual(self.rows("--cache=kept"), plain)
        self.assertEqual(file.read_bytes(), whole)

    def test_images(self):
        model = GOLDENS / "tiny_image/vit_p7"
        command = ("bench", "--kind", "image", "--model", model, "--batch", "1", "--rounds", "1", "--cache=kept")
        self.tool(*command)
        self.tool(*command)
        self.assertEqual(len(self.kept("kept")), 1)


if __name__ == "__main__":
    unittest.main()
