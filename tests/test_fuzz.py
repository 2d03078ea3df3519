"""Random damage to models: the loader ends in a graph or a `TargetError`, and no rule crashes on that graph.

`NETLINT_FUZZ_SECONDS` sets how long (10 by default), `NETLINT_FUZZ_SEED` where to begin. Each case is made from its own
seed; a failure names it, and `NETLINT_FUZZ_SEED=… NETLINT_FUZZ_SECONDS=0` runs that case alone.
"""

from __future__ import annotations

import os
import random
import re
import signal
import traceback
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

import onnx
import pytest
from onnx import numpy_helper

from netlint.engine import lint
from netlint.frontends import TargetError
from netlint.frontends.onnx import load_bytes, load_text
from netlint.graph import Graph
from netlint.registry import load_rules
from netlint.training import parse_training
from tests.conftest import FIXTURES
from tests.onnx_models import dense, nested_ifs

SECONDS = float(os.environ.get("NETLINT_FUZZ_SECONDS", "10"))
SEED = int(os.environ.get("NETLINT_FUZZ_SEED", "0"))
LONGEST = 20
"""Seconds one case may take; it takes milliseconds."""
RULES = list(load_rules().values())
CONTRACTS = [
    {},
    {"loss": "cross_entropy", "task": "classification", "classes": "10"},
    {"loss": "mse_loss", "targets": "-1..1", "input_range": "0..255", "stage": "init"},
    {"loss": "BCEWithLogitsLoss", "lr": "0.1", "optimizer": "sgd", "batch_size": "8", "precision": "mixed-float16"},
]
# Small ones only: a case should take milliseconds.
MODELS = [path.read_bytes() for path in sorted(FIXTURES.glob("*.onnx")) if path.stat().st_size < 16_000]
MODELS += [dense().SerializeToString(), nested_ifs(3)]
TEXTS = [path.read_text(encoding="utf-8") for path in sorted((FIXTURES.parent / "onnxtxt").glob("*.onnxtxt"))]
TEXTS = [text for text in TEXTS if len(text) < 16_000]
OPS = [schema.name for schema in onnx.defs.get_all_schemas() if schema.domain == ""]
NUMBERS = [0, 1, -1, 2, 3, 7, 255, 1 << 31, -(1 << 31), (1 << 63) - 1, -(1 << 63)]
FLOATS = [0.0, -0.0, 1.0, -1.0, 1e-45, 1e38, float("inf"), float("-inf"), float("nan")]


# Bytes


def flip(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice([1, 1, 2, 8])):
        data[rng.randrange(len(data))] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)])


def cut(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data))
    del data[start : start + rng.choice([1, 4, 50, len(data)])]


def insert(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data))
    data[start:start] = rng.randbytes(rng.choice([1, 4, 50]))


def repeat(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data))
    piece = data[start : start + rng.choice([1, 10, 200])]
    data[start:start] = piece * rng.choice([1, 2, 20])


def splice(data: bytearray, rng: random.Random) -> None:
    other = rng.choice(MODELS)
    start, begin = rng.randrange(len(data)), rng.randrange(len(other))
    data[start : start + rng.choice([0, 20, 500])] = other[begin : begin + rng.choice([20, 500, len(other)])]


# Messages


def nodes_of(graph: Any) -> list[Any]:
    """The nodes of a graph and of its bodies."""
    inner = [node for node in graph.node for a in node.attribute if a.HasField("g") for node in nodes_of(a.g)]
    return [*graph.node, *inner]


def rewire(model: Any, rng: random.Random) -> None:
    """Swap names: cycles, dangling names, second definitions, inputs of the wrong type."""
    nodes = nodes_of(model.graph)
    names = [name for node in nodes for name in (*node.input, *node.output)] + ["", "nowhere"]
    for node in rng.sample(nodes, min(len(nodes), rng.choice([1, 3]))):
        slots = node.output if rng.random() < 0.3 else node.input
        if slots and rng.random() < 0.8:
            slots[rng.randrange(len(slots))] = rng.choice(names)
        elif slots and rng.random() < 0.5:
            del slots[rng.randrange(len(slots)) :]
        else:
            slots.append(rng.choice(names))


def other_operators(model: Any, rng: random.Random) -> None:
    nodes = nodes_of(model.graph)
    for node in rng.sample(nodes, min(len(nodes), rng.choice([1, 2, 5]))):
        node.op_type = rng.choice(OPS)
        if rng.random() < 0.1:
            node.domain = rng.choice(["com.microsoft", "ai.onnx.ml", "nowhere", "\u00e9"])


