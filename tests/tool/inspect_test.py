"""tessera inspect: folders, files, the machine."""

import json
import re
import shutil
import unittest

from toolkit import BERT, GOLDENS, ST, Tensor, ToolTest, floats, read_safetensors, write_safetensors


def parameters(weights, leave_out):
    total = 0
    for name, tensor in weights.items():
        if not re.search(leave_out, name):
            n = 1
            for d in tensor.shape:
                n *= d
            total += n
    return total


class InspectTest(ToolTest):
    def test_text_encoder(self):
        shown = self.tool("inspect", ST / "weighted_last_prompt").stdout
        config = json.loads((ST / "weighted_last_prompt/config.json").read_text())
        heads = config["num_attention_heads"]
        self.assertIn(
            f"architecture: bert, {config['num_hidden_layers']} layers, {config['hidden_size']} channels, "
            f"{heads} heads of {config['hidden_size'] // heads}, mlp {config['intermediate_size']}\n",
            shown,
        )
        self.assertIn(f"embedding: 17 numbers; texts are cut to 32 tokens (the model has {config['max_position_embeddings']} positions)\n", shown)
        self.assertIn(f"vocabulary: {config['vocab_size']} tokens\n", shown)
        self.assertIn('prompt passage: "passage: "\nprompt query: "search query: "\n', shown)
        weights = read_safetensors(ST / "weighted_last_prompt/model.safetensors")
        count = parameters(weights, r"pooler|position_ids")
        self.assertIn(f"parameters: {count / 1e6:.2f} million\n", shown)
        self.assertIn("in the files: F32, ", shown)

    def test_every_recorded_folder(self):
        for folder in [*ST.iterdir(), *BERT.iterdir()]:
            if folder.is_dir():
                with self.subTest(folder.name):
                    done = self.tool("inspect", folder)
                    self.assertIn("architecture: bert, ", done.stdout)
                    self.assertEqual(done.stderr, "")

    def test_decoders(self):
        shown = self.tool("inspect", GOLDENS / "tiny_rotary/gemma3").stdout
        self.assertIn("architecture: gemma3_text, 3 layers, 24 channels, 4 heads of 6, mlp 27\n", shown)
        self.assertIn("attention: causal, 2 heads of keys, in 2 layers a token sees those from 3 before it to 0 behind it, rotary positions\n", shown)
        self.assertIn("in 2 layers a token sees those from 4 before it to 4 behind it", self.tool("inspect", GOLDENS / "tiny_rotary/modernbert").stdout)

    def test_without_a_tokenizer(self):
        """Enough for forward and bench."""
        shown = self.tool("inspect", BERT / "bf16_h20").stdout
        self.assertIn("note: no tokenizer in the folder", shown)
        self.assertIn("in the files: BF16, ", shown)

    def test_what_int8_leaves_in_bf16(self):
        model = self.model(BERT / "gamma_beta_h52")
        shown = self.tool("inspect", model, "--dtype", "int8").stdout
        self.assertRegex(shown, r"packed weights: I8, \d+\.\d MB; .*\nint8 moves weights by 0\.\d\d % of their size in the mean, at most [01]\.\d\d % \(layers\.\d\.[a-z.]+\)\n")
        self.assertNotIn("BF16", shown)
        self.assertIn("packed weights: BF16, ", self.tool("inspect", model, "--dtype", "bf16").stdout)

        def far(tensors):  # two weights of each row are far from the rest
            name = next(n for n in tensors if n.endswith("layer.1.output.dense.weight"))
            (rows, columns), values = tensors[name].shape, list(tensors[name].floats())
            for row in range(rows):
                values[row * columns], values[row * columns + 1] = 1000, 700
            tensors[name] = floats((rows, columns), values)

        self.change_weights(model, far)
        shown = self.tool("inspect", model, "--dtype", "int8").stdout
        self.assertRegex(shown, r"packed weights: BF16 \(1 matrices\) and I8 \(7 matrices\), ")
        self.assertIn("BF16, since int8 would move them by more than 2 %: layers.1.output\n", shown)

    def test_old_layout(self):
        """The transformer in a folder of its own, as sentence-transformers once had it."""
        model = self.dir / "old"
        shutil.copytree(ST / "all_modes", model / "0_Transformer")
        shutil.move(model / "0_Transformer/1_Pooling", model / "1_Pooling")
        modules = json.loads((model / "0_Transformer/modules.json").read_text())
        modules[0]["path"] = "0_Transformer"
        (model / "modules.json").write_text(json.dumps(modules))
        self.assertIn("embedding: 108 numbers", self.tool("inspect", model).stdout)
        self.file("in.txt", "a cat\n")
        self.assertEqual(self.embed(model, "in.txt"), self.embed(ST / "all_modes", "in.txt"))

    def test_code_of_the_folder_is_not_run(self):
        model = self.model()
        self.change_config(model, auto_map={"AutoModel": "modeling.Model"})
        self.assertIn("auto_map); it is not run\n", self.tool("inspect", model).stdout)

    def test_file(self):
        shown = self.tool("inspect", BERT / "f16_h72/model.safetensors").stdout
        tensors = read_safetensors(BERT / "f16_h72/model.safetensors")
        for name, tensor in tensors.items():
            self.assertIn(f"{tensor.dtype:10} [{', '.join(map(str, tensor.shape))}]  {name}\n", shown)
        self.assertRegex(shown, rf"\n{len(tensors)} tensors, \d+\.\d MB\n\Z")

    def test_file_by_another_name(self):
        """Such as a blob of a Hugging Face cache."""
        blob = self.file("0123abc", (BERT / "plain_h20/model.safetensors").read_bytes())
        self.assertEqual(self.tool("inspect", blob).stdout, self.tool("inspect", BERT / "plain_h20/model.safetensors").stdout)

    def test_names_do_not_play_with_the_terminal(self):
        write_safetensors(self.dir / "x.safetensors", {"a\x1b[2J\nb": floats((1,), [0]), "scalar": Tensor("F32", (), bytes(4)), "none": Tensor("I8", (0, 3), b"")})
        shown = self.tool("inspect", "x.safetensors").stdout
        self.assertNotIn("\x1b", shown)
        self.assertIn("a?[2J?b\n", shown)
        self.assertIn("[]  scalar\n", shown)
        self.assertIn("[0, 3]  none\n", shown)

    def test_refused(self):
        whole = (BERT / "plain_h20/model.safetensors").read_bytes()
        self.file("cut.safetensors", whole[:-1])
        self.mistake(4, "inspect", "cut.safetensors", says=["cut.safetensors", "not a valid safetensors file"])
        self.file("pointer.safetensors", "version https://git-lfs.github.com/spec/v1\n")
        self.mistake(4, "inspect", "pointer.safetensors", says=["pointer.safetensors", "git lfs pull"])
        self.mistake(4, "inspect", "none.safetensors", says=["none.safetensors", "No such file"])
        self.mistake(4, "inspect", "./none", says=["./none", "no such model folder"])
        self.mistake(4, "inspect", ".", says=["no config.json"])
        model = self.model(without=["model.safetensors"])
        (model / "pytorch_model.bin").write_bytes(b"")
        self.mistake(4, "inspect", model, says=["safe_serialization=True"])

    def test_machine(self):
        shown = self.tool("inspect", "--machine").stdout
        self.assertRegex(shown, r"\Ainstruction sets: generic[ a-z0-9_]*\nused by default: [a-z0-9_]+\nthreads: [1-9]\d*\nmemory: \d+\.\d GiB\ndevices: cpu\n\Z")


if __name__ == "__main__":
    unittest.main()
