"""A part of a text file as `tessera embed --shard i/n --resume` writes it, made in this process by the Python module.

The same files to the last byte, manifest included, so that parts made here are kept by the tool and the other way round. The
model stays in memory from one part to the next.
"""

import argparse
import json
import os
import pathlib
import sys
import uuid

import numpy as np

MODULE = str(pathlib.Path(__file__).resolve().parents[1] / "python")
DONE, OTHER, SKIPPED, REFUSED, OUTPUT, NONFINITE = 0, 1, 3, 4, 5, 6
BATCH = 256  # texts that are in memory at once; their rows have the same bits in any company


def tool_options(words):
    """Those of `tessera embed` that the module has. \\throws SystemExit with argparse's message for others."""
    parser = argparse.ArgumentParser(prog="embed.py --actors N ... --", allow_abbrev=False)
    parser.add_argument("--dtype", default="f32", choices=("f32", "bf16", "int8"))
    parser.add_argument("--dims", type=int, default=0)
    parser.add_argument("--force-dims", action="store_true")
    parser.add_argument("--max-length", type=int, default=0)
    parser.add_argument("--no-normalize", action="store_true")
    prompt = parser.add_mutually_exclusive_group()
    prompt.add_argument("--prompt")
    prompt.add_argument("--prompt-name", default="")
    return parser.parse_args(words)


def lines_of(path):
    """The lines of a file without their ends, as bytes."""
    with open(path, "rb") as file:
        for line in file:
            yield line.removesuffix(b"\n").removesuffix(b"\r")


def write_file(path, *chunks):
    """Whole or not at all, as the tool does: aside, synced, renamed, the folder synced."""
    aside = f"{path}.tmp{os.getpid()}-{uuid.uuid4().hex[:8]}"
    try:
        with open(aside, "xb") as file:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        os.rename(aside, path)
    finally:
        pathlib.Path(aside).unlink(missing_ok=True)
    folder = os.open(os.path.dirname(path), os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def npy_header(rows, dim):
    """Of float32 [rows, dim], version 1.0: 128 bytes."""
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {dim}), }}".encode()
    return b"\x93NUMPY\x01\x00\x76\x00" + text.ljust(117) + b"\n"


def bytes_of(path):
    """Mapped, so that a model need not fit beside itself."""
    return np.memmap(path, np.uint8, "r") if os.path.getsize(path) > 0 else b""


class Parts:
    """Makes parts of one file by one model, which is loaded when the first part is not there yet."""

    def __init__(self, model, text, out, options, threads):
        sys.path.insert(0, MODULE)
        import tessera

        self.tessera, self.model, self.text, self.out, self.options, self.threads = tessera, model, text, out, options, threads
        self.encoder = self.model_digest = None

    def embed(self, index, of):
        """Exit code and what the tool would say on stderr."""
        if not os.path.isfile(os.path.join(self.model, "config.json")):
            return REFUSED, f"tessera: {self.model}: no model folder: it has no config.json\n"
        try:
            return self._embed(index, of)
        except self.tessera.Error as e:
            code = REFUSED if self.encoder is None else NONFINITE if e.code == "non-finite" else OTHER
            return code, f"tessera: {e}\n"
        except OSError as e:
            return OUTPUT, f"tessera: {e}\n"

    def _embed(self, index, of):
        count = sum(1 for _ in lines_of(self.text))
        first, last = index * count // of, (index + 1) * count // of
        mine = [line for i, line in enumerate(lines_of(self.text)) if first <= i < last]
        os.makedirs(self.out, exist_ok=True)
        part = os.path.join(self.out, f"part-{index:05}-of-{of:05}.npy")
        manifest_path = part.removesuffix(".npy") + ".manifest.json"
        made_of = {"inputs": self.tessera.digest(mine), "model": self._model(), "options": self._options(), "shard": index, "of": of, "first": first, "last": last}
        kept = self._finished(part, manifest_path, made_of)
        if kept:
            return (NONFINITE if kept["nonfinite"] else SKIPPED if kept["skipped"] else DONE), f"tessera: {part} is finished and kept\n"

        texts, skipped, said = [], [], ""
        for i, line in enumerate(mine, first):
            try:
                texts.append(line.decode())
            except UnicodeDecodeError as e:
                skipped.append(i)
                said += f"tessera: {self.text}, line {i + 1} (input {i}) skipped: not valid UTF-8 at byte {e.start}; convert the file, for example with iconv\n"
        rows = self._rows(texts)
        pathlib.Path(manifest_path).unlink(missing_ok=True)  # it speaks of the part that is replaced now
        write_file(part, npy_header(*rows.shape), rows)
        if skipped:
            left = [i for i in range(first, last) if i not in set(skipped)]
            write_file(part + ".rows.jsonl", *(f'{{"row": {r}, "input": {i}}}\n'.encode() for r, i in enumerate(left)))
        else:
            pathlib.Path(part + ".rows.jsonl").unlink(missing_ok=True)  # of an earlier run
        made_of |= {"rows": len(rows), "skipped": skipped, "nonfinite": [], "part": self.tessera.digest([bytes_of(part)])}
        write_file(manifest_path, json.dumps(made_of, indent=1, sort_keys=True).encode() + b"\n")
        return (SKIPPED if skipped else DONE), said

    def _rows(self, texts):
        if self.encoder is None:
            self.encoder = self.tessera.TextEncoder(self.model, dtype=self.options.dtype, context=self.tessera.Context(self.threads))
        o = self.options
        more = {"prompt": o.prompt, "prompt_name": o.prompt_name or None, "max_length": o.max_length, "dims": o.dims, "force_dims": o.force_dims, "normalize": not o.no_normalize}
        out = np.empty((len(texts), self.encoder.dim(o.dims, o.force_dims)), np.float32)
        for b in range(0, len(texts), BATCH):
            out[b : b + BATCH] = self.encoder.embed(texts[b : b + BATCH], **more)
        return out

    def _options(self):
        o, version = self.options, self.tessera.version().split(".")
        words = [o.prompt or "", o.prompt_name, "", o.dtype]  # the third is --pooling
        numbers = [o.prompt is not None, o.max_length, o.dims, -1, not o.no_normalize, False, *version]  # -1: --layers; False: --jsonl
        return self.tessera.digest([w.encode() for w in words] + [str(int(n)).encode() for n in numbers])

    def _model(self):
        """Of the folder's own files, and those of its modules, in the order of their names."""
        if self.model_digest is None:
            root = pathlib.Path(self.model)
            folders = [root, *(f for f in root.iterdir() if (f / "config.json").exists())]
            files = {os.fsencode(f.relative_to(root)): f for folder in folders for f in folder.iterdir() if f.suffix in (".json", ".safetensors", ".txt") and f.is_file()}
            self.model_digest = self.tessera.digest([part for name in sorted(files) for part in (name, bytes_of(files[name]))])
        return self.model_digest

    def _finished(self, part, manifest_path, made_of):
        """The manifest of a part that is whole and of the same making; else None."""
        try:
            old = json.loads(pathlib.Path(manifest_path).read_text())
            same = {k: old[k] for k in made_of} == made_of and isinstance(old["nonfinite"], list) and old["part"] == self.tessera.digest([bytes_of(part)])
            whole = not old["skipped"] or os.path.exists(part + ".rows.jsonl")
            return old if same and whole else None
        except (OSError, ValueError, KeyError, TypeError):
            return None  # not one of ours, or damaged: made again