def other_attributes(model: Any, rng: random.Random) -> None:
    """Attributes of another type or value, renamed, repeated or gone."""
    nodes = [node for node in nodes_of(model.graph) if node.attribute]
    every = [attribute for node in nodes for attribute in node.attribute]
    for node in rng.sample(nodes, min(len(nodes), rng.choice([1, 3]))):
        attribute = rng.choice(node.attribute)
        deed = rng.randrange(6)
        if deed == 0:
            attribute.type = rng.choice([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
        elif deed == 1:
            attribute.i, attribute.f = rng.choice(NUMBERS), rng.choice(FLOATS)
        elif deed == 2:
            attribute.ints[:] = [rng.choice(NUMBERS) for _ in range(rng.randrange(5))]
        elif deed == 3:
            attribute.s = rng.choice([b"", b"SAME_UPPER", b"\xff\0", b"reflect", b"max"])
        elif deed == 4:
            attribute.name = rng.choice(every).name
        else:
            # By its bytes: it may lie inside the one it replaces.
            attribute.ParseFromString(rng.choice(every).SerializeToString())


def other_tensors(model: Any, rng: random.Random) -> None:
    """Initializers of other shape, type or content; also values that calculation trips over."""
    tensors = list(model.graph.initializer)
    tensors += [a.t for node in nodes_of(model.graph) for a in node.attribute if a.HasField("t")]
    for tensor in rng.sample(tensors, min(len(tensors), rng.choice([1, 3]))):
        deed = rng.randrange(5)
        if deed == 0:
            tensor.dims[:] = [rng.choice([*NUMBERS, 4, 5, 8]) for _ in range(rng.randrange(5))]
        elif deed == 1:
            tensor.data_type = rng.randrange(32)
        elif deed == 2 and tensor.raw_data:
            tensor.raw_data = rng.randbytes(len(tensor.raw_data))
        elif deed == 3:
            tensor.CopyFrom(rng.choice(tensors))
        else:
            other = numpy_helper.from_array(_array(rng), tensor.name)
            tensor.CopyFrom(other)


def _array(rng: random.Random) -> Any:
    import numpy as np

    shape = tuple(rng.choice([0, 1, 2, 3, 8]) for _ in range(rng.randrange(5)))
    kind = rng.choice(["f4", "f2", "f8", "i8", "i4", "u1", "?"])
    source = FLOATS if kind.startswith("f") else [0, 1, 2, 100]
    with np.errstate(all="ignore"):
        return np.array([rng.choice(source) for _ in range(int(np.prod(shape)))], "f8").reshape(shape).astype(kind)


def other_types(model: Any, rng: random.Random) -> None:
    """Declared types and shapes that are not so."""
    graph = model.graph
    infos = [*graph.input, *graph.output, *graph.value_info]
    for info in rng.sample(infos, min(len(infos), rng.choice([1, 3]))):
        tensor = info.type.tensor_type
        deed = rng.randrange(4)
        if deed == 0:
            info.ClearField("type")
        elif deed == 1:
            tensor.elem_type = rng.randrange(32)
        elif deed == 2:
            tensor.ClearField("shape")
        else:
            dim = tensor.shape.dim.add()
            dim.dim_value = rng.choice(NUMBERS)


def other_frame(model: Any, rng: random.Random) -> None:
    """Opsets, the order of nodes, the interface of the graph."""
    deed = rng.randrange(5)
    graph = model.graph
    if deed == 0 and model.opset_import:
        model.opset_import[0].version = rng.choice([*range(1, 28), *NUMBERS])
    elif deed == 1:
        nodes = list(graph.node)
        rng.shuffle(nodes)
        del graph.node[:]
        graph.node.extend(nodes)
    elif deed == 2 and graph.node:
        del graph.node[rng.randrange(len(graph.node))]
    elif deed == 3 and graph.node:
        names = [name for node in graph.node for name in node.output]
        graph.output.add(name=rng.choice(names or [""]))
    else:
        graph.ClearField(rng.choice(["input", "output", "initializer", "value_info", "node"]))


def new_functions(model: Any, rng: random.Random) -> None:
    """Some nodes become a local function under the name of one of the operators."""
    nodes = list(model.graph.node)
    if not nodes:
        return
    picked = rng.sample(nodes, min(len(nodes), rng.choice([1, 3])))
    called = rng.choice(nodes)
    function = model.functions.add(name=called.op_type, domain=rng.choice(["", "local"]))
    function.node.extend(picked)
    function.input.extend(picked[0].input)
    function.output.extend(picked[-1].output)
    function.opset_import.extend(model.opset_import)
    called.domain = function.domain


BYTES: list[Callable[[bytearray, random.Random], None]] = [flip, cut, insert, repeat, splice]
MESSAGES: list[Callable[[Any, random.Random], None]] = [
    *(rewire, other_operators, other_attributes, other_tensors, other_types, other_frame, new_functions)
]


def damaged_bytes(rng: random.Random) -> bytes:
    data = bytearray(rng.choice(MODELS))
    for _ in range(rng.choice([1, 1, 2, 4])):
        rng.choice(BYTES)(data or bytearray(b"\0"), rng)
    return bytes(data)


def damaged_message(rng: random.Random) -> bytes:
    model = onnx.ModelProto.FromString(rng.choice(MODELS))
    for _ in range(rng.choice([1, 1, 2, 3, 6])):
        rng.choice(MESSAGES)(model, rng)
    data = bytearray(model.SerializeToString())
    if rng.random() < 0.1:
        flip(data, rng)
    return bytes(data)


def damaged_text(rng: random.Random) -> str:
    data = bytearray(rng.choice(TEXTS).encode())
    for _ in range(rng.choice([1, 2, 4])):
        rng.choice([flip, cut, repeat])(data or bytearray(b" "), rng)
    return data.decode("utf-8", "replace")


class Endless(BaseException):
    """A case takes longer than it may. No `Exception`, which the engine would take for a rule's."""


def stop(signal_number: int, frame: object) -> None:
    raise Endless


def sound(graph: Graph) -> None:
    """What everybody relies on: producers before users, constants without producer, a place for each node."""
    place = graph.position
    assert len(place) == len(graph.nodes)
    for node in graph.nodes:
        assert node.loc.path and node.attrs is not None
        for value in node.inputs:
            before = graph.producer(value)
            assert before is None or place[before] < place[node]
            assert before is None or value is None or value.constant is None


def case(seed: int) -> str | None:
    """Run one case; what went wrong, if anything did."""
    signal.signal(signal.SIGALRM, stop)
    signal.alarm(LONGEST)
    try:
        return tried(seed)
    except Endless:
        return f"seed {seed}: takes more than {LONGEST} s\n{traceback.format_exc()}"
    finally:
        signal.alarm(0)


def tried(seed: int) -> str | None:
    rng = random.Random(seed)
    kind = rng.choices(["message", "bytes", "text"], [6, 3, 1])[0]
    try:
        if kind == "text":
            graph = load_text(damaged_text(rng))
        else:
            graph = load_bytes(damaged_message(rng) if kind == "message" else damaged_bytes(rng))
    except TargetError as error:
        return None if str(error) and error.help else f"seed {seed}: an error that says nothing: {error!r}"
    except Exception:
        return f"seed {seed}: the loader failed\n{traceback.format_exc()}"
    training = parse_training(rng.choice(CONTRACTS), str)
    try:
        report = lint(graph, RULES, training)
        sound(graph)
    except Exception:
        return f"seed {seed}: linting failed\n{traceback.format_exc()}"
    shown = [f"{crash.rule.name} at {crash.where}: {crash.error!r}" for crash in report.crashed]
    return f"seed {seed}: rules crashed\n" + "\n".join(shown) if shown else None


@pytest.mark.filterwarnings("error")
def test_damaged_models_crash_nothing() -> None:
    end = monotonic() + SECONDS
    seed, failures = SEED, dict[str, str]()
    while True:
        failure = case(seed)
        if failure is not None:
            # One for each place: the same line failing again says no more.
            failures.setdefault(" ".join(re.findall(r"line \d+, in \w+|at \S+:\d+", failure)[-2:]), failure)
        seed += 1
        if monotonic() >= end or len(failures) >= 10:
            break
    print(f"{seed - SEED} cases from seed {SEED}")
    assert not failures, "\n\n".join(failures.values())


def test_the_damage_is_real_and_repeatable(tmp_path: Path) -> None:
    """Each kind of damage changes models, the same seed makes the same case, and both outcomes occur."""
    seeds = range(40)
    assert [damaged_message(random.Random(seed)) for seed in seeds] == [
        damaged_message(random.Random(seed)) for seed in seeds
    ]
    made = [damaged_bytes(random.Random(seed)) for seed in seeds] + [damaged_message(random.Random(s)) for s in seeds]
    assert sum(data not in MODELS for data in made) > 60
    outcomes = []
    for data in made:
        try:
            outcomes.append(bool(load_bytes(data).defects))
        except TargetError:
            outcomes.append(None)
    assert {True, False, None} == set(outcomes)
