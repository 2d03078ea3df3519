"""Every model of the zoo is recorded, understood and found healthy, with its inputs given and without.

What does not hold is written down in the tables below, each with its reason, and their length is bounded.
"""

# The imports below need torch, which may be missing.
# ruff: noqa: E402
from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import pytest

torch = pytest.importorskip("torch")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

from fixtures.zoo import ZOO, Entry
from netlint.engine import lint
from netlint.frontends import TargetError
from netlint.frontends.torch.build import build
from netlint.frontends.torch.live import captured
from netlint.frontends.torch.target import Captured
from netlint.registry import load_rules
from netlint.reported import Report
from netlint.rule import Level
from netlint.training import parse_training
from tests.zoo_libraries import LIBRARY_MODELS, LibraryModel
from tests.zoo_transformers import FAMILIES, Family

AnyModel: TypeAlias = Entry | Family | LibraryModel

RULES = load_rules()
MODELS: dict[str, AnyModel] = {**ZOO, **{f"hf_{name}": family for name, family in FAMILIES.items()}, **LIBRARY_MODELS}

UNRECORDED: dict[str, str] = {}
"""Not recorded, although the inputs are given."""

UNGUESSED = {
    **UNRECORDED,
}
"""Not recorded without inputs."""

OPAQUE = {
    "fouriermixing": {"torch.fft_fft2": 2, "torch.real": 2},
    "selu_net": {"torch.alpha_dropout": 3},
    "routedexperts": {"torch.where": 4},
    "bagofwords": {"torch.embedding_bag": 1},
    "domainadversarial": {"torch.Reverse": 1},
    "spectraloperator": {"torch.fft_rfft2": 1, "torch.zeros_like": 1, "torch.fft_irfft2": 1},
    "learnedfilter": {"torch.linalg_solve": 5},
    "hf_fnet_classifier": {"torch.fft_fftn": 2, "torch.real": 2},
    "hf_longformer": {"torch.as_strided": 10},
    "hf_mixtral": {"torch._grouped_mm": 4, "torch.histc": 2},
    "hf_bloom": {"torch.GeLUFunction": 2},
}
"""Nodes that need not be understood, by model: complex numbers, solvers, strides, custom autograd functions."""

NODES = 20_000
"""The zoo has more nodes than this where transformers is installed."""

WARNED = {
    "hf_dpt": {"INI005"},  # the library draws all weights with a deviation of 0.02, whatever the width
    "hf_sew_classifier": {"INI004"},  # the same
    "hf_hifigan": {"INI004", "INI005"},  # weights of deviation 0.01, as the vocoder's authors have them
}
"""Warnings that are due on models of the libraries."""


def named(names: Mapping[str, Any]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", names)


def model_of(name: str) -> torch.nn.Module:
    """The model, made as a Python target is: a row of library modules has no other source line than the one here."""
    entry = MODELS[name]
    if isinstance(entry, Family):
        pytest.importorskip("transformers")
        if not entry.available():
            pytest.skip(f"this version of transformers has no {entry.model_class}")
    elif isinstance(entry, LibraryModel):
        pytest.importorskip(entry.library, exc_type=ImportError)
    model, _ = build(entry.model)
    return model


def inputs_of(name: str) -> Any:
    entry = MODELS[name]
    return entry.inputs() if isinstance(entry, LibraryModel) else entry.example()


def recorded(model: torch.nn.Module, inputs: Any) -> Captured:
    """As it is made, in training mode; without inputs, on those that are found."""
    return captured(model, None, None, None, inputs, None, None, "")


def linted(name: str, found: Captured) -> Report:
    stated = {key: list(value) if isinstance(value, tuple) else value for key, value in MODELS[name].contract.items()}
    training = parse_training(stated, lambda field: field).otherwise(found.training)
    return lint(found.graph, RULES.values(), training)


@functools.lru_cache(maxsize=4)
def readable(path: str) -> int:
    """The number of lines of a source file; -1 where there is none."""
    file = Path(path)
    return len(file.read_bytes().splitlines()) if file.is_file() else -1


def test_the_zoo_is_large_and_the_exceptions_are_few() -> None:
    assert len(ZOO) >= 100
    assert len(FAMILIES) >= 90
    assert len({entry.config for entry in FAMILIES.values()}) >= 80
    assert len(UNRECORDED) <= 0.01 * len(MODELS)
    assert len(UNGUESSED) <= 0.06 * len(MODELS)
    assert sum(sum(counts.values()) for counts in OPAQUE.values()) <= 0.02 * NODES
    assert len(WARNED) <= 0.03 * len(MODELS)
    assert set(UNGUESSED) | set(OPAQUE) | set(WARNED) <= set(MODELS)


@named(MODELS)
def test_recorded_with_inputs(name: str) -> None:
    model = model_of(name)
    if name in UNRECORDED:
        with pytest.raises(TargetError):
            recorded(model, inputs_of(name))
        return
    found = recorded(model, inputs_of(name))
    paths = {path for path, _ in model.named_modules()}
    for node in found.graph.nodes:
        assert (node.loc.module or "") in paths, node
        assert node.loc.source is not None, node
        assert 1 <= node.loc.source[1] <= readable(node.loc.source[0]), node.loc
    report = linted(name, found)
    assert report.crashed == ()
    assert Counter(report.not_understood) <= Counter(OPAQUE.get(name, {}))
    faults = {entry.rule.code for entry in report.findings if entry.level >= Level.WARNING}
    assert faults == (set(ZOO[name].faults) if name in ZOO else WARNED.get(name, set()))
    assert not [entry for entry in report.findings if entry.level >= Level.ERROR]


@named(MODELS)
def test_recorded_without_inputs(name: str) -> None:
    model = model_of(name)
    if name in UNGUESSED:
        with pytest.raises(TargetError):
            recorded(model, None)
        return
    assert recorded(model, None).graph.nodes
