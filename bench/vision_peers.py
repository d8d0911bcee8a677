#!/usr/bin/env python3
"""Time image models and both towers of dual ones beside PyTorch, ONNX Runtime and OpenVINO, in fp32, bf16 or int8, on the same folders and inputs.

    python bench/vision_peers.py [NAME=]MODEL_DIR... --tessera PATH [--towers image,text] [--batches 1,8] [--threads 2] [--rounds 9] [--quick]
                                 [--dtype bf16 [--fast] | --dtype int8]

As peers.py does it: a process each, outputs compared with fp32 eager PyTorch before anything is timed, rounds interleaved in a new
order each time, stolen time watched, every contender in the dated report. A pass is the last hidden state of an image model; of CLIP
and SigLIP one tower up to the common space. Pixels and token ids are made beforehand and not timed.

Cells: b8 is eight images; text-b8 eight texts of all positions (CLIP: 77 tokens, the last one its end of text), for dual models if
--towers has text.

Needs: numpy, torch, transformers, safetensors, onnx, onnxruntime, openvino, and a C++ compiler for compiled PyTorch.
"""
import argparse
import datetime
import itertools
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import time

import numpy as np

import peer_backends
import peer_stats
import peers

HERE = pathlib.Path(__file__).resolve().parent
NAMES = {"image": "pixel_values", "text": "input_ids"}
BACKENDS = ("torch", "torch-compile", "ort", "openvino", "openvino-bf16")


