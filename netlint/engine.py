"""Run rules over a graph. Reads no files, prints nothing, knows no rule by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any, TypeVar

from .analyses.contract import contract, misstated
from .analyses.shapes import Shapes, shapes
from .analysis import Analysis, Results, Scope, Unavailable
from .graph import Graph, Location, Node, Value
from .ops import KNOWN_OPS
from .rule import Finding, Level, Rule
from .training import Known, Training

T = TypeVar("T")
D = TypeVar("D")


@dataclass(frozen=True, slots=True)
class Reported:
    """A finding as the report holds it: with its rule, level, place and fingerprint."""

    rule: Rule
    level: Level
    finding: Finding
    loc: Location
    op: str
    writes: tuple[str, ...]
    """Names of the node's results; the node itself is not kept, it would keep the whole graph."""
    context: str
    """The operators around the node and the type of its result, e.g. `Gemm → Softmax → output float32[N, 10]`."""
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """A rule that could not judge (some of) the graph, and why."""

    rule: Rule
    why: str


@dataclass(frozen=True, slots=True)
class Crashed:
    """A rule that failed: a bug of netlint's, or of the plugin the rule comes from."""

    rule: Rule
    error: BaseException


@dataclass(frozen=True, slots=True)
class Report:
    """All there is to say about one target."""

    target: str
    findings: tuple[Reported, ...]
    skipped: tuple[Skipped, ...]
    crashed: tuple[Crashed, ...]
    assumptions: Mapping[str, Known[Any]]
    """The training contract as far as it is known, each field with its origin."""
    misstated: tuple[str, ...]
    """Fields of the contract in the model's metadata that were not understood, with the reason."""
    not_understood: Mapping[str, int]
    """Operators that no analysis knows, with the number of nodes."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Time per rule and analysis."""


def lint(
    graph: Graph,
    rules: Iterable[Rule],
    training: Training,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    target: str = "",
) -> Report:
    """Run the rules over a graph; `options` holds chosen option values by rule name. Never raises for a rule."""
    results = Results(graph, training)
    found: list[tuple[Rule, Finding]] = []
    skipped: list[Skipped] = []
    crashed: list[Crashed] = []
    for rule in rules:
        start = perf_counter()
        scope = Scope(results, f"rule {rule.name}", rule.requires, rule.settings((options or {}).get(rule.name, {})))
        try:
            for finding in rule.run(scope):
                _check(rule, finding)
                found.append((rule, finding))
        except Unavailable as why:
            skipped.append(Skipped(rule, str(why)))
        except Exception as error:
            crashed.append(Crashed(rule, error))
        results.seconds[rule.name] = perf_counter() - start
    return Report(
        target=target,
        findings=_reported(results, found, target),
        skipped=tuple(skipped),
        crashed=tuple(crashed),
        assumptions=_or(results, contract, training).known(),
        misstated=_or(results, misstated, ()),
        not_understood=_not_understood(graph),
        seconds=results.seconds,
    )


def _or(results: Results, wanted: Analysis[T], otherwise: D) -> T | D:
    """What the report itself wants of an analysis; where that fails, rules have reported it."""
    try:
        return results.get(wanted)
    except Exception:
        return otherwise


def _check(rule: Rule, finding: Finding) -> None:
    if finding.level is not None and finding.level not in rule.levels:
        raise ValueError(
            f"rule {rule.name} gives the level {finding.level}, which it does not declare: add it to also="
        )


def _reported(results: Results, found: list[tuple[Rule, Finding]], target: str) -> tuple[Reported, ...]:
    """Findings in graph order, then by code, each with a fingerprint."""
    graph = results.graph
    place = graph.position
    end = len(place)

    def key(entry: tuple[Rule, Finding]) -> tuple[int, str]:
        rule, finding = entry
        return (place.get(finding.at, end) if isinstance(finding.at, Node) else -1, rule.code)

    ordinals = _Ordinals(graph)
    reported = []
    for rule, finding in sorted(found, key=key):
        node = finding.at if isinstance(finding.at, Node) else None
        loc = finding.at.loc if isinstance(finding.at, Node) else finding.at
        op = node.op if node else ""
        parts = (rule.code, target, loc.module or "", op, ordinals.of(node, loc) if node else loc.path)
        entry = Reported(
            rule=rule,
            level=finding.level or rule.level,
            finding=replace(finding, at=loc),
            loc=loc,
            op=op,
            writes=tuple(value.name for value in node.outputs if value is not None) if node else (),
            context=_context(results, node) if node else "",
            fingerprint=_digest(parts),
        )
        reported.append(entry)
    return tuple(reported)


def _context(results: Results, node: Node) -> str:
    graph, known = results.graph, _or(results, shapes, None)
    before = graph.producer(node.input(0)) if node.inputs else None
    steps = [before.op if before else "input", node.op]
    out = node.output()
    users = graph.uses(out)
    steps.append("output" if graph.is_output(out) else users[0].op if users else "nothing")
    more = f" (+{len(users) - 1} more)" if len(users) > 1 else ""
    return f"{' → '.join(steps)}{more}   {_type(known, out)}"


def _type(known: Shapes | None, value: Value | None) -> str:
    shape = known.of(value) if known else None
    dims = "" if shape is None else "[" + ", ".join("?" if dim is None else str(dim) for dim in shape) + "]"
    return ((known.dtype(value) if known else None) or "unknown type") + dims


class _Ordinals:
    """The how-manieth node of its operator within its module a node is. Node names do not matter."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._by_op: dict[str, dict[Node, int]] = {}

    def of(self, node: Node, loc: Location) -> str:
        if node.op not in self._by_op:
            counts: Counter[str] = Counter()
            ordinals = self._by_op[node.op] = {}
            for other in self._graph.of(node.op):
                module = other.loc.module or ""
                ordinals[other] = counts[module]
                counts[module] += 1
        return str(self._by_op[node.op].get(node, 0))


def _digest(parts: Iterable[str]) -> str:
    from hashlib import sha256

    return sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _not_understood(graph: Graph) -> dict[str, int]:
    counts = Counter(
        f"{node.domain}::{node.op}".removeprefix("::")
        for node in graph.nodes
        if node.domain or node.op not in KNOWN_OPS
    )
    return dict(counts.most_common())
