"""Packed sequences: the valid steps of a padded batch, as `pack_padded_sequence` takes them out and puts them back."""

from __future__ import annotations

from typing import Any

from netlint.graph import Value

from .builder import Builder, NotLowered
from .emitter import Steps
from .table import operator


def packed(b: Builder, steps: Steps) -> Value:
    """The valid steps one after the other, as torch has them: first those of position 0 of all samples."""
    _, _, *features = b.dims(steps.padded)
    places = b("NonZero", _valid(b, steps), dtype="int64", shape=(2, None))
    table = b("Transpose", places, dtype="int64", shape=(None, 2), perm=(1, 0))
    found = b("GatherND", steps.padded, table, dtype=steps.padded.dtype, shape=(None, *features))
    b.packed[found] = steps
    return found


def _valid(b: Builder, steps: Steps) -> Value:
    """By position and sample, whether the sequence is that long."""
    length, batch = b.count(steps.padded, 0), b.dims(steps.padded)[1]
    positions = b("Range", b.number(0, "int64"), b.number(length, "int64"), b.number(1, "int64"), shape=(length,))
    lengths = b.unsqueeze(steps.lengths, 0)
    return b("Greater", lengths, b.unsqueeze(positions, 1), dtype="bool", shape=(length, batch))


@operator("_pack_padded_sequence")
def pack(b: Builder, input: Value, lengths: Value, batch_first: bool) -> list[Value]:
    """The valid steps, and how many samples have each position."""
    order = (1, 0, *range(2, b.rank(input)))
    steps = Steps(b.transpose(input, order) if batch_first else input, b.cast(lengths, "int64"), cleared=False)
    counted = b("ReduceSum", b.cast(_valid(b, steps), "int64"), b.ints(1), shape=None, keepdims=0)
    longest = b("ReduceMax", steps.lengths, shape=(1,), keepdims=1)
    return [packed(b, steps), b("Slice", counted, b.ints(0), longest, b.ints(0), shape=None)]


@operator("_pad_packed_sequence")
def pad(
    b: Builder, data: Value, batch_sizes: Value, batch_first: bool, padding_value: Any, total_length: int
) -> list[Value]:
    """What a recurrent layer gave of packed steps, which is zero behind them."""
    steps = steps_of(b, data)
    if not steps.cleared or padding_value != 0:
        raise NotLowered("a padding of its own")
    padded, length = steps.padded, b.count(steps.padded, 0)
    if total_length > length:
        raise NotLowered("more padding than there was")
    if 0 < total_length < length:
        padded = b.slice(padded, 0, 0, total_length)
    order = (1, 0, *range(2, b.rank(padded)))
    return [b.transpose(padded, order) if batch_first else padded, steps.lengths]


def steps_of(b: Builder, data: Value) -> Steps:
    """The padded batch that packed steps come from."""
    if data not in b.packed:
        raise NotLowered("packed sequences")
    return b.packed[data]
