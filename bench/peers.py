#!/usr/bin/env python3
"""Time tessera and what a user would pick instead, on the same model folders and token ids, in fp32, bf16 or int8.

    python bench/peers.py [NAME=]MODEL_DIR... [--tessera PATH] [--cells b1,b32,mixed] [--threads 1,2] [--backends ...] [--rounds 15] [--quick]
                          [--dtype bf16 [--fast] | --dtype int8]

Peers: eager PyTorch (SDPA), compiled PyTorch (frozen; also with autotuned GEMM templates), ONNX Runtime (as exported; and fused by its
transformer optimiser, without masks where nothing is padded), OpenVINO (f32 hint; dynamic shapes, static shapes, and from ONNX),
CTranslate2 (by oneDNN and by MKL), llama.cpp (each batch in one call, and one text at a time).
Each has a process of its own, alive but idle while another one runs, pinned to the same processors. Before timing, each one's
output is compared with fp32 eager PyTorch; one that disagrees is reported and not timed. Rounds are interleaved in a new order
each time; a measurement with more than 2 % stolen time is made again. A peer that takes 3 times the best peer's time in its
first passes, or twice after three rounds, is dropped and keeps its row. Without --tessera, the peers run alone.

In bf16 PyTorch and CTranslate2 hold the whole model in it and OpenVINO has its precision hint; ONNX Runtime has no bf16 on a CPU and
stays away, as CTranslate2 does where the processor has none. --fast is the tool's. In int8 PyTorch, ONNX Runtime and CTranslate2
quantise dynamically, OpenVINO as NNCF does with 32 random texts (pip install nncf), the rest in f32 or bf16, llama.cpp to Q8_0; compiled PyTorch has no such mode of its own.
Attention and norms are then what each peer makes of them.

Cells: b1, b32 and any other number are batches of so many texts of 128 tokens; mixed is bench/lengths.txt, where tessera gets the texts packed
and each peer is timed padded, sorted into sub-batches, and one text at a time: its best counts.

Beside each cell the tool measures the machine's peak at this precision (`tessera bench --breakdown`), of which the report gives each
contender's share.

Needs: numpy, torch, transformers, safetensors, onnx, onnxruntime, openvino, and a C++ compiler for compiled PyTorch. Where ctranslate2, or
llama-cpp-python with gguf, is not installed, it is reported as absent.
"""
import argparse
import datetime
import importlib.metadata
import importlib.util
import json
import os
import pathlib
import platform
import random
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

import peer_backends
import peer_stats

HERE = pathlib.Path(__file__).resolve().parent
# Of the row's largest value, to fp32: fp32 peers differ by 1e-6 to 1e-5; a bf16 path hidden in one, or asked for, by 1e-2;
# int8 ones by 1e-1 on random weights.
TOLERANCE = {"f32": 1e-4, "bf16": 0.1, "int8": 0.4}
LOOSER = {"llama.cpp": {"f32": 2e-3}}  # looks GELU's tanh form up in a table of f16, whatever the model's form: 6e-4 of BERT


def cell_lengths(name):
    if name == "mixed":
        return [int(x) for x in (HERE / "lengths.txt").read_text().split()]
    return [128] * int(name.removeprefix("b"))


class Absent(RuntimeError):
    """A peer that says why this machine does not have it."""


class Process:
    """A contender's process: lines in, lines out."""

    def __init__(self, command, cpus, threads, log, environment=None):
        env = dict(os.environ, OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads), HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false") | (environment or {})
        self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, bufsize=1, env=env,
                                      preexec_fn=lambda: os.sched_setaffinity(0, cpus))
        if (first := self.expect()) != "ready":
            raise Absent(first.removeprefix("absent: "))

    def expect(self, word=None):
        while line := self.child.stdout.readline():
            if word is None or line.strip() == word:
                return line.strip()
        raise RuntimeError(f"ended with {self.child.wait()} before it answered")

    def ask(self, line, word=None):
        self.child.stdin.write(line + "\n")
        self.child.stdin.flush()
        return self.expect(word)

    def close(self):
        self.child.stdin.close()
        try:
            self.child.wait(30)
        except subprocess.TimeoutExpired:
            self.child.kill()


