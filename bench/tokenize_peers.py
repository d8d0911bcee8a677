#!/usr/bin/env python3
"""MB/s of tokenizers beside the package `tokenizers`, in interleaved rounds.

    python3 bench/tokenize_peers.py --rate build/release/bench/tokenize_rate [--threads 2] [--rounds 7] TOKENIZER.json(.gz) ...

Texts: English, Chinese, code and hostile lines, a megabyte each, made from what every Python installation has. Each line by
encode() on one thread, then all lines by encode_batch() on --threads. The number of tokens must be equal before anything is
timed. Writes and prints a table: median MB/s on both sides, and the ratio.
"""
import argparse
import datetime
import gzip
import inspect
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time

import peer_stats

HERE = pathlib.Path(__file__).resolve().parent

SIZE = 1 << 20


def grow(lines):
    out, size = [], 0
    while size < SIZE:
        for line in lines:
            out.append(line)
            size += len(line.encode()) + 1
            if size >= SIZE:
                break
    return out


def texts():
    rng = random.Random(1)
    library = pathlib.Path(inspect.getfile(inspect)).parent
    code = [line for name in ("inspect.py", "argparse.py", "typing.py", "decimal.py", "_pydecimal.py", "tarfile.py", "turtle.py")
            if (library / name).exists() for line in (library / name).read_text().splitlines() if line]
    prose = [" ".join(text.split()) for name in ("argparse", "ast", "asyncio", "collections", "decimal", "email", "inspect", "logging", "os", "random", "re",
                                                           "shutil", "statistics", "subprocess", "tarfile", "threading", "turtle", "typing", "unittest", "zipfile")
             for text in docs(name)]
    common = [chr(c) for c in range(0x4E00, 0x9FA0, 7)]
    chinese = ["".join(rng.choices(common, k=rng.randint(4, 14))) + rng.choice("，。；、") for _ in range(4000)]
    chinese = ["".join(rng.choices(chinese, k=12)) for _ in range(3000)]
    odd = ["\u0301" * 30, "👩‍👩‍👧‍👦" * 8, "a" * 300, " " * 200, "ſ'ſ'S", "\u200b\u2060\ufeff", "１２３４５", "ﷺ" * 5, "क्षि" * 20, "\t\t\r",
           "!@#$%^&*()" * 9, "0123456789" * 12, "ÀÉÎõü" * 9, "𝒳𝓎" * 9]
    hostile = ["".join(rng.choices(odd, k=6)) for _ in range(2000)]
    return {"English": grow(prose), "Chinese": grow(chinese), "code": grow(code), "hostile": grow(hostile)}


def docs(name):
    try:
        module = __import__(name)
    except Exception:
        return
    for value in [module] + list(vars(module).values()):
        text = getattr(value, "__doc__", None)
        if isinstance(text, str) and len(text) > 80:
            yield text


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", required=True, help="the program tokenize_rate")
    parser.add_argument("--threads", type=int, default=2, help="of a batch")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--results", type=pathlib.Path, default=HERE / "results", help="where the dated table goes")
    parser.add_argument("files", nargs="+", metavar="TOKENIZER.json[.gz]")
    o = parser.parse_args()
    os.environ["RAYON_NUM_THREADS"] = str(o.threads)  # read once, by the first batch
    import tokenizers

    date = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d")
    commit = subprocess.run(["git", "-C", str(HERE), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    table = [f"# Tokenizers, {date}, commit {commit}", "", f"{peer_stats.cpu_model()}; tokenizers {tokenizers.__version__}; median of {o.rounds} interleaved rounds; MB/s. "
             f"`encode`: line by line on one thread, offsets and all. `batch`: encode_batch on {o.threads} threads.", "",
             "| tokenizer | text | encode: tessera | tokenizers | ratio | batch: tessera | tokenizers | ratio | load, ms |", "|---|---|---:|---:|---:|---:|---:|---:|---:|"]
    print("\n".join(table), flush=True)
    everything = texts()
    with tempfile.TemporaryDirectory() as folder:
        for file in o.files:
            data = gzip.open(file).read() if file.endswith(".gz") else pathlib.Path(file).read_bytes()
            path = pathlib.Path(folder) / "tokenizer.json"
            path.write_bytes(data)
            theirs = tokenizers.Tokenizer.from_file(str(path))
            theirs.no_truncation(), theirs.no_padding()
            for name, lines in everything.items():
                text = pathlib.Path(folder) / "text"
                text.write_bytes(("\n".join(lines) + "\n").encode())
                size = text.stat().st_size / 1e6
                with subprocess.Popen([o.rate, str(path), str(text), str(o.threads)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as ours:
                    load = float(ours.stdout.readline())

                    def mine(how):
                        ours.stdin.write(how + "\n"), ours.stdin.flush()
                        seconds, tokens = ours.stdout.readline().split()
                        return float(seconds), int(tokens)

                    def other(how):
                        os.environ["TOKENIZERS_PARALLELISM"] = "true" if how == "batch" else "false"
                        start = time.perf_counter()
                        done = theirs.encode_batch(lines) if how == "batch" else [theirs.encode(line) for line in lines]
                        seconds = time.perf_counter() - start
                        return seconds, sum(map(len, done))

                    cells = []
                    for how in ("encode", "batch"):
                        a, b = mine(how), other(how)
                        if a[1] != b[1]:
                            sys.exit(f"{file}, {name}: {a[1]} tokens here, {b[1]} there")
                        rounds = [(mine(how)[0], other(how)[0]) for _ in range(o.rounds)]
                        m, t = (size / statistics.median(column) for column in zip(*rounds))
                        cells += [f"{m:.1f}", f"{t:.1f}", f"{m / t:.1f}"]
                    ours.stdin.close()
                table.append(f"| {pathlib.Path(file).name.split('.')[0]} | {name} | {' | '.join(cells)} | {load * 1e3:.0f} |")
                print(table[-1], flush=True)
    place = o.results / peer_stats.slug(peer_stats.cpu_model())
    place.mkdir(parents=True, exist_ok=True)
    (place / f"{date}-{commit}-tokenizers.md").write_text("\n".join(table) + "\n")


main()
