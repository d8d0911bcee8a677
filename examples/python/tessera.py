"""tessera from Python: encoders and corpora, by ctypes over libtessera. It needs numpy and nothing that is compiled.

    import tessera

    with tessera.TextEncoder("path/to/all-MiniLM-L6-v2") as encoder, tessera.Corpus("corpus.safetensors") as corpus:
        queries = encoder.embed(["A cat sleeps on the sofa."])     # float32 [1, dim]
        found = corpus.search(queries, k=10)                       # found.ids, found.scores [1, 10], found.counts [1]
        print(corpus.document(found.ids[0, 0]))

The library is the file that TESSERA_LIBRARY names; else the newest libtessera.so of the folders build/*/capi of this
repository; else what the system's loader finds. Results have the bits of the command line tool. Other Python threads run
during a call. A call uses one Context at a time, by a lock: threads that are to run side by side bring one each (`context=`).
"""

import ctypes
import json
import os
import pathlib
import threading
import typing
import weakref

import numpy as np

ABI_VERSION = 1
_DTYPES = {"f32": 0, "bf16": 1, "int8": 2}
_CODES = ("", "bad argument", "shape mismatch", "bad stride", "unsupported", "not found", "input/output", "bad format", "non-finite", "limit exceeded", "cancelled", "out of memory", "internal")


class Error(Exception):
    """What the library refuses: a sentence that says what, where and what to do; `code` is the kind, such as "not found"."""

    def __init__(self, status, sentence):
        super().__init__(status, sentence)
        self.code = _CODES[status] if 0 < status < len(_CODES) else f"status {status}"

    def __str__(self):
        return self.args[1]


class _TextOptions(ctypes.Structure):
    _fields_ = [("prompt", ctypes.c_char_p), ("prompt_name", ctypes.c_char_p), ("max_length", ctypes.c_int64), ("dims", ctypes.c_int64), ("raw", ctypes.c_int32), ("force_dims", ctypes.c_int32)]


class _ImageOptions(ctypes.Structure):
    _fields_ = [("dims", ctypes.c_int64), ("raw", ctypes.c_int32)]


# ---- the library ------------------------------------------------------------------------------------------------------


def _open(names):
    """The first that loads: one that is built with sanitizers does not."""
    failed = None
    for name in names:
        try:
            return name, ctypes.CDLL(name)  # lets go of the interpreter's lock during calls, as PyDLL would not
        except OSError as e:
            failed = failed or e
    raise ImportError(f"cannot load libtessera ({failed}): build it (cmake --build build/dev --target tessera_c), or set TESSERA_LIBRARY to the file")


def _load():
    names = [os.environ.get("TESSERA_LIBRARY")]
    if not names[0]:
        built = pathlib.Path(__file__).resolve().parents[2].glob("build/*/capi/libtessera.so")
        names = [*sorted(map(str, built), key=os.path.getmtime, reverse=True), f"libtessera.so.{ABI_VERSION}"]
    name, library = _open(names)
    if library.tessera_abi_version() != ABI_VERSION:
        raise ImportError(f"{name} has version {library.tessera_abi_version()} of the interface; this module is for {ABI_VERSION}: take both from one tessera")
    pointer, i32, i64, text, real = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64, ctypes.c_char_p, ctypes.c_float
    embed = [pointer, pointer, pointer, pointer, i64, pointer, pointer, i64]
    for function, arguments in {
        "digest": [pointer, pointer, i64, pointer],
        "context_create": [i32, pointer],
        "text_encoder_load": [pointer, text, i32, pointer],
        "text_encoder_dim": [pointer, pointer, pointer],
        "text_encoder_embed": embed,
        "image_encoder_load": [pointer, text, i32, pointer],
        "image_encoder_dim": [pointer, pointer, pointer],
        "image_encoder_embed": embed,
        "corpus_open": [text, pointer],
        "corpus_size": [pointer, pointer, pointer, pointer],
        "corpus_document": [pointer, i64, pointer, pointer],
        "corpus_search": [pointer, pointer, pointer, i64, i64, i64, pointer, i64, real, pointer, pointer, pointer],
    }.items():
        getattr(library, "tessera_" + function).argtypes = arguments
        getattr(library, "tessera_" + function).restype = i32
    for handle in ("context", "text_encoder", "image_encoder", "corpus"):
        getattr(library, f"tessera_{handle}_destroy").argtypes = [pointer]
        getattr(library, f"tessera_{handle}_destroy").restype = None
    library.tessera_context_threads.argtypes = [pointer]
    library.tessera_last_error.restype = library.tessera_version.restype = text
    return library


