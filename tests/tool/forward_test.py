"""tessera forward: transformers' recorded outputs, by their names."""

import array
import struct
import unittest

from toolkit import BERT, GOLDENS, TOLERANCE, Tensor, ToolTest, integers, read_safetensors, worst_error, write_safetensors

FOLDERS = sorted(p.name for p in BERT.iterdir() if p.is_dir())
KINDS = ("", "_positions", "_ids_only")


class ForwardTest(ToolTest):
    def forward(self, folder, inputs, *args, out="out.safetensors"):
        self.tool("forward", "--model", BERT / folder, inputs, out, *args)
        return read_safetensors(self.dir / out)

    def test_every_folder(self):
        self.assertEqual(len(FOLDERS), 8)
        for folder in FOLDERS:
            for kind in KINDS:
                with self.subTest(f"{folder}{kind}"):
                    got = self.forward(folder, BERT / folder / f"inputs{kind}.safetensors", "--hidden-states")
                    want = read_safetensors(BERT / folder / f"outputs{kind}.safetensors")
                    names = {n for n in want if not n.startswith("layer0.")}
                    self.assertLessEqual(names, set(got))
                    for name in names:
                        self.assertEqual((got[name].dtype, got[name].shape), ("F32", want[name].shape))
                        self.assertLessEqual(worst_error(got[name].floats(), want[name].floats()), TOLERANCE, name)

    def test_decoders_see_all_where_they_are_told_to(self):
        folder = GOLDENS / "tiny_rotary/mistral_seeing_all"
        inputs, want = folder / "inputs.safetensors", read_safetensors(folder / "outputs.safetensors")["last_hidden_state"].floats()
        model = self.model(folder)
        error = lambda *args: worst_error(self.forward(model, inputs, *args)["last_hidden_state"].floats(), want)
        self.assertLessEqual(error(), TOLERANCE)
        self.change_config(model, is_causal=None)
        self.assertGreater(error(), 0.1)
        self.assertLessEqual(error("--attention", "all"), TOLERANCE)
        self.mistake(4, "forward", "--model", BERT / "plain_h20", BERT / "plain_h20/inputs.safetensors", "x", "--attention", "causal", says=["bert", "causal"])

    def layers(self, folder):
        return sum(n.startswith("hidden_states.") for n in read_safetensors(BERT / folder / "outputs.safetensors")) - 1

    def test_names(self):
        for folder in FOLDERS:
            fields = {"last_hidden_state"} | (set() if folder == "no_pooler_h36" else {"pooler_output"})
            inputs = BERT / folder / "inputs.safetensors"
            self.assertEqual(set(self.forward(folder, inputs)), fields)
            states = {f"hidden_states.{i}" for i in range(self.layers(folder) + 1)}
            self.assertEqual(set(self.forward(folder, inputs, "--hidden-states")), fields | states)

    def test_padded_positions_are_zero(self):
        inputs = read_safetensors(BERT / "plain_h20/inputs.safetensors")
        mask = array.array("q", inputs["attention_mask"].data)
        self.assertTrue(0 in mask and 1 in mask)
        got = self.forward("plain_h20", BERT / "plain_h20/inputs.safetensors", "--hidden-states")
        for name, tensor in got.items():
            if name == "pooler_output":
                continue
            values = tensor.floats()
            for t, present in enumerate(mask):
                self.assertEqual(any(values[20 * t : 20 * t + 20]), bool(present), f"{name} {t}")

    def test_what_stands_under_the_mask_does_not_matter(self):
        tensors = read_safetensors(BERT / "plain_h20/inputs.safetensors")
        ids, mask = (array.array("q", tensors[n].data) for n in ("input_ids", "attention_mask"))
        changed = array.array("q", [i if m else 5 for i, m in zip(ids, mask)])
        self.assertNotEqual(ids, changed)
        write_safetensors(self.dir / "x.safetensors", {**tensors, "input_ids": Tensor("I64", tensors["input_ids"].shape, changed.tobytes())})
        self.assertEqual(self.forward("plain_h20", "x.safetensors"), self.forward("plain_h20", BERT / "plain_h20/inputs.safetensors"))

    def test_i32(self):
        tensors = read_safetensors(BERT / "plain_h20/inputs_positions.safetensors")
        narrow = {n: Tensor("I32", t.shape, array.array("i", array.array("q", t.data)).tobytes()) for n, t in tensors.items()}
        write_safetensors(self.dir / "x.safetensors", narrow)
        self.assertEqual(self.forward("plain_h20", "x.safetensors"), self.forward("plain_h20", BERT / "plain_h20/inputs_positions.safetensors"))

    def test_same_bytes_for_any_threads(self):
        written = set()
        for threads in (1, 2, 3):
            self.forward("sharded_h72", BERT / "sharded_h72/inputs.safetensors", "--hidden-states", "--threads", threads)
            written.add((self.dir / "out.safetensors").read_bytes())
        self.assertEqual(len(written), 1)

    def test_one_row_as_in_the_batch(self):
        """Alone, without padding, a sequence has the bits that it has among others."""
        tensors = read_safetensors(BERT / "plain_h20/inputs.safetensors")
        batch = self.forward("plain_h20", BERT / "plain_h20/inputs.safetensors")["last_hidden_state"]
        columns = batch.shape[1]
        ids, types, mask = (array.array("q", tensors[n].data)[columns : 2 * columns] for n in ("input_ids", "token_type_ids", "attention_mask"))
        length = sum(mask)
        self.assertTrue(0 < length < columns and all(mask[:length]))  # row 1 is padded right
        write_safetensors(self.dir / "x.safetensors", {"input_ids": integers([ids[:length]]), "token_type_ids": integers([types[:length]])})
        alone = self.forward("plain_h20", "x.safetensors")["last_hidden_state"]
        self.assertEqual(alone.floats(), batch.floats()[columns * 20 : (columns + length) * 20])

    def test_no_sequences(self):
        write_safetensors(self.dir / "x.safetensors", {"input_ids": Tensor("I64", (0, 7), b"")})
        self.assertEqual(self.forward("plain_h20", "x.safetensors")["last_hidden_state"], Tensor("F32", (0, 7, 20), b""))

    def test_file_is_as_the_reference_writes_it(self):
        self.forward("plain_h20", BERT / "plain_h20/inputs.safetensors", "--hidden-states")
        data = (self.dir / "out.safetensors").read_bytes()
        size = struct.unpack("<Q", data[:8])[0]
        self.assertEqual(size % 8, 0)
        self.assertEqual(list(read_safetensors(self.dir / "out.safetensors")), sorted(read_safetensors(self.dir / "out.safetensors")))
        self.assertEqual(self.names(), ["out.safetensors"])


if __name__ == "__main__":
    unittest.main()
