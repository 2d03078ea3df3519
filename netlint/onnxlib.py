"""The parts of the `onnx` package netlint needs, loaded by file: the protobuf classes and the C++ core.

`import onnx` pulls in numpy and every helper module, ten times the cost of the two files used here. A later
`import onnx` in the same process shares what was loaded.
"""

from __future__ import annotations

import sys
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any


def _folder() -> Path:
    spec = find_spec("onnx")
    if spec is None or spec.origin is None:
        raise ImportError("the package 'onnx' is not installed: pip install onnx")
    return Path(spec.origin).parent


def _load(name: str, path: Path) -> Any:
    if name in sys.modules:
        return sys.modules[name]
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot load {path}")
    module = module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@cache
def protobuf() -> Any:
    """The generated protobuf classes (`ModelProto`, `TensorProto` …)."""
    return _load("onnx.onnx_ml_pb2", _folder() / "onnx_ml_pb2.py")


@cache
def core() -> Any:
    """The C++ core: `parser`, `defs`, `shape_inference`, `checker`."""
    folder = _folder()
    for suffix in EXTENSION_SUFFIXES:
        path = folder / f"onnx_cpp2py_export{suffix}"
        if path.exists():
            return _load("onnx.onnx_cpp2py_export", path)
    raise ImportError(f"no compiled onnx_cpp2py_export in {folder}")
