"""Every stage on a GPU that is pretended: no tensor of the CPU meets one of it, and the passes wait for it once."""

# The imports below need torch, which may be missing.
# ruff: noqa: E402
from __future__ import annotations

from typing import Any

import pytest

torch: Any = pytest.importorskip("torch")

from torch import nn

import benchmarks.probe as benchmark
from fixtures.zoo import ZOO
from netlint.analysis import Results, Unavailable
from netlint.frontends.torch.live import captured
from netlint.graph import Graph
from netlint.probe import stages
from netlint.probe.attach import runnable
from netlint.probe.observed import Passes
from netlint.probe.request import Request
from netlint.probe.torch.runner import probed
from netlint.targets import load
from netlint.training import Training, parse_training
from tests.conftest import FIXTURES
from tests.pretend_gpu import CPU, GPU, pretended
from tests.probe_models import Mixed, Mlp, Tokens

torch.set_num_threads(1)


def contract(**fields: object) -> Training:
    return parse_training(fields, lambda field: field)


def run(stage: str, graph: Graph, training: Training) -> Any:
    return Results(graph, training).get(getattr(stages, stage))


def on_gpu(stage: str, model: nn.Module, inputs: Any, training: Training, device: str = "cuda") -> Any:
    """What a stage shows on the GPU, and the GPU."""
    found = captured(model, None, None, None, inputs, None, None, "")
    with pretended() as gpu:
        shown = run(stage, probed(found, Request(device, 1000)).graph, training)
    return shown, gpu


def test_the_pretended_gpu_is_as_strict_as_one() -> None:
    with pretended() as gpu:
        here, there = torch.zeros(3), torch.zeros(3, device=GPU)
        with pytest.raises(RuntimeError, match="found at least two devices"):
            here + there
        with pytest.raises(TypeError, match="can't convert cuda:0"):
            there.numpy()
        assert (there + torch.tensor(1.0)).is_cuda and (here.to(GPU) + there).device == GPU
        assert gpu.waits == []
        assert there.cpu().device == CPU and float(there.sum()) == 0 and there[there > 0].numel() == 0
        assert gpu.waits == ["cpu", "_local_scalar_dense", "index"]


STAGES = ("passes", "overfit", "ramp", "gradient_check", "leak", "modes")


@pytest.mark.parametrize("loss", ["", "cross_entropy", "mse_loss"])
@pytest.mark.parametrize(("model", "inputs"), [(Mlp, "2,10"), (Mixed, "2,3,8,8"), (Tokens, "int64:2,6")])
def test_every_stage_keeps_to_one_device(model: type[nn.Module], inputs: str, loss: str) -> None:
    for stage in STAGES:
        if not loss and stage in ("overfit", "ramp"):
            continue
        found, gpu = on_gpu(stage, model(), inputs, contract(loss=loss) if loss else Training())
        assert found.setup.device == "pretended GPU" and gpu.kernels
        assert not any("CPU" in note for note in found.setup.notes)


def deep(layers: int) -> nn.Module:
    parts = [part for _ in range(layers) for part in (nn.Linear(10, 10), nn.ReLU(), nn.LayerNorm(10))]
    return nn.Sequential(*parts, nn.Linear(10, 4))


@pytest.mark.parametrize("layers", [1, 25])
def test_the_passes_wait_for_the_gpu_once_however_many_layers(layers: int) -> None:
    for training in (Training(), contract(loss="cross_entropy")):
        found, gpu = on_gpu("passes", deep(layers), "2,10", training)
        assert len(found.seen) == 3 * layers + 1
        assert gpu.waits == ["cpu"]


def test_a_gpu_sees_what_a_cpu_sees() -> None:
    model = Mixed().eval()
    there, _ = on_gpu("passes", model, "2,3,8,8", contract(loss="cross_entropy"))
    here, _ = on_gpu("passes", model, "2,3,8,8", contract(loss="cross_entropy"), "cpu")
    assert isinstance(there, Passes) and here.loss == pytest.approx(there.loss)
    for one, other in zip(here.seen.values(), there.seen.values(), strict=True):
        for name in ("lo", "hi", "zeros", "saturated", "grad"):
            told = getattr(other, name)
            assert getattr(one, name) == (None if told is None else pytest.approx(told, rel=1e-4, abs=1e-9)), name
        assert one.mean == pytest.approx(other.mean, rel=1e-3, abs=1e-5)