_library = _load()


def _call(function, *arguments):
    status = getattr(_library, "tessera_" + function)(*arguments)
    if status != 0:
        raise Error(status, _library.tessera_last_error().decode("utf-8", "replace"))


def _c_string(value, what):
    """With its NUL at the end, and so with none before."""
    if value is None:
        return None
    value = os.fsencode(value) if what == "path" else value.encode()
    if b"\0" in value:
        raise ValueError(f"{what}: a NUL inside {value!r}")
    return value


def _dtype(name):
    if name not in _DTYPES:
        raise ValueError(f"dtype: {name!r} is none of {', '.join(_DTYPES)}")
    return _DTYPES[name]


def _rows(array, what):
    """float32 [N, E], packed, of anything that numpy reads: __dlpack__, __array_interface__, the buffer protocol, lists."""
    if hasattr(array, "__dlpack__") and not isinstance(array, np.ndarray):
        array = np.from_dlpack(array)
    array = np.asarray(array)
    if array.ndim != 2:
        raise ValueError(f"{what}: expected [N, E], got {array.ndim} dimensions")
    return np.ascontiguousarray(array.astype(np.float32, casting="same_kind", copy=False))


class _Handle:
    """Something of the library's, given back by close(), at the end of `with`, or with the object."""

    def _own(self, kind, create):
        handle = ctypes.c_void_p()
        create(ctypes.byref(handle))
        self._handle = handle
        self._finish = weakref.finalize(self, getattr(_library, f"tessera_{kind}_destroy"), handle)

    @property
    def _open(self):
        if not self._finish.alive:
            raise ValueError(f"this {type(self).__name__} is closed")
        return self._handle

    def close(self):
        """Gives it back now; no call that uses it may be under way."""
        self._finish()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


# ---- what it offers ---------------------------------------------------------------------------------------------------


def version():
    """Of the library, as "1.2.3"."""
    return _library.tessera_version().decode()


def digest(parts):
    """Of byte strings, one after the other: 16 hexadecimal digits, as the manifests of `tessera embed --shard` have them."""
    arrays = [np.frombuffer(p, np.uint8) for p in parts]
    n, out = len(arrays), ctypes.create_string_buffer(17)
    lengths = np.array([a.size for a in arrays], np.int64)
    _call("digest", (ctypes.c_void_p * n)(*(a.ctypes.data for a in arrays)), lengths.ctypes.data, n, out)
    return out.value.decode()


class Context(_Handle):
    """Threads and scratch. threads: 0 for as many as the processors that this process may use."""

    def __init__(self, threads=0):
        self._own("context", lambda out: _call("context_create", threads, out))
        self.lock = threading.Lock()

    @property
    def threads(self):
        return _library.tessera_context_threads(self._open)


class _Encoder(_Handle):
    def __init__(self, path, *, dtype="f32", context=None):
        self._context = context or Context()
        name, number = _c_string(path, "path"), _dtype(dtype)
        with self._context.lock:
            self._own(self._kind, lambda out: _call(self._kind + "_load", self._context._open, name, number, out))

    def _dim(self, options):
        dim = ctypes.c_int64()
        _call(self._kind + "_dim", self._open, ctypes.byref(options), ctypes.byref(dim))
        return dim.value

    def _embed(self, inputs, options, context):
        context = context or self._context
        n, dim = len(inputs), self._dim(options)
        lengths = np.array([len(i) for i in inputs], np.int64)
        out = np.empty((n, dim), np.float32)
        with context.lock:
            _call(self._kind + "_embed", context._open, self._open, (ctypes.c_char_p * n)(*inputs), lengths.ctypes.data, n, ctypes.byref(options), out.ctypes.data, out.size)
        return out


