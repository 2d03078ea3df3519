"""Example inputs: as the user states them, as the model itself declares them, and as tensors."""

from __future__ import annotations

import ast
import inspect
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
import torch.fx
from torch import nn

from netlint.frontends import TargetError

from .held import fields_of, look

BATCH = 2
"""Samples in a batch of inferred inputs: batch normalisation refuses one."""

NO_CACHE = "use_cache"
"""The argument that is always false where there is one, and goes without saying."""
_NUMBERS = 0xC0FFEE
_SHAPE = re.compile(r"\(?\s*(\d+(?:\s*[,x]\s*\d+)*)?\s*,?\s*\)?")
_NAME = re.compile(r"[^\W\d]\w*(?:\.(?:[^\W\d]\w*|\d{1,3}))*")
_WAY_OUT = "write --input SHAPE, NAME:DTYPE:SHAPE or NAME=VALUE, as in 1,3,224,224, ids:int64:1,128 or steps=3"


@dataclass(frozen=True, slots=True)
class Slot:
    """One input: a tensor, or a plain value."""

    name: str
    kind: str
    """`float`, `int` or `bool`; `plain`: no tensor."""
    shape: tuple[int, ...]
    dtype: str = ""
    """As in `float32`; empty: what the kind usually has."""
    high: int = 2
    """Integers are below this …"""
    fill: int | None = None
    """… or all the same."""
    stated: bool = False
    value: Any = None
    """What is no tensor."""

    @classmethod
    def plain(cls, name: str, value: Any) -> Slot:
        """An argument that is no tensor."""
        return cls(name, "plain", (), stated=True, value=value)

    @property
    def torch_dtype(self) -> torch.dtype:
        usual = {"float": torch.get_default_dtype(), "int": torch.int64, "bool": torch.bool}
        dtype = getattr(torch, self.dtype) if self.dtype else usual[self.kind]
        assert isinstance(dtype, torch.dtype)
        return dtype

    def made(self, generator: torch.Generator) -> Any:
        """The plain value, or a tensor of numbers as such an input may hold; the same ones every time."""
        return self.value if self.kind == "plain" else self._tensor(generator)

    def _tensor(self, generator: torch.Generator) -> torch.Tensor:
        dtype = self.torch_dtype
        if self.fill is not None:
            return torch.full(self.shape, self.fill, dtype=dtype)
        if self.kind == "float":
            wide = torch.float64 if dtype == torch.float64 else torch.float32
            return torch.randn(self.shape, generator=generator, dtype=wide).to(dtype)
        if self.kind == "bool":
            return torch.ones(self.shape, dtype=torch.bool)
        return torch.randint(0, max(1, self.high), self.shape, generator=generator).to(dtype)

    def __str__(self) -> str:
        if self.kind == "plain":
            return f"{self.name}={self.value!r}"
        dtype = str(self.torch_dtype).removeprefix("torch.")
        return f"{self.name + ' ' if self.name else ''}{dtype}[{', '.join(map(str, self.shape))}]"


@dataclass(frozen=True, slots=True)
class Example:
    """The inputs of one run."""

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    origin: str = ""
    """Who says so: `--input`, `config of Llama` … """
    guessed: bool = True
    data: bool = False
    """Whether the numbers mean something, not the shapes alone."""

    def __str__(self) -> str:
        parts = [_described("", value) for value in self.args]
        parts += [_described(name, value) for name, value in self.kwargs.items()]
        return ", ".join(part for part in parts if part) or "none"


