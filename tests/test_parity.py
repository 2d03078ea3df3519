"""The same is found on a module as on the ONNX file exported from it, whichever exporter made it.

Differences are listed below, each with its reason: exporters fold, merge and drop, and a file does not say all that a
module does. Findings are compared by code, level and module path, in inference mode, under the same contract.
"""

# The imports below need torch, which may be missing.
# ruff: noqa: E402
from __future__ import annotations

import copy
import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import onnx
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from fixtures import make_fixtures
from fixtures.zoo import ZOO
from tests import zoo_parity as parity
from tests.conftest import FIXTURES
from tests.zoo_parity import Finding

EXPECTED: dict[str, dict[str, Any]] = json.loads((FIXTURES.parent / "expected.json").read_text())

FOLDED = "the exporter folds batch norm into the convolution before it: its kernel is no longer the one that was set"
MERGED = "the exporter merges equal computations"
ASSUMED = "one of several paths was recorded, and that is known of the module only"
FROZEN = "that a weight is frozen is known of the module only"
EPSILON = "the exporter drops the epsilon, so that the file really can divide by zero or take the root of zero"

EXPLAINED: dict[tuple[str, str, str], str] = {
    ("siamese", "none", "torchscript"): EPSILON,
    ("capsules", "none", "dynamo"): EPSILON,
    ("mobilenet_v3", "none", "dynamo"): FOLDED,
    ("efficientnet", "none", "dynamo"): FOLDED,
    ("diffusiontransformer", "sigmoid_between", "torchscript"): MERGED,
    ("branchondata", "softmax_at_the_end", "torchscript"): ASSUMED,
    ("loopondata", "softmax_at_the_end", "torchscript"): ASSUMED,
    ("resnet_zero_gamma", "zero_hidden_layer", "torchscript"): FOLDED,
    ("inception", "zero_hidden_layer", "torchscript"): FOLDED,
    ("deeplab", "zero_hidden_layer", "torchscript"): FOLDED,
    ("shufflenet", "zero_hidden_layer", "torchscript"): FOLDED,
    ("gan_discriminator", "constant_layer", "torchscript"): FOLDED,
    ("adapted_mlp", "constant_layer", "torchscript"): FROZEN,
}
"""By model, injected fault and exporter."""

FIXTURES_EXPLAINED = {"double_softmax_metadata": "the loss stands in the metadata of the file"}
"""By name of the stored file."""

PLAIN = [
    name
    for name, fixture in make_fixtures.FIXTURES.items()
    if fixture.exporter in (make_fixtures.TORCH_DYNAMO, make_fixtures.TORCH_SCRIPT)
]

NO_EXPORT = {
    "torchscript": {"gpt", "llama", "fouriermixing", "spatialtransformer", "spectral_discriminator", "spectraloperator",
                    "learnedfilter", "lazy"},
    "dynamo": {"branchondata", "loopondata", "lazy", "spectraloperator", "learnedfilter"},
}  # fmt: skip
"""What the exporters of this version of torch refuse."""

TRACED = [name for name in ZOO if name not in NO_EXPORT["torchscript"]]
SAMPLE = [name for name in ZOO if name not in NO_EXPORT["dynamo"]][::12]
"""An export through `torch.export` takes seconds."""


def like_the_module(found: Counter[Finding], model: torch.nn.Module) -> Counter[Finding]:
    """Module paths as the module has them: tracing numbers repeated calls, and leaves out containers in between."""
    paths = {path for path, _ in model.named_modules()}
    return _renamed(found, paths)


def _renamed(found: Counter[Finding], paths: set[str]) -> Counter[Finding]:
    total: Counter[Finding] = Counter()
    for (code, level, path), count in found.items():
        total[code, level, _path(path, paths)] += count
    return total


def _path(path: str, paths: set[str]) -> str:
    bare = re.sub(r"_\d+$", "", path)
    if path in paths or bare in paths:
        return path if path in paths else bare
    parts = bare.split(".")
    within = [known for known in paths if _is_subsequence(parts, known.split("."))]
    return min(within, key=len, default=path)


def _is_subsequence(parts: list[str], whole: list[str]) -> bool:
    rest = iter(whole)
    return bool(whole) and parts[-1] == whole[-1] and all(part in rest for part in parts)


def same(name: str, fault: str, exporter: str) -> None:
    """Compares a model of the zoo with its export, with its contract and without one."""
    entry = ZOO[name]
    model: torch.nn.Module | None = entry.model()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = parity.FAULTS[fault](model) if fault != "none" else model
    if model is None or (fault == "softmax_at_the_end" and entry.contract.get("loss") != "cross_entropy"):
        pytest.skip("this fault has no place in this model")
    file = parity.EXPORTERS[exporter](copy.deepcopy(model), entry.example())
    differ = False
    contracts: list[Mapping[str, Any]] = [entry.contract, {}] if entry.contract else [{}]
    for contract in contracts:
        here, training = parity.recorded(model, entry.example(), contract)
        there = like_the_module(parity.exported(file, training), model)
        if (name, fault, exporter) not in EXPLAINED:
            assert here == there
        differ = differ or here != there
    assert differ == ((name, fault, exporter) in EXPLAINED), "listed as different, and it is not"


@pytest.mark.parametrize("name", TRACED)
def test_traced_zoo(name: str) -> None:
    same(name, "none", "torchscript")


@pytest.mark.parametrize("name", SAMPLE)
def test_exported_zoo(name: str) -> None:
    same(name, "none", "dynamo")


@pytest.mark.parametrize("fault", parity.FAULTS)
@pytest.mark.parametrize("name", TRACED[::4])
def test_faulty_zoo(name: str, fault: str) -> None:
    same(name, fault, "torchscript")


class Taken(Exception):
    """The module of a fixture, before it is exported."""

    def __init__(self, model: torch.nn.Module, inputs: tuple[Any, ...], train: bool) -> None:
        super().__init__()
        self.model, self.inputs, self.train = model, inputs, train


def _take(model: torch.nn.Module, *inputs: Any, train: bool = False, **_: Any) -> onnx.ModelProto:
    raise Taken(model, inputs, train)


def module_of(name: str, monkeypatch: pytest.MonkeyPatch) -> Taken:
    """The module that a fixture is exported from, trained as the fixture is."""
    monkeypatch.setattr(make_fixtures, "dynamo", _take)
    monkeypatch.setattr(make_fixtures, "torchscript", _take)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(make_fixtures.SEED)
        with pytest.raises(Taken) as taken:
            make_fixtures.FIXTURES[name].build()
    return taken.value


@pytest.mark.parametrize("name", PLAIN)
def test_fixture(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stored file stands for the export: it was made from this module with this seed."""
    taken = module_of(name, monkeypatch)
    flags = dict(flag.removeprefix("--").split("=", 1) for flag in EXPECTED[name]["flags"])
    here, training = parity.recorded(taken.model, taken.inputs, flags, "train" if taken.train else "eval")
    file = onnx.load(FIXTURES / f"{name}.onnx")
    there = like_the_module(parity.exported(file, training), taken.model)
    assert (here == there) == (name not in FIXTURES_EXPLAINED), (here - there, there - here)
