"""Models that are refused: each gives one line that says what, where and what to do, and exit code 4."""

import json
import os
import struct
import unittest

from toolkit import BERT, PLAIN, ST, MistakeTest, Tensor, floats, write_safetensors

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 90868376\n"


class Model(MistakeTest):
    """All of these refuse the model: 4."""

    def refused(self, model, *says, args=(), **options):
        return self.embed_mistake(4, *args, model=model, says=says, **options)

    def test_no_such_folder(self):
        self.refused("./none", "./none", "no such model folder", "check the path")
        self.refused("/none/such/model", "/none/such/model")

    def test_path_is_a_file(self):
        self.refused("in.txt", "in.txt", "a file", "name the folder")
        self.refused(PLAIN / "model.safetensors", "a file", "name the folder")

    def test_git_lfs_pointer(self):
        model = self.model()
        (model / "model.safetensors").write_text(POINTER)
        self.refused(model, model / "model.safetensors", "Git-LFS pointer", "git lfs pull")

    def test_git_lfs_pointer_as_tokenizer_or_config(self):
        for name in ("tokenizer.json", "config.json"):
            model = self.model(ST / "all_modes", name.replace(".", "_"))
            (model / name).write_text(POINTER)
            self.refused(model, model / name, "git lfs pull")
        model = self.model(PLAIN, "vocabulary")
        (model / "vocab.txt").write_text(POINTER)
        self.refused(model, model / "vocab.txt", "git lfs pull")

    def test_weights_of_other_formats_only(self):
        advice = {
            "pytorch_model.bin": ["PyTorch", "safe_serialization=True"],
            "model.onnx": ["ONNX", "safetensors"],
            "model.gguf": ["GGUF", "safetensors"],
            "tf_model.h5": ["TensorFlow", "from_tf"],
            "flax_model.msgpack": ["Flax", "from_flax"],
        }
        for name, says in advice.items():
            with self.subTest(name):
                model = self.model(name=name + ".d", without=["model.safetensors"])
                (model / name).write_bytes(b"weights")
                self.refused(model, model, "no model.safetensors", *says)
                (model / "config.json").unlink()  # as .gguf and .onnx often come
                self.refused(model, model, "no model.safetensors", *says)

    def test_no_weights(self):
        model = self.model(without=["model.safetensors"])
        self.refused(model, model, "no model.safetensors", "download the whole model")

    def test_missing_shard(self):
        model = self.model(BERT / "sharded_h72", without=["model-00003-of-00005.safetensors"])
        self.refused(model, "model-00003-of-00005.safetensors", "missing", "download")

    def test_missing_tokenizer(self):
        model = self.model(without=["vocab.txt"])
        self.refused(model, model, "no tokenizer.json, vocab.txt, vocab.json with merges.txt or sentencepiece model", "belong beside the weights")
        self.mistake(4, "tokenize", "--model", model, says=[model, "no tokenizer.json, vocab.txt, vocab.json with merges.txt or sentencepiece model"])

    def test_missing_config(self):
        model = self.model(without=["config.json"])
        self.refused(model, model, "no config.json", "download the whole model")

    def test_empty_folder(self):
        (self.dir / "empty").mkdir()
        self.refused("empty", "empty", "no config.json")

    def test_unsupported_architecture(self):
        model = self.model()
        self.change_config(model, model_type="mamba")
        self.refused(model, model / "config.json", "'mamba' is not supported", "known: bert")

    def test_config_without_a_field(self):
        model = self.model()
        self.change_config(model, hidden_size=None)
        self.refused(model, model, "hidden_size is absent", "expected an integer")

    def test_config_is_no_json(self):
        model = self.model()
        (model / "config.json").write_text('{"model_type": "bert",')
        self.refused(model, model / "config.json", "not valid JSON", "at byte")

    def test_unsupported_module(self):
        model = self.model()
        modules = json.loads((model / "modules.json").read_text())
        modules.append({"idx": 2, "name": "2", "path": "2_CNN", "type": "sentence_transformers.models.CNN"})
        (model / "modules.json").write_text(json.dumps(modules))
        self.refused(model, model / "modules.json", "'CNN' is not supported", "known: Transformer, WeightedLayerPooling, Pooling")

    def test_truncated_weights(self):
        whole = (PLAIN / "model.safetensors").read_bytes()
        header = 8 + struct.unpack("<Q", whole[:8])[0]
        for size in (0, 5, 100, header, len(whole) - 1):
            with self.subTest(size):
                model = self.model(name=f"cut{size}")
                (model / "model.safetensors").write_bytes(whole[:size])
                self.refused(model, model / "model.safetensors", "not a valid safetensors file")

    def nonfinite(self):
        model = self.model()

        def change(tensors):
            name = "encoder.layer.0.output.dense.bias"
            values = tensors[name].floats()
            values[3] = float("nan")
            tensors[name] = floats(tensors[name].shape, values)

        self.change_weights(model, change)
        return model

    def test_nonfinite_weight(self):
        model = self.nonfinite()
        self.refused(model, model, "encoder.layer.0.output.dense.bias", "NaN or infinity", "--allow-nonfinite")
        self.mistake(4, "inspect", model, says=[model, "NaN or infinity", "--allow-nonfinite"])
        self.assertIn("architecture: bert", self.tool("inspect", model, "--allow-nonfinite").stdout)

    def test_nonfinite_weight_allowed(self):
        """Then the result is not finite: 6, and the row is left out and named."""
        self.embed_mistake(6, "--allow-nonfinite", model=self.nonfinite(), leaves=["out.npy", "out.npy.rows.jsonl"], says=["in.txt, line 1 (input 0)", "NaN or infinity"])

    def test_wrong_shape(self):
        """The weights and the configuration are of two models."""
        model = self.model()
        self.change_config(model, intermediate_size=30)
        self.refused(model, model, "layer 0 mlp in", "the config asks for [30, 20]")
        model = self.model(name="rank")
        self.change_weights(model, lambda t: t.update({"embeddings.LayerNorm.bias": floats((20, 1), [0] * 20)}))
        self.refused(model, model, "embeddings.LayerNorm.bias has rank 2, expected 1")

    def test_modules_that_do_not_fit(self):
        model = self.model(ST / "cls_dense_tanh")
        pooling = model / "1_Pooling/config.json"
        pooling.write_text(json.dumps({**json.loads(pooling.read_text()), "pooling_mode_max_tokens": True}))
        self.refused(model, model, "Dense module", "takes 24", "gives 48")

    def test_missing_tensor(self):
        model = self.model()
        self.change_weights(model, lambda t: t.pop("encoder.layer.0.output.dense.bias"))
        self.refused(model, model, "encoder.layer.0.output.dense.bias is missing")

    def test_weights_of_another_architecture(self):
        model = self.model()
        write_safetensors(model / "model.safetensors", {"wte.weight": floats((2, 2), [0] * 4)})
        self.refused(model, model, "embeddings.word_embeddings.weight", "another architecture")

    def test_quantised_weights(self):
        model = self.model()
        name = "encoder.layer.0.output.dense.bias"
        self.change_weights(model, lambda t: t.update({name: Tensor("I8", t[name].shape, bytes(t[name].shape[0]))}))
        self.refused(model, model, name, "I8", "F32, F16 or BF16")

    def test_names_that_play_with_the_terminal(self):
        """A line is one line, whatever a file says."""
        model = self.model()
        self.change_config(model, model_type="ber\nt\x1b[2J")
        self.assertNotIn("\x1b", self.refused(model, "is not supported"))