def write_cell(work, name, lengths, vocab):
    rng = np.random.default_rng(1)
    ids = rng.integers(5, vocab - 5, sum(lengths)).astype(np.int64)
    np.savez(work / f"{name}.npz", ids=ids, lengths=np.array(lengths))
    _, x, mask = peer_backends.calls_of("pad", ids, lengths)[0]
    mask = np.ones_like(x) if mask is None else mask
    from safetensors.numpy import save_file
    save_file({"input_ids": x, "attention_mask": mask}, str(work / f"{name}.safetensors"))
    return mask.astype(bool)


def row_error(y, reference):
    if y.shape != reference.shape or not np.isfinite(y).all():
        return float("inf")
    return float((np.abs(y - reference).max(1) / np.abs(reference).max(1)).max())


def tessera_output(a, model, work, cell, mask, cpus):
    from safetensors.numpy import load_file
    out = work / "tessera-out.safetensors"
    subprocess.run([a.tessera, "forward", *a.precision, "--model", str(model), str(work / f"{cell}.safetensors"), str(out)], check=True, preexec_fn=lambda: os.sched_setaffinity(0, cpus))
    return load_file(str(out))["last_hidden_state"][mask]


def tessera_process(a, model, lengths, cell, threads, cpus, log):
    command = [a.tessera, "bench", *a.precision, "--model", str(model), "--kind", "text", "--batch", str(len(lengths)), "--threads", str(threads), "--stdio"]
    command += ["--lengths", str(HERE / "lengths.txt")] if cell == "mixed" else ["--seq", str(lengths[0])]
    return Process(command, cpus, threads, log)


def peak(a, model, kind, threads, cpus):
    """GFLOP/s that independent multiply-adds reach on these processors now: of matrices' type at this precision, and of attention's."""
    command = [a.tessera, "bench", *a.precision, "--model", str(model), "--kind", kind, "--threads", str(threads), "--rounds", "1", "--breakdown"]
    table = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, preexec_fn=lambda: os.sched_setaffinity(0, cpus)).stdout
    matrices, attention = re.search(r"limit: (\d+) GFLOP/s, attention (\d+)", table).groups()
    return dict(matrices=float(matrices), attention=float(attention))


class Contender:
    def __init__(self, process, go, error):
        self.process, self.go, self.error, self.ms, self.note = process, go, error, [], ""

    def seconds(self, n):
        return float(self.process.ask(f"{self.go}{n}"))


def prepare_peer(a, process, name, cell, work, reference, rows):
    contenders = {}
    answer = json.loads(process.ask(f"prepare {cell}"))
    for variant in answer["variants"]:
        full = name if variant == "fixed" else f"{name} {variant}"
        process.ask(f"check {variant} {work / 'out.npy'}", "done")
        error = row_error(np.load(work / "out.npy"), reference)
        if error > LOOSER.get(name, {}).get(a.dtype, TOLERANCE[a.dtype]):
            rows[full] = dict(error=error, note="disagrees with fp32 eager PyTorch: not timed")
        else:
            contenders[full] = Contender(process, f"go {variant} ", error)
            missing = answer["notes"].get("not_fused")
            contenders[full].note = f"not fused: {missing}" if missing else ""
    return contenders


