"""llama.cpp as a peer of peers.py: the model folder written as a GGUF file, run through llama-cpp-python's plain C interface.

Matrices are of f32, bf16 or (int8) Q8_0, everything else f32. Its decoders multiply every token with the table of words too, which
no other peer does: a file holds only the words of its cell, so that this costs next to nothing.
"""
import ctypes
import importlib.metadata
import json
import pathlib

import numpy as np

# By model_type: what transformers' base model leaves out in front of the names that llama.cpp's converter knows.
PREFIXES = {"bert": "", "qwen2": "model."}


def write_gguf(model, path, ids, dtype):
    """The model in `path`, with the rows `ids` of its table as its whole vocabulary."""
    import gguf
    import torch
    import transformers as tf
    weights = tf.AutoModel.from_pretrained(model, dtype=torch.float32).state_dict()
    config = json.loads((pathlib.Path(model) / "config.json").read_text())
    kind, layers = config["model_type"], config["num_hidden_layers"]
    arch = gguf.MODEL_ARCH[kind.upper()]
    matrices = {"f32": gguf.GGMLQuantizationType.F32, "bf16": gguf.GGMLQuantizationType.BF16, "int8": gguf.GGMLQuantizationType.Q8_0}[dtype]
    names = gguf.get_tensor_name_map(arch, layers)
    writer = gguf.GGUFWriter(path, kind)
    writer.add_tokenizer_model("none")
    writer.add_vocab_size(len(ids))
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(layers)
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    if kind == "bert":
        writer.add_token_type_count(config["type_vocab_size"])
        writer.add_layer_norm_eps(config["layer_norm_eps"])
        writer.add_causal_attention(False)
    else:
        writer.add_head_count_kv(config["num_key_value_heads"])
        writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
        writer.add_rope_freq_base((config.get("rope_parameters") or config)["rope_theta"])
    for name, tensor in weights.items():
        if name.startswith("pooler"):
            continue  # which no exported peer runs
        known = names.get_name(PREFIXES[kind] + name, try_suffixes=(".weight", ".bias"))
        if known is None:
            raise KeyError(f"llama.cpp has no tensor {name}")
        x = tensor.numpy()
        if known == "token_embd.weight":
            x = x[ids]
        small = x.ndim < 2 or known in ("position_embd.weight", "token_types.weight")
        to = gguf.GGMLQuantizationType.F32 if small else matrices
        writer.add_tensor(known, gguf.quantize(np.ascontiguousarray(x), to), raw_dtype=to)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class LlamaCpp:
    """A batch is one call, each text a sequence of its own. `loop` is timed of equal lengths too: BERT's attention, without a
    cache, multiplies all tokens of a call with each other, of whatever texts they are."""
    static, alone = False, True

    def __init__(self, absent, model, work, threads, dtype):
        try:
            import gguf  # noqa: F401
            import llama_cpp
        except (ImportError, OSError) as e:
            raise absent(e) from e
        self.kind = json.loads((pathlib.Path(model) / "config.json").read_text())["model_type"]
        if self.kind not in PREFIXES:
            raise absent(f"not written for {self.kind}")
        self.lib, self.model, self.work, self.threads, self.dtype = llama_cpp, model, work, threads, dtype
        self.ids, self.loaded = None, None
        self.notes = {"llama_cpp_python": importlib.metadata.version("llama_cpp_python")}
        llama_cpp.llama_backend_init()

    def prepare(self, lengths):
        self.ids = None

    def load(self, ids):
        path = self.work / f"llama-{self.threads}.gguf"
        write_gguf(self.model, path, ids, self.dtype)
        if self.loaded:
            self.lib.llama_model_free(self.loaded)
        params = self.lib.llama_model_default_params()
        params.use_mmap = False
        self.loaded = self.lib.llama_model_load_from_file(str(path).encode(), params)
        path.unlink()
        if not self.loaded:
            raise RuntimeError("llama.cpp does not load its file")

    def context(self, tokens, texts, longest):
        params = self.lib.llama_context_default_params()
        params.n_ctx = longest * texts if self.kind != "bert" else tokens
        params.n_batch = params.n_ubatch = tokens
        params.n_seq_max = texts
        params.n_threads = params.n_threads_batch = self.threads
        params.embeddings, params.pooling_type = True, self.lib.LLAMA_POOLING_TYPE_NONE
        params.kv_unified = False
        if self.dtype == "f32":  # its fused attention rounds keys and values to f16
            params.flash_attn_type = self.lib.LLAMA_FLASH_ATTN_TYPE_DISABLED
            params.type_k = params.type_v = self.lib.GGML_TYPE_F32
        context = self.lib.llama_init_from_model(self.loaded, params)
        if not context:
            raise RuntimeError("llama.cpp makes no context")
        return context

    def bind(self, calls):
        rows = [[row[:n] for row, n in zip(x, np.full(len(x), x.shape[1]) if m is None else m.sum(1))] for _, x, m in calls]
        ids = np.unique(np.concatenate([text for call in rows for text in call]))
        if self.ids is None:
            self.load(ids)
            self.ids = ids
        width = self.lib.llama_model_n_embd(self.loaded)
        most = max(sum(map(len, call)) for call in rows)
        context = self.context(most, max(map(len, rows)), max(len(text) for call in rows for text in call))
        batches = [self.batch([np.searchsorted(self.ids, text) for text in call]) for call in rows]

        def run(batch, call):
            if self.kind != "bert":
                self.lib.llama_memory_clear(self.lib.llama_get_memory(context), False)
            if (self.lib.llama_encode if self.kind == "bert" else self.lib.llama_decode)(context, batch) != 0:
                raise RuntimeError("llama.cpp does not run its batch")
            y = np.ctypeslib.as_array(ctypes.cast(self.lib.llama_get_embeddings(context), ctypes.POINTER(ctypes.c_float)), (batch.n_tokens, width))
            return y.copy(), [len(text) for text in call]

        return lambda: [run(batch, call) for batch, call in zip(batches, rows)]

    def batch(self, texts):
        tokens = sum(map(len, texts))
        batch = self.lib.llama_batch_init(tokens, 0, 1)
        at = 0
        for sequence, text in enumerate(texts):
            for position, token in enumerate(text):
                batch.token[at], batch.pos[at] = int(token), position
                batch.n_seq_id[at], batch.seq_id[at][0], batch.logits[at] = 1, sequence, 1
                at += 1
        batch.n_tokens = tokens
        return batch

    def arrays(self, results):
        out = []
        for y, lengths in results:
            x, at = np.zeros((len(lengths), max(lengths), y.shape[1]), np.float32), 0
            for k, n in enumerate(lengths):
                x[k, :n] = y[at:at + n]
                at += n
            out.append(x)
        return out
