"""LSTM, GRU and RNN: one ONNX node per layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netlint.graph import Value

from .builder import Builder, NotLowered
from .emitter import Steps
from .layout import listed
from .literals import Rearranged
from .packed import packed, steps_of
from .table import operator

_ORDERS = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}
"""Gates as ONNX has them, by their place in torch: i, f, g, o -> i, o, f, c; r, z, n -> z, r, h."""


def _stack(
    b: Builder,
    op: str,
    input: Value,
    states: Sequence[Value],
    weights: Sequence[Value],
    biased: bool,
    layers: int,
    dropout: float,
    training: bool,
    bidirectional: bool,
    batch_first: bool,
    lengths: Value | None = None,
    **attrs: Any,
) -> list[Value]:
    """All layers one after the other; the results are those of torch: output and last states."""
    directions = 2 if bidirectional else 1
    each = 4 if biased else 2
    if len(weights) != layers * directions * each:
        raise NotLowered("projected states")
    single = b.rank(input) == 2
    x = b.unsqueeze(input, 1) if single else b.transpose(input, (1, 0, 2)) if batch_first else input
    states = [b.unsqueeze(state, 1) if single else state for state in states]
    last: list[list[Value]] = [[] for _ in states]
    for layer in range(layers):
        own = weights[layer * directions * each : (layer + 1) * directions * each]
        first, end = layer * directions, (layer + 1) * directions
        initial = [b.slice(s, 0, first, end) if layers > 1 else s for s in states]
        x, ends = _layer(b, op, x, own, initial, directions, attrs, lengths)
        for kept, state in zip(last, ends, strict=True):
            kept.append(state)
        if dropout and training and layer < layers - 1:
            x = b("Dropout", x, b.number(dropout, "float32"), b.number(True, "bool"), shape=x.shape)
    found = [b("Concat", *kept, shape=None, axis=0) if len(kept) > 1 else kept[0] for kept in last]
    out = b("Transpose", x, shape=None, perm=(1, 0, 2)) if batch_first and not single else x
    return [b("Squeeze", value, b.ints(1), shape=None) for value in (out, *found)] if single else [out, *found]


def _layer(
    b: Builder,
    op: str,
    x: Value,
    weights: Sequence[Value],
    states: Sequence[Value],
    directions: int,
    attrs: dict[str, Any],
    lengths: Value | None,
) -> tuple[Value, list[Value]]:
    """One layer. ONNX's output has an axis for directions between positions and batch."""
    each = len(weights) // directions
    parts = [weights[place::each] for place in range(each)]
    gates = _ORDERS[op]
    hidden = b.count(parts[1][0], 1)
    kernel, recurrence = (_rearranged(b, part, gates) for part in parts[:2])
    bias = _biases(b, parts[2], parts[3], gates) if each == 4 else None
    extra = {"direction": "bidirectional"} if directions == 2 else {}
    if op == "RNN" and "activations" in attrs:
        attrs = {**attrs, "activations": attrs["activations"] * directions}
    types = [x.dtype] * (1 + len(states))
    given = [x, kernel, recurrence, bias, lengths, *states]
    found = b.several(op, *given, types=types, attrs={"hidden_size": hidden, **extra, **attrs})
    length, batch = b.dims(x)[:2]
    if directions == 1:
        return b("Squeeze", found[0], b.ints(1), shape=(length, batch, hidden)), found[1:]
    turned = b("Transpose", found[0], shape=(length, batch, 2, hidden), perm=(0, 2, 1, 3))
    return b("Reshape", turned, b.ints(0, 0, -1), shape=(length, batch, 2 * hidden)), found[1:]


def _rearranged(b: Builder, parts: Sequence[Value], gates: Sequence[int]) -> Value:
    """The matrices of all directions with their gates in ONNX's order: a constant where they are constants."""
    tensors = [part.constant for part in parts if part.constant is not None]
    shape = (len(parts), *b.static(parts[0]))
    if len(tensors) == len(parts):
        order = tuple(gates)
        made = b.constant(Rearranged(tuple(tensors), len(gates), order, shape))
        return _like(made, parts)
    ordered = [b.unsqueeze(_gates(b, part, gates), 0) for part in parts]
    return b("Concat", *ordered, shape=shape, axis=0) if len(ordered) > 1 else ordered[0]


def _like(made: Value, parts: Sequence[Value]) -> Value:
    made.name = parts[0].name
    made.trainable, made.held = parts[0].trainable, parts[0].held
    return made


def _biases(b: Builder, first: Sequence[Value], second: Sequence[Value], gates: Sequence[int]) -> Value:
    """Input biases, then recurrent ones, for every direction."""
    pairs = [bias for pair in zip(first, second, strict=True) for bias in pair]
    shape = (len(first), 2 * b.count(first[0], 0))
    tensors = [bias.constant for bias in pairs if bias.constant is not None]
    if len(tensors) == len(pairs):
        return _like(b.constant(Rearranged(tuple(tensors), len(gates), tuple(gates), shape)), pairs)
    joined = b("Concat", *(_gates(b, bias, gates) for bias in pairs), shape=None, axis=0)
    return b("Reshape", joined, b.ints(*shape), shape=shape)