def measure(a, contenders, cpus):
    """Interleaved rounds; returns (worst stolen share kept, mean share used by others, repeated measurements)."""
    first = {name: min(c.seconds(1), c.seconds(1)) for name, c in contenders.items()}
    counts = {name: max(1, round(a.seconds / max(s, 1e-6))) for name, s in first.items()}
    rng, repeated, steals, others = random.Random(1), 0, [0.0], []
    best = min((s for n, s in first.items() if n != "tessera"), default=0)
    alive = [n for n in contenders if n == "tessera" or first[n] <= 3 * best]
    for name in set(contenders) - set(alive):
        contenders[name].ms.append(1e3 * first[name])
        contenders[name].note = (contenders[name].note + " more than 3 times the best peer in its first passes").strip()
    for r in range(a.rounds):
        rng.shuffle(alive)
        for name in alive:
            for attempt in range(4):
                clock = peer_stats.CpuClock(cpus, contenders[name].process.child.pid)
                seconds = contenders[name].seconds(counts[name])
                steal, foreign = clock.shares()
                if steal <= 0.02 or attempt == 3:
                    break
                repeated += 1
            steals.append(steal)
            others.append(foreign)
            contenders[name].ms.append(1e3 * seconds / counts[name])
            time.sleep(0.02)  # thread pools stop spinning before the next one starts
        if r == 2 and a.rounds > 3:
            best = min((statistics.median(contenders[n].ms) for n in alive if n != "tessera"), default=0)
            for name in [n for n in alive if n != "tessera" and statistics.median(contenders[n].ms) > 2 * best]:
                contenders[name].note = (contenders[name].note + " dropped after three rounds").strip()
                alive.remove(name)
    return max(steals), statistics.mean(others), repeated


def run_cell(a, label, model, config, cell, threads, cpus, live, work, references, log):
    lengths = cell_lengths(cell)
    mask = write_cell(work, cell, lengths, config["vocab_size"])
    if cell not in references:
        process = Process(backend_command("reference", model, work, threads, "f32"), cpus, threads, log)
        process.ask(f"prepare {cell}")
        process.ask(f"check loop {work / 'reference.npy'}", "done")
        process.close()
        references[cell] = np.load(work / "reference.npy")
    rows, contenders, ours = {}, {}, None
    if a.tessera:
        try:
            error = row_error(tessera_output(a, model, work, cell, mask, cpus), references[cell])
            if error > TOLERANCE[a.dtype]:
                rows["tessera"] = dict(error=error, note="disagrees with fp32 eager PyTorch: not timed")
            else:
                ours = tessera_process(a, model, lengths, cell, threads, cpus, log)
                contenders["tessera"] = Contender(ours, "go ", error)
        except (RuntimeError, subprocess.CalledProcessError) as e:
            rows["tessera"] = dict(note=f"failed: exit code {e.returncode}" if isinstance(e, subprocess.CalledProcessError) else f"failed: {e}")
    for name in list(live):
        try:
            contenders |= prepare_peer(a, live[name], name, cell, work, references[cell], rows)
        except (RuntimeError, BrokenPipeError, ValueError) as e:
            rows[name] = dict(note=f"failed: {e}")
            del live[name]
    steal, others, repeated = measure(a, contenders, cpus)
    if ours:
        ours.close()
    result = dict(model=label, name=cell, threads=threads, lengths=lengths, what=f"{len(lengths)} texts, {sum(lengths)} tokens", worst_steal=steal, others=others, repeated=repeated,
                  gflop=peer_stats.flops(config, lengths) / 1e9, gflop_padded=peer_stats.flops(config, lengths, max(lengths)) / 1e9,
                  gflop_attention=peer_stats.attention_flops(config, lengths) / 1e9, peak=peak(a, model, "text", threads, cpus) if ours else None)
    return finish_cell(a, result, rows, contenders)