class Cache(MistakeTest):
    """org/name in a Hugging Face cache; nothing is downloaded."""

    def cached(self, hub):
        repository = hub / "models--org--name"
        (repository / "refs").mkdir(parents=True)
        (repository / "refs/main").write_text("0123abc")
        (repository / "blobs").mkdir()
        snapshot = repository / "snapshots/0123abc"
        for path in PLAIN.rglob("*"):
            if path.is_file() and path.name != "embeddings.npy":
                blob = repository / "blobs" / str(path.relative_to(PLAIN)).replace("/", "-")
                blob.write_bytes(path.read_bytes())
                link = snapshot / path.relative_to(PLAIN)
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(os.path.relpath(blob, link.parent))

    def test_not_in_the_cache(self):
        for env in ({"HF_HUB_CACHE": self.dir / "hub"}, {"HF_HOME": self.dir / "home"}, {}):
            where = {"HF_HUB_CACHE": "hub", "HF_HOME": "home/hub"}.get(next(iter(env), ""), ".cache/huggingface/hub")
            self.embed_mistake(4, model="org/name", env=env, says=["org/name", self.dir / where, "hf download org/name"])

    def test_in_the_cache(self):
        want = self.embed(PLAIN, "in.txt")
        places = {"hub": {"HF_HUB_CACHE": self.dir / "hub"}, "home/hub": {"HF_HOME": self.dir / "home"}, ".cache/huggingface/hub": {}}
        for place, env in places.items():
            with self.subTest(place):
                self.cached(self.dir / place)
                self.assertEqual(self.embed("org/name", "in.txt", env=env), want)
        self.assertIn("architecture: bert", self.tool("inspect", "org/name").stdout)

    def test_links_stay_in_their_repository(self):
        hub = self.dir / "hub"
        self.cached(hub)
        (hub / "secret.json").write_text("{}")
        config = hub / "models--org--name/snapshots/0123abc/config.json"
        config.unlink()
        config.symlink_to(hub / "secret.json")
        self.embed_mistake(4, model="org/name", env={"HF_HUB_CACHE": hub}, says=["config.json", "a link that leaves the folder"])


if __name__ == "__main__":
    unittest.main()
