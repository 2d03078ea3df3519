"""What a GPU needs, as far as that can be told without one: settings, errors, and what becomes of the model."""

# The imports below need torch, which may be missing.
# ruff: noqa: E402
from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

torch: Any = pytest.importorskip("torch")

from torch import nn

from netlint.analysis import Results, Unavailable
from netlint.errors import ConfigError
from netlint.frontends.torch.live import captured
from netlint.graph import Graph
from netlint.probe import stages
from netlint.probe.request import Request
from netlint.probe.torch import devices
from netlint.probe.torch.data import Batch
from netlint.probe.torch.runner import probed
from netlint.training import Training, parse_training
from tests.pretend_gpu import pretended
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
    found += [cudnn.enabled, cudnn.benchmark, cudnn.deterministic, torch.is_autocast_cache_enabled()]
    found += [torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()]
    return [*found, torch.utils.deterministic.fill_uninitialized_memory]


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
        assert inside[6:] == [True, False, True, False, True, True, False]
    assert _told() == stated


@pytest.mark.parametrize("state", [(False, False, True), (True, False, True), (True, True, False)])
def test_a_callers_choice_of_algorithms_stays_as_it_was(state: tuple[bool, bool, bool]) -> None:
    *chosen, filled = state
    held = torch.get_deterministic_debug_mode()
    try:
        torch.set_deterministic_debug_mode(chosen[0] + (chosen[0] and not chosen[1]))
        torch.utils.deterministic.fill_uninitialized_memory = filled
        with suppress(ZeroDivisionError), devices.settings(Mlp(), CUDA):
            assert _told()[-3:] == [True, True, False]
            raise ZeroDivisionError
        assert tuple(_told()[-3:]) == state
        with devices.settings(Mlp(), torch.device("cpu")):  # there sums have one order
            assert tuple(_told()[-3:]) == state
    finally:
        torch.set_deterministic_debug_mode(held)
        torch.utils.deterministic.fill_uninitialized_memory = True


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


# What fails on a GPU


class Faulty(Mlp):
    """Fails as a GPU does, on a GPU that is pretended."""

    def __init__(self, error: Exception | None = None, most: int = 0, backward: bool = False) -> None:
        super().__init__()
        self.error, self.most, self.backward = error, most, backward

    def forward(self, x: Any) -> Any:
        held = super().forward(x)
        if x.is_cuda and len(x) > self.most and self.error is not None:
            if not self.backward:
                raise type(self.error)(*self.error.args)
            held.register_hook(self._fail)
        return held

    def _fail(self, grad: Any) -> None:
        assert self.error is not None
        raise type(self.error)(*self.error.args)


FULL = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    torch.AcceleratorError("CUDA error: out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
]
ASSERTED = torch.AcceleratorError(
    "CUDA error: device-side assert triggered\nCUDA kernel errors might be asynchronously reported at another call"
)


@pytest.mark.parametrize(
    ("error", "backward", "stage"),
    [
        *((error, False, "passes") for error in FULL),
        *((FULL[0], True, stage) for stage in ("passes", "overfit", "ramp", "gradient_check", "leak")),
    ],
)
def test_memory_that_runs_out_anywhere_halves_the_batch(error: Exception, backward: bool, stage: str) -> None:
    emptied: list[int] = []
    with pretended(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(1))
        found = run(stage, graph_of(Faulty(error, 2, backward), "cuda"), classes())
    assert found.setup.device == "pretended GPU" and emptied
    assert found.setup.samples == 2
    assert found.setup.notes[0] == "memory ran out with 4 samples: run with 2"


def test_what_a_failed_run_held_is_gone_when_memory_is_asked_for_again() -> None:
    held: list[Any] = []
    still: list[bool] = []

    class Holding(Faulty):
        def forward(self, x: Any) -> Any:
            kept = x * 1.0
            held.append(weakref.ref(kept))
            return super().forward(kept) if len(x) else kept

    with pretended(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "empty_cache", lambda: still.append(held[-1]() is not None))
        run("passes", graph_of(Holding(FULL[0], 4), "cuda"))
    assert still and not any(still)


