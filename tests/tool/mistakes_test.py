"""What users get wrong: one line on stderr that says what, where and what to do, and the exit code of its kind."""
import json
import resource
import struct
import unittest

from tool import BERT, ST, TEXTS, ToolTest, read_safetensors, write_safetensors

DONE, OTHER, USAGE, SKIPPED, REFUSED, OUTPUT, NONFINITE = range(7)


class Models(ToolTest):
    def refuse(self, folder, *words, code=REFUSED):
        out = self.dir / "never.npy"
        line = self.mistake(code, words, "embed", "--model", folder, "--text", TEXTS, "--jsonl", "-o", out)
        self.assertFalse(out.exists())
        self.assertEqual(self.leftovers(), [])
        return line

    def test_no_such_folder(self):
        self.refuse(self.dir / "nowhere", "nowhere", "no such model folder")

    def test_a_file_instead_of_a_folder(self):
        self.refuse(TEXTS, "texts.jsonl", "a file", "folder")

    def test_not_in_the_cache(self):
        for name in ("HF_HUB_CACHE", "HF_HOME"):
            self.mistake(REFUSED, ["nobody/nothing"], "embed", "--model", "nobody/nothing", "--text", TEXTS, "-o", self.dir / "x.npy",
                         env={"HF_HOME": str(self.dir), name: str(self.dir)})

    def test_found_in_the_cache(self):
        snapshot = self.dir / "hub" / "models--some--model" / "snapshots" / "abc"
        snapshot.parent.mkdir(parents=True)
        self.model("mean_sqrt_len").rename(snapshot)
        refs = self.dir / "hub" / "models--some--model" / "refs"
        refs.mkdir()
        (refs / "main").write_text("abc")
        self.run_tool("embed", "--model", "some/model", "--text", TEXTS, "--jsonl", "-o", self.dir / "x.npy",
                      env={"HF_HOME": str(self.dir), "HF_HUB_CACHE": str(self.dir / "hub")})

    def test_lfs_pointer(self):
        folder = self.model()
        (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 10\n")
        self.refuse(folder, "model.safetensors", "git lfs pull")

    def test_weights_of_other_formats(self):
        for name in ("pytorch_model.bin", "model.onnx", "model.gguf", "tf_model.h5"):
            folder = self.model()
            (folder / "model.safetensors").rename(folder / name)
            self.refuse(folder, folder, "safetensors")
            folder.rename(self.dir / name)

    def test_no_config(self):
        folder = self.model()
        (folder / "config.json").unlink()
        self.refuse(folder, "config.json")

    def test_no_weights_at_all(self):
        folder = self.model()
        (folder / "model.safetensors").unlink()
        self.refuse(folder, folder, "no model.safetensors")

    def test_no_tokenizer(self):
        folder = self.model()
        for name in ("tokenizer.json", "vocab.txt"):
            (folder / name).unlink(missing_ok=True)
        self.refuse(folder, folder, "tokenizer.json")

    def change_config(self, **values):
        folder = self.model()
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | values))
        return folder

    def test_an_unsupported_architecture(self):
        self.refuse(self.change_config(model_type="mamba"), "mamba", "bert")

    def test_an_unsupported_option(self):
        self.refuse(self.change_config(hidden_act="strange"), "hidden_act", "strange")

    def test_a_shape_that_the_config_does_not_have(self):
        self.refuse(self.change_config(intermediate_size=12345), "12345")

    def test_broken_json(self):
        folder = self.model()
        (folder / "config.json").write_text('{"model_type": "bert",')
        self.refuse(folder, "config.json", "byte")

    def test_truncated_weights(self):
        folder = self.model()
        data = (folder / "model.safetensors").read_bytes()
        for size in (0, 4, 100, len(data) - 1):
            (folder / "model.safetensors").write_bytes(data[:size])
            self.refuse(folder, "model.safetensors")

    def poison(self, folder, name, value):
        tensors = read_safetensors(folder / "model.safetensors")
        dtype, shape, data = tensors[name]
        self.assertEqual(dtype, "F32")
        tensors[name] = (dtype, shape, data[:-4] + struct.pack("<f", value))
        write_safetensors(folder / "model.safetensors", tensors)

    def test_a_weight_that_is_not_finite(self):
        folder = self.model()
        name = next(n for n in read_safetensors(folder / "model.safetensors") if n.endswith("output.dense.bias"))
        self.poison(folder, name, float("nan"))
        self.refuse(folder, name, "NaN")
        # Loaded on request: every row is then left out and named, and 6 wins over 3.
        done = self.run_tool("embed", "--model", folder, "--text", "-", "-o", self.dir / "n.npy", "--allow-nonfinite", stdin=b"one\n\xff\n", code=NONFINITE)
        self.assertEqual(len(done.stderr.decode().splitlines()), 2)

    def test_a_folder_that_cannot_be_inspected_is_refused(self):
        folder = self.change_config(model_type="mamba")
        self.mistake(REFUSED, ["mamba"], "inspect", folder)
        (folder / "model.safetensors").write_bytes(b"12345678")
        self.mistake(REFUSED, ["model.safetensors"], "inspect", folder / "model.safetensors")


