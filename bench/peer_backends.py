"""One peer in one process: builds its best configuration, then answers on its standard input.

    python peer_backends.py BACKEND MODEL_DIR WORK_DIR THREADS DTYPE

    first says `ready`, or `absent: WHY` where this machine has no such peer, and ends

    prepare CELL          loads WORK_DIR/CELL.npz, builds and warms every variant; prints one JSON line
    check VARIANT FILE    writes the last hidden states of the cell's real tokens, packed [sum T, C], as npy
    go VARIANT N          runs N forward passes over the cell; prints the seconds they took

A variant is how mixed lengths reach a peer that wants rectangles: `pad` (to the longest, with a mask), `sortK`
(sorted by length into sub-batches of K, each padded to its own longest), `loop` (one text at a time, no padding).
Padding and sorting are done beforehand and not timed. CTranslate2 gets each sub-batch as lists without padding, and pads it by
itself.
"""
import importlib.util
import json
import os
import pathlib
import sys
import time

import numpy as np

import peer_stats

BACKENDS = ("torch", "torch-compile", "torch-compile-autotune", "ort", "ort-fused", "openvino", "openvino-static", "openvino-static-bf16", "openvino-onnx", "ctranslate2", "ctranslate2-mkl", "llama.cpp")


class Absent(Exception):
    """This machine has no such peer, and why; no failure."""


def variants_of(lengths, static, alone=False):
    if len(set(lengths)) == 1:
        return ["fixed"] + ["loop"] * (alone and len(lengths) > 1)
    return ["pad"] if static else ["pad", "sort8", "sort4", "loop"]


def calls_of(variant, ids, lengths):
    """The rectangles of one pass: (rows, ids [b, s], mask [b, s] or None when nothing is padded)."""
    starts = np.concatenate([[0], np.cumsum(lengths)])
    order = list(range(len(lengths)))
    size = len(order)
    if variant == "loop":
        size = 1
    elif variant.startswith("sort"):
        size = int(variant[4:])
        order.sort(key=lambda i: (lengths[i], i))
    out = []
    for at in range(0, len(order), size):
        rows = order[at:at + size]
        longest = max(lengths[r] for r in rows)
        x = np.zeros((len(rows), longest), np.int64)
        mask = np.zeros_like(x)
        for k, r in enumerate(rows):
            x[k, :lengths[r]] = ids[starts[r]:starts[r + 1]]
            mask[k, :lengths[r]] = 1
        out.append((rows, x, None if mask.all() else mask))
    return out


def packed(calls, results, lengths):
    """Back from rectangles to [sum T, C] in the cell's own order."""
    texts = [None] * len(lengths)
    for (rows, _, _), y in zip(calls, results):
        for k, r in enumerate(rows):
            texts[r] = np.asarray(y[k, :lengths[r]], np.float32)
    return np.concatenate(texts)


