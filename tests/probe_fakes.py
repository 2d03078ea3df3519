"""A runner that shows what it is told, so that rules of the probe can be asked about any run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from netlint.analysis import Unavailable
from netlint.engine import lint
from netlint.frontends.onnx import load_text
from netlint.graph import Graph, Value
from netlint.probe.observed import Passes, Seen, Setup, Units, WeightSeen
from netlint.registry import load_rules
from netlint.reported import Report
from netlint.training import Training, parse_training

SETUP = Setup("cpu", "torch", "synthetic, 16 samples", 16, 0, loss="cross_entropy", true_loss=True)


class Fake:
    """Gives the results that it holds, by stage."""

    def __init__(self, **results: Any) -> None:
        self._results = results

    def run(self, stage: str, graph: Graph, training: Training) -> Any:
        """What was laid in for a stage."""
        if stage not in self._results:
            raise Unavailable(f"nothing was laid in for {stage}")
        return self._results[stage]


def value_of(graph: Graph, name: str) -> Value:
    """The value of that name, computed or given."""
    every = (value for node in graph.nodes for value in (*node.inputs, *node.outputs))
    return next(value for value in every if value is not None and value.name == name)


def seen(graph: Graph, name: str, **shown: Any) -> dict[Value, Seen]:
    """What was seen of one value: 1,024 elements of deviation 1 unless it is said otherwise."""
    value = value_of(graph, name)
    node = graph.producer(value)
    assert node is not None
    usual = {"count": 1024, "mean": 0.0, "std": 1.0, "lo": -3.0, "hi": 3.0, "zeros": 0.0, "nonfinite": 0, "grad": 0.1}
    return {value: Seen(node, **{**usual, **shown})}


def units(off: int, on: int, others: int, gradient: float = 0.0) -> Units:
    """Units of a rectifier: always off, never zero, and what lies between. The gradient is that of those off."""
    total = off + on + others
    zeros = np.array([1.0] * off + [0.0] * on + [0.5] * others)
    lo = np.array([0.0] * off + [0.1] * on + [0.0] * others)
    grad = np.array([gradient] * off + [0.1] * (on + others))
    return Units(lo, lo + 1, lo + 0.5, np.ones(total), zeros, grad)


def passes(graph: Graph, *parts: dict[Value, Seen], **rest: Any) -> Passes:
    """Passes that showed these values, in this order."""
    merged: dict[Value, Seen] = {}
    for part in parts:
        merged |= part
    weights = tuple(WeightSeen(*one) for one in rest.pop("weights", ()))
    return Passes(rest.pop("setup", SETUP), merged, weights, **rest)


def judged(code: str, graph: Graph, contract: dict[str, str] | None = None, **results: Any) -> Report:
    """What one rule says of a graph after such a run."""
    rule = load_rules()[code]
    stated = parse_training(contract or {}, lambda name: f"--{name}")
    report = lint(replace(graph, runner=Fake(**results)), [rule], stated)
    assert report.crashed == ()
    return report


def messages(report: Report) -> list[str]:
    """The findings as text."""
    return [found.finding.message for found in report.findings]


def text(body: str, weights: str = "", inputs: str = "float[16, 8] x", outputs: str = "float[16, 8] y") -> Graph:
    """A graph of ONNX text."""
    held = f"\n<{weights}>" if weights else ""
    return load_text(f"net ({inputs}) => ({outputs}){held}\n{{\n{body}\n}}\n")