@pytest.mark.parametrize("backward", [False, True])
def test_a_gpu_that_has_failed_is_not_asked_again(backward: bool) -> None:
    with pretended():
        graph = graph_of(Faulty(ASSERTED, 0, backward), "cuda")
        for stage in ("passes", "modes" if backward else "leak"):
            with pytest.raises(Unavailable) as told:
                run(stage, graph)
            assert str(told.value).startswith("the GPU fails: AcceleratorError")
            assert str(told.value).endswith("CUDA error: device-side assert triggered; --probe=cpu says more")


@pytest.mark.parametrize("error", [ASSERTED, RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED")])
def test_a_gpu_that_fails_gives_way_to_the_cpu_where_nobody_insists(error: Exception) -> None:
    with pretended():
        found = run("passes", graph_of(Faulty(error), "auto"))
    assert found.setup.device == "cpu" and found.seen
    assert found.setup.notes[0].startswith("on the CPU: on the GPU the model raises ")


def test_a_model_that_reads_its_own_tensors_does_so_on_the_cpu() -> None:
    class Reading(Mlp):
        def forward(self, x: Any) -> Any:
            return super().forward(x) * float(x.detach().numpy().max() > 0)

    with pretended():
        found = run("passes", graph_of(Reading(), "auto"))
        assert found.setup.device == "cpu"
        assert "TypeError" in found.setup.notes[0] and "can't convert cuda:0" in found.setup.notes[0]
        with pytest.raises(Unavailable, match=r"the model raises TypeError.*; --probe=cpu runs it on the CPU"):
            run("passes", graph_of(Reading(), "cuda"))


def test_weights_that_do_not_fit_are_told_apart_from_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    with pretended():
        place = torch.Tensor.to

        def full(tensor: Any, *args: Any, **kwargs: Any) -> Any:
            if isinstance(tensor, torch.Tensor) and tensor.shape == (12, 12) and CUDA.type in str(args[:1]):
                raise FULL[0]
            return place(tensor, *args, **kwargs)

        monkeypatch.setattr(torch.Tensor, "to", full)
        with pytest.raises(Unavailable, match="its weights do not fit into the memory of the GPU"):
            run("passes", graph_of(Mlp(), "cuda"))
        found = run("passes", graph_of(Mlp(), "auto"))
        assert found.setup.notes[0] == "on the CPU: on the GPU its weights do not fit into the memory of the GPU"


def test_a_gpu_that_does_not_answer_is_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "zeros", _refused)
    assert devices.device("auto").type == "cpu"
    with pytest.raises(ConfigError, match="--probe=cuda finds no GPU: CUDA error: all CUDA-capable devices are busy;"):
        devices.device("cuda")


def _refused(*args: Any, **kwargs: Any) -> Any:
    raise RuntimeError("CUDA error: all CUDA-capable devices are busy\nsee the manual")


# The model


def test_a_model_that_lies_on_a_gpu_and_its_random_numbers_stay_as_they_are() -> None:
    states: list[Any] = []
    with pretended() as gpu, pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "get_rng_state_all", lambda: ["as it was"])
        patch.setattr(torch.cuda, "set_rng_state_all", states.append)
        model = Mlp()
        for parameter in model.parameters():
            parameter.data = gpu.place(parameter.data, torch.device("cuda", 0))
        model.head.weight.grad = gpu.place(torch.ones_like(model.head.weight), torch.device("cuda", 0))
        graph = graph_of(model, "cpu")
        before = [(p.data_ptr(), p.grad, p.device, p.dtype, p.requires_grad) for p in model.parameters()]
        for device in ("cpu", "cuda"):
            graph = graph_of(model, device)
            for stage in ("passes", "overfit", "gradient_check", "leak", "modes"):
                run(stage, graph, classes())
        assert [(p.data_ptr(), p.grad, p.device, p.dtype, p.requires_grad) for p in model.parameters()] == before
    assert set(map(tuple, states)) == {("as it was",)} and len(states) == 10


def test_lengths_that_are_given_on_the_cpu_stay_there() -> None:
    batch = Batch((torch.zeros(4, 2), torch.ones(4)), {}, 4, "synthetic")
    with pretended() as gpu:
        gpu.place(batch.args[0], torch.device("cuda", 0))
        assert [tensor.device.type for tensor in batch.on(torch.device("cuda", 0)).tensors()] == ["cuda", "cpu"]
        assert [tensor.device.type for tensor in batch.on(torch.device("cpu")).tensors()] == ["cpu", "cpu"]
