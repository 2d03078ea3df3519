"""The ONNX front end: a file, bytes or ONNX text -> Graph. Never imports torch, nor the `onnx` package's Python."""

from __future__ import annotations

import os
import re
import stat
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

from netlint import collector, onnxlib
from netlint.frontends import LFS_POINTER, TargetError
from netlint.graph import Graph

from .build import Builder
from .external import ExternalFiles
from .source import STACK_TRACE
from .storage import FileStorage, MemoryStorage
from .tensors import TensorReader
from .wire import NotProtobuf, strip

PARSE_WHOLE = 32 << 20
"""Files below this many bytes are parsed as they are; in larger ones the weights stay in the file."""
MAX_TEXT = 256 << 20
MAX_TEXT_DEPTH = 200
"""Brackets within brackets in a text. onnx's parser recurses without a limit and would crash; the binary format cannot
hold a model of half this depth."""

_TRACED = STACK_TRACE.encode()
_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"|#[^\n]*|[(){}]', re.DOTALL)
_SIGNATURES = (
    (LFS_POINTER, "a Git LFS pointer, not the model itself", "git lfs pull"),
    (b"PK\x03\x04", "a zip archive (a .pt, .pt2, .keras or .npz file?)", "export the model to ONNX"),
    (b"\x89HDF", "an HDF5 file (Keras?)", "export the model to ONNX, e.g. with tf2onnx"),
    *(
        (b"\x80" + bytes([protocol]), "a pickle (an old .pt or .pth file?)", "export the model to ONNX")
        for protocol in (2, 3, 4, 5)
    ),
    (b"\x1f\x8b", "a gzip archive", "unpack it first"),
    (b"GGUF", "a GGUF file", "export the model to ONNX from the framework it was made with"),
    (b"{", "JSON", "name the ONNX file itself"),
    (b"\x89PNG", "an image", "name a model file"),
    (b"<", "markup, perhaps the web page of a failed download", "fetch the file again"),
)


def load(path: Path, external: ExternalFiles | None = None) -> Graph:
    """Read a model file. Raises `TargetError` if it is no model; whatever else is wrong is in `Graph.defects`.

    `external` remembers which other files the model names.
    """
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise TargetError("is not a regular file", "name a model file, or - for standard input")
        if status.st_size == 0:
            raise TargetError("is empty", "fetch or export it again")
        with collector.paused():
            if path.suffix == ".onnxtxt":
                return load_text(_read_text(path, status.st_size))
            return _load_binary(path, status.st_size, external or ExternalFiles(path))
    except OSError as error:
        raise TargetError(f"cannot be read: {error.strerror or error}", "check the path") from None


def load_bytes(data: bytes) -> Graph:
    """Read a serialized model at hand. Raises `TargetError`."""
    if not data:
        raise TargetError("is empty", "pipe a model into it")
    with collector.paused():
        return _build(_parse(data), TensorReader(MemoryStorage(b""), (), ExternalFiles(None)))


def load_text(text: str) -> Graph:
    """Read a model, or a graph alone, in ONNX's text syntax. Raises `TargetError`."""
    with collector.paused():
        return _build(onnx_text(text), TensorReader(MemoryStorage(b""), (), ExternalFiles(None)))


def onnx_text(text: str) -> Any:
    """Text as a ModelProto; a bare graph gets IR version 10 and opset 21. Raises `TargetError`."""
    if not text.lstrip().startswith("<"):
        text = '<ir_version: 10, opset_import: ["" : 21]>\n' + text
    if _depth(text) > MAX_TEXT_DEPTH:
        raise TargetError(f"nests brackets more than {MAX_TEXT_DEPTH} deep", "flatten its subgraphs and types")
    try:
        ok, message, serialized = onnxlib.core().parser.parse_model(text)
    except Exception as error:  # what the parser's own number conversions throw, e.g. of `1e-`
        ok, message, serialized = False, str(error).encode(), b""
    if not ok:
        where = " ".join(message.decode("utf-8", "replace").split())
        raise TargetError(f"is not ONNX text: {where[:500]}", "see onnx.printer.to_text for the syntax")
    return _parse(serialized)


def _depth(text: str) -> int:
    """How deep brackets stand in brackets, those in strings and comments aside."""
    depth = deepest = 0
    for token in _BRACKET.findall(text):
        if token in "({":
            depth += 1
            deepest = max(deepest, depth)
        elif token in ")}":
            depth -= 1
    return deepest


def _read_text(path: Path, size: int) -> str:
    if size > MAX_TEXT:
        raise TargetError(f"is too long for a text model: {size >> 20} MB", "use the binary format")
    return path.read_text(encoding="utf-8", errors="replace")


def _load_binary(path: Path, size: int, external: ExternalFiles) -> Graph:
    if size < PARSE_WHOLE:
        data = path.read_bytes()
        return _build(_parse(data), TensorReader(MemoryStorage(b""), (), external), _TRACED in data)
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as mapped:
        _refuse(mapped[:64])
        try:
            stripped, cuts = strip(mapped)
        except NotProtobuf as error:
            raise TargetError(f"is not an ONNX model: {error}", "fetch or export it again") from None
    return _build(_parse(stripped), TensorReader(FileStorage(path), cuts, external), _TRACED in stripped)


def _refuse(head: bytes) -> None:
    for signature, what, way_out in _SIGNATURES:
        if head.startswith(signature):
            raise TargetError(f"is {what}", way_out)
    if head[8:9] == b"{" and head[4:8] == b"\0" * 4:
        raise TargetError("is a safetensors file: weights without a model", "export the model to ONNX")
    if head[4:8] == b"TFL3":
        raise TargetError("is a TensorFlow Lite model", "export the model to ONNX, e.g. with tf2onnx")


def _parse(data: bytes) -> Any:
    _refuse(data[:64])
    pb2 = onnxlib.protobuf()
    model = pb2.ModelProto()
    try:
        model.ParseFromString(data)
    except Exception as error:  # DecodeError, or a ValueError of the parser: all mean the same to the user
        reason = str(error).strip() or type(error).__name__
        if "depth" in reason.lower():
            raise TargetError("nests subgraphs deeper than runtimes can read", "flatten its subgraphs") from None
        raise TargetError(f"is not an ONNX model, or is truncated: {reason}", "fetch or export it again") from None
    if not model.HasField("graph"):
        raise TargetError("is not an ONNX model: it holds no graph", "fetch or export it again")
    return model


def _build(model: Any, tensors: TensorReader, traced: bool = True) -> Graph:
    try:
        return Builder(model, tensors, traced).build()
    except RecursionError:
        raise TargetError("nests bodies and local functions too deeply", "inline the functions at export") from None
