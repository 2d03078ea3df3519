"""The batch that a model is run on: the user's data, or synthetic numbers that keep to the training contract."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from netlint.analysis import Unavailable
from netlint.frontends import TargetError
from netlint.frontends.torch.arguments import Arguments
from netlint.frontends.torch.symbolic import BATCH, resized
from netlint.frontends.torch.target import Subject
from netlint.graph import Graph, Value
from netlint.probe.feed import samples_axis
from netlint.probe.files import Data, fitted, targets
from netlint.probe.request import Request
from netlint.probe.synthetic import Synthetic
from netlint.training import Training

from . import size as size_of


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
    axis: int = 0
    """Along which the samples lie, in tensors that have it; in those of fewer axes along the first."""

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
            axis = _own_axis(tensor, self.axis)
            return tensor.narrow(axis, 0, count) if _length(tensor, axis) == self.samples else tensor

        args, kwargs = self.changed(cut)
        targets = cut(self.targets) if isinstance(self.targets, torch.Tensor) else self.targets
        return replace(self, args=args, kwargs=kwargs, samples=count, targets=targets)

    def aside(self) -> Batch:
        """The same with copies of what gradients are wanted of: the model may write into its inputs."""
        args, kwargs = self.changed(lambda tensor: tensor.clone() if tensor.requires_grad else tensor)
        return replace(self, args=args, kwargs=kwargs)

    def on(self, device: torch.device, dtype: torch.dtype | None = None) -> Batch:
        """The same on a device, floating-point numbers in `dtype` if one is given.

        Of a batch that lies on a GPU and on the CPU, what is on the CPU is meant to be there: lengths, for instance.
        """
        mixed = device.type == "cuda" and any(tensor.is_cuda for tensor in self.tensors())

        def move(tensor: torch.Tensor) -> torch.Tensor:
            wanted = dtype if dtype is not None and tensor.is_floating_point() else tensor.dtype
            place = tensor.device if mixed and tensor.device.type == "cpu" else device
            return tensor.detach().to(place, wanted, copy=True).requires_grad_(tensor.requires_grad)

        args, kwargs = self.changed(move)
        targets = self.targets.to(device) if isinstance(self.targets, torch.Tensor) else self.targets
        return replace(self, args=args, kwargs=kwargs, targets=targets)


def _nothing(*args: Any, **kwargs: Any) -> None:
    """A function of any arguments, whose names do not matter."""


def batch(
    subject: Subject, graph: Graph, training: Training, request: Request, samples: int, kind: str, data: Data | None
) -> Batch:
    """The batch at hand, or a synthetic one of so many samples where the model takes any number."""
    example = subject.example
    given = Arguments(_nothing, example.args, dict(example.kwargs))
    tensors, axis = _own(given), samples_axis(graph, BATCH)
    size = _count(tensors, axis)
    if data is not None:
        return _from_file(given, tensors, graph, data, axis)
    if example.data and not all(map(_blank, tensors)):
        origin = "inputs= as given" if example.origin == "inputs=" else example.origin
        return Batch(example.args, dict(example.kwargs), size, origin, real=True, axis=axis)
    wanted = fitting(subject, samples, kind) if subject.recording.symbolic else size
    synthetic = Synthetic(graph, training, request.seed)
    known = list(graph.inputs) if len(graph.inputs) == len(tensors) else [None] * len(tensors)
    values = {id(tensor): value for tensor, value in zip(tensors, known, strict=True)}

    def made(tensor: torch.Tensor) -> torch.Tensor:
        return _drawn(synthetic, resized(tensor, size, wanted, axis), values.get(id(tensor)))

    arguments = given.changed(made)
    return Batch(arguments.args, arguments.kwargs, wanted, "synthetic", synthetic.about, axis=axis)


def _own_axis(tensor: torch.Tensor, axis: int) -> int:
    return axis if tensor.dim() > axis else 0


def _length(tensor: torch.Tensor, axis: int) -> int | None:
    """Along an axis; None of a tensor without axes."""
    return tensor.shape[axis] if tensor.dim() else None


def _own(given: Arguments) -> list[torch.Tensor]:
    return [tensor for tensor in given.tensors() if not isinstance(tensor, torch.nn.Parameter)]


def _count(tensors: list[torch.Tensor], axis: int = 0) -> int:
    return next((tensor.shape[_own_axis(tensor, axis)] for tensor in tensors if tensor.dim()), 1)


def recorded_samples(subject: Subject) -> int:
    """How many the recording was made with."""
    if subject.recording.symbolic:
        return _RECORDED
    return _count(_own(Arguments(_nothing, subject.example.args, dict(subject.example.kwargs))))


def _blank(tensor: torch.Tensor) -> bool:
    """Whether all elements are the same: zeros and ones tell the shape of an input, and are no data."""
    return tensor.numel() > 1 and not tensor.is_meta and bool((tensor == tensor.reshape(-1)[0]).all())


def _from_file(given: Arguments, tensors: list[torch.Tensor], graph: Graph, data: Data, axis: int) -> Batch:
    """The arrays of a file in place of the tensors of the example. Raises `TargetError`."""
    if len(graph.inputs) != len(tensors):
        raise TargetError("has inputs that a batch cannot be told for", "give it in Python: netlint.check(inputs=…)")
    arrays = fitted(data, graph.inputs)
    made = [
        torch.from_numpy(np.ascontiguousarray(arrays[value.name])).to(tensor.dtype)
        for value, tensor in zip(graph.inputs, tensors, strict=True)
    ]
    by_id = {id(tensor): new for tensor, new in zip(tensors, made, strict=True)}
    changed = given.changed(lambda tensor: by_id.get(id(tensor), tensor))
    wanted = targets(data, graph.inputs)
    return Batch(
        changed.args,
        changed.kwargs,
        _count(made, axis),
        data.name,
        targets=None if wanted is None else torch.from_numpy(np.ascontiguousarray(wanted)),
        real=True,
        axis=axis,
    )


def _drawn(synthetic: Synthetic, tensor: torch.Tensor, value: Value | None) -> torch.Tensor:
    """Numbers in place of those of an example; flags, counts and lengths stay as they are."""
    if tensor.is_floating_point():
        return torch.from_numpy(synthetic.floats(tensor.shape, value)).to(_real(tensor), tensor.dtype)
    if tensor.dtype in _INTEGERS and value is not None:
        example = None if tensor.is_meta else tensor.detach().cpu().numpy()
        drawn = synthetic.integers(tensor.shape, value, example)
        if drawn is not None:
            return torch.from_numpy(drawn).to(_real(tensor), tensor.dtype)
    return tensor.detach().clone()


def _real(tensor: torch.Tensor) -> torch.device:
    """Where it lies."""
    return torch.device("cpu") if tensor.is_meta else tensor.device


_INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


_RECORDED = 2
"""Samples of a recording with symbols in its shapes."""


def fitting(subject: Subject, samples: int, kind: str) -> int:
    """So many samples, or as many as fit. Raises `Unavailable` where none do."""
    recorded = recorded_samples(subject)
    found = size_of.samples(subject.recording, recorded, samples, kind)
    needed = size_of.nbytes(subject.recording, recorded) * found
    if needed > _MOST_BYTES:
        raise Unavailable(f"its values take {needed / 1e9:.0f} GB with {found} samples; state smaller inputs: --input")
    return found


_MOST_BYTES = 32 << 30