FILES = ("transformer_opset20", "lstm_torchscript", "vit", "detector", "vae", "mobilenet_v3_dynamo", "causal_lm")


@pytest.mark.parametrize("name", FILES)
def test_graphs_of_files_run_on_one_device_and_compute_lengths_without_it(name: str) -> None:
    file = str(FIXTURES / f"{name}.onnx")
    with pretended() as gpu:
        found = run("passes", runnable(load(file), file, Request("cuda")), Training())
    assert found.setup.device == "pretended GPU" and len(found.seen) >= 5
    assert set(gpu.waits) == {"cpu"} and len(gpu.waits) <= 2


HERE = ("loopondata", "stochasticdepth", "yolo")
"""These make tensors on the CPU in their forward pass."""
TWO_CHOSEN = {"routedexperts"}
"""Which experts see a token is asked of the tensors, for each expert."""
EVERYWHERE = (
    *("lenet", "mlp", "gpt", "autoencoder", "vae", "siren", "highway", "bagofwords", "mixtureofexperts", "keypoints"),
    *("linearattention", "einsumattention", "couplingflow", "mixturedensity", "gan_generator", "twotasks", "selu_net"),
    *("routedexperts", "matrixfactorisation", "domainadversarial"),
)


@pytest.mark.parametrize("name", EVERYWHERE)
def test_models_of_the_zoo_run_where_they_are_put(name: str) -> None:
    found, gpu = on_gpu("passes", ZOO[name].model(), None, Training())
    assert found.setup.device == "pretended GPU" and len(found.seen) >= 1
    assert set(gpu.waits) == {"cpu"} or name in TWO_CHOSEN, gpu.waits
    assert len(gpu.waits) <= 2 or name in TWO_CHOSEN  # twice where something is infinite by design: a mask


@pytest.mark.parametrize("name", HERE)
def test_models_that_know_the_cpu_alone_run_there_unless_somebody_insists(name: str) -> None:
    found, _ = on_gpu("passes", ZOO[name].model(), None, Training(), "auto")
    assert found.setup.device == "cpu"
    assert found.setup.notes[0].startswith("on the CPU: on the GPU the model raises RuntimeError at ")
    with pytest.raises(Unavailable, match=r"on the same device.*; --probe=cpu runs it on the CPU"):
        on_gpu("passes", ZOO[name].model(), None, Training(), "cuda")


def test_the_benchmark_measures_on_a_gpu() -> None:
    """All ways to follow a run, on the GPU alone; ours waits once."""
    with pretended() as gpu:
        for name, way in benchmark._ways(benchmark._transformer((2, 4, 16)), "cuda").items():
            gpu.waits.clear()
            way()
            waits = {benchmark.BARE: 0, benchmark.PROBE: 1}.get(name)
            assert len(gpu.waits) == waits if waits is not None else len(gpu.waits) > 100, name


def test_statistics_take_few_kernels() -> None:
    """Of each value five: its ends, sum, squares and zeros, and the squares of its gradient; the rest does not grow."""
    counts = []
    for layers in (8, 25):
        model, batch = deep(layers), torch.ones(4, 10)
        with pretended() as gpu:
            model, batch = model.to("cuda"), batch.to("cuda")
            run = benchmark._probe(model, batch, list(model.parameters()))
            torch.autograd.grad(model(batch).square().mean(), list(model.parameters()))
            gpu.kernels.clear()
            torch.autograd.grad(model(batch).square().mean(), list(model.parameters()))
            bare = sum(gpu.kernels.values())
            gpu.kernels.clear()
            seen = run()
            counts.append((sum(gpu.kernels.values()) - bare, len(seen)))
    (few, small), (many, large) = counts
    assert many - few == 5 * (large - small)
