"""Shapes into and out of the bodies of If, Loop and Scan."""

from __future__ import annotations

from collections.abc import Iterator

from netlint.graph import Body, Dim, Graph, Node, Shape, Value

from ._shapes_dims import axis_of, meet
from ._shapes_engine import Engine

_ATTEMPTS = 4
"""Times a body is gone through before the shapes it carries count as unknown."""


def infer(graph: Graph) -> Engine:
    """Everything about a graph, bodies included."""
    engine = Engine(graph)
    if any(node.bodies for node in graph.nodes):
        _Bodies(engine).run()
    else:
        for node in graph.nodes:
            engine.visit(node)
    return engine


class _Bodies:
    """Goes through a graph with bodies: binds their formal inputs, and repeats those whose shapes change."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        nodes = engine.graph.nodes
        self._holders: dict[Node, list[Node]] = {}
        """First node of a body -> the holders whose formal inputs are due, outermost first."""
        for node in reversed(nodes):
            first = next((inner for body in node.bodies.values() for inner in _flat(body)), node)
            if node.op in ("Loop", "Scan"):
                self._holders.setdefault(first, []).append(node)
        self._repeating: set[Node] = set()
        # Nested loops multiply repetitions; past this many visits, carried shapes count as unknown at once.
        self._visits_left = 4 * len(nodes)

    def run(self) -> None:
        for node in self._engine.graph.nodes:
            self._step(node)

    def _step(self, node: Node) -> None:
        for holder in self._holders.get(node, ()):
            if holder not in self._repeating:
                self._bind(holder)
        if node.op == "If" and node.bodies:
            self._if(node)
        elif node.op in ("Loop", "Scan") and "body" in node.bodies:
            self._repeat(node)
            self._finish(node)
        else:
            self._engine.visit(node)

    def _if(self, node: Node) -> None:
        engine = self._engine
        bodies = [node.bodies.get("then_branch"), node.bodies.get("else_branch")]
        condition = engine.elements(node.input(0))
        if condition is not None and condition.size == 1 and condition.reshape(-1)[0] is not None:
            bodies = [bodies[0] if condition.reshape(-1)[0] else bodies[1]]
        for nth, out in enumerate(node.outputs):
            results = [body.outputs[nth] if body is not None and nth < len(body.outputs) else None for body in bodies]
            self._join(out, results)

    def _join(self, out: Value | None, results: list[Value | None]) -> None:
        engine = self._engine
        shapes, dtypes = [engine.of(value) for value in results], {engine.dtype(value) for value in results}
        engine.settle(out, shapes[0] if len(shapes) == 1 else meet(shapes[0], shapes[1]))
        if out is not None and len(dtypes) == 1:
            engine.dtypes[out] = dtypes.pop()
        if out is not None and len(results) == 1 and engine.elements(results[0]) is not None:
            engine.known_elements[out] = engine.elements(results[0])

    def _bind(self, holder: Node) -> None:
        """Let the formal inputs start with the shapes that go in first."""
        engine, body = self._engine, holder.bodies.get("body")
        if body is None:
            return
        for nth, formal in enumerate(body.inputs):
            dtype, shape = self._initial(holder, nth, len(body.inputs))
            engine.settle(formal, shape)
            engine.dtypes[formal] = dtype or formal.dtype

    def _initial(self, holder: Node, nth: int, count: int) -> tuple[str | None, Shape | None]:
        engine = self._engine
        if holder.op == "Loop":
            if nth < 2:
                # By the specification scalars; some exporters declare [1], which then stands.
                declared = holder.bodies["body"].inputs[nth].shape
                return ("int64", "bool")[nth], declared if declared is not None else ()
            value = holder.input(nth)
            return engine.dtype(value), engine.of(value)
        value = holder.input(nth)
        shape = engine.of(value)
        scanned = nth - (count - holder.attrs.get("num_scan_inputs", 0))
        if engine.opset < 9 or shape is None:
            return engine.dtype(value), None
        if scanned >= 0:
            axis = _axis(holder, "scan_input_axes", scanned, len(shape))
            shape = None if axis is None else shape[:axis] + shape[axis + 1 :]
        return engine.dtype(value), shape

    def _repeat(self, holder: Node) -> None:
        """Go through the body until the shapes it hands on fit those it took in."""
        body = holder.bodies["body"]
        inner = list(_flat(body))
        for attempt in range(_ATTEMPTS):
            if not self._widen(holder, body, give_up=attempt == _ATTEMPTS - 2 or self._visits_left <= 0):
                return
            self._visits_left -= len(inner)
            if self._visits_left < 0:
                for node in inner:
                    self._engine.forget(node)
                return
            self._repeating.add(holder)
            for node in inner:
                for out in node.outputs:
                    self._engine.known_elements.pop(out, None)  # type: ignore[arg-type]
                self._step(node)
            self._repeating.discard(holder)

    def _widen(self, holder: Node, body: Body, give_up: bool) -> bool:
        """Loosen the carried formal inputs that the body changes; True if there were any."""
        engine, changed = self._engine, False
        for formal, result in _carried(holder, body):
            taken = engine.of(formal)
            fits = meet(taken, engine.of(result))
            if taken is not None and fits != taken:
                engine.shapes[formal] = None if give_up else fits
                changed = True
        return changed

    def _finish(self, holder: Node) -> None:
        engine, body = self._engine, holder.bodies["body"]
        carried = _carried(holder, body)
        skip = 1 if holder.op == "Loop" else 0
        for nth, out in enumerate(holder.outputs):
            result = body.outputs[skip + nth] if skip + nth < len(body.outputs) else None
            if nth < len(carried):
                # Before opset 9 a Scan has a batch axis that its body does not see.
                batched = holder.op == "Scan" and engine.opset < 9
                engine.settle(out, None if batched else engine.of(carried[nth][0]))
            else:
                engine.settle(out, self._stacked(holder, nth - len(carried), engine.of(result)))
            if out is not None and engine.dtype(result) is not None:
                engine.dtypes[out] = engine.dtype(result)

    def _stacked(self, holder: Node, nth: int, shape: Shape | None) -> Shape | None:
        """A result collected over all iterations."""
        if shape is None or (holder.op == "Scan" and self._engine.opset < 9):
            return None
        if holder.op == "Loop":
            return (None, *shape)
        axis = _axis(holder, "scan_output_axes", nth, len(shape) + 1)
        return None if axis is None else (*shape[:axis], self._steps(holder), *shape[axis:])

    def _steps(self, holder: Node) -> Dim:
        scanned = holder.attrs.get("num_scan_inputs", 0)
        shape = self._engine.of(holder.inputs[-scanned]) if 0 < scanned <= len(holder.inputs) else None
        axis = _axis(holder, "scan_input_axes", 0, len(shape)) if shape is not None else None
        return None if shape is None or axis is None else shape[axis]


def _carried(holder: Node, body: Body) -> list[tuple[Value, Value | None]]:
    """Formal input and result of each value that goes from one iteration to the next."""
    if holder.op == "Loop":
        return list(zip(body.inputs[2:], body.outputs[1:], strict=False))
    count = len(body.inputs) - holder.attrs.get("num_scan_inputs", 0)
    return list(zip(body.inputs[: max(count, 0)], body.outputs, strict=False))


def _axis(holder: Node, name: str, nth: int, rank: int) -> int | None:
    axes = holder.attrs.get(name)
    return axis_of(axes[nth] if isinstance(axes, tuple) and nth < len(axes) else 0, rank)


def _flat(body: Body) -> Iterator[Node]:
    for node in body.nodes:
        for inner in node.bodies.values():
            yield from _flat(inner)
        yield node
