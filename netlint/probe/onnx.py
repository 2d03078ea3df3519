"""Runs an ONNX model with onnxruntime: values of the forward pass, and whether samples leak into each other."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from netlint.analyses.shapes import Shapes, shapes
from netlint.analysis import Results, Unavailable
from netlint.graph import Graph, Value
from netlint.ops import RANDOM
from netlint.training import Training

from .arrays import placed_axis, seen_in
from .files import Data, fitted
from .observed import Leak, Passes, Seen, Setup
from .request import Request
from .synthetic import SAMPLES, Array, Synthetic

if TYPE_CHECKING:
    from .observed import Floats

MISSING = "needs onnxruntime to run the model: pip install 'netlint-nn[probe]'"
GROUP = 1 << 30
"""Bytes of values that are fetched at a time."""
LENGTHS = (16, 64, 32, 128, 224, 1)
"""What lengths with names may be, other than that of the batch: the first that the model runs with."""
LEAK_SAMPLES = 4
SAME = 1e-5
"""Differences below this part of the outputs' spread are rounding."""

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


class OnnxRunner:
    """Runs one ONNX model; `source` is its file, or its bytes."""

    def __init__(self, source: Path | bytes, request: Request, data: Data | None = None) -> None:
        self._source = source
        self._request = request
        self._data = data
        self._model: _Model | None = None

    def run(self, stage: str, graph: Graph, training: Training) -> Any:
        """Do a stage. Raises `Unavailable` where that cannot be done."""
        if stage not in ("passes", "leak"):
            raise Unavailable("onnxruntime runs the model forward, in inference mode alone: give the PyTorch model")
        if find_spec("onnxruntime") is None:
            raise Unavailable(MISSING)
        if self._model is None:
            self._model = _Model(self._source, graph, self._request.device)
        feed = _Feed(graph, training, self._request, self._data, self._model)
        return _passes(feed) if stage == "passes" else _leak(feed)


class _Model:
    """A session with every value of the main graph as an output."""

    def __init__(self, source: Path | bytes, graph: Graph, device: str) -> None:
        import onnx
        import onnxruntime

        model = _read(onnx, source)
        present = {out.name for out in model.graph.output}
        known = {out.name for node in graph.nodes for out in node.outputs if out is not None and out.name}
        self.names = [name for node in model.graph.node for name in node.output if name in known]
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in self.names if name not in present)
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 4
        if isinstance(source, Path):
            folder = str(source.absolute().parent)
            options.add_session_config_entry("session.model_external_initializers_file_folder_path", folder)
        self.device, providers = _provider(onnxruntime, device)
        try:
            self._session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers)
        except Exception as error:
            raise Unavailable(f"onnxruntime does not take the model: {_first_line(error)}") from None

    def run(self, feed: Mapping[str, Array], names: Sequence[str]) -> list[Any]:
        """The values of these names. Raises what onnxruntime raises."""
        return list(self._session.run(list(names), dict(feed)))


def _read(onnx: Any, source: Path | bytes) -> Any:
    """The model without the weights that lie in other files."""
    try:
        if isinstance(source, bytes):
            return onnx.load_model_from_string(source)
        if source.suffix == ".onnxtxt":
            from netlint.frontends.onnx import onnx_text

            return onnx_text(source.read_text("utf-8"))
        return onnx.load(source, load_external_data=False)
    except Exception as error:
        raise Unavailable(f"the file cannot be read again: {_first_line(error)}") from None


def _provider(onnxruntime: Any, device: str) -> tuple[str, list[str]]:
    there = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    if device == "cuda" and not there:
        raise Unavailable("this onnxruntime knows no GPU: --probe=cpu")
    if there and device != "cpu":
        return "GPU", ["CUDAExecutionProvider", "CPUExecutionProvider"]
    return "cpu", ["CPUExecutionProvider"]


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


class _Feed:
    """What the model is fed, with lengths that it runs with."""

    def __init__(self, graph: Graph, training: Training, request: Request, data: Data | None, model: _Model) -> None:
        self.graph = graph
        self.training = training
        self.request = request
        self.model = model
        self.batch = next(
            (value.shape[0] for value in graph.inputs if value.shape and isinstance(value.shape[0], str)), None
        )
        self.about = ""
        self.real = data is not None
        self.values = fitted(data, graph.inputs) if data is not None else self._synthetic(SAMPLES)
        self.origin = data.name if data is not None else "synthetic"
        if data is not None:
            self._try(self.values)

    @property
    def samples(self) -> int:
        first = next(iter(self.values.values()), None)
        return int(first.shape[0]) if first is not None and first.ndim else 1

    def _synthetic(self, samples: int) -> dict[str, Array]:
        """Raises `Unavailable` where the model runs with none of the lengths that are tried."""
        why: Exception | None = None
        free = any(dim is None or (isinstance(dim, str) and dim != self.batch) for dim in self._dims())
        for length in LENGTHS if free else LENGTHS[:1]:
            made = self.drawn(samples, length)
            try:
                self._try(made)
            except Unavailable as error:
                why = error
            else:
                self.length = length
                return made
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

    def _try(self, values: Mapping[str, Array]) -> None:
        try:
            self.model.run(values, [out.name for out in self.graph.outputs if out.name in self.model.names][:1])
        except Exception as error:
            raise Unavailable(f"the model does not run: {_first_line(error)}") from None

    def setup(self, samples: int | None = None) -> Setup:
        """What the findings print."""
        count = samples or self.samples
        about = f" {self.about}" if self.about else ""
        return Setup(
            device=self.model.device,
            runner="onnxruntime",
            batch=f"{self.origin}, {count} sample{'s' * (count != 1)}{about}",
            samples=count,
            seed=self.request.seed,
            synthetic=not self.real,
            notes=("in inference mode, without gradients",),
        )


