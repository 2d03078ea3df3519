"""The batch that a model is run on: the user's data, or synthetic numbers that keep to the training contract."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch

from netlint.analyses.contract import losses
from netlint.analysis import Results, Unavailable
from netlint.frontends.torch.arguments import Arguments
from netlint.frontends.torch.symbolic import BATCH, resized
from netlint.frontends.torch.target import Subject
from netlint.graph import Graph, Value
from netlint.ops import COMPARISONS, LAYOUT, TRANSPARENT
from netlint.training import Interval, Known, Training

from . import size as size_of

SAMPLES = 16
"""Synthetic samples in a batch, where the model takes any number."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Arguments of the model or of its training step."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    samples: int
    origin: str
    """`synthetic`, or the name of a file, or `inputs=`."""
    about: str = ""
    """What more there is to say: `in [0, 1]`."""
    targets: Any = None
    """What a file holds beyond the inputs."""
    real: bool = False

    def __str__(self) -> str:
        samples = f"{self.samples} sample{'s' * (self.samples != 1)}"
        return f"{self.origin}, {samples}{' ' + self.about if self.about else ''}"

    def changed(self, change: Callable[[torch.Tensor], torch.Tensor]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments with other tensors."""
        made = Arguments(_nothing, self.args, self.kwargs).changed(change)
        return made.args, made.kwargs

    def tensors(self) -> list[torch.Tensor]:
        return list(Arguments(_nothing, self.args, self.kwargs).tensors())

    def first(self, count: int) -> Batch:
        """The first samples alone; the batch itself where it is no larger."""
        if count >= self.samples:
            return self

        def cut(tensor: torch.Tensor) -> torch.Tensor:
            return tensor[:count] if tensor.dim() and tensor.shape[0] == self.samples else tensor

        args, kwargs = self.changed(cut)
        targets = cut(self.targets) if isinstance(self.targets, torch.Tensor) else self.targets
        return replace(self, args=args, kwargs=kwargs, samples=count, targets=targets)

    def aside(self) -> Batch:
        """The same with copies of what gradients are wanted of: the model may write into its inputs."""
        args, kwargs = self.changed(lambda tensor: tensor.clone() if tensor.requires_grad else tensor)
        return replace(self, args=args, kwargs=kwargs)

    def on(self, device: torch.device, dtype: torch.dtype | None = None) -> Batch:
        """The same on a device, floating-point numbers in `dtype` if one is given."""

        def move(tensor: torch.Tensor) -> torch.Tensor:
            wanted = dtype if dtype is not None and tensor.is_floating_point() else tensor.dtype
            return tensor.detach().to(device, wanted, copy=True).requires_grad_(tensor.requires_grad)

        args, kwargs = self.changed(move)
        targets = move(self.targets) if isinstance(self.targets, torch.Tensor) else self.targets
        return replace(self, args=args, kwargs=kwargs, targets=targets)


def _nothing(*args: Any, **kwargs: Any) -> None:
    """A function of any arguments, whose names do not matter."""


def batch(subject: Subject, graph: Graph, training: Training, seed: int, samples: int) -> Batch:
    """The batch at hand, or a synthetic one of so many samples where the model takes any number."""
    example = subject.example
    given = Arguments(_nothing, example.args, dict(example.kwargs))
    tensors = [tensor for tensor in given.tensors() if not isinstance(tensor, torch.nn.Parameter)]
    size = next((tensor.shape[0] for tensor in tensors if tensor.dim()), 1)
    if example.data:
        return Batch(example.args, dict(example.kwargs), size, example.origin.rstrip("="), "", None, True)
    wanted = fitting(subject, size, samples) if subject.recording.symbolic else size
    synthetic = Synthetic(graph, training, seed)
    known = list(graph.inputs) if len(graph.inputs) == len(tensors) else [None] * len(tensors)
    values = {id(tensor): value for tensor, value in zip(tensors, known, strict=True)}

    def made(tensor: torch.Tensor) -> torch.Tensor:
        return synthetic.like(resized(tensor, size, wanted), values.get(id(tensor)))

    arguments = given.changed(made)
    return Batch(arguments.args, arguments.kwargs, wanted, "synthetic", synthetic.about)


def fitting(subject: Subject, size: int, samples: int) -> int:
    """So many samples, or as many as fit; the recording is of two. Raises `Unavailable` where none do."""
    recorded = 2 if subject.recording.symbolic else size
    found = size_of.samples(subject.recording, recorded, samples)
    needed = size_of.nbytes(subject.recording, recorded) * found
    if needed > _MOST_BYTES:
        raise Unavailable(f"its values take {needed / 1e9:.0f} GB with {found} samples; state smaller inputs: --input")
    return found


_MOST_BYTES = 32 << 30


class Synthetic:
    """Numbers for the inputs of a graph, seeded."""

    def __init__(self, graph: Graph, training: Training, seed: int) -> None:
        self._graph = graph
        self._training = training
        self._generator = torch.Generator()
        self._generator.manual_seed(seed)
        sites = Results(graph, training).get(losses)
        self._targets = {site.targets: site for site in sites if site.targets is not None}
        self.about = _about(training)

    def like(self, tensor: torch.Tensor, value: Value | None) -> torch.Tensor:
        """Numbers in place of those of an example; flags, counts and lengths stay as they are."""
        if tensor.is_floating_point():
            return self._floats(tensor, value)
        if tensor.dtype in _INTEGERS:
            lo, hi = self._bounds(tensor, value) if value is not None else (0, 0)
            if hi > lo:
                drawn = torch.randint(lo, hi + 1, tensor.shape, generator=self._generator)
                return drawn.to(tensor.dtype)
        return tensor.detach().clone()

    def _bounds(self, tensor: torch.Tensor, value: Value) -> tuple[int, int]:
        """The least and the largest number that is certain to be valid; equal where no other is."""
        if value in self._targets:
            classes = self._training.classes
            if isinstance(classes, Known):
                return 0, int(classes.value) - 1
            return (int(tensor.min()), int(tensor.max())) if tensor.numel() and not tensor.is_meta else (0, 0)
        sizes = list(self._tables(value, 0))
        return (0, min(sizes) - 1) if sizes and min(sizes) > 0 else (0, 0)

    def _tables(self, value: Value, depth: int) -> Iterator[int]:
        """The rows of every table that these numbers pick from; a 0 where they are used in other ways."""
        for use in self._graph.uses(value):
            table, out = use.input(0), use.output()
            if use.op == "Gather" and use.input(1) is value and table is not None and table.constant is not None:
                yield table.constant.shape[int(use.attrs.get("axis", 0))]
            elif use.op in _CARRYING and depth < _DEPTH and out is not None:
                yield from self._tables(out, depth + 1)
            elif use.op not in _ASKING:
                yield 0

    def _floats(self, tensor: torch.Tensor, value: Value | None) -> torch.Tensor:
        site = self._targets.get(value) if value is not None else None
        if site is not None and site.loss.kind == "cross-entropy":
            return torch.randint(0, 2, tensor.shape, generator=self._generator).to(tensor.dtype)
        stated = self._training.targets if site is not None and self._training.targets.known else None
        span = stated or self._training.input_range
        normal = torch.randn(tensor.shape, generator=self._generator)
        if isinstance(span, Known):
            return self._within(span.value, normal, site is None).to(tensor.dtype)
        mean, std = _moments(self._training)
        return (normal * std + mean).to(tensor.dtype)

    def _within(self, span: Interval, normal: torch.Tensor, is_input: bool) -> torch.Tensor:
        """Inside the range: uniform, or with the moments that are stated for inputs."""
        stated = is_input and (self._training.input_mean.known or self._training.input_std.known)
        if stated:
            mean, std = _moments(self._training)
            return (normal * std + mean).clamp(span.lo, span.hi)
        if math.isfinite(span.lo) and math.isfinite(span.hi):
            share = torch.rand(normal.shape, generator=self._generator)
            return (span.lo + (span.hi - span.lo) * share).clamp(span.lo, span.hi)
        if math.isfinite(span.lo):
            return span.lo + normal.abs()
        return span.hi - normal.abs() if math.isfinite(span.hi) else normal


_INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
_CARRYING = (LAYOUT | TRANSPARENT) - {"Gather"}
_DEPTH = 8
_ASKING = COMPARISONS | {"Shape", "Size", "ArgMax", "ArgMin", "ReduceMax", "Not"}
"""Whatever the numbers are, these have an answer."""


def _moments(training: Training) -> tuple[float, float]:
    mean, std = training.input_mean, training.input_std
    return (
        float(mean.value) if isinstance(mean, Known) else 0.0,
        float(std.value) if isinstance(std, Known) else 1.0,
    )


def _about(training: Training) -> str:
    span, (mean, std) = training.input_range, _moments(training)
    if isinstance(span, Known):
        return f"in {span.value}"
    return f"of mean {mean:g} and deviation {std:g}"


def need_samples(subject: Subject) -> None:
    """Raises `Unavailable` where the number of samples cannot be chosen."""
    if not subject.recording.symbolic:
        raise Unavailable(f"needs a model whose first axis is the batch ({BATCH})")
