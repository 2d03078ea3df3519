"""Runs a torch function on real tensors and writes down its calls: the least that the lowering can be tested with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode, resolve_name

from netlint.frontends.aten.calls import Call, Program, Ref
from netlint.frontends.aten.types import dtype_name
from netlint.frontends.torch.tensors import LiveTensor, storage_of
from netlint.graph import Location

_ASKING = {
    "size",
    "dim",
    "shape",
    "dtype",
    "device",
    "is_floating_point",
    "numel",
    "stride",
    "item",
    "__bool__",
    "__len__",
}
_ASKING |= {
    "ndim",
    "layout",
    "is_nested",
    "tolist",
    "is_complex",
    "is_contiguous",
    "__format__",
    "__repr__",
    "data_ptr",
}
_ASKING |= {"_set_grad_enabled", "__int__", "__index__", "requires_grad", "is_sparse", "is_quantized", "__float__"}


class Written(TorchFunctionMode):
    """Collects calls."""

    def __init__(self, inputs: Sequence[torch.Tensor]) -> None:
        super().__init__()
        self.refs: dict[int, Ref] = {}
        self.kept: list[Any] = list(inputs)
        self.calls: list[Call] = []
        self.inputs = [self.ref(x, constant=False) for x in inputs]

    def ref(self, x: torch.Tensor, constant: bool = True) -> Ref:
        if id(x) not in self.refs:
            self.kept.append(x)
            live = LiveTensor(x.detach().clone()) if constant else None
            trainable = isinstance(x, torch.nn.Parameter) if constant else None
            self.refs[id(x)] = Ref(
                f"t{len(self.refs)}", dtype_name(str(x.dtype)), tuple(x.shape), live, trainable, storage=storage_of(x)
            )
        return self.refs[id(x)]

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        origin = resolve_name(func) or f"torch.{getattr(func, '__name__', 'unknown')}"
        name = origin.removesuffix(".__get__").rpartition(".")[2]
        if name in _ASKING:
            return func(*args, **kwargs)
        given = [self.given(x) for x in args], {key: self.given(x) for key, x in kwargs.items()}
        result = func(*args, **kwargs)
        call = Call(name, "", origin, *given, self.made(result), Location(name))
        self.calls.append(call)
        return result

    def given(self, x: Any) -> Any:
        if isinstance(x, torch.Tensor):
            return self.ref(x)
        if isinstance(x, torch.dtype):
            return dtype_name(str(x))
        if isinstance(x, list | tuple):
            return [self.given(item) for item in x]
        if isinstance(x, dict):
            return {key: self.given(item) for key, item in x.items()}
        if isinstance(x, slice):
            return slice(self.given(x.start), self.given(x.stop), self.given(x.step))
        return x.item() if isinstance(x, np.generic) else x

    def made(self, x: Any) -> Any:
        if isinstance(x, torch.Tensor):
            self.kept.append(x)
            old = self.refs.pop(id(x), None)
            ref = self.ref(x, constant=False)
            if old is not None and old.constant is not None:
                ref.trainable = old.trainable
            return ref
        if isinstance(x, list | tuple):
            return [self.made(item) for item in x]
        return None


def written(function: Callable[..., Any], *inputs: torch.Tensor) -> tuple[Program, list[torch.Tensor]]:
    """The program that a call of a function is, and what it returned. The inputs are not changed."""
    given = [x.clone() for x in inputs]
    mode = Written(given)
    with torch.no_grad(), mode:
        result = function(*given)
    outputs = list(_tensors(result))
    return Program(mode.inputs, mode.calls, [mode.ref(x) for x in outputs]), outputs


def _tensors(structure: Any) -> Any:
    if isinstance(structure, torch.Tensor):
        yield structure
    elif isinstance(structure, list | tuple):
        for item in structure:
            yield from _tensors(item)
    elif isinstance(structure, dict):
        for item in structure.values():
            yield from _tensors(item)