def _passes(feed: _Feed) -> Passes:
    values = {out.name: out for node in feed.graph.nodes for out in node.outputs if out is not None}
    wanted = [values[name] for name in feed.model.names]
    seen: dict[Value, Seen] = {}
    outputs: dict[Value, Floats] = {}
    for group in _groups(wanted, feed):
        for value, array in zip(group, feed.model.run(feed.values, [value.name for value in group]), strict=True):
            node = feed.graph.producer(value)
            if node is None or not isinstance(array, np.ndarray) or array.dtype.kind != "f" or not array.size:
                continue
            if (one := seen_in(array, node)) is not None:
                seen[value] = one
            if feed.graph.is_output(value) and array.ndim > 1 and array.shape[0] == feed.samples:
                outputs[value] = array[:16].reshape(min(16, array.shape[0]), -1)[:, :4096].astype(np.float64)
    return Passes(
        setup=feed.setup(),
        seen=seen,
        weights=(),
        inputs={value: _ends(feed.values[value.name]) for value in feed.graph.inputs if value.name in feed.values},
        outputs=outputs,
    )


def _ends(array: Array) -> tuple[float, float]:
    return (float(array.min()), float(array.max())) if array.size else (math.nan, math.nan)


def _groups(values: Sequence[Value], feed: _Feed) -> Iterator[list[Value]]:
    """Values in the order of execution, so many at a time as fit into memory."""
    known = Results(feed.graph, feed.training).get(shapes)
    group: list[Value] = []
    size = 0.0
    for value in values:
        nbytes = _nbytes(known, value, feed.samples)
        if group and size + nbytes > GROUP:
            yield group
            group, size = [], 0.0
        group.append(value)
        size += nbytes
    if group:
        yield group


def _nbytes(known: Shapes, value: Value, samples: int) -> float:
    """A guess where lengths are not known: that of the batch."""
    shape = known.of(value) or ()
    return 8.0 * math.prod(dim if isinstance(dim, int) else samples for dim in shape)


def _leak(feed: _Feed) -> Leak:
    """One sample after the other is exchanged; what changes in the outputs of the others leaks."""
    if feed.batch is None or feed.real:
        raise Unavailable("the number of samples is fixed in the file" if feed.batch is None else "needs own samples")
    if feed.graph.of(*RANDOM):
        raise Unavailable("the model draws random numbers, and gives other outputs each time")
    if any(node.attrs.get("training_mode", 0) for node in feed.graph.of("BatchNormalization")):
        raise Unavailable("the graph is of training mode, in which batch norms mix samples")
    base = feed.drawn(LEAK_SAMPLES, feed.length)
    other = feed.drawn(LEAK_SAMPLES, feed.length, seed=1)
    names = [out.name for out in feed.graph.outputs if placed_axis(out, feed.batch) == 0]
    if not names:
        raise Unavailable("no output has an axis of samples")
    calm = [_rows(array) for array in feed.model.run(base, names)]
    pairs: list[tuple[int, int, float]] = []
    own = 0.0
    for changed in range(LEAK_SAMPLES):
        mixed = {value.name: _exchanged(value, base, other, changed, feed.batch) for value in feed.graph.inputs}
        moved = _moved(calm, [_rows(array) for array in feed.model.run(mixed, names)])
        size = _size(base, mixed)
        own = max(own, moved[changed] / size)
        pairs += [(changed, at, amount / size) for at, amount in enumerate(moved) if at != changed and amount > 0]
    return Leak(feed.setup(LEAK_SAMPLES), tuple(pairs), own)


def _rows(array: Array) -> Array:
    return np.asarray(array, np.float64).reshape(LEAK_SAMPLES, -1)


def _exchanged(value: Value, base: Mapping[str, Array], other: Mapping[str, Array], at: int, batch: str) -> Array:
    made = base[value.name].copy()
    axis = placed_axis(value, batch)
    if axis is not None:
        place = (slice(None),) * axis + (at,)
        made[place] = other[value.name][place]
    return made


def _moved(calm: Sequence[Array], now: Sequence[Array]) -> list[float]:
    """By sample the largest change of an output; 0 where that is rounding."""
    found = [0.0] * LEAK_SAMPLES
    for before, after in zip(calm, now, strict=True):
        change = np.abs(after - before).max(axis=1)
        floor = SAME * (float(np.abs(before).max()) or 1.0)
        found = [max(old, float(new)) if new > floor else old for old, new in zip(found, change, strict=True)]
    return found


def _size(base: Mapping[str, Array], mixed: Mapping[str, Array]) -> float:
    """The largest change of an input."""
    changes = [np.abs(mixed[name].astype(np.float64) - array.astype(np.float64)).max() for name, array in base.items()]
    return float(max(changes, default=1.0)) or 1.0
