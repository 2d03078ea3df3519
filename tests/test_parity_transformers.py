"""The same is found on transformers as on the ONNX files exported from them, where exporters take them.

A sample of the families that `tests.zoo_transformers` holds: an export through `torch.export` takes seconds. Each
entry of `EXPLAINED` is a difference, with its reason.
"""

# The imports below need torch, which may be missing.
# ruff: noqa: E402
from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")
pytest.importorskip("transformers")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

from tests import zoo_parity as parity
from tests.zoo_parity import EPSILON, like_the_module
from tests.zoo_transformers import FAMILIES, MASKED, TEXT, Family

A_CONSTANT = (
    "of a constant and a weight the module makes no layer; the file cuts the constant to the length of the input"
)

A_STANDARDISED_KERNEL = (
    "the exporter computes the standardised kernel, which in the module is no weight but made of one"
)

EXPLAINED: dict[tuple[str, str, str], dict[str, str]] = {
    ("bit", "constant_layer", "dynamo"): {"INI002": A_STANDARDISED_KERNEL},
    **{("helium", fault, "dynamo"): {"NUM002": EPSILON} for fault in ("none", "constant_layer", "zero_hidden_layer")},
    ("deberta_classifier", "constant_layer", "torchscript"): {"INI002": A_CONSTANT},
    ("detr", "zero_hidden_layer", "torchscript"): {"INI001": A_CONSTANT},
}
"""By model, injected fault and exporter: the rules whose findings differ, each with the reason."""

REFUSED = {
    ("fnet_classifier", "torchscript"): "aten::fft_fftn",
    ("mixtral", "torchscript"): "aten::histc",
    ("whisper", "torchscript"): "aten::diff",
    ("glm", "torchscript"): "must have the same rank",
    ("xlnet", "dynamo"): "decompose the FX graph",
    ("longformer", "dynamo"): "export the model with torch.export",
    ("mixtral", "dynamo"): "No ONNX function found|convert the exported program",
}
"""What the exporters of this version of torch refuse, and what they say."""

SHOWN = {"bert_classifier", "distilbert", "vit", "resnet"}
"""Where faults must be found; a layer of zeros may be a branch that is meant to start as nothing."""

EAGER = {"t5", "mt5", "beit", "swin"}
"""Exported by `torch.export` with the attention written out: it stumbles over the layout of the fused one's result."""


def tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping | tuple | list):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from tensors(item)


class Flat(torch.nn.Module):
    """A model that takes its inputs by place and gives a tuple of tensors, as exporters want it."""

    def __init__(self, net: torch.nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.net, self.names = net, names

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(tensors(self.net(**dict(zip(self.names, inputs, strict=True)))))


def sigmoids(model: torch.nn.Module) -> torch.nn.Module | None:
    """Every activation becomes a sigmoid."""
    done = False
    for part in model.modules():
        for name, child in list(part.named_children()):
            if "gelu" in type(child).__name__.lower() or isinstance(child, torch.nn.ReLU):
                setattr(part, name, torch.nn.Sigmoid())
                done = True
    return model if done else None


FAULTS = {"constant_layer": parity.constant_layer, "zero_hidden_layer": parity.zero_hidden_layer, "sigmoids": sigmoids}


def flat(family: Family, fault: str, exporter: str) -> tuple[Flat, tuple[Any, ...]]:
    """A model of a family. Without a mask, the library compares neighbouring positions, which cannot be traced."""
    if not family.available():
        pytest.skip(f"this version of transformers has no {family.model_class}")
    model = family.model().eval()
    if hasattr(model.config, "use_cache"):
        model.config.use_cache = False
    if exporter == "dynamo" and family.name in EAGER:
        model.set_attn_implementation("eager")
    inputs = family.example()
    if exporter == "torchscript" and family.inputs is TEXT:
        inputs["attention_mask"] = MASKED["attention_mask"]()
    faulty = model if fault == "none" else FAULTS[fault](model)
    if faulty is None:
        pytest.skip("this fault has no place in this model")
    return Flat(faulty, tuple(inputs)).eval(), tuple(inputs.values())


def same(name: str, fault: str, exporter: str) -> None:
    model, inputs = flat(FAMILIES[name], fault, exporter)
    file = parity.EXPORTERS[exporter](model, inputs)
    here, training = parity.recorded(model, inputs, FAMILIES[name].contract)
    there = like_the_module(parity.exported(file, training), model)
    parity.agree(here, there, EXPLAINED.get((name, fault, exporter), {}))
    assert here or there or name not in SHOWN or fault in ("none", "zero_hidden_layer")


CASES = [
    pytest.param(name, fault, exporter, marks=() if quick else pytest.mark.whole)
    for place, name in enumerate(FAMILIES)
    for fault in ("none", *FAULTS)
    for exporter in parity.EXPORTERS
    if (name, exporter) not in REFUSED
    for quick in [
        ((name, fault, exporter) in EXPLAINED and exporter == "torchscript") or (place % 6 == 0 and fault == "none")
    ]
]
"""A transformer takes seconds with either exporter: by default a sample, and what is explained by the cheaper one."""


@pytest.mark.parametrize(("name", "fault", "exporter"), CASES)
def test_the_export_has_the_findings_of_the_module(name: str, fault: str, exporter: str) -> None:
    same(name, fault, exporter)


@pytest.mark.parametrize(("name", "exporter"), REFUSED)
def test_the_exporter_refuses(name: str, exporter: str) -> None:
    model, inputs = flat(FAMILIES[name], "none", exporter)
    with pytest.raises(Exception, match=REFUSED[name, exporter]):
        parity.EXPORTERS[exporter](model, inputs)


def test_the_explanations_are_of_models_that_are_compared() -> None:
    assert set(EXPLAINED) <= {case.values for case in CASES}
