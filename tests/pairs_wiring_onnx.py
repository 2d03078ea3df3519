"""Faults of wiring in model files, as exporters other than torch's write them, each beside its repaired twin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from tests.test_other_exporters import MICROSOFT, Writer

Make = Callable[[Writer, bool], str]


@dataclass(frozen=True, eq=False, slots=True)
class Written:
    """One fault and its repair: `make` writes the model and gives the name of its output."""

    name: str
    code: str
    make: Make
    opset: int


WRITTEN: list[Written] = []


def written(code: str, opset: int = 17) -> Callable[[Make], Make]:
    def register(make: Make) -> Make:
        WRITTEN.append(Written(make.__name__, code, make, opset))
        return make

    return register


def ints(w: Writer, *values: int) -> str:
    return w.const(values, np.int64)


# -- SHP006: a reshape where an axis was to be moved


@written("SHP006")
def keras_images_reshaped_to_channels_first(w: Writer, fault: bool) -> str:
    x = w.input("N", 16, 20, 3)
    x = w("Reshape", x, ints(w, -1, 3, 16, 20)) if fault else w("Transpose", x, perm=[0, 3, 1, 2])
    x = w("Relu", w("Conv", x, w.weight(6, 3, 3, 3)))
    return w.dense(w("Reshape", w("GlobalAveragePool", x), ints(w, -1, 6)), 6, 4)


def heads(w: Writer, x: str, shape: str) -> str:
    return w("Transpose", w("Reshape", w.dense(x, 24, 24), shape), perm=[0, 2, 1, 3])


def attended(w: Writer, x: str, shape: str) -> str:
    """[N, 4 heads, 10 positions, 6]."""
    keys = w("Transpose", heads(w, x, shape), perm=[0, 1, 3, 2])
    scores = w("Mul", w("MatMul", heads(w, x, shape), keys), w.const(6**-0.5))
    return w("MatMul", w("Softmax", scores, axis=-1), heads(w, x, shape))


@written("SHP006")
def paddle_attention_merged_unmoved(w: Writer, fault: bool) -> str:
    mixed = attended(w, w.input("N", 10, 24), ints(w, 0, 0, 4, 6))
    mixed = mixed if fault else w("Transpose", mixed, perm=[0, 2, 1, 3])
    return w.dense(w("Reshape", mixed, ints(w, 0, 10, 24)), 24, 24)


@written("SHP006", 13)
def attention_merged_by_a_computed_shape(w: Writer, fault: bool) -> str:
    x = w.input("N", 10, 24)
    mixed = attended(w, x, ints(w, -1, 10, 4, 6))
    mixed = mixed if fault else w("Transpose", mixed, perm=[0, 2, 1, 3])
    batch = w("Gather", w("Shape", x), ints(w, 0), axis=0)
    return w.dense(w("Reshape", mixed, w("Concat", batch, ints(w, 10), ints(w, 24), axis=0)), 24, 24)


@written("SHP006", 11)
def frequencies_reshaped_to_features(w: Writer, fault: bool) -> str:
    x = w.input("N", 9, 14)
    x = w("Reshape", x, ints(w, -1, 14, 9)) if fault else w("Transpose", x, perm=[0, 2, 1])
    steps = w("GRU", w("Transpose", x, perm=[1, 0, 2]), w.weight(1, 15, 9), w.weight(1, 15, 5), hidden_size=5)
    return w.dense(w("Gather", w("Squeeze", steps, axes=[1]), w.const(-1, np.int64), axis=0), 5, 2)


@written("SHP006")
def tokens_reshaped_to_a_map(w: Writer, fault: bool) -> str:
    x = w("Tanh", w.dense(w.input("N", 35, 8), 8, 12))
    x = x if fault else w("Transpose", x, perm=[0, 2, 1])
    return w("Conv", w("Reshape", x, ints(w, 0, 12, 5, 7)), w.weight(4, 12, 1, 1))


@written("SHP006", 14)
def last_states_of_two_directions(w: Writer, fault: bool) -> str:
    x = w("Transpose", w.input("N", 7, 3), perm=[1, 0, 2])
    weights = w.weight(2, 24, 3), w.weight(2, 24, 6)
    w("LSTM", x, *weights, hidden_size=6, direction="bidirectional")
    w.nodes[-1].output.append("last")
    last = "last" if fault else w("Transpose", "last", perm=[1, 0, 2])
    return w.dense(w("Reshape", last, ints(w, -1, 12)), 12, 2)


# -- RNN004: a recurrent layer that walks along the batch


def lstm(w: Writer, x: str, **attrs: object) -> str:
    """[time, 1, batch, 6], from 5 features."""
    return w("LSTM", x, w.weight(1, 24, 5), w.weight(1, 24, 6), hidden_size=6, **attrs)


def time_first(w: Writer, fault: bool) -> str:
    x = w.input("N", 7, 5)
    return x if fault else w("Transpose", x, perm=[1, 0, 2])


@written("RNN004", 13)
def lstm_and_a_gather(w: Writer, fault: bool) -> str:
    steps = w("Squeeze", lstm(w, time_first(w, fault)), ints(w, 1))
    return w.dense(w("Gather", steps, w.const(-1, np.int64), axis=1 if fault else 0), 6, 2)


@written("RNN004", 11)
def lstm_and_a_slice(w: Writer, fault: bool) -> str:
    steps, axis = w("Squeeze", lstm(w, time_first(w, fault)), axes=[1]), 1 if fault else 0
    last = w("Slice", steps, ints(w, -1), ints(w, 1 << 62), ints(w, axis))
    return w.dense(w("Squeeze", last, axes=[axis]), 6, 2)


@written("RNN004")
def two_directions_side_by_side(w: Writer, fault: bool) -> str:
    weights = w.weight(2, 24, 5), w.weight(2, 24, 6)
    steps = w("LSTM", time_first(w, fault), *weights, hidden_size=6, direction="bidirectional")
    steps = w("Reshape", w("Transpose", steps, perm=[0, 2, 1, 3]), ints(w, 0, 0, -1))
    return w.dense(w("Gather", steps, w.const(6, np.int64), axis=1 if fault else 0), 12, 2)


@written("RNN004", 14)
def batch_first_layer_read_time_first(w: Writer, fault: bool) -> str:
    steps = w("Squeeze", lstm(w, w.input(4, 7, 5), layout=1), ints(w, 2))
    return w.dense(w("Gather", steps, w.const(3 if fault else 6, np.int64), axis=0 if fault else 1), 6, 2)


@written("RNN004", 9)
def head_on_every_step(w: Writer, fault: bool) -> str:
    weights = w.weight(1, 18, 5), w.weight(1, 18, 6)
    steps = w("Squeeze", w("GRU", time_first(w, fault), *weights, hidden_size=6), axes=[1])
    each = w.dense(w("Relu", w.dense(steps, 6, 8)), 8, 2)
    return w("Gather", each, w.const([6 if fault else -1], np.int64), axis=1 if fault else 0)


@written("RNN004")
def two_layers(w: Writer, fault: bool) -> str:
    steps = w("Squeeze", lstm(w, time_first(w, fault)), ints(w, 1))
    weights = w.weight(1, 18, 6), w.weight(1, 18, 6)
    steps = w("Squeeze", w("GRU", steps, *weights, hidden_size=6), ints(w, 1))
    return w.dense(w("Gather", steps, w.const(-1, np.int32), axis=1 if fault else 0), 6, 2)


# -- NRM006: an epsilon as large as the variances


def normalised(w: Writer, op: str, axes: int, epsilon: float, **attrs: object) -> str:
    x = w.input("N", *((16,) if axes == 2 else (10, 16) if axes == 3 else (16, 8, 8)))
    stored = [w.const(np.ones(16)), w.const(np.zeros(16))]
    stored += [w.const(np.zeros(16)), w.const(np.ones(16))] if op == "BatchNormalization" else []
    stored = stored[:1] if op == "RMSNormalization" else stored
    return w("Relu", w(op, x, *stored, epsilon=epsilon, **attrs))


for _op, _axes, _opset in (
    ("BatchNormalization", 4, 9),
    ("BatchNormalization", 2, 15),
    ("InstanceNormalization", 4, 6),
    ("LayerNormalization", 3, 17),
    ("GroupNormalization", 4, 21),
    ("RMSNormalization", 3, 23),
):

    def _norm(w: Writer, fault: bool, op: str = _op, axes: int = _axes) -> str:
        groups = {"num_groups": 4} if op == "GroupNormalization" else {}
        return normalised(w, op, axes, 0.5 if fault else 1e-3, **groups)

    WRITTEN.append(Written(f"{_op}_of_{_axes}_axes", "NRM006", _norm, _opset))


@written("NRM006")
def fused_with_the_sum_before(w: Writer, fault: bool) -> str:
    x, scale = w.input("N", 10, 16), w.const(np.ones(16))
    epsilon = 1.0 if fault else 1e-12
    x = w("SkipLayerNormalization", x, w.dense(x, 16, 16), scale, domain=MICROSOFT, epsilon=epsilon)
    return w.dense(w("Relu", x), 16, 3)


# -- others


@written("NRM008")
def layer_norm_of_one_feature(w: Writer, fault: bool) -> str:
    width = 1 if fault else 8
    x = w.dense(w.input("N", 12, 4), 4, width)
    x = w("LayerNormalization", x, w.const(np.ones(width)), w.const(np.zeros(width)), axis=-1)
    return w.dense(w("Relu", x), width, 3)


@written("DEP007")
def scale_behind_the_softmax(w: Writer, fault: bool) -> str:
    x, shape, scale = w.input("N", 10, 24), ints(w, 0, 0, 4, 6), w.const(6**0.5)
    keys = w("Transpose", heads(w, x, shape), perm=[0, 1, 3, 2])
    scores = w("MatMul", heads(w, x, shape), keys)
    weights = w("Softmax", scores if fault else w("Div", scores, scale), axis=-1)
    mixed = w("MatMul", w("Div", weights, scale) if fault else weights, heads(w, x, shape))
    return w.dense(w("Reshape", w("Transpose", mixed, perm=[0, 2, 1, 3]), ints(w, 0, 0, 24)), 24, 24)


@written("DEP007")
def scores_of_wide_vectors(w: Writer, fault: bool) -> str:
    x = w.input("N", 10, 64, dtype=TensorProto.FLOAT)
    scores = w("Einsum", w.dense(x, 64, 64), w.dense(x, 64, 64), equation="nqd,nkd->nqk")
    weights = w("Softmax", scores if fault else w("Mul", scores, w.const(1 / 8)), axis=-1)
    return w("MatMul", weights, w.dense(x, 64, 64))
