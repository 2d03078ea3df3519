"""What the probe's statistics cost: a forward and backward pass with them, beside the bare one and beside peers.

`python -m benchmarks --only probe [--device cuda] [--runs N]`. All are timed in turn within one process, so that
whatever else the machine does hits all alike; the figure is the median. Peers: hooks that call `.item()` for each
layer, as they are written by hand, and hooks after the quantities of Cockpit (Schneider et al., 2021), which need one
number a layer too.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from netlint.probe.request import SHARES

CASE = "probe"
RUNS = 21
WARMING = {"cpu": 1, "cuda": 3}
"""Runs that do not count: libraries are loaded, and algorithms chosen."""
LOSS = "cross_entropy"

BARE, PROBE, NAIVE, COCKPIT = "bare", "netlint", "hooks with .item()", "hooks after Cockpit"


@dataclass(frozen=True)
class Case:
    """A model with a batch."""

    name: str
    model: Callable[[], Any]
    shape: tuple[int, ...]


def cases(device: str) -> list[Case]:
    """ResNets and a transformer of 12 layers, larger ones for a GPU."""
    if device == "cuda":
        return [Case("ResNet-50, batch 32", resnet50, (32, 3, 224, 224)), _transformer((32, 128, 768))]
    return [Case("ResNet-18, batch 8", resnet18, (8, 3, 224, 224)), _transformer((8, 64, 256))]


def _transformer(shape: tuple[int, ...]) -> Case:
    width = shape[2]

    def model() -> Any:
        from torch import nn

        layer = nn.TransformerEncoderLayer(width, 8, 4 * width, batch_first=True, activation="gelu")
        return nn.TransformerEncoder(layer, 12, enable_nested_tensor=False)

    return Case(f"transformer of 12 layers, {list(shape)}", model, shape)


def resnet18() -> Any:
    """He et al., 2015, with basic blocks."""
    from torch import nn

    class Block(nn.Module):  # type: ignore[misc]
        def __init__(self, inner: int, outer: int, stride: int) -> None:
            super().__init__()
            self.conv1, self.norm1 = nn.Conv2d(inner, outer, 3, stride, 1, bias=False), nn.BatchNorm2d(outer)
            self.conv2, self.norm2 = nn.Conv2d(outer, outer, 3, 1, 1, bias=False), nn.BatchNorm2d(outer)
            shortcut = nn.Sequential(nn.Conv2d(inner, outer, 1, stride, bias=False), nn.BatchNorm2d(outer))
            self.shortcut = shortcut if stride > 1 else nn.Identity()
            self.relu = nn.ReLU()

        def forward(self, x: Any) -> Any:
            held = self.norm2(self.conv2(self.relu(self.norm1(self.conv1(x)))))
            return self.relu(held + self.shortcut(x))

    stem = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    widths = [64, 64, 128, 256, 512]
    blocks: list[Any] = []
    for place in range(1, 5):
        blocks.append(Block(widths[place - 1], widths[place], 1 if place == 1 else 2))
        blocks.append(Block(widths[place], widths[place], 1))
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000))


def resnet50() -> Any:
    """The one of the fixtures."""
    return import_module("fixtures.resnet50").resnet50()


def measure(device: str, runs: int) -> Iterator[str]:
    """The whole probe, in a process that has used the device for nothing yet; then a table for each case."""
    first = cases(device)[0]
    for loss in ("", LOSS):
        yield from _whole(first, device, loss)
    for case in cases(device):
        seconds, launched = _timed(case, device, runs)
        yield f"\n{case.name} on {_name(device)}, forward and backward, median of {runs}\n"
        yield "| | ms | x bare | ms until all is launched |\n|---|---|---|---|"
        bare = statistics.median(seconds[BARE])
        for name, taken in seconds.items():
            median, issued = statistics.median(taken), statistics.median(launched[name])
            yield f"| {name} | {1e3 * median:.1f} | {median / bare:.2f} | {1e3 * issued:.1f} |"


def _whole(case: Case, device: str, loss: str) -> Iterator[str]:
    """All stages under all rules; imports are done before. The first that uses a GPU also waits until it is set up."""
    import netlint
    import netlint.probe.torch.runner
    from netlint.registry import load_rules

    load_rules()
    model, shape = case.model(), ",".join(map(str, case.shape[1:]))
    start = time.perf_counter()
    report = netlint.check(model, inputs=f"float32:2,{shape}", loss=loss or None, probe=device)
    taken = time.perf_counter() - start
    assert report.probe is not None
    yield f"\nthe whole probe of a {case.name.partition(',')[0]}, {loss or 'no loss'}: {taken:.2f} s after imports"
    yield f"({report.probe.setup or report.probe.why})\n"
    yield "| stage | s |\n|---|---|"
    for spent in report.times:
        if spent.name in SHARES or spent.name == "passes":
            yield f"| {spent.name} | {spent.seconds:.2f} |"
    for skip in report.skipped:
        if skip.rule.code.startswith("PRB"):
            yield f"\n{skip.rule.code}: {skip.why}"


def _name(device: str) -> str:
    import torch

    return torch.cuda.get_device_name() if device == "cuda" else f"CPU, {torch.get_num_threads()} threads"


def _timed(case: Case, device: str, runs: int) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Seconds of each way, taken in turn: until it is done, and until the host has asked for all of it."""
    ways = _ways(case, device)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    launched: dict[str, list[float]] = {name: [] for name in ways}
    for run in range(WARMING[device] + runs):
        for name, way in ways.items():
            _wait(device)
            start = time.perf_counter()
            way()
            issued = time.perf_counter() - start
            _wait(device)
            if run >= WARMING[device]:
                launched[name].append(issued)
                seconds[name].append(time.perf_counter() - start)
    return seconds, launched


