"""The same is found on a module as on the ONNX file exported from it, whichever exporter made it.

Differences are listed below, each with its reason: exporters fold, merge and drop, and a file does not say all that a
module does. Findings are compared by code, level and module path, in inference mode, under the same contract.
"""

# The imports below need torch, which may be missing.
# ruff: noqa: E402
from __future__ import annotations

import copy
import json
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
from tests.zoo_parity import EPSILON, Finding, like_the_module

EXPECTED: dict[str, dict[str, Any]] = json.loads((FIXTURES.parent / "expected.json").read_text())

MERGED = "the exporter merges equal computations"
ASSUMED = "one of several paths was recorded, and that is known of the module only"
FROZEN = "that a weight is frozen is known of the module only"
FOLDED = "a norm of random scales is folded into the kernel, which is no longer constant"
NO_MODULE = "the exporter drops the modules of what runs without gradient"
ZERO_NORM = "a norm of scale zero is folded into the kernel, which then is zero"

EXPLAINED: dict[tuple[str, str, str], dict[str, str]] = {
    **{("capsules", fault, "dynamo"): {"NUM002": EPSILON} for fault in ("none", *parity.FAULTS)},
    **{("diffusiontransformer", "sigmoid_between", exporter): {"ACT004": MERGED} for exporter in parity.EXPORTERS},
    **{("resnet_zero_gamma", "zero_hidden_layer", exporter): {"INI001": ZERO_NORM} for exporter in parity.EXPORTERS},
    **{("gan_discriminator", "constant_layer", exporter): {"INI002": FOLDED} for exporter in parity.EXPORTERS},
    **{("adapted_mlp", "constant_layer", exporter): {"INI002": FROZEN} for exporter in parity.EXPORTERS},
    **{("routedexperts", "softmax_at_the_end", exporter): {"LOS002": ASSUMED} for exporter in parity.EXPORTERS},
    ("fixedpoint", "zero_hidden_layer", "dynamo"): {"INI001": NO_MODULE},
    ("fixedpoint", "constant_layer", "dynamo"): {"INI002": NO_MODULE},
    ("branchondata", "softmax_at_the_end", "torchscript"): {"LOS002": ASSUMED},
    ("loopondata", "softmax_at_the_end", "torchscript"): {"LOS002": ASSUMED},
}
"""By model, injected fault and exporter: the rules whose findings differ, each with the reason."""

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
"""What the exporters of this version of torch refuse; a lazy module cannot even be copied before it has run."""

CASES = [
    pytest.param(name, fault, exporter, marks=() if quick else pytest.mark.whole)
    for place, name in enumerate(ZOO)
    for fault in ("none", *parity.FAULTS)
    for exporter in parity.EXPORTERS
    if name not in NO_EXPORT[exporter]
    for quick in [
        fault == "none" or (exporter == "torchscript" and (place % 12 == 0 or (name, fault, exporter) in EXPLAINED))
    ]
]
"""Exports by tracing are quick; those by `torch.export` take seconds."""


@pytest.mark.parametrize(("name", "fault", "exporter"), CASES)
def test_the_export_has_the_findings_of_the_module(name: str, fault: str, exporter: str) -> None:
    """With the contract of the model, and without one."""
    model, example, contract = faulty(name, fault)
    file = parity.EXPORTERS[exporter](copy.deepcopy(model), example)
    here: Counter[Finding] = Counter()
    there: Counter[Finding] = Counter()
    for stated in (contract, {}) if contract else ({},):
        found, training = parity.recorded(model, example, stated)
        here += found
        there += like_the_module(parity.exported(file, training), model)
    parity.agree(here, there, EXPLAINED.get((name, fault, exporter), {}))


def faulty(name: str, fault: str) -> tuple[torch.nn.Module, tuple[Any, ...], Mapping[str, Any]]:
    """A model of the zoo with an injected fault, its example and its contract."""
    entry = ZOO[name]
    model: torch.nn.Module | None = entry.model()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = parity.FAULTS[fault](model) if fault != "none" else model
    if model is None or (fault == "softmax_at_the_end" and entry.contract.get("loss") != "cross_entropy"):
        pytest.skip("this fault has no place in this model")
    return model, entry.example(), entry.contract


REFUSED = [(name, exporter) for exporter, names in NO_EXPORT.items() for name in sorted(names)]


@pytest.mark.parametrize(("name", "exporter"), REFUSED)
def test_the_exporter_refuses(name: str, exporter: str) -> None:
    with pytest.raises(Exception, match=r"."):
        parity.EXPORTERS[exporter](copy.deepcopy(ZOO[name].model()), ZOO[name].example())


def test_the_explanations_are_of_models_that_are_compared() -> None:
    assert set(EXPLAINED) <= {case.values for case in CASES}


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
