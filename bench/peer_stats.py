"""What the comparison with peers computes and writes: the machine, stolen time, bootstrap bounds, the table."""
import json
import os
import pathlib
import random
import re
import statistics


def cpu_model():
    """Vendor's name with family and model, since virtual machines often give a bare name."""
    text = pathlib.Path("/proc/cpuinfo").read_text()
    field = lambda name: (re.search(rf"^{name}\s*:\s*(.+)$", text, re.M) or [None, ""])[1].strip()
    name = field("model name") or field("Processor") or "unknown-cpu"
    family = f" family {field('cpu family')} model {field('model')}" if field("cpu family") else ""
    return name + family


def slug(text):
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def name_openblas_kernels():
    """Has OpenBLAS take this processor's best kernels; call it before OpenBLAS is loaded. Returns their name.

    Wheels bring an OpenBLAS of some years ago that knows no later processor and then takes SSE kernels: on an
    Emerald Rapids faiss-cpu 1.15's gave a fifth of what its AVX-512 kernels give. Nor may the environment ask for older ones.
    """
    flags = (re.search(r"^flags\s*:\s*(.+)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M) or [None, ""])[1].split()
    kernels = "SkylakeX" if {"avx512f", "avx512dq", "avx512bw", "avx512vl"} <= set(flags) else "Haswell" if {"avx2", "fma"} <= set(flags) else None
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
        os.environ.pop(name, None)
    if kernels:
        os.environ["OPENBLAS_CORETYPE"] = kernels
    return kernels or "its own choice"


class CpuClock:
    """Stolen and busy time of the given processors, and one process's own share, in ticks from /proc."""

    def __init__(self, cpus, pid):
        self.names, self.pid = {f"cpu{c}" for c in cpus}, pid
        self.start = self.read()

    def read(self):
        busy = steal = total = 0
        for line in pathlib.Path("/proc/stat").read_text().splitlines():
            name, *rest = line.split()
            if name in self.names:
                user, nice, system, idle, iowait, irq, softirq, stolen = map(int, rest[:8])
                busy += user + nice + system + irq + softirq
                steal += stolen
                total += user + nice + system + irq + softirq + idle + iowait + stolen
        after_name = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return busy, steal, total, int(after_name[11]) + int(after_name[12])

    def shares(self):
        """(stolen, used by others) as shares of the processors' time since the start."""
        busy, steal, total, own = (b - a for a, b in zip(self.start, self.read()))
        total = max(total, 1)
        return steal / total, max(0, busy - own) / total


def comparable(times, names):
    """Rounds of those of these contenders that may be the best: whose median is within twice the least one. A slow one, given
    up after a few rounds, would else cost all others the rounds that it has not."""
    middle = {n: statistics.median(times[n]) for n in names if times.get(n)}
    return {n: times[n] for n in middle if middle[n] <= 2 * min(middle.values())}


def ratio_to_best(rounds, ours, resamples=4000, seed=1):
    """Best peer's median time over ours, with a 95 % bootstrap interval over rounds.

    Rounds are resampled together for everybody, since a disturbed round disturbs all; the best peer is chosen anew in each
    resample, so that luck in choosing it counts against us.
    """
    peers = [n for n in rounds if n != ours]
    count = min(len(rounds[n]) for n in rounds)
    middle = lambda name, pick: statistics.median([rounds[name][i] for i in pick])
    every = range(count)
    value = min(middle(p, every) for p in peers) / middle(ours, every)
    rng = random.Random(seed)
    drawn = []
    for _ in range(resamples):
        pick = [rng.randrange(count) for _ in every]
        drawn.append(min(middle(p, pick) for p in peers) / middle(ours, pick))
    drawn.sort()
    return dict(ratio=value, low=drawn[int(0.025 * resamples)], high=drawn[int(0.975 * resamples)])


def is_decoder(config):
    """Whether tokens see only those before them, and layers are Llama's: gated, with fewer heads of keys and values."""
    return config.get("model_type") in ("llama", "mistral", "qwen2", "qwen3")


def attention_flops(config, lengths, causal=False):
    """Multiply-adds counted as two, of attention alone: of the pairs that a causal mask leaves, where there is one."""
    causal = causal or is_decoder(config)
    return 4 * config["num_hidden_layers"] * config["hidden_size"] * sum(t * (t + 1) / 2 if causal else t * t for t in lengths)


def flops(config, lengths, padded=None, causal=False):
    """Multiply-adds counted as two, of the encoder's matrix products and attention over the given lengths."""
    c, f, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    sizes = lengths if padded is None else [padded] * len(lengths)
    heads = 2 * c + 2 * c * config["num_key_value_heads"] / config["num_attention_heads"] if is_decoder(config) else 4 * c
    return layers * 2 * sum(sizes) * (heads * c + (2 + is_decoder(config)) * c * f) + attention_flops(config, sizes, causal)


def limit_ms(cell):
    """Milliseconds that a cell's multiply-adds take at the peaks measured beside it, those of attention at its type's."""
    peak, attention = cell["peak"], cell["gflop_attention"]
    return 1e3 * ((cell["gflop"] - attention) / peak["matrices"] + attention / peak["attention"])


def verdict(r):
    return "ahead" if r["low"] > 1 else "behind" if r["high"] < 1 else "level"


def summary(report):
    """Lines: geometric means of the ratios to the best peer, and the cells that are behind."""
    cells = [c for c in report["cells"] if c.get("ratio")]
    if not cells:
        return []
    mean = lambda group: f"**{statistics.geometric_mean([c['ratio']['ratio'] for c in group]):.3f}x** over {len(group)} cell{'s' * (len(group) > 1)}"
    mixed, equal = ([c for c in cells if (c["name"] == "mixed") == are] for are in (True, False))
    means = [f"equal lengths {mean(equal)}", f"mixed lengths {mean(mixed)}"] if mixed and equal else []
    verdicts = [verdict(c["ratio"]) for c in cells]
    behind = [f"{c['model']} {c['name']} t{c['threads']} ({c['ratio']['ratio']:.3f}x)" for c, v in zip(cells, verdicts) if v == "behind"]
    return ["", "## All cells", "", f"Best peer's time over tessera's in {report['precision']}, geometric mean: {mean(cells)}" + "".join(f"; {m}" for m in means) + ".",
            "Cells " + ", ".join(f"{v} {verdicts.count(v)}" for v in ("ahead", "level", "behind")) + (": " + ", ".join(behind) if behind else "") + "."]


def markdown(report):
    """The whole report as a table a cell: every contender, won or lost, refused or dropped."""
    m = report["machine"]
    out = [f"# tessera beside its peers, {report['date']}, commit {report['commit']}", "",
           f"{m['cpu']}; {m['cores']} cores, {m['memory_gib']:.0f} GiB; processors {m['pinned']}; kernel {m['kernel']}.",
           "Packages: " + ", ".join(f"{k} {v}" for k, v in sorted(report["versions"].items())) + ".",
           f"Command: `{report['command']}`.", "",
           "Times are medians over rounds, one pass over the whole batch. `error` is the largest difference from fp32 eager PyTorch "
           "(each text alone, no padding), relative to the row's largest value. `x` is the contender's time over tessera's; the bound "
           "is the 95 % bootstrap interval of the best peer's time over tessera's. `of peak` is the time that the cell's multiply-adds "
           "would take at the peak of their types, over the contender's. Variants of mixed lengths: see `bench/peer_backends.py`."]
    if report.get("quick"):
        out += ["", "**Few, short rounds (`--quick`): these figures show that everything runs, not how fast.**"]
    out += [x for f in report["failed"] for x in ("", f"**Failed: {f}.**")]
    out += [x for f in report["absent"] for x in ("", f"Absent: {f}.")]
    for cell in report["cells"]:
        out += ["", f"## {cell['model']}, {cell['name']}, {cell['threads']} thread{'s' * (cell['threads'] > 1)}", "",
                f"{cell['what']}, {cell['gflop']:.2f} GFLOP" + (f" ({cell['gflop_padded']:.2f} padded to the longest)" if cell["gflop_padded"] != cell["gflop"] else "")
                + f"; at most {100 * cell['worst_steal']:.1f} % stolen, {100 * cell['others']:.1f} % of the processors used by others; {cell['repeated']} rounds repeated.", ""]
        if cell["others"] > 0.05:
            out += ["**The machine was not quiet: these figures are no measure of speed.**", ""]
        if cell.get("ratio"):
            r = cell["ratio"]
            out += [f"tessera against the best peer: **{r['ratio']:.3f}x**, 95 % [{r['low']:.3f}, {r['high']:.3f}], {verdict(r)}.", ""]
        rows = cell["contenders"]
        ours = rows.get("tessera", {}).get("median_ms")
        limit = limit_ms(cell) if cell.get("peak") else None
        if limit:
            share = f": tessera's median is at {100 * limit / ours:.1f} % of it, its best round at {100 * limit / rows['tessera']['min_ms']:.1f} %" if ours else ""
            out += ["Peak measured here, {matrices:.0f} GFLOP/s, of attention's type {attention:.0f}".format(**cell["peak"]) + f", or {limit:.2f} ms{share}.", ""]
        out += ["| contender | ms | best ms | GFLOP/s | of peak | x | error | rounds | note |", "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"]
        for name, r in sorted(rows.items(), key=lambda kv: kv[1].get("median_ms", float("inf"))):
            if "median_ms" in r:
                x = f"{r['median_ms'] / ours:.2f}" if ours else ""
                of_peak = f"{100 * limit / r['median_ms']:.0f} %" if limit else ""
                out.append(f"| {name} | {r['median_ms']:.2f} | {r['min_ms']:.2f} | {cell['gflop'] / r['median_ms'] * 1e3:.0f} | {of_peak} | {x} | {r['error']:.1e} | {len(r['rounds_ms'])} | {r.get('note', '')} |")
            else:
                error = f"{r['error']:.1e}" if "error" in r else ""
                out.append(f"| {name} | | | | | | {error} | 0 | {r['note']} |")
    if report.get("start_ms"):
        s = report["start_ms"]
        figures = lambda t: f"median {t['median']:.1f} ms, best {min(t['rounds']):.1f} ms, worst {max(t['rounds']):.1f} ms"
        out += ["", "## From process start to first embedding", "", f"{s['model']}, one short text, warm file cache, process start to exit, {len(s['rounds'])} runs: {figures(s)}."]
        if "cached" in s:
            out += [f"With `--cache`, whose file is there: {figures(s['cached'])}."]
    return "\n".join(out + summary(report)) + "\n"


def write(report, folder):
    """results/<cpu>/<date>-<commit>.{json,md}; an earlier report of the same name is kept and this one numbered."""
    place = pathlib.Path(folder) / slug(report["machine"]["cpu"])
    place.mkdir(parents=True, exist_ok=True)
    stem, k = f"{report['date'][:10]}-{report['commit']}", 1
    while (place / f"{stem}.json").exists():
        k += 1
        stem = f"{report['date'][:10]}-{report['commit']}-{k}"
    (place / f"{stem}.json").write_text(json.dumps(report, indent=1) + "\n")
    (place / f"{stem}.md").write_text(markdown(report))
    return place / f"{stem}.md"
