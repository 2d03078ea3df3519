"""What a model computes decides what is found in it, not how the file is written."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import onnx
import onnx.inliner
import onnx.version_converter
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netlint.engine import lint
from netlint.frontends.onnx import load_bytes
from netlint.registry import load_rules
from netlint.training import parse_training
from tests.conftest import FIXTURES

RULES = load_rules()
EXPECTED: dict[str, dict[str, Any]] = json.loads((FIXTURES.parent / "expected.json").read_text())
# External data is found by the file's place; these transformations work on the model alone.
NAMES = sorted(set(EXPECTED) - {"external_weights"})
Transform = Callable[[onnx.ModelProto, random.Random], onnx.ModelProto]


def findings(model: onnx.ModelProto, name: str) -> Counter[tuple[str, ...]]:
    """Rule, level, module and ordinal of every finding; messages may quote names."""
    stated = dict(flag.removeprefix("--").split("=", 1) for flag in EXPECTED[name]["flags"])
    training = parse_training(stated, lambda field: f"--{field}")
    report = lint(load_bytes(model.SerializeToString()), RULES.values(), training)
    assert report.crashed == ()
    return Counter((found.rule.code, str(found.level), found.op, found.fingerprint) for found in report.findings)


def verdicts(found: Counter[tuple[str, ...]]) -> Counter[tuple[str, ...]]:
    """Rule and level alone: an opset conversion may change operators."""
    counts: Counter[tuple[str, ...]] = Counter()
    for (code, level, *_), count in found.items():
        counts[code, level] += count
    return counts


def graphs(graph: onnx.GraphProto) -> Iterable[onnx.GraphProto]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from graphs(attribute.g)


def rename(model: onnx.ModelProto, rng: random.Random) -> onnx.ModelProto:
    """New names for all values and nodes; names that carry a module path keep none."""
    names: dict[str, str] = {"": ""}
    order = list(range(100_000))
    rng.shuffle(order)

    def new(old: str) -> str:
        return names.setdefault(old, f"v{order[len(names)]}")

    for graph in graphs(model.graph):
        for info in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
            info.name = new(info.name)
        for sparse in graph.sparse_initializer:
            sparse.values.name = new(sparse.values.name)
        for node in graph.node:
            node.input[:] = [new(name) for name in node.input]
            node.output[:] = [new(name) for name in node.output]
            if not node.name.startswith("/"):
                node.name = new("node " + node.name + node.output[0])
    return model


def reorder(model: onnx.ModelProto, rng: random.Random) -> onnx.ModelProto:
    """The nodes in another topological order."""
    nodes = list(model.graph.node)
    waiting = set(range(len(nodes)))
    made_by = {name: index for index, node in enumerate(nodes) for name in node.output if name}
    needs = {index: {made_by[name] for name in _reads(nodes[index]) if name in made_by} for index in waiting}
    done: list[int] = []
    while waiting:
        ready = sorted(index for index in waiting if not needs[index] & waiting)
        done.append(rng.choice(ready))
        waiting.discard(done[-1])
    del model.graph.node[:]
    model.graph.node.extend(nodes[index] for index in done)
    return model


def _reads(node: onnx.NodeProto) -> set[str]:
    inner = [attribute.g for attribute in node.attribute if attribute.type == onnx.AttributeProto.GRAPH]
    captured = {name for body in inner for graph in graphs(body) for part in graph.node for name in part.input}
    captured |= {info.name for body in inner for graph in graphs(body) for info in graph.output}
    return set(node.input) | captured


def initializers_to_constants(model: onnx.ModelProto, rng: random.Random) -> onnx.ModelProto:
    listed = {info.name for info in model.graph.input}
    moved = [tensor for tensor in model.graph.initializer if tensor.name not in listed]
    nodes = [onnx.helper.make_node("Constant", [], [tensor.name], value=tensor) for tensor in moved]
    kept = [tensor for tensor in model.graph.initializer if tensor.name in listed]
    nodes += list(model.graph.node)
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.initializer.extend(kept)
    model.graph.node.extend(nodes)
    return model


def inline(model: onnx.ModelProto, rng: random.Random) -> onnx.ModelProto:
    return onnx.inliner.inline_local_functions(model)


@pytest.mark.parametrize("transform", [rename, reorder, initializers_to_constants, inline], ids=lambda f: f.__name__)
@pytest.mark.parametrize("name", NAMES)
def test_form_of_the_file_changes_no_finding(name: str, transform: Transform) -> None:
    model = onnx.load(FIXTURES / f"{name}.onnx")
    before = findings(model, name)
    assert findings(transform(model, random.Random(name)), name) == before


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(name=st.sampled_from(NAMES), seed=st.integers(0, 2**32), count=st.integers(2, 5))
def test_transformations_in_any_order_change_no_finding(name: str, seed: int, count: int) -> None:
    rng = random.Random(seed)
    model = onnx.load(FIXTURES / f"{name}.onnx")
    before = findings(model, name)
    for transform in rng.choices([rename, reorder, initializers_to_constants, inline], k=count):
        model = transform(model, rng)
    assert findings(model, name) == before


@pytest.mark.parametrize("name", NAMES)
def test_another_opset_changes_no_verdict(name: str) -> None:
    model = onnx.load(FIXTURES / f"{name}.onnx")
    before = verdicts(findings(model, name))
    own = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    converted = 0
    for version in (11, 13, 17, 18, 21, 23):
        try:
            other = onnx.version_converter.convert_version(model, version) if version != own else None
        except Exception:  # the converter lacks an adapter for some operator of this model
            continue
        if other is None or not _checks(other):
            continue
        converted += 1
        assert verdicts(findings(other, name)) == before, f"opset {own} -> {version}"
    if not converted:
        pytest.skip("onnx converts this model to no other opset")


def _checks(model: onnx.ModelProto) -> bool:
    """Whether the converter's result is a valid model at all."""
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError:
        return False
    return True