def torch_module(model, attention):
    import torch
    import transformers as tf
    encoder = tf.AutoModel.from_pretrained(model, dtype=torch.float32, attn_implementation=attention).eval()
    more = dict(use_cache=False) if peer_stats.is_decoder(encoder.config.to_dict()) else {}

    class LastHidden(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = encoder

        def forward(self, input_ids, attention_mask=None):
            return self.encoder(input_ids=input_ids, attention_mask=attention_mask, **more).last_hidden_state

    return LastHidden().eval()


def quantized(module):
    """Linear layers in int8: scales for each output channel, of activations for the whole of each call."""
    import torch
    from torch.ao.quantization import per_channel_dynamic_qconfig, quantize_dynamic
    return quantize_dynamic(module, {torch.nn.Linear: per_channel_dynamic_qconfig})


def onnx_in_int8(path, to):
    """Products in int8 by ONNX Runtime's dynamic quantisation, scales for each output channel."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic
    unknown = {"DefaultTensorType": onnx.TensorProto.FLOAT}  # what fused operators give
    quantize_dynamic(str(path), str(to), op_types_to_quantize=["MatMul", "Gemm", "Attention"], per_channel=True, weight_type=QuantType.QInt8, extra_options=unknown)


def openvino_in_int8(model, samples):
    """Products in int8 by NNCF, activations by what these samples need."""
    import nncf
    return nncf.quantize(model, nncf.Dataset(samples), model_type=nncf.ModelType.TRANSFORMER, subset_size=len(samples))


class Torch:
    static = False

    def __init__(self, backend, model, work, threads, dtype):
        import torch
        torch.set_num_threads(threads)
        self.torch, self.kind = torch, backend
        self.module = torch_module(model, "eager" if backend == "reference" else "sdpa")
        self.module = quantized(self.module) if dtype == "int8" else self.module.to({"f32": torch.float32, "bf16": torch.bfloat16}[dtype])
        self.notes = {"torch": torch.__version__, "cpu_capability": torch.backends.cpu.get_cpu_capability()}
        if "compile" in backend:
            import torch._inductor.config as inductor
            inductor.freezing = True
            if backend.endswith("autotune"):
                inductor.max_autotune = True
                inductor.max_autotune_gemm_backends = "CPP,ATEN"

    def prepare(self, lengths):
        self.run = self.module
        if "compile" in self.kind:
            self.torch._dynamo.reset()
            self.run = self.torch.compile(self.module, dynamic=len(set(lengths)) > 1)

    def bind(self, calls):
        tensors = [(self.torch.from_numpy(x),) + (() if m is None else (self.torch.from_numpy(m),)) for _, x, m in calls]

        def once():
            with self.torch.inference_mode():
                return [self.run(*t) for t in tensors]
        return once

    def arrays(self, results):
        return [y.float().numpy() for y in results]


def without_mask(model):
    """The fused graph for unpadded input: Attention without its mask input, and what fed it removed."""
    from onnxruntime.transformers.onnx_model import OnnxModel
    for node in model.graph.node:
        at = {"Attention": 3, "EmbedLayerNormalization": 7}.get(node.op_type)
        if at is not None and len(node.input) > at:
            node.input[at] = ""
    wrapped = OnnxModel(model)
    wrapped.prune_graph(allow_remove_graph_inputs=True)
    return wrapped.model


def export(model, work, dtype):
    """m.onnx (exported), fused.onnx and fused-nomask.onnx (by ONNX Runtime's transformer optimiser), m.xml, and in int8; done once."""
    import onnx
    import openvino as ov
    import torch
    from onnxruntime.transformers import optimizer
    config = json.loads((pathlib.Path(model) / "config.json").read_text())
    ids = torch.randint(5, 99, (2, 16), generator=torch.Generator().manual_seed(0))
    sample = (ids, torch.ones_like(ids))
    names = ["input_ids", "attention_mask"]
    plain = str(work / "m.onnx")
    with torch.no_grad():
        # The eager attention exported by tracing is the pattern that the optimiser fuses into Attention nodes.
        torch.onnx.export(torch_module(model, "eager"), sample, plain, input_names=names, output_names=["y"], opset_version=18, dynamo=False,
                          dynamic_axes={n: {0: "batch", 1: "seq"} for n in names + ["y"]})
        traced = ov.convert_model(torch_module(model, "sdpa"), example_input=sample)
    for port, name in zip(traced.inputs, names):
        port.get_tensor().set_names({name})
    ov.save_model(traced, str(work / "m.xml"), compress_to_fp16=False)
    if dtype == "int8":
        rng = np.random.default_rng(0)
        texts = [rng.integers(5, config["vocab_size"], (1, 64)) for _ in range(32)]
        small = openvino_in_int8(ov.Core().read_model(str(work / "m.xml")), [{"input_ids": x, "attention_mask": np.ones_like(x)} for x in texts])
        ov.save_model(small, str(work / "m-int8.xml"), compress_to_fp16=False)
    if config["model_type"] != "bert":
        if dtype == "int8":
            onnx_in_int8(plain, work / "m-int8.onnx")
        (work / "export.json").write_text(json.dumps({"fused": {}, "not_fused": {}}))
        return
    fused = optimizer.optimize_model(plain, model_type="bert", num_heads=config["num_attention_heads"], hidden_size=config["hidden_size"], opt_level=0)
    counts = {k: v for k, v in fused.get_fused_operator_statistics().items() if v}
    layers = config["num_hidden_layers"]
    wanted = {"Attention": layers, "BiasGelu": layers, "SkipLayerNormalization": 2 * layers, "EmbedLayerNormalization": 1}
    missing = {k: v for k, v in wanted.items() if counts.get(k, 0) < v}
    fused.save_model_to_file(str(work / "fused.onnx"))
    onnx.save(without_mask(fused.model), str(work / "fused-nomask.onnx"))
    if dtype == "int8":
        for name in ("m", "fused", "fused-nomask"):
            onnx_in_int8(work / f"{name}.onnx", work / f"{name}-int8.onnx")
    if importlib.util.find_spec("ctranslate2"):
        export_ctranslate2(model, work / "ctranslate2", dtype)
    (work / "export.json").write_text(json.dumps({"fused": counts, "not_fused": missing}))


def export_ctranslate2(model, folder, dtype):
    """BERT for CTranslate2, weight by weight: its own converter wants a tokenizer, and fields that configurations of transformers 5 have lost.

    Left out is the pooler, which no exported peer runs. Ids are what is timed; a made-up vocabulary has as many words.
    """
    import torch
    import transformers as tf
    from ctranslate2.specs import common_spec, transformer_spec
    bert = tf.AutoModel.from_pretrained(model, dtype=torch.float32)
    config, weights = bert.config, {k: v.numpy() for k, v in bert.state_dict().items()}
    activation = {"gelu": common_spec.Activation.GELU, "gelu_new": common_spec.Activation.GELUTanh, "relu": common_spec.Activation.RELU}[config.hidden_act]
    encoder = transformer_spec.TransformerEncoderSpec(config.num_hidden_layers, config.num_attention_heads, pre_norm=False, activation=activation, num_source_embeddings=2,
                                                      embeddings_merge=common_spec.EmbeddingsMerge.ADD, layernorm_embedding=True)

    def linear(to, *names):  # several: side by side
        to.weight, to.bias = (np.concatenate([weights[f"{n}.{part}"] for n in names]) for part in ("weight", "bias"))

    def norm(to, name):
        to.gamma, to.beta = weights[f"{name}.weight"], weights[f"{name}.bias"]

    encoder.scale_embeddings = False
    encoder.embeddings[0].weight = weights["embeddings.word_embeddings.weight"]
    encoder.embeddings[1].weight = weights["embeddings.token_type_embeddings.weight"]
    encoder.position_encodings.encodings = weights["embeddings.position_embeddings.weight"]
    norm(encoder.layernorm_embedding, "embeddings.LayerNorm")
    for i, layer in enumerate(encoder.layer):
        at = f"encoder.layer.{i}"
        linear(layer.self_attention.linear[0], *(f"{at}.attention.self.{x}" for x in ("query", "key", "value")))
        linear(layer.self_attention.linear[1], f"{at}.attention.output.dense")
        norm(layer.self_attention.layer_norm, f"{at}.attention.output.LayerNorm")
        linear(layer.ffn.linear_0, f"{at}.intermediate.dense")
        linear(layer.ffn.linear_1, f"{at}.output.dense")
        norm(layer.ffn.layer_norm, f"{at}.output.LayerNorm")
    spec = transformer_spec.TransformerEncoderModelSpec(encoder)
    spec.config.layer_norm_epsilon = config.layer_norm_eps
    spec.register_vocabulary(["<unk>", *map(str, range(1, config.vocab_size))])
    spec.validate()
    spec.optimize(quantization=CTranslate2.TYPES[dtype])
    folder.mkdir(exist_ok=True)
    spec.save(str(folder))


class CTranslate2:
    """`ctranslate2` by oneDNN or what else the library was built with, `ctranslate2-mkl` by MKL."""
    static = False
    TYPES = {"f32": "float32", "bf16": "bfloat16", "int8": "int8"}

    def __init__(self, backend, model, work, threads, dtype):
        os.environ["CT2_USE_MKL"] = str(int(backend.endswith("mkl")))  # read at the library's first look
        try:
            import ctranslate2
            have = ctranslate2.get_supported_compute_types("cpu")
        except (ImportError, ValueError) as e:  # not installed; built without MKL
            raise Absent(e) from e
        if self.TYPES[dtype] not in have:
            raise Absent(f"computes in {', '.join(sorted(have))} here")
        if not (work / "ctranslate2").exists():
            raise Absent("gives no hidden states of this family")
        self.float32 = ctranslate2.DataType.float32
        self.encoder = ctranslate2.Encoder(str(work / "ctranslate2"), device="cpu", compute_type=self.TYPES[dtype], inter_threads=1, intra_threads=threads)
        self.notes = {"ctranslate2": ctranslate2.__version__, "compute_type": self.encoder.compute_type}

    def prepare(self, lengths):
        pass

    def bind(self, calls):
        batches = [[row[:n].tolist() for row, n in zip(x, np.full(len(x), x.shape[1]) if m is None else m.sum(1))] for _, x, m in calls]
        return lambda: [self.encoder.forward_batch(batch).last_hidden_state for batch in batches]

    def arrays(self, results):
        return [np.array(y.to(self.float32)) for y in results]


class Ort:
    static = False

    def __init__(self, backend, model, work, threads, dtype):
        import onnxruntime as ort
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        ending = "-int8.onnx" if dtype == "int8" else ".onnx"
        if backend == "ort-fused" and not (work / "fused.onnx").exists():
            raise Absent("its optimiser has no fused attention for this family")
        load = lambda name: ort.InferenceSession(str(work / (name + ending)), options, providers=["CPUExecutionProvider"])
        self.masked = load("fused" if backend == "ort-fused" else "m")
        self.plain = load("fused-nomask") if backend == "ort-fused" else self.masked
        self.takes_mask = backend != "ort-fused"
        self.notes = {"onnxruntime": ort.__version__}
        if backend == "ort-fused":
            self.notes |= json.loads((work / "export.json").read_text())

    def prepare(self, lengths):
        pass

    def bind(self, calls):
        feeds = []
        for _, x, m in calls:
            if m is None and not self.takes_mask:
                feeds.append((self.plain, {"input_ids": x}))
            else:
                feeds.append((self.masked, {"input_ids": x, "attention_mask": np.ones_like(x) if m is None else m}))
        return lambda: [s.run(None, f)[0] for s, f in feeds]

    def arrays(self, results):
        return results


def openvino_hint(backend, dtype):
    """What is not in int8 is in f32, or in bf16 of the backends of that name."""
    return dtype if dtype != "int8" else "bf16" if backend.endswith("-bf16") else "f32"


class OpenVino:
    def __init__(self, backend, model, work, threads, dtype):
        import openvino as ov
        self.ov, self.core = ov, ov.Core()
        self.static = backend.startswith("openvino-static")
        self.source = work / ("m.onnx" if backend == "openvino-onnx" else "m-int8.xml" if dtype == "int8" else "m.xml")
        self.options = {"INFERENCE_PRECISION_HINT": openvino_hint(backend, dtype), "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1}
        self.notes = {"openvino": ov.__version__}
        self.dynamic = None if self.static else self.compile(None)

    def compile(self, shape):
        model = self.core.read_model(self.source)
        model.reshape({port: self.ov.PartialShape(list(shape) if shape else [-1, -1]) for port in model.inputs})
        compiled = self.core.compile_model(model, "CPU", self.options)
        self.notes["precision"] = str(compiled.get_property("INFERENCE_PRECISION_HINT"))
        return compiled

    def prepare(self, lengths):
        pass

    def bind(self, calls):
        bound = []
        for _, x, m in calls:
            compiled = self.compile(x.shape) if self.static else self.dynamic
            bound.append((compiled.create_infer_request(), {"input_ids": x, "attention_mask": np.ones_like(x) if m is None else m}))

        def once():
            return [request.infer(feed, share_inputs=True, share_outputs=True)[0] for request, feed in bound]
        return once

    def arrays(self, results):
        return results


def build(backend, model, work, threads, dtype):
    if backend == "llama.cpp":
        from peer_llama_cpp import LlamaCpp
        return LlamaCpp(Absent, model, work, threads, dtype)
    kinds = {"reference": Torch, "torch": Torch, "ort": Ort, "openvino": OpenVino, "ctranslate2": CTranslate2}
    return kinds[backend.partition("-")[0]](backend, model, work, threads, dtype)


def main():
    backend, model, work, threads, dtype = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
    answer = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # exporters chatter on the standard output
    if backend == "export":
        export(model, work, dtype)
        print("done", file=answer)
        return
    try:
        peer = build(backend, model, work, threads, dtype)
    except Absent as e:
        print(f"absent: {e}", file=answer)
        return
    print("ready", file=answer)
    for line in sys.stdin:
        word, *rest = line.split()
        if word == "prepare":
            cell = np.load(work / f"{rest[0]}.npz")
            ids, lengths = cell["ids"], cell["lengths"].tolist()
            peer.prepare(lengths)
            names = ["loop"] if backend == "reference" else variants_of(lengths, peer.static, getattr(peer, "alone", False))
            calls = {v: calls_of("pad" if v == "fixed" else v, ids, lengths) for v in names}
            run = {v: peer.bind(c) for v, c in calls.items()}
            for once in run.values():
                for _ in range(1 if backend == "reference" else 2):
                    once()
            print(json.dumps({"variants": list(run), "notes": peer.notes}), file=answer)
        elif word == "check":
            np.save(rest[1], packed(calls[rest[0]], peer.arrays(run[rest[0]]()), lengths))
            print("done", file=answer)
        elif word == "go":
            once, n = run[rest[0]], int(rest[1])
            start = time.perf_counter()
            for _ in range(n):
                once()
            print(time.perf_counter() - start, file=answer)


if __name__ == "__main__":
    main()
