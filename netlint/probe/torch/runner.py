"""The runner that a graph gets with --probe: it does the stages on a live model."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from netlint.analysis import Unavailable
from netlint.frontends import TargetError
from netlint.frontends.torch.errors import said
from netlint.frontends.torch.target import Captured
from netlint.graph import Graph
from netlint.probe.attach import FileRunner, Missing
from netlint.probe.files import Data, read
from netlint.probe.request import SHARES, Request
from netlint.probe.synthetic import SAMPLES
from netlint.training import Training

from .against import against
from .check import gradient_check
from .data import Batch
from .executed import Executed
from .fit import overfit, ramp
from .leak import leak
from .modes import modes
from .passes import passes
from .running import Running, why
from .source import Recorded, Source, with_weights

_STAGES: Mapping[str, Callable[[Running], Any]] = {
    "passes": passes,
    "overfit": overfit,
    "ramp": ramp,
    "gradient_check": gradient_check,
    "leak": leak,
    "modes": modes,
    "against": against,
}


def probed(captured: Captured, request: Request, tell: Callable[[str], None] = lambda stage: None) -> Captured:
    """The capture with a runner in its graph; `tell` hears when the model's code runs (`probe`) and no more (`lint`).

    Raises `TargetError` for a device that is not there.
    """
    _there(request.against)
    if captured.subject is None:
        runner: Any = FileRunner(request, lambda why: Missing(f"not run when it was captured; as a graph: {why}"))
    else:
        found = _data(request.batch) if request.batch else None
        runner = TorchRunner(Recorded(with_weights(captured.subject, request.seed)), request, tell, found)
        if found is not None:
            runner.check(captured.graph, captured.training)
    return replace(captured, graph=replace(captured.graph, runner=runner))


def executing(graph: Graph, request: Request, training: Training) -> TorchRunner:
    """A runner of the graph of a file, which has run once. Raises `Unavailable` where torch cannot run it, and
    `TargetError` as `probed` does."""
    _there(request.against)
    found = _data(request.batch) if request.batch else None
    runner = TorchRunner(Executed(graph), request, lambda stage: None, found)
    runner.check(graph, training)
    return runner


class TorchRunner:
    """Runs a model. What fails once for good is not tried again."""

    def __init__(self, source: Source, request: Request, tell: Callable[[str], None], found: Data | None) -> None:
        self._tell = tell
        self._data = found
        self._source = source
        self._request = request
        self._device = device(request.device)
        self._broken = ""
        self._samples = SAMPLES
        self._halved: list[str] = []
        self._spare = 0.0

    def check(self, graph: Graph, training: Training) -> None:
        """Raises `TargetError` where the data of a file do not fit the model."""
        self._batch(graph, training)

    def run(self, stage: str, graph: Graph, training: Training) -> Any:
        """Do a stage. Raises `Unavailable` where that cannot be done, or the model fails."""
        if self._broken:
            raise Unavailable(self._broken)
        if stage not in _STAGES:
            raise Unavailable(f"the torch runner has no stage {stage}")
        if stage in self._source.refused:
            raise Unavailable(self._source.refused[stage])
        self._tell("probe")
        start = time.perf_counter()
        try:
            return self._done(stage, graph, training)
        finally:
            self._spare += self._left(stage, time.perf_counter() - start)
            self._tell("lint")

    def _left(self, stage: str, took: float) -> float:
        """What a stage leaves of its time to those after it; the passes have none of their own."""
        return self._request.seconds(stage) - took if stage in SHARES else 0.0

    def _done(self, stage: str, graph: Graph, training: Training) -> Any:
        while True:
            batch = self._batch(graph, training)
            batch = batch.first(self._samples) if batch.real and self._halved else batch
            running = Running(self._source, graph, training, self._request, self._device, batch, list(self._halved))
            running.spare = max(self._spare, 0.0)
            if not running.is_training:
                running.notes.append("in inference mode, as it was recorded")
            try:
                with _threads(self._source.products * batch.samples):
                    return _STAGES[stage](running)
            except torch.OutOfMemoryError:
                self._halve(batch)
            except Unavailable:
                raise
            except (Exception, SystemExit) as error:
                if not _out_of_memory(error):
                    raise Unavailable(self._failure(error)) from None
                self._halve(batch)

    def _batch(self, graph: Graph, training: Training) -> Batch:
        return self._source.batch(graph, training, self._request, self._samples, self._device.type, self._data)

    def _halve(self, batch: Batch) -> None:
        """Try half the samples. Raises `Unavailable` where there is one only."""
        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        fixed = not batch.real and self._source.samples_axis is None
        if batch.samples < 2 or fixed:
            self._broken = f"memory runs out with {batch.samples} sample{'s' * (batch.samples != 1)}"
            raise Unavailable(self._broken)
        self._samples = batch.samples // 2
        self._halved = [f"memory ran out with {batch.samples} samples: run with {self._samples}"]

    def _failure(self, error: BaseException) -> str:
        if isinstance(error, torch.AcceleratorError) or "CUDA error" in said(error):
            # The device answers nothing more in this process.
            self._broken = f"the GPU fails: {why(error)}; --probe=cpu says more"
            return self._broken
        return f"the model raises {why(error)}"


SMALL = 1 << 24
"""Multiplications of weights in a forward pass, below which it is not shared among threads."""


@contextmanager
def _threads(products: float) -> Iterator[None]:
    """Small runs take one thread: sharing them costs more than it gives, and far more where the cores are busy."""
    before = torch.get_num_threads()
    if products < SMALL:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _there(against: str) -> None:
    """Raises `TargetError` for an export that is not there."""
    if against and not Path(against).is_file():
        raise TargetError(f"has no export to compare with: {against} does not exist", "check the path")


def _data(file: str) -> Data:
    """The arrays in an `.npz`, or the tensors in a `.pt`; nothing in it is executed. Raises `TargetError`."""
    if not file.endswith((".pt", ".pth")):
        return read(file)
    try:
        stored = torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        why = error.strerror or error
        raise TargetError(f"has a batch that cannot be read: {file}: {why}", "check the path") from None
    except Exception:
        raise TargetError(f"has a batch that holds more than tensors: {file}", _SAVE) from None
    named = (
        stored
        if isinstance(stored, Mapping)
        else dict(enumerate(stored if isinstance(stored, tuple | list) else [stored]))
    )
    if not named or not all(isinstance(tensor, torch.Tensor) for tensor in named.values()):
        raise TargetError(f"has a batch that holds more than tensors: {file}", _SAVE)
    return Data(Path(file).name, {str(name): _array(tensor) for name, tensor in named.items()})


def _array(tensor: torch.Tensor) -> Any:
    """numpy has no bfloat16."""
    return (tensor.float() if tensor.dtype is torch.bfloat16 else tensor).detach().numpy()


_SAVE = "save a tensor, a tuple or a dict of tensors with torch.save"


def _out_of_memory(error: BaseException) -> bool:
    """Of the CPU's memory torch says so in the text alone."""
    return isinstance(error, MemoryError) or "can't allocate memory" in said(error)


def device(name: str) -> torch.device:
    """The device of that name; `auto` is a GPU where there is one. Raises `TargetError`."""
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise TargetError("cannot be run on a GPU: torch sees none", "--probe=cpu runs it on the CPU")
    return torch.device("cuda" if name == "cuda" or (name == "auto" and there) else "cpu")