def _described(name: str, value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return str(Slot(name, "float", tuple(value.shape), str(value.dtype).removeprefix("torch.")))
    held = value if isinstance(value, Mapping) else fields_of(value)
    if held is not None:
        return ", ".join(filter(None, (_described(str(key), item) for key, item in held.items())))
    if isinstance(value, tuple | list):
        return ", ".join(filter(None, (_described(name, item) for item in value)))
    said = name and name != NO_CACHE and isinstance(value, int | float | str | torch.device | torch.dtype)
    return f"{name}={value!r}" if said else ""


def values(slots: Iterable[Slot]) -> list[Any]:
    """A tensor, or the plain value, for each slot."""
    generator = torch.Generator()
    generator.manual_seed(_NUMBERS)
    return [slot.made(generator) for slot in slots]


def parse(text: str) -> Slot:
    """`1,3,224,224`, `int64:1,128`, `ids:int64:1,128`, `x:1,8`, `steps=3`. Raises `TargetError`."""
    named, equals, literal = text.partition("=")
    if equals and _NAME.fullmatch(named.strip()):
        return Slot.plain(named.strip(), _literal(literal.strip()))
    *head, shape = text.split(":")
    match = _SHAPE.fullmatch(shape.strip())
    if match is None or len(head) > 2:
        raise TargetError(f"has an input that is not understood: '{text}'", _WAY_OUT)
    sizes = tuple(int(size) for size in re.split(r"[,x\s]+", match[1]) if size) if match[1] else ()
    if math.prod(sizes) > 1 << 31:
        raise TargetError(f"has an input of more than 2^31 elements: '{text}'", "state a smaller example")
    head = [part.strip() for part in head]
    if len(head) == 1 and not _is_dtype(head[0]):
        head = [head[0], ""]
    name, dtype = ("", *head)[-2:] if head else ("", "")
    if dtype and not _is_dtype(dtype):
        raise TargetError(f"has an input of unknown dtype '{dtype}'", "use float32, float16, int64, bool …")
    if name and not _NAME.fullmatch(name):
        raise TargetError(f"has an input whose name is no identifier: '{name}'", _WAY_OUT)
    kind = _kind(getattr(torch, dtype)) if dtype else "float"
    return Slot(name, kind, sizes, dtype, stated=True)


def _literal(text: str) -> Any:
    """A Python literal, or the text itself: shells take quotes away."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def _is_dtype(text: str) -> bool:
    return isinstance(getattr(torch, text, None), torch.dtype)


def _kind(dtype: torch.dtype) -> str:
    if dtype == torch.bool:
        return "bool"
    return "float" if dtype.is_floating_point or dtype.is_complex else "int"


def stated(texts: Sequence[str]) -> list[Slot]:
    """The inputs that the user states, unnamed ones first. Raises `TargetError`."""
    slots = [parse(text) for text in texts]
    return [slot for slot in slots if not slot.name] + [slot for slot in slots if slot.name]


LENGTHS = {"lengths", "lens", "length", "seq_lens", "seq_lengths", "input_lengths", "x_lengths", "src_len"}
"""What arguments that hold the lengths of sequences are called."""


def vocabulary(model: nn.Module, slots: Sequence[Slot]) -> list[Slot]:
    """Integers of stated inputs are kept below the smallest table that the model looks things up in.

    Lengths are those of whole sequences.
    """
    sizes = [module.num_embeddings for module in model.modules() if isinstance(module, nn.Embedding)]
    high = min(sizes, default=2)
    longest = next((slot.shape[1] for slot in slots if len(slot.shape) > 1), None)
    names = list(parameters_of(model.forward))

    def filled(place: int, slot: Slot) -> Slot:
        name = slot.name or (names[place] if place < len(names) else "")
        return replace(slot, high=high, fill=longest if name.lower() in LENGTHS and len(slot.shape) == 1 else None)

    return [filled(place, slot) if slot.kind == "int" else slot for place, slot in enumerate(slots)]


def example_of(slots: Sequence[Slot], origin: str, guessed: bool = False) -> Example:
    """Unnamed slots by place, named ones by name."""
    made = values(slots)
    args = tuple(value for slot, value in zip(slots, made, strict=True) if not slot.name)
    kwargs = {slot.name: value for slot, value in zip(slots, made, strict=True) if slot.name}
    return Example(args, kwargs, origin, guessed)


# Not `dummy_inputs`: those of Hugging Face are token ids, also where a model takes images.
_DECLARING = ("example_input_array", "example_inputs", "example_input", "sample_inputs", "sample_input", "dummy_input")


def attribute(model: nn.Module) -> Example | None:
    """Inputs that the model carries with it, as `example_input_array` (Lightning's convention) or alike."""
    if isinstance(model, torch.fx.GraphModule) and (found := _placeholders(model)):
        return example_of(found, "the inputs of its graph")
    for name in _DECLARING:
        example = given(look(model, name), name)
        if example is not None:
            return replace(example, guessed=False)
    return None


def _placeholders(module: torch.fx.GraphModule) -> list[Slot]:
    """The inputs that a graph was exported with; nothing where it does not tell the shapes of all of them."""
    made = [node.meta.get("val") for node in module.graph.nodes if node.op == "placeholder"]
    if not all(isinstance(value, torch.Tensor) and type(value.numel()) is int for value in made):
        return []
    dtypes = [str(value.dtype).removeprefix("torch.") for value in made]
    return [Slot("", _kind(value.dtype), tuple(value.shape), dtype) for value, dtype in zip(made, dtypes, strict=True)]


def given(value: Any, origin: str) -> Example | None:
    """A tensor, a tuple of arguments or a dict of them, as whoever hands it over means it."""
    if isinstance(value, torch.Tensor) or (fields_of(value) is not None and holds_tensor(value)):
        return Example((value,), {}, origin)
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value) and holds_tensor(value):
        return Example((), dict(value), origin)
    if isinstance(value, tuple | list) and holds_tensor(value):
        return Example(tuple(value), {}, origin)
    return None


def holds_tensor(value: Any) -> bool:
    """Whether there is a tensor in nested containers."""
    held = value if isinstance(value, Mapping) else fields_of(value)
    if held is not None:
        return any(map(holds_tensor, held.values()))
    if isinstance(value, tuple | list):
        return any(map(holds_tensor, value))
    return isinstance(value, torch.Tensor)


def parameters_of(function: Any) -> dict[str, inspect.Parameter]:
    """The parameters of a function as far as they can be read."""
    try:
        return dict(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return {}