def _wait(device: str) -> None:
    import torch

    if device == "cuda":
        torch.cuda.synchronize()


def _ways(case: Case, device: str) -> dict[str, Callable[[], Any]]:
    import torch

    torch.manual_seed(0)
    model, batch = case.model().to(device), torch.randn(case.shape, device=device)
    weights = list(model.parameters())

    def bare() -> None:
        torch.autograd.grad(model(batch).square().mean(), weights)

    def hooked(kind: Callable[[Any, list[Any]], Any]) -> Callable[[], None]:
        def run() -> None:
            found: list[Any] = []
            with _hooks(model, lambda tensor: kind(tensor, found)):
                grads = torch.autograd.grad(model(batch).square().mean(), weights)
            for grad in grads:
                kind(grad, found)

        return run

    return {BARE: bare, PROBE: _probe(model, batch, weights), NAIVE: hooked(_naive), COCKPIT: hooked(_cockpit)}


def _probe(model: Any, batch: Any, weights: Sequence[Any]) -> Callable[[], Any]:
    """The probe's own pass, without what it does once for a model: recording it, and lending it out."""
    import torch

    from netlint.frontends.torch.live import captured
    from netlint.probe.torch.follow import Follower, following
    from netlint.probe.torch.plan import plan
    from netlint.probe.torch.statistics import Statistics

    found = captured(model, None, None, None, batch, None, None, "")
    assert found.subject is not None
    calls = plan(found.subject.recording, found.graph)

    def run() -> Any:
        kept = Statistics()
        follower = Follower(calls, kept.see, len(batch))
        with following(follower, False):
            result = model(batch)
        grads = torch.autograd.grad(result.square().mean(), weights)
        kept.add(torch._foreach_norm([weight.detach() for weight in weights]))
        kept.add(torch._foreach_norm(grads))
        kept.close()
        seen = kept.seen(kept.fetch())
        assert not follower.lost and len(seen) > 20
        return seen

    return run


@contextmanager
def _hooks(model: Any, see: Callable[[Any], None]) -> Iterator[None]:
    """Shows the results of all leaf modules, and their gradients."""

    def forward(module: Any, args: Any, result: Any) -> None:
        tensor = result[0] if isinstance(result, tuple) else result
        see(tensor.detach())
        if tensor.requires_grad:
            tensor.register_hook(lambda grad: see(grad.detach()))

    leaves = (m for m in model.modules() if not list(m.children()) or type(m).__name__ == "MultiheadAttention")
    handles = [module.register_forward_hook(forward) for module in leaves]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _naive(tensor: Any, found: list[Any]) -> None:
    """As people write it: one number after the other, each fetched at once."""
    found.append(
        {
            "mean": tensor.mean().item(),
            "std": tensor.std().item(),
            "min": tensor.min().item(),
            "max": tensor.max().item(),
            "zeros": (tensor == 0).float().mean().item(),
            "finite": tensor.isfinite().all().item(),
        }
    )


def _cockpit(tensor: Any, found: list[Any]) -> None:
    """Per layer: norm, a histogram of the elements, mean and largest element."""
    flat = tensor.reshape(-1)
    lo, hi = flat.min().item(), flat.max().item()
    found.append((flat.norm().item(), flat.mean().item(), hi))
    if math.isfinite(lo) and math.isfinite(hi):
        import torch

        # On a GPU `histc` is the one without a copy to the host.
        found.append(torch.histc(flat.float(), 60, lo, hi).cpu())
