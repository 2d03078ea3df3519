"""What a model file is fed: the user's data, or synthetic numbers of lengths that it runs with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

import numpy as np

from netlint.analyses.axes import axes
from netlint.analysis import Results, Unavailable
from netlint.graph import Graph, Value
from netlint.training import Training

from .arrays import placed_axis
from .files import Data, fitted
from .request import Request
from .synthetic import Array, Synthetic

LENGTHS = (16, 64, 32, 128, 224, 1)
"""What lengths with names may be, other than that of the batch: the first that the model runs with."""
TRIED = 2
"""Samples of the runs that tell which length that is."""

_NUMPY = {
    "float32": np.float32,
    "float64": np.float64,
    "float16": np.float16,
    "int64": np.int64,
    "int32": np.int32,
    "int16": np.int16,
    "int8": np.int8,
    "uint8": np.uint8,
    "bool": np.bool_,
}


class Model(Protocol):
    """Something that runs."""

    def tried(self, values: Mapping[str, Array], samples: int) -> int:
        """Run it on a few samples; how many a batch of at most so many may have. Raises `Unavailable`."""


class Feed:
    """Inputs of one graph."""

    def __init__(
        self, graph: Graph, training: Training, request: Request, data: Data | None, model: Model, samples: int
    ) -> None:
        """Raises `Unavailable` where the model does not run."""
        self.graph = graph
        self.training = training
        self.request = request
        self.batch = batch_name(graph)
        self.about = ""
        self.real = data is not None
        self.origin = data.name if data is not None else "synthetic"
        self.values = fitted(data, graph.inputs) if data is not None else self._synthetic(model, samples)
        if data is not None:
            model.tried(self.values, samples)

    @property
    def axis(self) -> int:
        """Of the inputs that runs over the samples."""
        return samples_axis(self.graph, self.batch)

    @property
    def samples(self) -> int:
        return samples_in(self.values, self.graph, self.batch)

    def _synthetic(self, model: Model, samples: int) -> dict[str, Array]:
        """Raises `Unavailable` where the model runs with none of the lengths that are tried."""
        why: Exception | None = None
        free = any(dim is None or (isinstance(dim, str) and dim != self.batch) for dim in self._dims())
        for length in LENGTHS if free else LENGTHS[:1]:
            made = self.drawn(TRIED, length)
            try:
                count = model.tried(made, samples)
            except Unavailable as error:
                why = error
            else:
                self.length = length
                return self.drawn(count, length)
        raise why or Unavailable("the model has no inputs")

    def _dims(self) -> Iterator[int | str | None]:
        for value in self.graph.inputs:
            if value.shape is None:
                raise Unavailable(f"the rank of the input {value.name} is not known: --batch FILE.npz gives data")
            yield from value.shape

    def drawn(self, samples: int, length: int, seed: int = 0) -> dict[str, Array]:
        """Synthetic inputs."""
        synthetic = Synthetic(self.graph, self.training, self.request.seed + seed)
        made = {value.name: self._one(synthetic, value, samples, length) for value in self.graph.inputs}
        self.about = synthetic.about
        return made

    def _one(self, synthetic: Synthetic, value: Value, samples: int, length: int) -> Array:
        kind = _NUMPY.get(value.dtype or "")
        if kind is None:
            raise Unavailable(f"the input {value.name} holds {value.dtype}: --batch FILE.npz gives data")
        shape = [
            dim if isinstance(dim, int) else samples if dim == self.batch and dim is not None else length
            for dim in value.shape or ()
        ]
        if np.dtype(kind).kind == "f":
            return synthetic.floats(shape, value).astype(kind)
        if kind is np.bool_:
            return np.ones(shape, np.bool_)
        drawn = synthetic.integers(shape, value, None)
        return np.full(shape, int("mask" in value.name), kind) if drawn is None else drawn.astype(kind)


def samples_in(values: Mapping[str, Array], graph: Graph, batch: str | None) -> int:
    """How many samples the arrays hold, where the number of samples has that name."""
    axis = samples_axis(graph, batch)
    first = next(iter(values.values()), None)
    return int(first.shape[axis]) if first is not None and first.ndim > axis else 1


def samples_axis(graph: Graph, batch: str | None) -> int:
    """The axis of the inputs that runs over the samples, by the name of their number: the first, unless it is known to
    be another."""
    found = (placed_axis(value, batch) for value in graph.inputs)
    return next((axis for axis in found if axis is not None), 0)


def batch_name(graph: Graph) -> str | None:
    """The name of the number of samples; None where that is fixed, or not known."""
    known = Results(graph, Training()).get(axes)
    for value in graph.inputs:
        axis = known.batch(value)
        name = value.shape[axis] if value.shape and axis is not None else None
        if isinstance(name, str):
            return name
    return None
