#!/usr/bin/env python3
"""MB/s of tokenizers beside the package `tokenizers`, one thread each, in interleaved rounds.

    python3 bench/tokenize_peers.py --rate build/release/bench/tokenize_rate [--rounds 7] TOKENIZER.json(.gz) ...

Texts: English, Chinese, code and hostile lines, a megabyte each, made from what every Python installation has. The number of
tokens must be equal before anything is timed. Prints a table: median MB/s of encode() on both sides, and the ratio.
"""
import argparse
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

os.environ["TOKENIZERS_PARALLELISM"] = "false"
import tokenizers  # noqa: E402

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
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", required=True)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--mode", choices=("encode", "ids"), default="encode")
    parser.add_argument("files", nargs="+")
    o = parser.parse_args()
    print(f"tokenizers {tokenizers.__version__}, one thread, median of {o.rounds} interleaved rounds, MB/s, mode {o.mode}")
    print(f"{'tokenizer':28}{'text':9}{'tessera':>9}{'theirs':>9}{'ratio':>7}{'load ms':>9}")
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
                with subprocess.Popen([o.rate, str(path), str(text), o.mode], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      text=True) as ours:
                    load = float(ours.stdout.readline())

                    def mine():
                        ours.stdin.write("go\n"), ours.stdin.flush()
                        seconds, tokens = ours.stdout.readline().split()
                        return float(seconds), int(tokens)

                    def other():
                        start = time.perf_counter()
                        tokens = sum(len(theirs.encode(line)) for line in lines)
                        return time.perf_counter() - start, tokens
                    a, b = mine(), other()
                    if a[1] != b[1]:
                        sys.exit(f"{file}, {name}: {a[1]} tokens here, {b[1]} there")
                    rounds = [(mine()[0], other()[0]) for _ in range(o.rounds)]
                    ours.stdin.close()
                m, t = (size / statistics.median(column) for column in zip(*rounds))
                print(f"{pathlib.Path(file).name.split('.')[0]:28}{name:9}{m:9.1f}{t:9.1f}{m / t:7.1f}{load * 1e3:9.0f}", flush=True)


main()
