"""The runner that a graph gets with --probe: it does the stages on a live model."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from netlint.analysis import Unavailable
from netlint.frontends import TargetError
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
from .devices import CPU, broken, device, home, of_the_gpu, out_of_memory
from .executed import Executed
from .fit import overfit, ramp
from .kept import NoRoom
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

    Raises `ConfigError` for a device that is not there, `TargetError` for data that do not fit.
    """
    _there(request.against)
    if request.device == "cuda":
        device("cuda")
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
    `ConfigError` and `TargetError` as `probed` does."""
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
        self._device = home(device(request.device), source.model)
        self._broken = ""
        self._samples = SAMPLES
        self._halved = ""
        self._left = ""
        """Why it is run on the CPU although there is a GPU."""
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
            self._spare += self._unused(stage, time.perf_counter() - start)
            self._tell("lint")

    def _unused(self, stage: str, took: float) -> float:
        """What a stage leaves of its time to those after it; the passes have none of their own."""
        return self._request.seconds(stage) - took if stage in SHARES else 0.0

    def _done(self, stage: str, graph: Graph, training: Training) -> Any:
        while True:
            running = self._running(graph, training)
            try:
                with _threads(self._source.products * running.batch.samples):
                    return _STAGES[stage](running)
            except (Exception, SystemExit) as error:
                full = out_of_memory(error) and not isinstance(error, Unavailable)
                reason = "" if full else self._reason(error)
            # Outside: no error may live on, its frames hold what lies in the memory of the GPU.
            if reason:
                raise Unavailable(reason)
            if full:
                self._halve(running.batch)

    def _running(self, graph: Graph, training: Training) -> Running:
        batch = self._batch(graph, training)
        batch = batch.first(self._samples) if batch.real and self._halved else batch
        notes = [note for note in (self._left, self._halved) if note]
        running = Running(self._source, graph, training, self._request, self._device, batch, notes)
        running.spare = max(self._spare, 0.0)
        if not running.is_training:
            running.notes.append("in inference mode, as it was recorded")
        return running

    def _batch(self, graph: Graph, training: Training) -> Batch:
        return self._source.batch(graph, training, self._request, self._samples, self._device.type, self._data)

    def _halve(self, batch: Batch) -> None:
        """Try half the samples. Raises `Unavailable` where there is one only."""
        gc.collect()
        if self._device.type == "cuda":
            with suppress(RuntimeError):  # an error of before that is only told now; the next run meets it as well
                torch.cuda.empty_cache()
        fixed = not batch.real and self._source.samples_axis is None
        if batch.samples < 2 or fixed:
            self._broken = f"memory runs out with {batch.samples} sample{'s' * (batch.samples != 1)}"
            raise Unavailable(self._broken)
        self._samples = batch.samples // 2
        self._halved = f"memory ran out with {batch.samples} samples: run with {self._samples}"

    def _reason(self, error: BaseException) -> str:
        """Why a stage cannot be done; empty: it is to be tried again, on the CPU."""
        if isinstance(error, Unavailable):
            return "" if isinstance(error, NoRoom) and self._leaves_gpu(str(error)) else str(error)
        on_gpu = self._device.type == "cuda" and of_the_gpu(error)
        if on_gpu and self._leaves_gpu(f"the model raises {why(error)}"):
            return ""
        if broken(error):
            self._broken = f"the GPU fails: {why(error)}; --probe=cpu says more"
            return self._broken
        return f"the model raises {why(error)}{'; --probe=cpu runs it on the CPU' if on_gpu else ''}"

    def _leaves_gpu(self, reason: str) -> bool:
        """Go on with the CPU from here, unless somebody insists on the GPU."""
        if self._device.type == "cpu" or self._request.device != "auto":
            return False
        self._device = CPU
        self._left = f"on the CPU: on the GPU {reason}"
        return True


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
