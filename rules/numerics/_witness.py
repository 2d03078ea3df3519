"""How these rules prove, and how they tell it: the numbers on the way to the bad one."""

from __future__ import annotations

from collections.abc import Iterator

from netlint.analyses.contract import contract
from netlint.analyses.ranges import Range
from netlint.analyses.reached import Reached, reach
from netlint.analyses.reached.interval import INF, MANY, How, Reach
from netlint.analyses.reached.patterns import guarded_behind
from netlint.analyses.surroundings import surroundings
from netlint.graph import Location, Node, Value
from netlint.ops import RANDOM
from netlint.rule import Claim, Evidence, Scope
from netlint.training import Known

NEEDS = (reach, surroundings, contract)
"""What a rule of this category reads."""
_LONGEST = 8
_LEARNED = ("layers", "that training moves")
_BY = {How.ROUNDED: "by rounding", How.POINT: "for some inputs", How.SOLID: "for many inputs"}
LIMITS = {"float16": 11.09, "bfloat16": 88.72, "float32": 88.72, "float64": 709.78}
"""The largest x whose exponential is finite."""


def behind_where(scope: Scope, node: Node, operand: Value | None) -> str | None:
    """How a message goes on where a Where does not take what a node makes of 0. Empty: there is no such Where. None:
    there is, and nothing is wrong, for no gradient flows back, or 0 is rare."""
    known, around = scope[reach], scope[surroundings]
    if not guarded_behind(scope.graph, known, node, operand):
        return ""
    if known.zero(operand) < How.SOLID or not (around.before_loss(node) and around.passes_gradient(node)):
        return None
    learned = any(around.trained(value) for value in node.inputs)
    return "; a Where does not take that, but the gradient is 0 times infinity all the same" if learned else None


def may_be_checked(known: Reached, node: Node, value: Value | None) -> bool:
    """Whether a node lies behind a branch on data, of which one path was recorded, and takes a single number: the
    branch may be there because of that number."""
    shape = known.shapes.of(value)
    return node.loc.assumed is not None and shape is not None and all(length == 1 for length in shape)


def goes_below(known: Reached, value: Value | None, bound: float = 0.0) -> bool:
    """Whether a value is shown to fall below a number."""
    found, proved = known.of(value), known.ranges.of(value)
    return found is not None and not found.raw and found.lo < bound and proved.lo < bound


def goes_above(known: Reached, value: Value | None, bound: float = 0.0) -> bool:
    """Whether a value is shown to rise above a number."""
    found, proved = known.of(value), known.ranges.of(value)
    return found is not None and not found.raw and found.hi > bound and proved.hi > bound


def never_above(known: Reached, value: Value | None, bound: float = 0.0) -> bool:
    """Whether a value is proved to stay at or below a number, whatever the weights are."""
    found, proved = known.of(value), known.ranges.of(value)
    if found is None or found.raw or found.fixed or not proved.known:
        return False
    return proved.hi <= bound and found.hi <= bound


def limit(known: Reached, value: Value | None, precision: str) -> float:
    """The largest x whose exponential is finite in the type of a value, or in the declared precision."""
    dtype = known.shapes.dtype(value) or "float32"
    lowest = LIMITS.get(dtype, LIMITS["float32"])
    return min(lowest, LIMITS[precision]) if precision in ("float16", "bfloat16") else lowest


def precision(scope: Scope) -> str:
    """The declared arithmetic of the training; empty where nobody has said."""
    declared = scope[contract].precision
    return declared.value if isinstance(declared, Known) else ""


def evidence(scope: Scope, value: Value | None, label: str = "operand") -> tuple[Evidence, ...]:
    """What the operand of a node reaches, what is proved of it, and what that rests on."""
    known = scope[reach]
    found, proved = known.of(value), known.ranges.of(value)
    return tuple(_evidence(scope, found, proved, label))


def _evidence(scope: Scope, found: Reach | None, proved: Range, label: str) -> Iterator[Evidence]:
    if found is not None:
        yield Evidence(f"{label} reaches", str(found))
        names = sorted({_kind(scope, source) for source in found.sources})
        if names:
            yield Evidence("varies with", ", ".join(names))
    yield Evidence(f"{label} is proved to lie in", str(proved) if proved.known else "unknown")
    declared = scope[contract].input_range
    if (proved.assumed or (found is not None and any(s in scope.graph.inputs for s in found.sources))) and isinstance(
        declared, Known
    ):
        yield Evidence("inputs", [declared.value.lo, declared.value.hi], declared.origin)
    if found is not None and any(_kind(scope, source).endswith(_LEARNED) for source in found.sources):
        yield _weights(scope)


def _weights(scope: Scope) -> Evidence:
    """What is assumed of the weights: nothing, unless training is declared to be over."""
    if scope[reach].ranges.any_weights:
        return Evidence("weights", "any finite numbers that training may find")
    stage = scope[contract].stage
    return Evidence("weights", "as stored", stage.origin if isinstance(stage, Known) else "")


def _kind(scope: Scope, source: Value) -> str:
    if source is MANY:
        return "many layers"
    producer = scope.graph.producer(source)
    if producer is None:
        return "inputs of the model"
    if producer.op in RANDOM:
        return "chance"
    return "weights that training moves"


def chain(scope: Scope, value: Value | None) -> tuple[tuple[str, Location], ...]:
    """The nodes from a value back to a layer or an input, each with what it reaches."""
    known, steps = scope[reach], []
    for _ in range(_LONGEST):
        found, node = known.of(value), scope.graph.producer(value)
        if node is None or found is None:
            break
        how = f", 0 {_BY[found.zero]}" if found.zero and found.lo < INF else ""
        source = " (its weights are trained)" if known.layer(node) is not None else ""
        steps.append((f"{node.op} reaches {found}{how}{source}", node.loc))
        if known.layer(node) is not None or found.via is None or found.via is value:
            break
        value = found.via
    return tuple(steps)


def claim(scope: Scope, value: Value | None) -> Claim | None:
    """The interval that the value is proved to lie in, for a run to corroborate."""
    proved = scope[reach].ranges.of(value)
    return None if value is None or not proved.known else Claim(value, proved.lo, proved.hi)


def how(zero: How) -> str:
    """How 0 is reached, for a message."""
    return _BY[zero]
