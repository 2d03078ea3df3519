"""Run rules over a graph. Reads no files, prints nothing, knows no rule by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from traceback import walk_tb
from typing import Any, TypeVar

from .analyses.contract import contract, misstated
from .analyses.ranges import ranges
from .analyses.shapes import shapes
from .analyses.suppressions import IGNORE
from .analysis import Analysis, Results, Scope, Unavailable
from .graph import Graph, Location, Node
from .neighbourhood import Pictures
from .ops import KNOWN_OPS
from .probe.summary import corroborated, summary
from .reported import Crashed, Cut, Report, Reported, Skipped
from .rule import Evidence, Finding, Level, Rule
from .training import Training

_MACHINERY = (__name__, Scope.__module__)

T = TypeVar("T")
D = TypeVar("D")


def lint(
    graph: Graph,
    rules: Iterable[Rule],
    training: Training,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    target: str = "",
    given: Mapping[Analysis[Any], Any] | None = None,
) -> Report:
    """Run the rules over a graph; `options` holds chosen option values by rule name. Never raises for a rule.

    `given` holds results of analyses that are known beforehand.
    """
    results = Results(graph, training, given or {})
    found: list[tuple[Rule, Finding]] = []
    skipped: list[Skipped] = []
    crashed: list[Crashed] = []
    for rule in rules:
        scope = Scope(results, f"rule {rule.name}", rule.requires, rule.settings((options or {}).get(rule.name, {})))
        try:
            with results.clock.running("rule", rule.name):
                for finding in rule.run(scope):
                    _check(rule, finding)
                    found.append((rule, finding))
        except Unavailable as why:
            skipped.append(Skipped(rule, str(why)))
        except Exception as error:
            crashed.append(Crashed(rule, error, _where(error, rule)))
    for crash in crashed:
        crash.error.with_traceback(None)  # its frames would keep the whole graph
    return _report(results, target, found, skipped, crashed)


def _report(
    results: Results,
    target: str,
    found: list[tuple[Rule, Finding]],
    skipped: Iterable[Skipped],
    crashed: Iterable[Crashed],
) -> Report:
    seen = summary(results)  # runs the model where no rule has, so that findings can be held against it
    return Report(
        target=target,
        findings=_reported(results, found),
        skipped=tuple(skipped),
        crashed=tuple(crashed),
        assumptions=_or(results, contract, results.training).known(),
        misstated=_or(results, misstated, ()),
        not_understood=_not_understood(results.graph),
        cuts=_cuts(results),
        nodes=len(results.graph.nodes),
        probe=seen,
        times=results.clock.spent(),
        lines=frozenset(line for node in results.graph.nodes if (line := node.source) is not None),
        ignore=results.graph.metadata.get(IGNORE, ""),
    )


def _or(results: Results, wanted: Analysis[T], otherwise: D) -> T | D:
    """What the report itself wants of an analysis; where that fails, rules have reported it."""
    try:
        return results.get(wanted)
    except Exception:
        return otherwise


def _where(error: Exception, rule: Rule) -> str:
    """The innermost line in a rule or an analysis: not in the machinery around it, nor in a library that it calls."""
    ours = ("netlint", "netlint_rules", rule.module.partition(".")[0])
    frames = ((frame.f_globals.get("__name__", ""), line) for frame, line in walk_tb(error.__traceback__))
    own = [f"{name}:{line}" for name, line in frames if name.partition(".")[0] in ours and name not in _MACHINERY]
    return own[-1] if own else rule.module


def _check(rule: Rule, finding: Finding) -> None:
    """Raises TypeError or ValueError for what is no proper finding, so that it counts as a crash of the rule."""
    if not isinstance(finding, Finding):
        raise TypeError(f"rule {rule.name} yields {finding!r}, which is not a Finding")
    if not isinstance(finding.at, Node | Location):
        raise TypeError(f"rule {rule.name} places a finding at {finding.at!r}, which is neither a Node nor a Location")
    if not isinstance(finding.message, str):
        raise TypeError(f"rule {rule.name} gives the message {finding.message!r}, which is not text")
    if finding.level is not None and finding.level not in rule.levels:
        raise ValueError(
            f"rule {rule.name} gives the level {finding.level}, which it does not declare: add it to also="
        )


def _reported(results: Results, found: list[tuple[Rule, Finding]]) -> tuple[Reported, ...]:
    """Findings in graph order, then by code, each with a fingerprint."""
    graph = results.graph
    place = graph.position
    end = len(place)

    def key(entry: tuple[Rule, Finding]) -> tuple[int, str]:
        rule, finding = entry
        return (place.get(finding.at, end) if isinstance(finding.at, Node) else -1, rule.code)

    fingerprints, pictures = _Fingerprints(graph), Pictures(graph, lambda: _or(results, shapes, None))
    return tuple(_entry(results, rule, finding, fingerprints, pictures) for rule, finding in sorted(found, key=key))


def _entry(results: Results, rule: Rule, finding: Finding, fingerprints: _Fingerprints, pictures: Pictures) -> Reported:
    node = finding.at if isinstance(finding.at, Node) else None
    loc = finding.at.loc if isinstance(finding.at, Node) else finding.at
    level = finding.level or rule.level
    if loc.assumed is not None:
        level = min(level, Level.WARNING)  # another path through the model may be sound
        finding = replace(finding, evidence=(*finding.evidence, Evidence("assumed", loc.assumed)))
    finding = corroborated(finding, results)
    return Reported(
        rule=rule,
        level=level,
        finding=replace(finding, at=loc),
        loc=loc,
        op=node.op if node else "",
        writes=tuple(value.name for value in node.outputs if value is not None) if node else (),
        context=_context(results, node) if node else "",
        fingerprint=fingerprints.of(rule, node, loc),
        neighbourhood=pictures.of(node, level),
    )


def _context(results: Results, node: Node) -> str:
    graph, known = results.graph, _or(results, shapes, None)
    before = graph.producer(node.input(0)) if node.inputs else None
    steps = [before.op if before else "input", node.op]
    out = node.output()
    users = graph.uses(out)
    steps.append("output" if graph.is_output(out) else users[0].op if users else "nothing")
    more = f" (+{len(users) - 1} more)" if len(users) > 1 else ""
    return f"{' → '.join(steps)}{more}   {known.describe(out) if known else 'unknown type'}"


class _Fingerprints:
    """What tells the findings of one target apart: rule, module, operator, and the how-manieth of its operator within
    its module the node is. The name of the node does not matter."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._by_op: dict[str, dict[Node, int]] = {}
        self._given: Counter[tuple[str, ...]] = Counter()

    def of(self, rule: Rule, node: Node | None, loc: Location) -> str:
        place = (node.full_op, self._ordinal(node)) if node else ("", loc.path)
        parts = (rule.code, loc.module or "", *place)
        self._given[parts] += 1
        again = self._given[parts]  # several findings of one rule at one place
        return _digest(parts if again == 1 else (*parts, str(again)))

    def _ordinal(self, node: Node) -> str:
        if node.full_op not in self._by_op:
            counts: Counter[str] = Counter()
            ordinals = self._by_op[node.full_op] = {}
            for other in self._graph.of(node.full_op):
                module = other.loc.module or ""
                ordinals[other] = counts[module]
                counts[module] += 1
        return str(self._by_op[node.full_op].get(node, 0))


def _digest(parts: Iterable[str]) -> str:
    from hashlib import sha256

    return sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _cuts(results: Results) -> tuple[Cut, ...]:
    """Where the ranges end, if a rule asked for them."""
    known = results.done(ranges)
    by_op: dict[str, list[Node]] = {}
    for node in known.behind_unknown if known is not None else ():
        by_op.setdefault(node.full_op, []).append(node)
    counts = known.behind_unknown if known is not None else {}
    return tuple(
        Cut(op, nodes[0].loc, len(nodes) - 1, sum(counts[node] for node in nodes)) for op, nodes in by_op.items()
    )


def _not_understood(graph: Graph) -> dict[str, int]:
    counts = Counter(node.full_op for node in graph.nodes if node.full_op not in KNOWN_OPS)
    return dict(counts.most_common())
