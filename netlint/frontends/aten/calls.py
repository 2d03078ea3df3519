"""What a torch program did, call by call: the input of the lowering, whoever recorded it.

Calls stand in program order, as written: in-place calls and views are not yet resolved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from netlint.graph import Location, Shape, Tensor


@dataclass(eq=False, slots=True)
class Ref:
    """A tensor as the program met it. Compared by identity; an in-place call gives a new Ref for the same tensor."""

    name: str
    dtype: str
    """As in `Value.dtype`."""
    shape: Shape
    """Int or symbol (`batch`) per axis."""
    constant: Tensor | None = None
    """Of parameters, buffers and constants of the program."""
    trainable: bool | None = None


@dataclass(slots=True)
class Call:
    """One call. `args` and `kwargs` hold literals and `Ref`s, nested in lists, tuples, dicts and slices."""

    name: str
    """Bare operator name: `conv2d` for `torch.nn.functional.conv2d`, `Tensor.conv2d` and `aten.conv2d.default`."""
    overload: str
    """Of aten operators: `default`, `Tensor`, `dim_IntList` …; empty at the Python level."""
    origin: str
    """How the program wrote it, for messages: `torch.nn.functional.conv2d`, `aten.conv2d.default`."""
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    result: Any
    """A `Ref`, None or a nested sequence or dict of these."""
    loc: Location


@dataclass(slots=True)
class Program:
    """A whole recording."""

    inputs: list[Ref]
    calls: list[Call]
    outputs: list[Ref]
    name: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
