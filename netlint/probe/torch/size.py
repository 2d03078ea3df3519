"""How many samples a run may have: told from the recording alone, so that it is the same on every machine."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
import torch.fx

from netlint.frontends.torch.recording import Recording

BYTES = 4 << 30
"""Of results that a batch may have in all: what the backward pass keeps, and more."""
PRODUCTS = {"cpu": 1 << 34, "cuda": 1 << 40}
"""Multiplications of the weighted layers in a forward pass, by kind of device: a second or so."""
LEAST = 2
"""Batch normalisation refuses one sample."""


def fitting(nbytes: float, products: float, most: int, kind: str) -> int:
    """The largest power of two, `most` at most, that keeps within the bounds; `LEAST` at least. Both of one sample."""
    bound = min(BYTES / max(nbytes, 1.0), PRODUCTS.get(kind, PRODUCTS["cpu"]) / max(products, 1.0))
    found = most
    while found > max(bound, LEAST):
        found //= 2
    return max(found, min(LEAST, most))


def samples(recording: Recording, recorded: int, most: int, kind: str) -> int:
    """Of a recording that was made with so many samples."""
    return fitting(nbytes(recording, recorded), products(recording, recorded), most, kind)


def products(recording: Recording, recorded: int) -> float:
    """Multiplications of the weighted layers in a forward pass, for each sample."""
    return sum(map(_products, recording.graph.nodes)) / max(recorded, 1)


def nbytes(recording: Recording, recorded: int) -> float:
    """Bytes of all results together, for each sample."""
    return sum(tensor.numel() * tensor.element_size() for tensor in _results(recording)) / max(recorded, 1)


def _results(recording: Recording) -> Iterator[torch.Tensor]:
    """What calls gave, views left out."""
    for node in recording.graph.nodes:
        if node.op == "call_function":
            tensors = _tensors(node.meta.get("val"))
            yield from (tensor for tensor in tensors if tensor._base is None)


def _tensors(value: object) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, tuple | list):
        return [tensor for item in value for tensor in _tensors(item)]
    return []


def _products(node: torch.fx.Node) -> float:
    """Of a layer: each element of its result takes one for each element of one row of its weight."""
    result, operands = node.meta.get("val"), [arg for arg in node.args if isinstance(arg, torch.fx.Node)]
    if node.op != "call_function" or not isinstance(result, torch.Tensor) or len(operands) < 2:
        return 0.0
    name = getattr(node.target, "__name__", "")
    weight = operands[1].meta.get("val")
    if not isinstance(weight, torch.Tensor) or not weight.dim():
        return 0.0
    if name == "linear" or name.startswith("conv"):
        return float(result.numel()) * math.prod(weight.shape[1:])
    if name in ("matmul", "bmm", "__matmul__") and weight.dim() > 1:
        return float(result.numel()) * weight.shape[-2]
    return 0.0
