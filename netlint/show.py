"""`netlint show`: what the analyses know of a model, or of one value in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from difflib import get_close_matches
from shutil import get_terminal_size

from .analyses.axes import axes
from .analyses.contract import contract
from .analyses.layers import Layer, layers
from .analyses.parameters import parameters
from .analyses.ranges import Range, ranges, training_ranges
from .analyses.roles import Head, roles
from .analyses.shapes import shapes
from .analysis import Results, Unavailable
from .graph import Graph, Node, Value
from .ops import ACTIVATIONS, SOFTMAX
from .probe.stages import passes
from .probe.summary import Summary, summary
from .probe.table import table
from .report.wording import clean
from .training import Known, Training, did_you_mean

_SHOWN_OPS = 12
_SHOWN_USES = 6
_SHOWN_STEPS = 12


class UnknownValue(LookupError):
    """No value or node has that name; the message suggests one."""


def model(graph: Graph, training: Training) -> str:
    """A page about the whole model."""
    return "\n".join(map(clean, _model(Results(graph, training))))


def one(graph: Graph, training: Training, name: str) -> str:
    """A page about the value of that name, or about the first result of the node of that name or path."""
    value = _find(graph, name)
    return "\n".join(map(clean, _value(Results(graph, training), value)))


def runs(graph: Graph, training: Training) -> Summary:
    """What a run of the model shows."""
    found = summary(Results(graph, training))
    assert found is not None
    return found


def probed(found: Summary) -> str:
    """A page about what a run of the model shows, as wide as the terminal."""
    return "\n".join(map(clean, table(found, get_terminal_size().columns).splitlines()))


def _model(results: Results) -> Iterator[str]:
    graph = results.graph
    opsets = ", ".join(f"{domain or 'ai.onnx'} {version}" for domain, version in graph.opset.items())
    yield f"graph '{graph.name}': {len(graph.nodes)} nodes, opset {opsets}"
    for label, values in (("input", graph.inputs), ("output", graph.outputs)):
        yield from (f"{label:9} {value.name}  {_type(results, value)}" for value in values)
    counts = Counter(node.op for node in graph.nodes).most_common()
    more = f", {len(counts) - _SHOWN_OPS} more" if len(counts) > _SHOWN_OPS else ""
    yield "operators " + ", ".join(f"{op} {count}" for op, count in counts[:_SHOWN_OPS]) + more
    found = results.get(layers).all
    kinds = Counter(layer.kind for layer in found)
    yield f"layers    {len(found)} weighted: " + ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    yield from (f"head      {_head(head)}" for head in results.get(roles).heads)
    for name, known in results.get(contract).known().items():
        yield f"contract  {name} = {getattr(known.value, 'name', known.value)} (from {known.origin})"


def _head(head: Head) -> str:
    steps = [node.op for node in head.chain] + ([head.layer.node.op] if head.layer else ["…"])
    return f"{head.value.name} ({head.kind}): {' ← '.join(steps)}"


def _value(results: Results, value: Value) -> Iterator[str]:
    graph = results.graph
    yield f"{value.name}  {_type(results, value)}"
    node = graph.producer(value)
    yield f"from      {_origin(results, value, node)}"
    if node is not None and node.loc.source is not None:
        yield f"source    {node.loc.source[0]}:{node.loc.source[1]}"
    uses = [use.loc.path for use in graph.uses(value)]
    uses = ["output of the model"] * graph.is_output(value) + uses
    shown = ", ".join(uses[:_SHOWN_USES]) + (f", {len(uses) - _SHOWN_USES} more" if len(uses) > _SHOWN_USES else "")
    yield f"read by   {shown or 'nothing'}"
    yield f"batch     {_batch(results, value)}"
    if node is not None:
        yield from _roles(results, node)
    yield from _range(results, value)
    if graph.runner is not None:
        yield f"seen      {_seen(results, value)}"


def _seen(results: Results, value: Value) -> str:
    try:
        found = results.get(passes)
    except Unavailable as why:
        return f"nothing: {why}"
    seen = found.seen.get(value)
    if seen is None:
        return "not watched, or not in the run"
    ends = f"[{seen.lo:.4g}, {seen.hi:.4g}], mean {seen.mean:.3g}, deviation {seen.std:.3g}"
    return f"{ends}, zeros {seen.zeros:.1%}; {found.setup.batch}"


def _range(results: Results, value: Value) -> Iterator[str]:
    """The range with its derivation, one node a line; what it rests on, and what cuts it short."""
    known = results.get(ranges)
    found = known.of(value)
    yield f"range     {found}{_remarks(found)}"
    for node, text in known.why(value)[:_SHOWN_STEPS]:
        yield f"          {text}  at {node.loc.path}"
    stated = results.training.input_range
    if found.assumed and isinstance(stated, Known):
        yield f"          with inputs in {stated.value} (from {stated.origin})"
    lanes = known.channels(value)
    if lanes is not None:
        ends = f"upper ends from {lanes.hi.min():g} on, lower ends up to {lanes.lo.max():g}"
        yield f"channels  {lanes.lo.size} along axis {lanes.axis}: {ends}"
    cut = known.cut(value)
    if cut is not None:
        yield f"          not analysed behind {cut.full_op} at {cut.loc.path}"
    anyhow = results.get(training_ranges).of(value)
    if value.constant is None and (anyhow.lo, anyhow.hi) != (found.lo, found.hi):
        yield f"          {anyhow} for any weights"


def _remarks(found: Range) -> str:
    """What the text of a range leaves out."""
    remarks = ["may be NaN"] * (found.known and found.nan) + ["perhaps not reached"] * (found.known and found.loose)
    return f"  ({', '.join(remarks)})" if remarks else ""


def _origin(results: Results, value: Value, node: Node | None) -> str:
    if node is not None:
        return f"{node.loc.path} ({node.op})"
    if value.constant is not None:
        return "stored in the model"
    return "input of the model" if value in results.graph.inputs else "input of a subgraph"


def _batch(results: Results, value: Value) -> str:
    known = results.get(axes)
    axis = known.batch(value)
    return f"axis {axis}" if axis is not None else known.state(value)


def _roles(results: Results, node: Node) -> Iterator[str]:
    layer = results.get(layers).of(node)
    if layer is not None:
        yield f"layer     {layer.kind}, weight {_weight(results, layer)}"
    elif node.op in ACTIVATIONS or node.op in SOFTMAX:
        known = results.get(roles)
        yield f"role      {known.role(node)}: {known.why(node)}"


def _weight(results: Results, layer: Layer) -> str:
    known = results.get(parameters)
    stored, weight = known.stored(layer.weight), known.parameter(layer.weight)
    name = "computed" if weight is None else weight.name if stored else f"computed of {weight.name}"
    return f"{name}  {_type(results, layer.weight)}"


def _type(results: Results, value: Value) -> str:
    return results.get(shapes).describe(value, unranked="[…]")


def _find(graph: Graph, name: str) -> Value:
    named: dict[str, Value] = {}
    for node in graph.nodes:
        for value in (*node.inputs, *node.outputs):
            if value is not None:
                named.setdefault(value.name, value)
    for value in (*graph.inputs, *graph.outputs):
        named.setdefault(value.name, value)
    if name in named:
        return named[name]
    nodes = {key: node for node in reversed(graph.nodes) for key in node.loc.path.split(" ▸ ")}
    output = nodes[name].output() if name in nodes else None
    if output is not None:
        return output
    near = get_close_matches(name, [*named, *nodes], n=3, cutoff=0.5)
    hint = did_you_mean(near, ()) if near else "; `netlint show` without a name tells the model's inputs and outputs"
    raise UnknownValue(clean(f"no value or node is named '{name}'{hint}"))
