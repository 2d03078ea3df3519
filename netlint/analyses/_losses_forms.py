"""Which loss a sum of products is: distances, likelihoods, margins, overlaps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from netlint.graph import ONNX, Graph, Node, Value

from ._idioms import number, rectifier_floor
from ._losses_idioms import difference, rescaled, unguarded
from ._losses_terms import Expansion, Factor, Term
from ._squash import logistic
from .parameters import Parameters

_MAX_INNER = 4
_MAX_ELEMENTWISE = 16
_INNER = frozenset({"Sqrt", "Pow", "Clip", "Relu", "Max", "Min", "Where", "Div", "Mul", "Exp"})
_ELEMENTWISE = _INNER | frozenset({"Abs", "Neg", "Add", "Sub", "Log", "Identity", "Cast", "Softplus"})
_LOGARITHMS = ("log", "log-softmax", "softplus")
_DISTANCES = {"square": "mse_loss", "abs": "l1_loss"}
_REDUCED = frozenset({"ReduceSumSquare", "ReduceL1", "ReduceL2"})


@dataclass(frozen=True, slots=True)
class Found:
    """A loss by its structure."""

    name: str
    predictions: Value
    targets: Value | None


@dataclass(frozen=True, slots=True)
class _Log:
    """The logarithm of a probability in a term: of the probability `base`, or of sigmoid(`base`)."""

    term: Term
    base: Value
    of: Value
    flipped: bool
    """Whether it is log(1 - p)."""
    form: str
    """`probability`, `sigmoid` (its result is at hand), `logit` (computed from the logit), `log-softmax`."""
    falls: bool
    """Whether the loss falls as the probability grows."""
    picked: Value | None


class Forms:
    """Looks for losses in the terms of a scalar."""

    def __init__(
        self, graph: Graph, known: Parameters, learned: Callable[[Value], bool], claimed: frozenset[Node]
    ) -> None:
        self._graph = graph
        self._known = known
        self._learned = learned
        self._terms = Expansion(graph, known, learned, claimed)
        self._seen: set[tuple[Value, bool]] = set()

    def of(self, value: Value, sign: float = 1.0, summed: bool = False, depth: int = _MAX_INNER) -> Iterator[Found]:
        """The losses that a value adds up, each with what it reads; those that were found before are left out."""
        if (value, sign > 0) in self._seen:
            return
        self._seen.add((value, sign > 0))
        terms = [Term(sign * term.sign, term.factors, summed or term.summed) for term in self._terms.of(value)]
        yield from self._distances(terms)
        yield from self._likelihoods(terms)
        for term in terms:
            for factor in term.factors:
                if factor.kind == "value" and factor.node is not None and depth > 0:
                    yield from self._inside(term, factor.node, depth)

    def _inside(self, term: Term, node: Node, depth: int) -> Iterator[Found]:
        """A loss that a root, a power, a mask or a margin changes once more."""
        if node.domain != ONNX or node.op not in _INNER:
            return
        found = self._margin(term, node) or self._overlap(term, node) or self._huber(term, node)
        if found is not None:
            yield found
            return
        inner = node.inputs[:1] if node.op in ("Div", "Pow", "Clip") else node.inputs[-2:]
        for value in inner:
            if value is not None and not self._known.constant(value):
                yield from self.of(value, term.sign, term.summed, depth - 1)

    # -- distances

    def _distances(self, terms: Iterable[Term]) -> Iterator[Found]:
        found: list[Found] = []
        for term in terms:
            for factor in term.factors:
                own = factor.node is not None and factor.node.op in _REDUCED
                if factor.kind in _DISTANCES and term.sign > 0 and (term.summed or own):
                    made = self._graph.producer(factor.of)
                    name = "huber_loss" if made is not None and made.op == "Min" else _DISTANCES[factor.kind]
                    found.extend(self._distance(name, factor.of))
        # A square that is cut off goes on as an absolute value.
        cut = {(one.predictions, one.targets) for one in found if one.name == "huber_loss"}
        yield from (one for one in found if one.name == "huber_loss" or (one.predictions, one.targets) not in cut)

    def _distance(self, name: str, value: Value | None) -> Iterator[Found]:
        pair = difference(self._graph, self._known, value)
        if pair is None:
            return  # the distance to a constant is a penalty, not an error
        one, other = pair
        if self._learned(one) != self._learned(other):
            yield Found(name, one, other) if self._learned(one) else Found(name, other, one)

    def _huber(self, term: Term, node: Node) -> Found | None:
        """`square where the difference is small, else its absolute value`."""
        if node.op != "Where" or term.sign < 0 or not term.summed:
            return None
        test = self._graph.producer(node.input(0))
        small = next((v for v in test.inputs if not self._known.constant(v)), None) if test is not None else None
        branches = [self._made_of(v, small) for v in node.inputs[1:3] if v is not None and small is not None]
        return next(self._distance("huber_loss", small), None) if len(branches) == 2 and all(branches) else None

    # -- margins and overlaps

    def _margin(self, term: Term, node: Node) -> Found | None:
        """max(0, 1 - t x)."""
        if node.op not in ("Relu", "Clip", "Max") or term.sign < 0:
            return None
        inner = next((v for v in node.inputs if v is not None and not self._known.constant(v)), None)
        if inner is None or rectifier_floor(self._graph, self._known, node) != 0.0:
            return None
        terms = self._terms.of(inner)
        products = [found for one in terms if one.sign < 0 and (found := self._linear(one)) is not None]
        if len(terms) != 2 or len(products) != 1 or not any(one.sign > 0 and not one.factors for one in terms):
            return None
        return Found("hinge_loss", products[0][0], products[0][1])

    def _overlap(self, term: Term, node: Node) -> Found | None:
        """Minus 2 sum(p t) / (sum(p) + sum(t)), with or without squares below."""
        if node.op != "Div" or term.sign > 0 or (above := node.input(0)) is None or (below := node.input(1)) is None:
            return None
        totals = {factor.of for one in self._terms.of(below) if len(one.factors) == 1 for factor in one.factors}
        for one in self._terms.of(above):
            found = self._linear(one) if one.summed else None
            if found is not None and found[0] in totals and found[1] in totals:
                return Found("dice_loss", *found)
        return None

    def _linear(self, term: Term, logs: Iterable[_Log] = ()) -> tuple[Value, Value | None] | None:
        """(x, t) of a product of one learned value and others that are not; other learned ones may weigh the logits
        of `logs`."""
        learned, plain = self._split(term)
        bases = {log.base for log in logs}
        learned = [factor for factor in learned if factor.of in bases] if len(learned) > 1 else learned
        if len(learned) != 1 or learned[0].kind != "value" or not plain:
            return None
        return learned[0].of, _only(plain)

    def _split(self, term: Term) -> tuple[list[Factor], list[Value]]:
        """The learned factors, and the values of the others that are computed."""
        learned = [factor for factor in term.factors if self._learned(factor.of)]
        others = [factor for factor in term.factors if factor not in learned]
        return learned, [factor.of for factor in others if not self._known.constant(factor.of)]

    # -- likelihoods

    def _likelihoods(self, terms: list[Term]) -> Iterator[Found]:
        logs = [log for term in terms for factor in term.factors if (log := self._log(term, factor)) is not None]
        done: set[Value] = set()
        for term in terms:
            linear = self._linear(term, logs) if term.sign < 0 and term.summed else None
            if linear is not None and linear[0] not in done and (name := self._of_linear(*linear, terms, logs)):
                done.add(linear[0])
                yield Found(name, *linear)
        for log in logs:
            found = self._of_exponential(log)
            if found is not None:
                done.add(log.base)
                yield found
        for base in dict.fromkeys(log.base for log in logs):
            if base not in done:
                yield from self._of_logs([log for log in logs if log.base is base], terms)

    def _log(self, term: Term, factor: Factor) -> _Log | None:
        if factor.kind not in _LOGARITHMS or not self._learned(factor.of) or not term.summed:
            return None
        if factor.kind == "log-softmax":
            return _Log(term, factor.of, factor.of, False, factor.kind, term.sign < 0, factor.picked)
        if factor.kind == "softplus":  # -log sigmoid(-y)
            x, turned = self._logit(factor.of)
            odds = self._graph.producer(self._logit(x)[0])
            if odds is not None and odds.op == "ReduceLogSumExp":
                return (
                    None  # of one class against the others: a cross-entropy over classes, whose logits are further up
                )
            return _Log(term, x, x, not turned, "logit", term.sign > 0, None)
        p, flipped = self._probability(factor.of)
        node = self._graph.producer(p)
        logit = logistic(self._graph, self._known, node) if node is not None else None
        if logit is None:
            return _Log(term, p, p, flipped, "probability", term.sign < 0, factor.picked)
        x, turned = self._logit(logit)
        form = "logit" if turned else "sigmoid"
        return _Log(term, x, p, flipped != turned, form, term.sign < 0, factor.picked)

    def _probability(self, value: Value) -> tuple[Value, bool]:
        """(p, False) of p, (p, True) of 1 - p or -p + 1."""
        node = self._graph.producer(value)
        if node is None or number(self._graph, self._known, node.input(0 if node.op == "Sub" else 1)) != 1.0:
            return value, False
        p = node.input(1) if node.op == "Sub" else None
        neg = self._graph.producer(node.input(0)) if node.op == "Add" else None
        p = neg.input(0) if neg is not None and neg.op == "Neg" else p
        bare = rescaled(self._graph, unguarded(self._graph, self._known, p))
        return (bare, True) if bare is not None else (value, False)

    def _logit(self, value: Value) -> tuple[Value, bool]:
        """(x, True) of -x."""
        node = self._graph.producer(value)
        inner = node.input(0) if node is not None and node.op == "Neg" else None
        return (inner, True) if inner is not None else (value, False)

    def _of_linear(self, x: Value, targets: Value | None, terms: list[Term], logs: list[_Log]) -> str:
        """What a term -t x belongs to, by what stands beside it; empty if nothing known."""
        if any(log.base is x if log.form != "probability" else self._made_of_exp(log.of, x) for log in logs):
            return "binary_cross_entropy_with_logits"
        others = [factor for term in terms if term.sign > 0 for factor in term.factors]
        if any(self._is_exp(factor, x) for factor in others):
            return "poisson_nll_loss"
        return "kl_div" if targets is not None and self._entropy(targets, terms) else ""

    def _of_logs(self, logs: list[_Log], terms: list[Term]) -> Iterator[Found]:
        """A cross-entropy over units, if p and 1 - p both appear; else one over classes, or a divergence."""
        first = logs[0]
        plain = [self._split(log.term)[1] for log in logs]
        targets = _only(_apart(plain))
        if any(log.flipped for log in logs) and not all(log.flipped for log in logs):
            if any(log.falls and not log.flipped for log in logs):
                one = next((log for log in logs if log.form != "logit"), None)
                bare = one is None or any(log.form == "logit" for log in logs)
                name = "binary_cross_entropy_with_logits" if bare else "binary_cross_entropy"
                yield Found(name, first.base if bare or one is None else one.of, targets)
        elif not any(plain) and first.picked is None:
            if first.form in ("logit", "sigmoid") and first.falls and len(self._split(first.term)[0]) == 1:
                yield Found("binary_cross_entropy_with_logits", first.base, None)
        elif first.falls and not first.flipped and first.form != "logit":
            yield self._over_classes(first, targets, terms)

    def _of_exponential(self, log: _Log) -> Found | None:
        """log(1 + exp(-t x)), and log(cosh(x - t))."""
        node = self._graph.producer(log.of)
        if node is None or log.falls or log.form != "probability":
            return None
        if node.op == "Cosh":
            return next(self._distance("log_cosh_loss", node.input(0)), None)
        exp = next((made for value in node.inputs if (made := self._graph.producer(value)) is not None), None)
        if node.op != "Add" or exp is None or exp.op != "Exp" or (inside := exp.input(0)) is None:
            return None
        terms = self._terms.of(inside)
        linear = self._linear(terms[0]) if len(terms) == 1 and terms[0].sign < 0 else None
        return Found("soft_margin_loss", *linear) if linear is not None else None

    def _over_classes(self, log: _Log, targets: Value | None, terms: list[Term]) -> Found:
        diverges = targets is not None and self._entropy(targets, terms)
        if log.form == "log-softmax":
            name = "kl_div" if diverges else "nll_loss"
        else:
            name = "kl_divergence" if diverges else "categorical_cross_entropy"
        return Found(name, log.of, log.picked or targets)

    def _entropy(self, targets: Value, terms: Iterable[Term]) -> bool:
        """Whether +t log t stands among the terms, or +exp(t) t where t already is a logarithm."""
        for term in terms:
            if (
                term.sign > 0
                and not self._split(term)[0]
                and any(factor.of is targets or self._holds_log_of(factor, targets) for factor in term.factors)
            ):
                return True
        return False

    def _holds_log_of(self, factor: Factor, targets: Value) -> bool:
        """t log t as frameworks write it, 0 where t is 0."""
        return factor.node is not None and factor.node.op == "Where" and self._made_of(factor.of, targets)

    def _is_exp(self, factor: Factor, x: Value) -> bool:
        return factor.node is not None and factor.node.op == "Exp" and factor.node.input(0) is x

    def _made_of_exp(self, value: Value, x: Value) -> bool:
        """Whether elementwise operators make a value of exp(x), exp(-|x|) and the like, as in log(1 + exp(-|x|))."""
        inside = [(exp.input(0), exp.output()) for exp in self._graph.of("Exp")]
        return any(y is not None and self._made_of(y, x) and self._made_of(value, e) for y, e in inside)

    def _made_of(self, value: Value, source: Value | None) -> bool:
        """Whether elementwise operators make a value of `source`."""
        queue = [value]
        for _, one in zip(range(_MAX_ELEMENTWISE), queue, strict=False):
            if one is source:
                return True
            node = self._graph.producer(one)
            if node is not None and node.op in _ELEMENTWISE and node.domain == ONNX:
                queue.extend(v for v in node.inputs if v is not None and not self._known.constant(v))
        return False


def _apart(products: list[list[Value]]) -> list[Value]:
    """What tells products apart: weights and masks stand in all of them, targets only in some, unless it is one."""
    every = [value for values in products for value in values]
    some = [value for value in every if not all(value in values for values in products)]
    return some or every


def _only(values: list[Value]) -> Value | None:
    """The one value of a list, repetitions aside; None if there are several or none."""
    distinct = dict.fromkeys(values)
    return next(iter(distinct)) if len(distinct) == 1 else None