def finish_cell(a, result, rows, contenders):
    """Adds the contenders' times and the ratio to a cell's result, and prints them."""
    for name, c in contenders.items():
        rows[name] = dict(median_ms=statistics.median(c.ms), min_ms=min(c.ms), rounds_ms=c.ms, error=c.error, note=c.note)
    result["contenders"] = rows
    label, cell, threads = result["model"], result["name"], result["threads"]
    whole = {n: r["rounds_ms"] for n, r in rows.items() if len(r.get("rounds_ms", [])) == a.rounds}
    if "tessera" in whole and len(whole) > 1:
        result["ratio"] = peer_stats.ratio_to_best(whole, "tessera")
    for name, r in sorted(rows.items(), key=lambda kv: kv[1].get("median_ms", 1e9)):
        print(f"{label:12s} {cell:6s} t{threads} {name:30s} {r.get('median_ms', float('nan')):9.2f} ms  error {r.get('error', float('nan')):.1e}  {r.get('note', '')}", flush=True)
    if "ratio" in result:
        print("{:12s} {:6s} t{} best peer / tessera {ratio:.3f} [{low:.3f}, {high:.3f}]".format(label, cell, threads, **result["ratio"]), end="")
        print(f", at {100 * peer_stats.limit_ms(result) / rows['tessera']['median_ms']:.1f} % of the peak" if result["peak"] else "", flush=True)
    return result


def backend_command(backend, model, work, threads, dtype):
    return [sys.executable, str(HERE / "peer_backends.py"), backend, str(model), str(work), str(threads), dtype]


def run_model(a, label, model, root, report, log):
    config = json.loads((model / "config.json").read_text())
    work = root / label
    work.mkdir(parents=True, exist_ok=True)
    exported = subprocess.run(backend_command("export", model, work, 1, a.dtype), stdout=subprocess.PIPE, stderr=log, env=dict(os.environ, HF_HUB_OFFLINE="1"))
    if exported.returncode != 0:
        sys.exit(f"{model}: export to ONNX and OpenVINO failed; see {log.name}")
    fusion = json.loads((work / "export.json").read_text())
    print(f"{label:12s} ONNX Runtime fused {fusion['fused']}" + (f", NOT fused {fusion['not_fused']}" if fusion["not_fused"] else ""), flush=True)
    report["fusion"][label] = fusion
    references = {}
    for threads in a.threads:
        cpus = set(a.cpus[:threads])
        live = {}
        for name in a.backends:
            environment = {"TORCHINDUCTOR_CACHE_DIR": str(root / "inductor")}
            try:
                live[name] = Process(backend_command(name, model, work, threads, a.dtype), cpus, threads, log, environment)
            except Absent as e:
                report["absent"].append(f"{label} {name} t{threads}, {e}")
            except RuntimeError as e:
                print(f"{label:12s} {name}: failed to start, {e}; see {log.name}", file=sys.stderr)
                report["failed"].append(f"{label} {name} t{threads}: {e}")
        for cell in a.cells:
            report["cells"].append(run_cell(a, label, model, config, cell, threads, cpus, live, work, references, log))
        for process in live.values():
            process.close()


