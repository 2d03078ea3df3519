"""What a GPU needs, as far as that can be told without one: settings, errors, and what becomes of the model."""

# The imports below need torch, which may be missing.
# ruff: noqa: E402
from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

torch: Any = pytest.importorskip("torch")

from torch import nn

from netlint.analysis import Results
from netlint.frontends.torch.live import captured
from netlint.graph import Graph
from netlint.probe import stages
from netlint.probe.request import Request
from netlint.probe.torch import devices
from netlint.probe.torch.runner import probed
from netlint.training import Training, parse_training
from tests.probe_models import Mlp

torch.set_num_threads(1)
CUDA = torch.device("cuda")


def graph_of(model: nn.Module, device: str = "auto", inputs: Any = "2,10") -> Graph:
    found = captured(model, None, None, None, inputs, None, None, "")
    return probed(found, Request(device=device, budget=1000)).graph


def run(stage: str, graph: Graph, training: Training | None = None) -> Any:
    return Results(graph, training or Training()).get(getattr(stages, stage))


def classes() -> Training:
    return parse_training({"loss": "cross_entropy"}, lambda field: field)


# How a GPU computes


def _told() -> list[Any]:
    """What torch says of its settings; it refuses some questions once both ways to ask have been used."""
    found: list[Any] = []
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    for ask in (lambda: cudnn.allow_tf32, torch.get_float32_matmul_precision, lambda: matmul.allow_tf32):
        try:
            found.append(ask())
        except RuntimeError:
            found.append("refused")
    found += [part.fp32_precision for part in (cudnn.conv, cudnn.rnn, matmul)]
    return [*found, cudnn.enabled, cudnn.benchmark, cudnn.deterministic, torch.is_autocast_cache_enabled()]


@pytest.fixture
def told() -> Iterator[None]:
    """Settings as they were."""
    with devices._exact():
        yield


@pytest.mark.parametrize("users", ["nothing", "high", "off", "conv", "matmul"])
def test_a_gpu_computes_in_float32_and_the_same_each_time(users: str, told: None) -> None:
    before = _told()
    with suppress(RuntimeError):
        if users == "high":
            torch.set_float32_matmul_precision("high")
        elif users == "off":
            torch.backends.cudnn.allow_tf32 = False
        elif users == "conv":
            torch.backends.cudnn.conv.fp32_precision = "tf32"
        elif users == "matmul":
            torch.backends.cuda.matmul.fp32_precision = "tf32"
    stated = _told()
    assert users in ("nothing", "off") or stated != before
    with devices.settings(Mlp(), CUDA):
        inside = _told()
        assert set(inside[3:6]) <= {"ieee", "none"}
        assert inside[6:] == [True, False, True, False]
    assert _told() == stated


def test_recurrent_layers_in_inference_mode_are_differentiated_without_cudnn() -> None:
    with devices.settings(nn.LSTM(2, 2).eval(), CUDA):
        assert not torch.backends.cudnn.enabled
    with devices.settings(nn.LSTM(2, 2).train(), CUDA):
        assert torch.backends.cudnn.enabled
    assert torch.backends.cudnn.enabled


def test_a_callers_autocast_does_not_hide_that_weights_move() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        found = run("overfit", graph_of(Mlp(), "cpu"), classes())
        assert torch.is_autocast_cache_enabled()
    assert found.share < 0.1