class TextEncoder(_Encoder):
    """A text model in a folder, or org/name in an existing Hugging Face cache. dtype: f32, bf16 or int8, of linear layers."""

    _kind = "text_encoder"

    def embed(self, texts, *, prompt=None, prompt_name=None, max_length=0, dims=0, force_dims=False, normalize=True, context=None):
        """float32 [len(texts), dim]; a text's row has the same bits whatever the others are.

        prompt: put before every text, "" for none, whatever the model's default; prompt_name: one of the model's.
        max_length: tokens a text is cut to, dims: numbers that are kept (0: the model's), force_dims: also where
        the folder does not say that it may be cut (Matryoshka). normalize=False leaves out the model's own final normalisation. Raises Error, and UnicodeEncodeError for lone surrogates.
        """
        if isinstance(texts, (str, bytes)):
            raise TypeError("texts: expected a sequence of texts, not one of them")
        options = _TextOptions(_c_string(prompt, "prompt"), _c_string(prompt_name, "prompt_name"), max_length, dims, not normalize, force_dims)
        return self._embed([t.encode() for t in texts], options, context)

    def dim(self, dims=0, force_dims=False):
        """Length of an embedding."""
        return self._dim(_TextOptions(dims=dims, force_dims=force_dims))


class ImageEncoder(_Encoder):
    """An image model, or the image tower of CLIP and its like, in a folder; arguments as TextEncoder."""

    _kind = "image_encoder"

    def embed(self, images, *, dims=0, normalize=True, context=None):
        """float32 [len(images), dim]. images: paths, or the bytes of JPEG, PNG, WebP, BMP or PNM files."""
        if isinstance(images, (str, bytes, os.PathLike)):
            raise TypeError("images: expected a sequence of images, not one of them")
        files = [pathlib.Path(i).read_bytes() if isinstance(i, (str, os.PathLike)) else bytes(memoryview(i)) for i in images]
        return self._embed(files, _ImageOptions(dims, not normalize), context)

    def dim(self, dims=0):
        """Length of an embedding."""
        return self._dim(_ImageOptions(dims=dims))


class Found(typing.NamedTuple):
    """What a search found, the best first: ids int64 and scores float32 [B, k], counts int64 [B]; behind counts[b] ids are -1."""

    ids: np.ndarray
    scores: np.ndarray
    counts: np.ndarray


class Corpus(_Handle):
    """What `tessera index` made, as it is now; mapped, so that it may be larger than memory."""

    def __init__(self, path, *, context=None):
        self._context = context or Context()
        name = _c_string(path, "path")
        self._own("corpus", lambda out: _call("corpus_open", name, out))
        sizes = [ctypes.c_int64() for _ in range(3)]
        _call("corpus_size", self._handle, *map(ctypes.byref, sizes))
        #: rows that were ever added: ids are 0 .. rows - 1; how many of them are gone; numbers of a row
        self.rows, self.removed, self.dim = (s.value for s in sizes)

    def __len__(self):
        return self.rows - self.removed

    def document(self, row):
        """The JSON object that came with a row, None where none did."""
        text, size = ctypes.c_void_p(), ctypes.c_int64()
        _call("corpus_document", self._open, row, ctypes.byref(text), ctypes.byref(size))
        return json.loads(ctypes.string_at(text, size.value)) if size.value else None

    def search(self, queries, k, *, allowed=None, least=-np.inf, context=None):
        """The k best rows for each query [B, dim] by inner product, of equal ones the lower id; exact.

        allowed: bool [rows], which of them may be found. least: lower scores are not found.
        """
        context = context or self._context
        queries = _rows(queries, "queries")
        words = np.zeros(0, np.uint64)
        if allowed is not None:
            allowed = np.asarray(allowed)
            if allowed.dtype != bool or allowed.shape != (self.rows,):
                raise ValueError(f"allowed: expected bool [{self.rows}], got {allowed.dtype} {list(allowed.shape)}")
            words = np.packbits(np.pad(allowed, (0, -self.rows % 64)), bitorder="little").view(np.uint64)
        batch, room = len(queries), max(k, 0)
        found = Found(np.empty((batch, room), np.int64), np.empty((batch, room), np.float32), np.empty(batch, np.int64))
        with context.lock:
            _call("corpus_search", context._open, self._open, queries.ctypes.data, batch, queries.shape[1], k,
                  None if allowed is None else words.ctypes.data, words.size, least, *(a.ctypes.data for a in found))  # fmt: skip
        return found