def start_to_first_embedding(a, label, model, root, runs=15):
    if not (model / "tokenizer.json").exists():
        return None
    text, out = root / "one.txt", root / "one.npy"
    text.write_text("A cat is napping beside the window.\n")
    command = [a.tessera, "embed", "--model", str(model), "--text", str(text), "-o", str(out)]

    def timed(*extra):
        times = []
        for _ in range(runs + 1):  # the first one warms what there is to warm
            start = time.perf_counter()
            subprocess.run([*command, *extra], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            times.append(1e3 * (time.perf_counter() - start))
        return dict(rounds=times[1:], median=statistics.median(times[1:]))

    return dict(model=label, **timed(), cached=timed(f"--cache={root / 'packed'}"))


def machine(cpus):
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return dict(cpu=peer_stats.cpu_model(), cores=os.cpu_count(), memory_gib=memory, kernel=platform.release(), pinned=",".join(map(str, cpus)))


def named_model(text):
    name, _, folder = text.rpartition("=")
    path = pathlib.Path(os.path.abspath(folder))
    if not (path / "config.json").exists():
        raise argparse.ArgumentTypeError(f"{path} has no config.json")
    return name or path.name, path


def add_precision(parser):
    parser.add_argument("--dtype", choices=TOLERANCE, default="f32")
    parser.add_argument("--fast", action="store_true", help="bf16 by the machine's matrix unit, as the tool's option of that name")


def settle_precision(a, backends):
    """The tool's options, the peers that have this precision, and what a report's name says of it."""
    a.precision = ["--dtype", a.dtype] + ["--fast"] * a.fast
    without = {"f32": (), "bf16": ("ort",), "int8": ("torch-compile", "openvino-onnx")}[a.dtype]
    a.backends = a.backends or [b for b in backends if not b.startswith(without) and (a.dtype == "int8" or not b.endswith("-bf16"))]
    return f"-{a.dtype}" * (a.dtype != "f32") + "-fast" * a.fast


def versions():
    """Of the packages that peers need, and of those that they have if they are there."""
    have = {n: importlib.metadata.version(n) for n in ("numpy", "torch", "transformers", "onnxruntime", "openvino", "onnx")}
    more = {n: importlib.metadata.version(n) for n in ("ctranslate2", "nncf", "llama_cpp_python") if importlib.util.find_spec(n.removesuffix("_python"))}
    return have | more | {"python": platform.python_version()}


def commit():
    head = subprocess.run(["git", "-C", str(HERE), "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    return head or "unknown"


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    split = lambda s: [x for x in s.split(",") if x]
    p.add_argument("models", nargs="+", type=named_model, metavar="[NAME=]MODEL_DIR")
    p.add_argument("--tessera", help="the tessera program")
    p.add_argument("--cells", type=split, default="b1,b32,mixed")
    p.add_argument("--threads", type=lambda s: [int(x) for x in split(s)], default="1,2")
    p.add_argument("--backends", type=split)
    add_precision(p)
    p.add_argument("--rounds", type=int, default=15)
    p.add_argument("--seconds", type=float, default=0.5, help="aimed length of one measurement")
    p.add_argument("--cpus", type=lambda s: [int(x) for x in split(s)], default=sorted(os.sched_getaffinity(0)), help="processors to pin to, one a thread")
    p.add_argument("--quick", action="store_true", help="3 rounds of 0.1 s: shows that everything runs")
    p.add_argument("--work", type=pathlib.Path, help="folder for exported models and caches (default: a temporary one)")
    p.add_argument("--results", type=pathlib.Path, default=HERE / "results", help="where the dated report goes")
    a = p.parse_args()
    precision = settle_precision(a, peer_backends.BACKENDS)
    if a.quick:
        a.rounds, a.seconds = 3, 0.1
    if max(a.threads) > len(a.cpus):
        p.error(f"{max(a.threads)} threads need as many processors; --cpus has {len(a.cpus)}")
    if a.tessera:
        a.tessera = str(pathlib.Path(a.tessera).resolve())
    report = dict(date=datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"), commit=commit() + precision, command=re.sub(r"(?<=[ =])/[^ =]*/", "", "bench/peers.py " + shlex.join(sys.argv[1:])), machine=machine(a.cpus),
                  versions=versions(), precision=" ".join(a.precision[1:]), quick=a.quick, fusion={}, failed=[], absent=[], cells=[])
    with tempfile.TemporaryDirectory() as temporary:
        root = (a.work or pathlib.Path(temporary)).resolve()
        root.mkdir(parents=True, exist_ok=True)
        with open(root / "peers.log", "w") as log:
            for name, model in a.models:
                run_model(a, name, model, root, report, log)
        if a.tessera:
            try:
                starts = [s for name, m in a.models if (s := start_to_first_embedding(a, name, m, root))]
                report["start_ms"] = starts[0] if starts else None
            except subprocess.CalledProcessError as e:
                report["failed"].append(f"tessera embed: exit code {e.returncode}")
    print(peer_stats.write(report, a.results))
    if a.tessera and (report["failed"] or any("median_ms" not in c["contenders"]["tessera"] for c in report["cells"])):
        sys.exit("tessera or a peer failed or disagreed: see the report")


if __name__ == "__main__":
    main()
