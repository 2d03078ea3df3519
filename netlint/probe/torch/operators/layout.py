"""Operators that move, cut, glue, pick and make elements."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from .call import Call, Function, Result


def _reshape(call: Call) -> Tensor:
    wanted = call.numbers(1, "shape") or []
    if not call.attr("allowzero", 0):
        wanted = [call.x.shape[place] if length == 0 else length for place, length in enumerate(wanted)]
    return call.x.reshape(wanted)


def _flatten(call: Call) -> Tensor:
    shape, axis = call.x.shape, call.attr("axis", 1)
    axis = axis + call.x.dim() if axis < 0 else axis
    return call.x.reshape(torch.Size(shape[:axis]).numel(), torch.Size(shape[axis:]).numel())


def _squeeze(call: Call) -> Tensor:
    axes = call.numbers(1, "axes")
    return call.x.squeeze() if axes is None else call.x.squeeze(tuple(axes))


def _unsqueeze(call: Call) -> Tensor:
    axes = call.numbers(1, "axes") or []
    rank, x = call.x.dim() + len(axes), call.x
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


def _transpose(call: Call) -> Tensor:
    return call.x.permute(call.attr("perm") or tuple(reversed(range(call.x.dim()))))


def _expand(call: Call) -> Tensor:
    return call.x.expand(torch.broadcast_shapes(call.x.shape, tuple(call.numbers(1, "shape") or [])))


def _tile(call: Call) -> Tensor:
    return call.x.repeat(call.numbers(1, "repeats") or [])


def _concat(call: Call) -> Tensor:
    return torch.cat([x for x in call.inputs if x is not None], dim=call.attr("axis", 1))


def _split(call: Call) -> Result:
    axis, sizes = call.attr("axis", 0), call.numbers(1, "split")
    if sizes is None:
        count = call.attr("num_outputs") or len(call.node.outputs)
        return torch.split(call.x, -(-call.x.shape[axis] // count), axis)
    return torch.split(call.x, sizes, axis)


def _slice(call: Call) -> Tensor:
    starts, ends = call.numbers(1, "starts") or [], call.numbers(2, "ends") or []
    axes = call.numbers(3, "axes") or range(len(starts))
    steps = call.numbers(4, "steps") or [1] * len(starts)
    x = call.x
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        x = _cut(x, axis % x.dim(), slice(start, end, step))
    return x


def _cut(x: Tensor, axis: int, cut: slice) -> Tensor:
    """Along one axis; ends beyond it count as its own."""
    length = x.shape[axis]
    if cut.step < 0 and cut.stop < -length:
        cut = slice(cut.start, None, cut.step)
    start, stop, step = cut.indices(length)
    if step > 0:
        return x[(slice(None),) * axis + (slice(start, max(stop, start), step),)]
    return x.index_select(axis, torch.arange(start, stop, step, device=x.device))


def _within(places: Tensor, length: int) -> Tensor:
    """Places counted from the end become those from the front."""
    return torch.where(places < 0, places + length, places)


def _gather(call: Call) -> Tensor:
    table, axis = call.x, call.attr("axis", 0) % call.x.dim()
    places = _within(call[1].long(), table.shape[axis])
    if axis == 0 and table.dim() == 2 and table.is_floating_point():
        return F.embedding(places, table)
    picked = table.index_select(axis, places.reshape(-1))
    return picked.reshape((*table.shape[:axis], *places.shape, *table.shape[axis + 1 :]))


def _gather_elements(call: Call) -> Tensor:
    axis = call.attr("axis", 0)
    return call.x.gather(axis, _within(call[1].long(), call.x.shape[axis]))


def _gather_rows(call: Call) -> Tensor:
    """GatherND."""
    shared = call.attr("batch_dims", 0)
    places = call[1].long()
    depth = places.shape[-1]
    own = [
        _within(part, length)
        for part, length in zip(places.unbind(-1), call.x.shape[shared : shared + depth], strict=True)
    ]
    lead = [
        torch.arange(length, device=call.x.device).reshape(
            [-1 if place == axis else 1 for place in range(own[0].dim())]
        )
        for axis, length in enumerate(call.x.shape[:shared])
    ]
    return call.x[(*lead, *own)]


def _scatter_elements(call: Call) -> Tensor:
    axis, how = call.attr("axis", 0), call.attr("reduction", "none")
    places, updates = _within(call[1].long(), call.x.shape[axis]), call[2]
    if how == "none":
        return call.x.scatter(axis, places, updates)
    names = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}
    return call.x.scatter_reduce(axis, places, updates, names[how])


def _scatter_rows(call: Call) -> Tensor:
    """ScatterND."""
    how = call.attr("reduction", "none")
    if how not in ("none", "add"):
        raise call.refused(f"reduces by {how}")
    places = tuple(_within(part, length) for part, length in zip(call[1].long().unbind(-1), call.x.shape, strict=False))
    return call.x.index_put(places, call[2].to(call.x.dtype), accumulate=how == "add")


def _trilu(call: Call) -> Tensor:
    shift = int(call.number(1, "k", 0))
    return torch.triu(call.x, shift) if call.attr("upper", 1) else torch.tril(call.x, shift)


def _depth_to_space(call: Call) -> Tensor:
    n, c, h, w = call.x.shape
    size = call.attr("blocksize")
    if call.attr("mode", "DCR") == "CRD":
        return F.pixel_shuffle(call.x, size)
    parts = call.x.reshape(n, size, size, c // size**2, h, w).permute(0, 3, 4, 1, 5, 2)
    return parts.reshape(n, c // size**2, h * size, w * size)


def _space_to_depth(call: Call) -> Tensor:
    if call.attr("mode", "DCR") != "DCR":
        raise call.refused("moves columns first")
    n, c, h, w = call.x.shape
    size = call.attr("blocksize")
    parts = call.x.reshape(n, c, h // size, size, w // size, size).permute(0, 3, 5, 1, 2, 4)
    return parts.reshape(n, c * size**2, h // size, w // size)


def _pad(call: Call) -> Tensor:
    given = call.numbers(1, "pads") or []
    axes = call.numbers(3, "axes") or list(range(len(given) // 2))
    ends = {axis % call.x.dim(): (given[at], given[at + len(axes)]) for at, axis in enumerate(axes)}
    mode = str(call.attr("mode", "constant"))
    if mode != "constant":
        return _padded_by_itself(call.x, ends, mode)
    number = call.number(2, "value", 0.0)
    flat = [end for axis in reversed(range(call.x.dim())) for end in ends.get(axis, (0, 0))]
    return F.pad(call.x, flat, value=number)


def _padded_by_itself(x: Tensor, ends: dict[int, tuple[int, int]], mode: str) -> Tensor:
    """Axis by axis, from places inside."""
    for axis, (before, after) in ends.items():
        length = x.shape[axis]
        places = torch.arange(-before, length + after, device=x.device)
        if mode == "edge":
            places = places.clamp(0, length - 1)
        elif mode == "wrap":
            places = places % length
        else:
            period = max(2 * length - 2, 1)
            places = (length - 1) - ((places % period) - (length - 1)).abs()
        x = x.index_select(axis, places)
    return x


def _shape(call: Call) -> Tensor:
    end = call.attr("end")
    return torch.tensor(call.x.shape[call.attr("start", 0) : end], dtype=torch.int64)


def _size(call: Call) -> Tensor:
    return torch.tensor(call.x.numel())


def _filled(call: Call) -> Tensor:
    stored = call.attr("value")
    fill = torch.zeros(1, dtype=call.dtype(1)) if stored is None else call.constant(stored)
    return fill.to(call.x.device).reshape(()).expand([int(length) for length in call.x.tolist()]).clone()


def _range(call: Call) -> Tensor:
    start, stop, step = (call.number(place, "", 0) for place in range(3))
    return torch.arange(start, stop, step, dtype=call.x.dtype, device=call.x.device)


def _eye(call: Call) -> Tensor:
    code = call.attr("dtype")
    kind = call.x.dtype if code is None else call.dtype(int(code))
    return torch.diag_embed(
        torch.ones(max(*call.x.shape, 1) + abs(call.attr("k", 0)), device=call.x.device), call.attr("k", 0)
    )[: call.x.shape[0], : call.x.shape[1]].to(kind)


def _one_hot(call: Call) -> Tensor:
    depth, (off, on) = int(call.number(1, "", 0)), call[2].unbind()
    axis = call.attr("axis", -1)
    axis = axis + call.x.dim() + 1 if axis < 0 else axis
    rows = torch.arange(depth, device=call.x.device).reshape(
        [-1 if at == axis else 1 for at in range(call.x.dim() + 1)]
    )
    given = call.x.long()
    return torch.where(torch.where(given < 0, given + depth, given).unsqueeze(axis) == rows, on, off)


def _nonzero(call: Call) -> Tensor:
    return call.x.nonzero().T.contiguous()


def _compress(call: Call) -> Tensor:
    axis = call.attr("axis")
    x = call.x.reshape(-1) if axis is None else call.x
    chosen = call[1].reshape(-1).nonzero().reshape(-1)
    return x.index_select(axis or 0, chosen)


def _drawn(call: Call, shape: Sequence[int], kind: torch.dtype, device: torch.device) -> Tensor:
    if "Normal" in call.node.op:
        noise = torch.randn(shape, dtype=kind, device=device)
        return noise * call.attr("scale", 1.0) + call.attr("mean", 0.0)
    low, high = call.attr("low", 0.0), call.attr("high", 1.0)
    return torch.rand(shape, dtype=kind, device=device) * (high - low) + low


def _random(call: Call) -> Tensor:
    return _drawn(call, call.attr("shape"), call.dtype(call.attr("dtype", 1)), torch.device("cpu"))


def _random_like(call: Call) -> Tensor:
    code = call.attr("dtype")
    kind = call.dtype(int(code)) if code is not None else call.x.dtype
    return _drawn(call, call.x.shape, kind, call.x.device)


TABLE: dict[str, Function] = {
    "Compress": _compress,
    "Concat": _concat,
    "ConstantOfShape": _filled,
    "DepthToSpace": _depth_to_space,
    "Expand": _expand,
    "EyeLike": _eye,
    "Flatten": _flatten,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_rows,
    "NonZero": _nonzero,
    "OneHot": _one_hot,
    "Pad": _pad,
    "RandomNormal": _random,
    "RandomNormalLike": _random_like,
    "RandomUniform": _random,
    "RandomUniformLike": _random_like,
    "Range": _range,
    "Reshape": _reshape,
    "ScatterElements": _scatter_elements,
    "ScatterND": _scatter_rows,
    "Shape": _shape,
    "Size": _size,
    "Slice": _slice,
    "SpaceToDepth": _space_to_depth,
    "Split": _split,
    "Squeeze": _squeeze,
    "Tile": _tile,
    "Transpose": _transpose,
    "Trilu": _trilu,
    "Unsqueeze": _unsqueeze,
}
