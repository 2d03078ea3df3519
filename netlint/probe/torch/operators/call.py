"""One node that is about to be computed: its tensors and attributes, read in the way of its opset."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch

from netlint.analysis import Unavailable
from netlint.graph import Node

Result: TypeAlias = torch.Tensor | Sequence[torch.Tensor | None]
Function: TypeAlias = Callable[["Call"], Result]

TYPES = {
    1: torch.float32,
    2: torch.uint8,
    3: torch.int8,
    5: torch.int16,
    6: torch.int32,
    7: torch.int64,
    9: torch.bool,
    10: torch.float16,
    11: torch.float64,
    16: torch.bfloat16,
}
"""By their numbers in ONNX."""


@dataclass(frozen=True, slots=True)
class Call:
    """A node with the tensors that it reads."""

    node: Node
    inputs: Sequence[torch.Tensor | None]
    opset: int
    wide: bool = False
    """Whether all floating-point numbers are float64, whatever the graph says."""

    def __getitem__(self, place: int) -> torch.Tensor:
        found = self.get(place)
        if found is None:
            raise self.refused(f"lacks input {place}")
        return found

    def get(self, place: int) -> torch.Tensor | None:
        """On the GPU as soon as any other input is."""
        found = self._as_it_is(place)
        if found is None or found.device == self.device:
            return found
        return found.to(self.device, non_blocking=True)

    def _as_it_is(self, place: int) -> torch.Tensor | None:
        return self.inputs[place] if place < len(self.inputs) else None

    @property
    def device(self) -> torch.device:
        """Where it is computed. Lengths are known to the CPU, so that reading one waits for nothing."""
        places = [each.device for each in self.inputs if each is not None]
        return next((place for place in places if place.type != "cpu"), torch.device("cpu"))

    def attr(self, name: str, default: Any = None) -> Any:
        return self.node.attrs.get(name, default)

    @property
    def x(self) -> torch.Tensor:
        """The first input."""
        return self[0]

    def numbers(self, place: int, name: str) -> list[Any] | None:
        """Of an input, or in older opsets of an attribute; None where there are none."""
        given = self._as_it_is(place)
        if given is not None:
            return [given.item()] if given.dim() == 0 else list(given.tolist())
        stated = self.attr(name)
        return None if stated is None else list(stated) if isinstance(stated, tuple) else [stated]

    def number(self, place: int, name: str, default: Any) -> Any:
        """A single one."""
        found = self.numbers(place, name)
        return found[0] if found else default

    def dtype(self, code: int) -> torch.dtype:
        """Of that number in ONNX. Raises `Unavailable` where torch has none."""
        found = TYPES.get(code)
        if found is None:
            raise self.refused(f"makes numbers of type {code}")
        return torch.float64 if self.wide and found.is_floating_point else found

    def constant(self, stored: Any) -> torch.Tensor:
        """A tensor in an attribute."""
        array = torch.from_numpy(np.array(stored.load()))
        return array.double() if self.wide and array.is_floating_point() else array

    def wants(self, *outputs: int) -> bool:
        """Whether any of these outputs is used."""
        return any(self.node.output(place) is not None for place in outputs)

    def understands(self, *names: str) -> None:
        """Raises `Unavailable` where the node states any other attribute, unless that is 0."""
        others = [name for name, given in self.node.attrs.items() if name not in names and given]
        if others:
            raise self.refused(f"has the attribute {others[0]}")

    def refused(self, why: str) -> Unavailable:
        """What to raise where a node is not understood."""
        return Unavailable(f"{self.node.full_op} at {self.node.loc.path} {why}")
