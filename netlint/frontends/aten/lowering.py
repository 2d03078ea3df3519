"""Program -> Graph: in-place calls and views are resolved, then every call goes through the table of operators."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from netlint import collector
from netlint.frontends import order
from netlint.graph import Graph, Value

from . import opaque
from .aliases import Cell, View
from .builder import OPSET, Builder, NotLowered
from .calls import Call, Program, Ref
from .names import arguments, bare, entry_of, spread, writes
from .pruning import Pruning
from .table import VIEWS, Entry
from .views import MAYBE_COPIES


def lower(program: Program) -> Graph:
    """The graph of a recording, in ONNX vocabulary; what the table lacks stays `torch.foo` or `aten.foo`."""
    with collector.paused():
        return _Lowering(program).graph()


class _Lowering:
    def __init__(self, program: Program) -> None:
        self._program = program
        self._builder = Builder()
        self._cells: dict[Ref, Cell] = {}
        self._pruning = Pruning(self._builder)
        self._overwritten = {target.storage for call in program.calls if (target := _overwritten(call)) is not None}
        """The memory that some call writes into."""

    def graph(self) -> Graph:
        inputs = [self._define(ref).value for ref in self._program.inputs]
        for value in inputs:
            self._note_lengths(value)
        for call in self._program.calls:
            self._run(call)
        outputs = [self._read(ref) for ref in self._program.outputs]
        nodes = self._pruning.kept(outputs)
        ordered, _ = order.canonical(nodes, outputs, self._builder.producers)
        opset = {"": OPSET} | {node.domain: 1 for node in ordered if node.domain}
        return Graph(
            inputs=tuple(inputs),
            outputs=tuple(outputs),
            nodes=tuple(ordered),
            opset=opset,
            name=self._program.name,
            metadata=self._program.metadata,
        )

    def _define(self, ref: Ref) -> Cell:
        """A tensor that the program did not compute: an input, a parameter, a constant."""
        value = Value(ref.name, ref.dtype, ref.shape, ref.constant, ref.trainable, ref.held)
        self._cells[ref] = cell = Cell(ref, value)
        return cell

    def _note_lengths(self, value: Value) -> None:
        if value.shape is not None:
            for axis, dim in enumerate(value.shape):
                if isinstance(dim, str):
                    self._builder.lengths.setdefault(dim, (value, axis))

    # One call

    def _run(self, call: Call) -> None:
        name, inplace, swapped = bare(call.name)
        entry = entry_of(call, name)
        target = call.kwargs.get("out") if call.kwargs else None
        if inplace or writes(entry, call.args, call.kwargs):
            target = call.args[0] if call.args else next(iter(call.kwargs.values()), None)
        results = list(refs_in(call.result))
        if not results and not isinstance(target, Ref):
            return
        out = results[0] if results else target
        self._pruning.begin(call)
        values = self._evaluate(call, name, entry, swapped, out, target is not None)
        if isinstance(target, Ref):
            value = values[0] if values else None
            if value is not None:
                self._write(target, value, results)
        elif target is None:
            self._bind(call, name, results, values)
        else:  # out= of several tensors
            for written, value in zip(refs_in(target), values, strict=False):
                self._write(written, value, [])
            for ref, written in zip(results, refs_in(target), strict=False):
                self._cells[ref] = self._cell(written)
        self._pruning.end(values)

    def _evaluate(
        self, call: Call, name: str, entry: Entry | None, swapped: bool, out: Ref | None, written: bool = False
    ) -> list[Value]:
        """What the call computes, one value per tensor of its result; as it is, where it will be written somewhere."""
        builder = self._builder
        builder.loc, builder.out, builder.origin = call.loc, out, call.origin
        args = [self._resolved(arg) for arg in call.args]
        if name in _WITHOUT_GRADIENT and self._holds_new(call.args):
            return args
        kwargs = {key: self._resolved(arg) for key, arg in call.kwargs.items()} if call.kwargs else {}
        results: list[Ref | None] = [*refs_in(call.result)] or [out]
        found: list[Value] | None = None
        if entry is not None:
            start = len(builder.nodes)
            try:
                given: Sequence[Any] = (args[1], args[0], *args[2:]) if swapped else args
                named = arguments(kwargs) if kwargs else kwargs
                if named and entry.variadic:
                    given = spread(given, named)
                found = list(values_in(entry.lower(builder, *given, **named)))
                if len(found) < len(results):
                    raise LookupError("too few results")
            except Exception as error:  # arguments the table does not foresee: the call stays as it is
                found = None
                builder.failures.append((name, error))
                builder.forget(start)
        if found is None:
            found = opaque.emit(builder, call, name, args, kwargs, [ref for ref in results if ref is not None])
        return found if written else [self._finished(v, ref) for v, ref in zip(found, results, strict=False)]

    def _holds_new(self, args: Sequence[Any]) -> bool:
        """Whether the argument of a `detach` is a parameter that the program overwrites: what is computed of it and
        put back into it stays a parameter, which learns."""
        ref = args[0] if args else None
        return (
            isinstance(ref, Ref)
            and ref.storage is not None
            and ref.storage in self._overwritten
            and self._cell(ref).base.ref.trainable is True
        )

    def _finished(self, value: Value, ref: Ref | None) -> Value:
        """A value just computed, in the recorded type, with the recorded name and shape."""
        if ref is None or value.name or value not in self._builder.producers:
            return value
        if ref.dtype is not None and value.dtype is not None and ref.dtype != value.dtype:
            value = self._converted(value, ref.dtype)
        value.name = ref.name
        value.dtype = ref.dtype or value.dtype
        if ref.shape is not None:
            value.shape = ref.shape
            self._note_lengths(value)
        return value

    def _converted(self, value: Value, dtype: str) -> Value:
        try:
            return self._builder.cast(value, dtype)
        except NotLowered:  # a type that ONNX lacks
            return value

    def _resolved(self, arg: Any) -> Any:
        """An argument with the current value of each tensor in it."""
        kind = type(arg)
        if kind is Ref:
            return self._read(arg)
        if kind is list or kind is tuple:
            return [self._resolved(item) for item in arg]
        if kind is slice:
            return slice(self._resolved(arg.start), self._resolved(arg.stop), self._resolved(arg.step))
        if kind is dict:
            return {key: self._resolved(item) for key, item in arg.items()}
        return arg

    # Memory

    def _cell(self, ref: Ref) -> Cell:
        return self._cells.get(ref) or self._define(ref)

    def _read(self, ref: Ref) -> Value:
        cell = self._cell(ref)
        if not cell.fresh:
            self._refresh(cell)
        self._pruning.read.add(cell.value)
        return cell.value

    def _refresh(self, cell: Cell) -> None:
        """Compute a view again after its base was written."""
        stale: list[Cell] = []
        while not cell.fresh and cell.view is not None:
            stale.append(cell)
            cell = cell.view.parent
        for old in reversed(stale):
            if not old.fresh and old.view is not None:
                self._again(old, old.view)

    def _again(self, cell: Cell, view: View) -> None:
        builder = self._builder
        saved = builder.loc, builder.out, builder.origin
        if view.sure:
            call = view.call
            name, _, swapped = bare(call.name)
            results = list(refs_in(call.result))
            values = self._evaluate(call, name, entry_of(call, name), swapped, results[0])
            for ref, value in zip(results, values, strict=False):
                self._cells[ref].set(value)
        if not cell.fresh:
            cell.set(opaque.unsure(builder, cell.ref, cell.value, view.parent.value))
        builder.loc, builder.out, builder.origin = saved

    def _bind(self, call: Call, name: str, results: Sequence[Ref], values: Sequence[Value]) -> None:
        """Note where the results of a call lie."""
        source = self._source(call, name, results)
        for place, (ref, value) in enumerate(zip(results, values, strict=False)):
            view = None
            if source is not None:
                known = ref.storage is not None and source.ref.storage is not None
                shared = ref.storage == source.ref.storage if known else ref.dtype == source.ref.dtype
                if shared:
                    sure = known or name not in MAYBE_COPIES
                    view = View(call, source, VIEWS.get(name), place, sure)
            self._cells[ref] = Cell(ref, value, view)

    def _source(self, call: Call, name: str, results: Sequence[Ref]) -> Cell | None:
        """The tensor that the results may be views of."""
        if name in VIEWS:
            first = call.args[0] if call.args else next(iter(call.kwargs.values()), None)
            return self._cells.get(first) if isinstance(first, Ref) else None
        storage = results[0].storage
        if storage is None:
            return None
        lying = (ref for ref in refs_in([*call.args, *call.kwargs.values()]) if ref.storage == storage)
        first = next(lying, None)
        return None if first is None else self._cells.get(first)

    def _write(self, target: Ref, value: Value, results: Sequence[Ref]) -> None:
        """Let a tensor, and the base it is a view of, hold a value."""
        cell = self._cell(target)
        if value is cell.value and cell.fresh:  # `detach_` and the like
            self._cells.update(dict.fromkeys(results, cell))
            return
        value = self._fitted(cell, value, results[0] if results and results[0].shape is not None else cell.ref)
        path = [(cell, value)]
        while (view := cell.view) is not None:
            cell, value = view.parent, self._through(view, value)
            path.append((cell, value))
        cell.version += 1
        for written, held in path:
            written.set(held)
        if cell.ref.constant is not None and cell.ref.trainable is not True:
            self._pruning.updates_buffer()
        for ref in results:
            self._cells[ref] = path[0][0]

    def _fitted(self, cell: Cell, value: Value, ref: Ref) -> Value:
        """A computed value in the type and shape of the tensor that it is written into."""
        builder = self._builder
        try:
            if value.shape is not None and ref.shape is not None and len(value.shape) != len(ref.shape):
                value = builder.expand(value, ref.shape, cell.value)
            value = builder.cast(value, ref.dtype)
        except Exception:
            value = opaque.unsure(builder, ref, value, cell.value)
        return self._finished(value, ref)

    def _through(self, view: View, value: Value) -> Value:
        """The parent of a view after the view was written."""
        builder, parent = self._builder, view.parent
        if not parent.fresh:
            self._refresh(parent)
        found = None
        if view.sure and view.inverse is not None:
            start = len(builder.nodes)
            args = [self._resolved(arg) for arg in view.call.args[1:]]
            kwargs = {key: self._resolved(arg) for key, arg in view.call.kwargs.items() if key not in ("input", "self")}
            try:
                found = view.inverse(builder, parent.value, value, view.place, *args, **arguments(kwargs))
            except Exception:
                found = None
                builder.forget(start)
        if found is None:
            found = opaque.unsure(builder, parent.ref, parent.value, value)
        return self._finished(found, parent.ref)


_WITHOUT_GRADIENT = frozenset({"detach", "data"})


def _overwritten(call: Call) -> Ref | None:
    """What a call writes into, where its name says that it does."""
    if not call.name.endswith(("_", "setitem")) or not call.args:
        return None
    return call.args[0] if bare(call.name)[1] and isinstance(call.args[0], Ref) else None


def refs_in(structure: Any) -> Iterator[Ref]:
    """The tensors in a nested structure, in order."""
    if isinstance(structure, Ref):
        yield structure
    elif isinstance(structure, list | tuple):
        for item in structure:
            yield from refs_in(item)
    elif isinstance(structure, dict):
        for item in structure.values():
            yield from refs_in(item)


def values_in(structure: Any) -> Iterator[Value]:
    """The values in what a lowering returns, in order."""
    if isinstance(structure, Value):
        yield structure
    elif isinstance(structure, list | tuple):
        for item in structure:
            yield from values_in(item)
    elif structure is not None:
        raise TypeError("a lowering returned something else than values")
