"""A call of an operator, as those see it who watch a run: its arguments by place or name, and what a layer takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

CONVOLUTIONS = {f"conv{n}d": n for n in (1, 2, 3)} | {f"conv_transpose{n}d": n for n in (1, 2, 3)}
"""Convolutions, and over how many axes they run."""


class Call:
    """`value` is the first argument."""

    def __init__(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        self.name = name
        self.args = args
        self._kwargs = kwargs
        self.value = self.arg(0, "input")

    def arg(self, place: int, key: str, default: Any = None) -> Any:
        return self.args[place] if len(self.args) > place else self._kwargs.get(key, default)

    def channels(self) -> int:
        """How many channels a convolution takes."""
        weight = self.arg(1, "weight")
        return int(weight.shape[0] if "transpose" in self.name else weight.shape[1] * int(self.arg(6, "groups") or 1))

    def width(self) -> int:
        """How many features `linear`, `layer_norm` or `rms_norm` takes."""
        return int(self.arg(1, "weight").shape[-1] if self.name == "linear" else self.arg(1, "normalized_shape")[-1])
