"""What a torch program did, call by call: the input of the lowering, whoever recorded it.

Calls stand in program order, as written: in-place calls and views are not yet resolved.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from netlint.graph import Holder, Location, Shape, Tensor


@dataclass(eq=False, slots=True)
class Ref:
    """A tensor as the program met it. Compared by identity; an in-place call gives a new Ref for the same tensor.

    A whole number that the program computes from a length (`x.size(0) // 2` in an export with symbolic lengths) is a
    Ref too, of type int64 and shape ().
    """

    name: str
    dtype: str | None
    """As in `Value.dtype`; None where nobody ran the program."""
    shape: Shape | None
    """Int or symbol (`batch`) per axis; None where nobody ran the program."""
    constant: Tensor | None = None
    """Of parameters, buffers and constants of the program."""
    trainable: bool | None = None
    held: Holder | None = None
    """Of a parameter: what holds it; None where nobody says."""
    storage: Hashable = None
    """Equal for tensors that lie in the same memory; None where the recording does not tell."""


class Length(int):
    """An int in the arguments of a call that follows a symbol: `x.view(2, -1)` where 2 is the batch of this run."""

    symbol: str

    def __new__(cls, value: int, symbol: str) -> Length:
        made = super().__new__(cls, value)
        made.symbol = symbol
        return made


@dataclass(slots=True)
class Call:
    """One call. `args` and `kwargs` hold literals and `Ref`s, nested in lists, tuples, dicts and slices.

    Types of elements, devices and the like are strings: `float32`, `cpu`, `strided`.
    """

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