class Use(ToolTest):
    def wrong(self, code, words, *args, **more):
        return self.mistake(code, words, "embed", "--model", ST / "all_modes", "-o", self.dir / "x.npy", *args, **more)

    def test_options(self):
        for words, args in ((["--nonsense"], ["--nonsense"]), (["dims 100000"], ["--dims", "100000"]), (["--max-length"], ["--max-length", "0"]),
                            (["100000", "positions"], ["--max-length", "100000"]), (["none-such", "query"], ["--prompt-name", "none-such"]),
                            (["--dtype"], ["--dtype", "f8"]), (["--pooling"], ["--pooling", "sum"]), (["--layers", "99"], ["--layers", "99"]),
                            (["--threads"], ["--threads", "-1"]), (["--resume", "--shard"], ["--resume"])):
            self.wrong(USAGE, words, "--text", TEXTS, *args)

    def test_shards(self):
        for shard in ("3", "3/3", "-1/3", "0/0", "1/2x", "a/b", "0/1000000"):
            self.wrong(USAGE, ["--shard", "i/n"], "--text", TEXTS, "--shard", shard)
        self.wrong(USAGE, ["--shard", "standard input"], "--text", "-", "--shard", "0/2")

    def test_no_gpu(self):
        self.wrong(OTHER, ["cuda"], "--text", TEXTS, "--device", "cuda")

    def test_a_precision_that_is_not_there(self):
        self.wrong(OTHER, ["bf16", "f32"], "--text", TEXTS, "--dtype", "bf16")

    def test_an_instruction_set_that_is_not_there(self):
        self.wrong(OTHER, ["TESSERA_ISA", "sse9"], "--text", TEXTS, env={"TESSERA_ISA": "sse9"})

    def test_inputs(self):
        self.wrong(OTHER, ["nowhere.txt", "cannot read"], "--text", self.dir / "nowhere.txt")
        self.wrong(OTHER, [self.dir, "folder"], "--text", self.dir)

    def test_no_command(self):
        self.mistake(USAGE, ["--help"])
        self.mistake(USAGE, ["--model"], "embed")

    def test_forward_inputs(self):
        inputs = BERT / "plain_h20" / "inputs.safetensors"
        model = ["--model", BERT / "plain_h20"]
        tensors = read_safetensors(inputs)
        other = self.dir / "in.safetensors"
        write_safetensors(other, {"attention_mask": tensors["attention_mask"]})
        self.mistake(OTHER, ["input_ids"], "forward", *model, other, self.dir / "out.safetensors")
        write_safetensors(other, tensors | {"inputs_ids": tensors["input_ids"]})
        self.mistake(OTHER, ["inputs_ids", "known"], "forward", *model, other, self.dir / "out.safetensors")
        ids = tensors["input_ids"]
        write_safetensors(other, {"input_ids": (ids[0], ids[1], struct.pack("<q", 10**6) + ids[2][8:])})
        self.mistake(OTHER, ["1000000", "ids"], "forward", *model, other, self.dir / "out.safetensors")
        self.assertFalse((self.dir / "out.safetensors").exists())


class Outputs(ToolTest):
    def refuse(self, out, *words, **more):
        self.mistake(OUTPUT, words, "embed", "--model", ST / "all_modes", "--text", TEXTS, "--jsonl", "-o", out, **more)

    def test_no_folder(self):
        self.refuse(self.dir / "none" / "x.npy", "none/x.npy", "folder")

    def test_a_folder(self):
        self.refuse(self.dir, self.dir, "a folder")

    def test_a_device(self):
        self.refuse("/dev/full", "/dev/full")

    def test_a_disk_that_is_full(self):
        old = self.dir / "x.npy"
        old.write_bytes(b"old")
        self.refuse(old, "x.npy", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)))
        self.assertEqual(old.read_bytes(), b"old")
        self.assertEqual(self.leftovers(), [])


if __name__ == "__main__":
    unittest.main()