def _gates(b: Builder, weight: Value, gates: Sequence[int]) -> Value:
    if len(gates) == 1:
        return weight
    parts = b.several("Split", weight, types=[weight.dtype] * len(gates), attrs={"axis": 0, "num_outputs": len(gates)})
    return b("Concat", *(parts[gate] for gate in gates), shape=weight.shape, axis=0)


_ORDER = ("params", "has_biases", "num_layers", "dropout", "training", "bidirectional", "batch_first")


def _recurrent(b: Builder, op: str, args: Sequence[Any], named: dict[str, Any], **attrs: Any) -> list[Value]:
    """A call with input and states, or with packed steps, the samples of each position, and states."""
    of_packed = len(args) > 2 and (isinstance(args[2], Value) or (op == "LSTM" and isinstance(args[1], Value)))
    x, states, rest = (args[0], args[2], args[3:]) if of_packed else (args[0], args[1], args[2:])
    said = {**dict(zip(_ORDER, rest, strict=False)), **named}
    how = (
        said["params"],
        said["has_biases"],
        said["num_layers"],
        said.get("dropout", 0.0),
        said.get("training", False),
    )
    initial = listed(states) if op == "LSTM" else [states]
    if not of_packed:
        return _stack(b, op, x, initial, *how, said["bidirectional"], said["batch_first"], **attrs)
    steps = steps_of(b, x)
    lengths = b.cast(steps.lengths, "int32")
    out, *last = _stack(b, op, steps.padded, initial, *how, said["bidirectional"], False, lengths, **attrs)
    return [packed(b, Steps(out, steps.lengths, cleared=True)), *last]


@operator("lstm")
def lstm(b: Builder, input: Value, hx: Any, *rest: Any, **given: Any) -> list[Value]:
    return _recurrent(b, "LSTM", (input, hx, *rest), given)


@operator("gru")
def gru(b: Builder, input: Value, hx: Value, *rest: Any, **given: Any) -> list[Value]:
    """torch multiplies the reset gate after the product with the state."""
    return _recurrent(b, "GRU", (input, hx, *rest), given, linear_before_reset=1)


def _rnn(activation: str) -> Any:
    def lower(b: Builder, input: Value, hx: Value, *rest: Any, **given: Any) -> list[Value]:
        return _recurrent(b, "RNN", (input, hx, *rest), given, activations=(activation,))

    return lower


operator("rnn_tanh")(_rnn("Tanh"))
operator("rnn_relu")(_rnn("Relu"))


def _gated(b: Builder, x: Value, h: Value, weights: Sequence[Value | None]) -> tuple[Value, Value]:
    w_ih, w_hh, b_ih, b_hh = weights
    return b("Gemm", x, w_ih, b_ih, transB=1), b("Gemm", h, w_hh, b_hh, transB=1)


def _parts(b: Builder, x: Value, count: int) -> list[Value]:
    return b.several("Split", x, types=[x.dtype] * count, attrs={"axis": 1, "num_outputs": count})


@operator("lstm_cell")
def lstm_cell(
    b: Builder,
    input: Value,
    hx: Sequence[Value],
    w_ih: Value,
    w_hh: Value,
    b_ih: Value | None = None,
    b_hh: Value | None = None,
) -> list[Value]:
    state, cell = hx
    i, f, g, o = _parts(b, b("Add", *_gated(b, input, state, (w_ih, w_hh, b_ih, b_hh))), 4)
    kept = b("Mul", b("Sigmoid", f), cell)
    new_cell = b("Add", kept, b("Mul", b("Sigmoid", i), b("Tanh", g)))
    return [b("Mul", b("Sigmoid", o), b("Tanh", new_cell)), new_cell]


@operator("gru_cell")
def gru_cell(
    b: Builder,
    input: Value,
    hx: Value,
    w_ih: Value,
    w_hh: Value,
    b_ih: Value | None = None,
    b_hh: Value | None = None,
) -> Value:
    given, recurrent = _gated(b, input, hx, (w_ih, w_hh, b_ih, b_hh))
    (r_x, z_x, n_x), (r_h, z_h, n_h) = _parts(b, given, 3), _parts(b, recurrent, 3)
    reset, update = b("Sigmoid", b("Add", r_x, r_h)), b("Sigmoid", b("Add", z_x, z_h))
    new = b("Tanh", b("Add", n_x, b("Mul", reset, n_h)))
    return b("Add", b("Mul", b("Sub", b.number(1, input.dtype), update), new), b("Mul", update, hx))


def _cell(activation: str) -> Any:
    def lower(
        b: Builder,
        input: Value,
        hx: Value,
        w_ih: Value,
        w_hh: Value,
        b_ih: Value | None = None,
        b_hh: Value | None = None,
    ) -> Value:
        return b(activation, b("Add", *_gated(b, input, hx, (w_ih, w_hh, b_ih, b_hh))))

    return lower


operator("rnn_tanh_cell")(_cell("Tanh"))
operator("rnn_relu_cell")(_cell("Relu"))
