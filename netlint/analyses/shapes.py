"""What is known of the shape and element type of every value.

Inference first, declared shapes where it says nothing. Operators are taught in `_shapes_layout` and `_shapes_nn`; for
all others ONNX's own inference is asked, one node at a time, so that graphs of every front end are served.
"""

from __future__ import annotations

from netlint.analysis import Scope, analysis
from netlint.graph import Dim, Shape, Value

from ._shapes_bodies import infer
from ._shapes_engine import Engine

__all__ = ["Shapes", "shapes"]


class Shapes:
    """Shapes, element types and the elements of small integer tensors. Unknown is None."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.contradictions: tuple[tuple[Value, Shape, Shape], ...] = tuple(
            (value, declared, inferred) for value, (declared, inferred) in engine.contradictions.items()
        )
        """Values whose declared shape (second) cannot be: inference, which wins, says the third."""

    def of(self, value: Value | None) -> Shape | None:
        """Length, name of an unknown length, or None for each axis; None as a whole if the rank is unknown."""
        return self._engine.of(value)

    def rank(self, value: Value | None) -> int | None:
        """The number of axes."""
        shape = self._engine.of(value)
        return None if shape is None else len(shape)

    def dtype(self, value: Value | None) -> str | None:
        """The element type, named as in `Value.dtype`."""
        return None if value is None else self._engine.dtypes.get(value) or value.dtype

    def describe(self, value: Value | None, unranked: str = "") -> str:
        """Element type and shape as text, e.g. `float32[N, ?, 10]`; `unranked` stands for an unknown rank."""
        shape = self.of(value)
        dims = unranked if shape is None else "[" + ", ".join("?" if dim is None else str(dim) for dim in shape) + "]"
        return f"{self.dtype(value) or 'unknown type'}{dims}"

    def ints(self, value: Value | None) -> tuple[Dim, ...] | None:
        """The elements of a small integer tensor, flat: number, name of a length, or None; None if not followed.

        Stored constants and what shape arithmetic (Shape, Gather, Mul, Concat …) makes of them and of shapes, up to
        256 elements.
        """
        return self._engine.ints(value)


@analysis()
def shapes(scope: Scope) -> Shapes:
    """The shape of every value of the graph, as far as it can be inferred or is declared."""
    return Shapes(infer(scope.graph))
