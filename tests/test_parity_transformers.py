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
from tests.test_parity import EPSILON, FOLDED, like_the_module
from tests.zoo_transformers import FAMILIES, MASKED, TEXT, Family

MAYBE_FOLDED = "a file does not tell whether a norm was folded into its convolutions, which would hold the gradient"

EXPLAINED: dict[tuple[str, str, str], str] = {
    ("helium", "none", "dynamo"): EPSILON,
    ("dpt", "none", "torchscript"): MAYBE_FOLDED,
    ("sew_classifier", "none", "torchscript"): MAYBE_FOLDED,
    ("hifigan", "none", "torchscript"): MAYBE_FOLDED,
    ("resnet", "sigmoids", "torchscript"): FOLDED,
}
"""By model, injected fault and exporter."""

TRACED = [
    *("bert_classifier", "albert_classifier", "debertav2_classifier", "distilbert", "squeezebert_classifier", "llama"),
    *(
        "gemma2",
        "gpt2",
        "bloom",
        "mamba",
        "t5",
        "bart",
        "vit",
        "swin",
        "convnext",
        "resnet",
        "segformer",
        "dpt",
        "clip",
    ),
    *("wav2vec2_classifier", "sew_classifier", "hifigan", "patch_forecast"),
]
EXPORTED = ["bert_classifier", "helium", "vit"]
FAULTY = ["bert_classifier", "distilbert", "vit", "resnet"]


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


def sigmoids(model: torch.nn.Module) -> torch.nn.Module:
    """Every activation becomes a sigmoid."""
    for part in model.modules():
        for name, child in list(part.named_children()):
            if "gelu" in type(child).__name__.lower() or isinstance(child, torch.nn.ReLU):
                setattr(part, name, torch.nn.Sigmoid())
    return model


FAULTS = {"none": lambda model: model, "constant_layer": parity.constant_layer, "sigmoids": sigmoids}


def flat(family: Family, fault: str, masked: bool) -> tuple[Flat, tuple[Any, ...]]:
    """A model of a family. Without a mask, the library compares neighbouring positions, which cannot be traced."""
    if not family.available():
        pytest.skip(f"this version of transformers has no {family.model_class}")
    model = family.model().eval()
    if hasattr(model.config, "use_cache"):
        model.config.use_cache = False
    inputs = family.example()
    if masked and family.inputs is TEXT:
        inputs["attention_mask"] = MASKED["attention_mask"]()
    faulty = FAULTS[fault](model)
    assert faulty is not None
    return Flat(faulty, tuple(inputs)).eval(), tuple(inputs.values())


def same(name: str, fault: str, exporter: str) -> None:
    model, inputs = flat(FAMILIES[name], fault, exporter == "torchscript")
    file = parity.EXPORTERS[exporter](model, inputs)
    here, training = parity.recorded(model, inputs, FAMILIES[name].contract)
    there = like_the_module(parity.exported(file, training), model)
    if (name, fault, exporter) in EXPLAINED:
        assert here != there, "listed as different, and it is not"
    else:
        assert here == there
    assert fault == "none" or here or there


@pytest.mark.parametrize("name", TRACED)
def test_traced(name: str) -> None:
    same(name, "none", "torchscript")


@pytest.mark.parametrize("name", EXPORTED)
def test_exported(name: str) -> None:
    same(name, "none", "dynamo")


@pytest.mark.parametrize("fault", ["constant_layer", "sigmoids"])
@pytest.mark.parametrize("name", FAULTY)
def test_faulty(name: str, fault: str) -> None:
    same(name, fault, "torchscript")


def test_the_explanations_are_of_models_that_are_compared() -> None:
    compared = {(name, "none", "torchscript") for name in TRACED} | {(name, "none", "dynamo") for name in EXPORTED}
    compared |= {(name, fault, "torchscript") for name in FAULTY for fault in FAULTS}
    assert set(EXPLAINED) <= compared