def module_of(model, tower, attention):
    """What a pass is, as a module of pixel_values or of input_ids."""
    import torch
    import transformers as tf
    whole = tf.AutoModel.from_pretrained(model, dtype=torch.float32, attn_implementation=attention).eval()

    class Pass(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.tower = getattr(whole, {"image": "vision_model", "text": "text_model"}[tower], whole)
            self.dual = hasattr(whole, "text_model")
            self.projection = getattr(whole, {"image": "visual_projection", "text": "text_projection"}[tower], None)

        def forward(self, x):
            out = self.tower(**{NAMES[tower]: x})
            if not self.dual:
                return out.last_hidden_state
            return self.projection(out.pooler_output) if self.projection is not None else out.pooler_output

    return Pass().eval()


def inputs(tower, config, batch, seed):
    """Random pixels [batch, 3, side, side] of a tower's configuration; or ids [batch, positions], each text ended by the highest one, which is CLIP's end of text."""
    rng = np.random.default_rng(seed)
    if tower == "image":
        return rng.standard_normal((batch, 3, config["image_size"], config["image_size"])).astype(np.float32)
    ids = rng.integers(5, config["vocab_size"] - 5, (batch, config["max_position_embeddings"]))
    ids[:, -1] = config["vocab_size"] - 1
    return ids


def tower_config(model, tower):
    """(The configuration of a tower as a dictionary, whether the model is a dual one)."""
    import transformers as tf
    whole = tf.AutoConfig.from_pretrained(model)
    dual = hasattr(whole, "text_config")
    return (getattr(whole, {"image": "vision_config", "text": "text_config"}[tower]) if dual else whole).to_dict(), dual


def bind(backend, tower, model, work, threads, x, dtype):
    """A function that runs one pass over x and gives its output."""
    import torch
    torch.set_num_threads(threads)
    if backend.startswith("torch") or backend == "reference":
        module, x = module_of(model, tower, "eager" if backend == "reference" else "sdpa"), torch.from_numpy(x)
        if dtype == "bf16" and backend != "reference":
            module, x = module.to(torch.bfloat16), x.to(torch.bfloat16) if tower == "image" else x
        if dtype == "int8" and backend != "reference":
            module = peer_backends.quantized(module)
        if backend == "torch-compile":
            import torch._inductor.config as inductor
            inductor.freezing = True
            module = torch.compile(module)

        def run():
            with torch.inference_mode():
                return module(x).float().numpy()
        return run
    if backend == "ort":
        import onnxruntime as ort
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        session = ort.InferenceSession(str(exported(tower, model, work, ".onnx", dtype)), options, providers=["CPUExecutionProvider"])
        return lambda: session.run(None, {NAMES[tower]: x})[0]
    import openvino as ov
    core = ov.Core()
    read = core.read_model(exported(tower, model, work, ".xml", dtype))
    read.reshape({read.inputs[0]: ov.PartialShape(list(x.shape))})
    request = core.compile_model(read, "CPU", {"INFERENCE_PRECISION_HINT": peer_backends.openvino_hint(backend, dtype), "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1}).create_infer_request()
    return lambda: request.infer([x], share_inputs=True, share_outputs=True)[0]


def exported(tower, model, work, ending, dtype):
    """The tower as ONNX or for OpenVINO, for any batch, in int8 if that is asked for; made once for all cells."""
    name = f"{'m-int8' if dtype == 'int8' else 'm'}{ending}"
    if (path := work / name).exists():
        return path
    config, _ = tower_config(model, tower)
    if dtype != "int8" and ending == ".onnx":
        import torch
        with torch.no_grad():
            torch.onnx.export(module_of(model, tower, "sdpa"), (torch.from_numpy(inputs(tower, config, 1, 1)),), str(path), input_names=[NAMES[tower]], output_names=["y"],
                              opset_version=18, dynamo=False, dynamic_axes={NAMES[tower]: {0: "batch"}, "y": {0: "batch"}})
    elif ending == ".onnx":
        peer_backends.onnx_in_int8(exported(tower, model, work, ending, "f32"), path)
    else:
        import openvino as ov
        read = ov.Core().read_model(exported(tower, model, work, ".onnx", "f32"))
        if dtype == "int8":
            read = peer_backends.openvino_in_int8(read, [inputs(tower, config, 1, 100 + i) for i in range(32)])
        ov.save_model(read, str(path), compress_to_fp16=False)
    return path


def child(backend, tower, model, work, cell, threads, dtype):
    answer = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # exporters chatter on the standard output
    run = bind(backend, tower, model, work, threads, np.load(work / f"{cell}.npy"), dtype)
    for _ in range(1 if backend == "reference" else 3):
        y = run()
    np.save(work / f"{cell}-{backend}.npy", np.asarray(y, np.float32))
    print("ready", file=answer)
    for line in sys.stdin:
        start = time.perf_counter()
        for _ in range(int(line.split()[1])):
            run()
        print(time.perf_counter() - start, file=answer)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def tessera_error(a, tower, model, work, cell, reference, dual, cpus):
    from safetensors.numpy import load_file, save_file
    save_file({NAMES[tower]: np.load(work / f"{cell}.npy")}, str(work / "in.safetensors"))
    out = work / "out.safetensors"
    subprocess.run([a.tessera, "forward", *a.precision, "--model", str(model), str(work / "in.safetensors"), str(out)], check=True, preexec_fn=lambda: os.sched_setaffinity(0, cpus))
    tensors = load_file(str(out))
    if not dual:
        return peers.row_error(tensors["last_hidden_state"].reshape(-1, reference.shape[-1]), reference.reshape(-1, reference.shape[-1]))
    if tower == "text":
        return peers.row_error(unit(tensors["text_embeds"]), unit(reference))
    return peers.row_error(unit(tensors["image_embeds"] if "image_embeds" in tensors else tensors["pooler_output"]), unit(reference))  # SigLIP projects nothing


def work_of(tower, config, batch):
    """(What a batch is, its GFLOP, those of attention among them)."""
    if tower == "text":
        lengths, causal = [config["max_position_embeddings"]] * batch, config["model_type"].startswith("clip")
        what = f"{batch} text{'s' * (batch > 1)} of {lengths[0]} tokens"
        return what, peer_stats.flops(config, lengths, causal=causal) / 1e9, peer_stats.attention_flops(config, lengths, causal) / 1e9
    side, patch, c = config["image_size"], config["patch_size"], config["hidden_size"]
    tokens = (side // patch) ** 2
    config = dict(config, intermediate_size=config.get("intermediate_size") or int(c * config.get("mlp_ratio", 4)))
    whole = 2 * tokens * 3 * patch * patch * c + peer_stats.flops(config, [tokens])
    return f"{batch} image{'s' * (batch > 1)} of {side} x {side}", batch * whole / 1e9, batch * peer_stats.attention_flops(config, [tokens]) / 1e9


def run_cell(a, label, tower, model, batch, threads, cpus, root, log):
    config, dual = tower_config(model, tower)
    name = f"text-b{batch}" if tower == "text" else f"b{batch}"
    kind = f"clip-{tower}" if dual else tower
    work = root / f"{label}-{tower}"
    work.mkdir(parents=True, exist_ok=True)
    command = lambda backend: [sys.executable, str(HERE / "vision_peers.py"), "--child", backend, tower, str(model), str(work), name, str(threads), a.dtype]
    if not (work / f"{name}-reference.npy").exists():
        np.save(work / f"{name}.npy", inputs(tower, config, batch, 1))
        peers.Process(command("reference"), cpus, threads, log).close()
    reference = np.load(work / f"{name}-reference.npy")
    rows, contenders = {}, {}
    error = tessera_error(a, tower, model, work, name, reference, dual, cpus)
    if error > peers.TOLERANCE[a.dtype]:
        rows["tessera"] = dict(error=error, note="disagrees with fp32 eager PyTorch: not timed")
    else:
        ours = [a.tessera, "bench", *a.precision, "--model", str(model), "--kind", kind, "--batch", str(batch), "--threads", str(threads), "--stdio"]
        contenders["tessera"] = peers.Contender(peers.Process(ours, cpus, threads, log), "go ", error)
    for backend in a.backends:
        try:
            process = peers.Process(command(backend), cpus, threads, log, {"TORCHINDUCTOR_CACHE_DIR": str(root / "inductor")})
        except RuntimeError as e:
            rows[backend] = dict(note=f"failed: {e}")
            continue
        flat = lambda y: y.reshape(-1, y.shape[-1])
        error = peers.row_error(flat(np.load(work / f"{name}-{backend}.npy")), flat(reference))
        if error > peers.TOLERANCE[a.dtype]:
            rows[backend] = dict(error=error, note="disagrees with fp32 eager PyTorch: not timed")
        else:
            contenders[backend] = peers.Contender(process, "go ", error)
    steal, others, repeated = peers.measure(a, contenders, cpus)
    for c in contenders.values():
        c.process.close()
    what, gflop, attention = work_of(tower, config, batch)
    result = dict(model=label, name=name, threads=threads, what=what, worst_steal=steal, others=others, repeated=repeated,
                  gflop=gflop, gflop_padded=gflop, gflop_attention=attention, peak=peers.peak(a, model, kind, threads, cpus))
    return peers.finish_cell(a, result, rows, contenders)


def main():
    if len(sys.argv) == 9 and sys.argv[1] == "--child":
        return child(sys.argv[2], sys.argv[3], sys.argv[4], pathlib.Path(sys.argv[5]), sys.argv[6], int(sys.argv[7]), sys.argv[8])
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    split = lambda s: [x for x in s.split(",") if x]
    numbers = lambda s: [int(x) for x in split(s)]
    p.add_argument("models", nargs="+", type=peers.named_model, metavar="[NAME=]MODEL_DIR")
    p.add_argument("--tessera", required=True, help="the tessera program")
    p.add_argument("--towers", type=split, default="image", help="image, text or both; text is passed over where a model has no such tower")
    p.add_argument("--batches", type=numbers, default="1,8")
    p.add_argument("--threads", type=numbers, default="2")
    p.add_argument("--backends", type=split)
    peers.add_precision(p)
    p.add_argument("--rounds", type=int, default=9)
    p.add_argument("--seconds", type=float, default=0.5, help="aimed length of one measurement")
    p.add_argument("--cpus", type=numbers, default=sorted(os.sched_getaffinity(0)), help="processors to pin to, one a thread")
    p.add_argument("--quick", action="store_true", help="3 rounds of 0.1 s: shows that everything runs")
    p.add_argument("--work", type=pathlib.Path, help="folder for exported models and references, kept for the next run (default: a temporary one)")
    p.add_argument("--results", type=pathlib.Path, default=HERE / "results", help="where the dated report goes")
    a = p.parse_args()
    precision = peers.settle_precision(a, BACKENDS)
    if a.quick:
        a.rounds, a.seconds = 3, 0.1
    if unknown := set(a.towers) - set(NAMES):
        p.error(f"--towers {unknown.pop()}: image or text")
    a.tessera = str(pathlib.Path(a.tessera).resolve())
    report = dict(date=datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"), commit=peers.commit() + "-vision" + precision,
                  command=re.sub(r"(?<=[ =])/[^ =]*/", "", "bench/vision_peers.py " + shlex.join(sys.argv[1:])), machine=peers.machine(a.cpus),
                  versions=peers.versions(), precision=" ".join(a.precision[1:]), quick=a.quick, failed=[], absent=[], cells=[])
    with tempfile.TemporaryDirectory() as temporary:
        root = (a.work or pathlib.Path(temporary)).resolve()
        root.mkdir(parents=True, exist_ok=True)
        with open(root / "peers.log", "w") as log:
            for name, model in a.models:
                towers = [t for t in a.towers if t == "image" or tower_config(model, "image")[1]]
                for tower, threads, batch in itertools.product(towers, a.threads, a.batches):
                    report["cells"].append(run_cell(a, name, tower, model, batch, threads, set(a.cpus[:threads]), root, log))
    print(peer_stats.write(report, a.results))


if __name__ == "__main__":
    main()
