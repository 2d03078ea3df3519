"""Which layers give an axis its length, followed through a run: where two layers do not fit, no input mends it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

import torch
from torch import nn

from .call import CONVOLUTIONS, Call

Width: TypeAlias = "tuple[str, ...] | None"
"""The layers that an axis has its length from, none for a number in the code; None: it may follow the input."""
_Axis = TypeVar("_Axis")

_TRANSFORMING = {"linear", "embedding", "lstm", "gru", "rnn_tanh", "rnn_relu"}
_MIXING = frozenset({"matmul", "__matmul__", "__rmatmul__", "mm", "bmm", "addmm", "baddbmm", "einsum", "tensordot"})
_PICKING = frozenset({"__getitem__", "gather", "index_select", "take_along_dim", "where", "view", "reshape"})
_REDUCING = frozenset({"mean", "sum", "amax", "amin", "max", "min", "std", "var", "norm", "logsumexp", "prod"})
_JOINED = {"add": "added", "sub": "subtracted", "mul": "multiplied", "div": "divided"}
_ELEMENTWISE = {
    f"{before}{name}{after}": done
    for name, done in (*_JOINED.items(), ("truediv", "divided"))
    for before, after in (("", ""), ("", "_"), ("__", "__"), ("__i", "__"), ("__r", "__"))
}
MOVES = frozenset({"permute", "transpose", "swapaxes", "t", "unsqueeze", "squeeze"})


class Widths:
    """Sees the calls of one run, after they were made, and those that failed."""

    def __init__(self, model: nn.Module | None) -> None:
        names = model.named_modules() if model is not None else ()
        self._names = {id(module): f"{name} ({type(module).__name__})" for name, module in names if name}
        self._axes: dict[int, tuple[Width, ...]] = {}
        self._modules: list[nn.Module] = []
        self._kept: list[torch.Tensor] = []  # ids stay unique as long as their tensors live

    def clear(self) -> None:
        self._axes.clear()
        self._kept.clear()
        self._modules.clear()

    def enter(self, module: nn.Module) -> None:
        self._modules.append(module)

    def leave(self) -> None:
        if self._modules:
            self._modules.pop()

    def of(self, value: Any) -> tuple[Width, ...]:
        """By axis of a tensor."""
        known = self._axes.get(id(value))
        return known if known is not None else (None,) * value.dim()

    def from_layer(self, value: torch.Tensor) -> bool:
        """Whether a layer of the model is known to have made it: it is no input, nor a part of one."""
        return any(self.of(value))

    def after(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
        """A call gave this."""
        first = args[0] if args else kwargs.get("input")
        if isinstance(result, (tuple, list)) and name in ("chunk", "split", "tensor_split", "unbind"):
            for part in result:
                self._note(name, args, kwargs, first, part)
            return
        if isinstance(result, (tuple, list)) and result:
            result = result[0]
        self._note(name, args, kwargs, first, result)

    def _note(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], first: Any, result: Any) -> None:
        if not isinstance(result, torch.Tensor):
            return
        if name == "cat":
            found = self._joined(args, kwargs, result)
        elif isinstance(first, torch.Tensor):
            found = self._followed(name, args, kwargs, first, result)
        else:
            return
        self._axes.pop(id(result), None)  # a flattening may give the very tensor that it was given
        if found is not None and any(width is not None for width in found) and len(found) == result.dim():
            self._axes[id(result)] = tuple(found)
            self._kept.append(result)

    def _here(self) -> Width:
        """The layer that is being called; None where no name is known."""
        name = self._names.get(id(self._modules[-1])) if self._modules else None
        return (name,) if name is not None else None

    def _followed(
        self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], first: torch.Tensor, result: torch.Tensor
    ) -> Sequence[Width] | None:
        before = self.of(first)
        if name == "embedding":
            return (*before, self._here())
        if name in _TRANSFORMING:
            return (*before[: result.dim() - 1], self._here())
        if name in CONVOLUTIONS:
            batch = result.dim() - CONVOLUTIONS[name] - 1
            return (*before[:batch], self._here(), *(None,) * CONVOLUTIONS[name])
        if name == "squeeze":
            return _squeezed(before, args[1:], kwargs, first)
        if name in MOVES:
            axes = moved(name, args[1:], kwargs, first.dim())
            return [before[axis] if axis is not None else () for axis in axes]
        if name.startswith("adaptive_"):
            return (*before[: result.dim() - int(name[-2])], *((),) * int(name[-2]))
        if "pool" in name or name in ("interpolate", "upsample", "pixel_shuffle"):
            return (*before[:2], *(None,) * (result.dim() - 2)) if result.shape[:2] == first.shape[:2] else None
        if name in ("chunk", "split", "tensor_split"):
            return before
        return self._rearranged(name, args, kwargs, first, result)

    def _rearranged(
        self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], first: torch.Tensor, result: torch.Tensor
    ) -> Sequence[Width] | None:
        before = self.of(first)
        if name in ("flatten", "view", "reshape"):
            return _flattened(before, first, result)
        if name == "__getitem__":
            return picked(before, args[1], ())
        if name in _REDUCING and result.dim() != first.dim():
            return _reduced(before, args[1] if len(args) > 1 else kwargs.get("dim"))
        if name in _ELEMENTWISE and len(args) > 1 and isinstance(args[1], torch.Tensor):
            return self._broadcast(first, args[1], result)
        if name in _MIXING or name in _PICKING or result.shape != first.shape:
            return None
        return before

    def _broadcast(self, first: torch.Tensor, other: torch.Tensor, result: torch.Tensor) -> Sequence[Width]:
        """The longer of two axes decides."""
        found: list[Width] = []
        for axis in range(-result.dim(), 0):
            widths = [
                self.of(value)[axis] for value in (first, other) if value.dim() >= -axis and value.shape[axis] != 1
            ]
            found.append(next((width for width in widths if width is not None), None))
        return found

    def _joined(self, args: Sequence[Any], kwargs: Mapping[str, Any], result: torch.Tensor) -> Sequence[Width] | None:
        parts = list(args[0] if args else kwargs.get("tensors", ()))
        axis = (args[1] if len(args) > 1 else kwargs.get("dim", 0)) % result.dim()
        if axis == 0:
            return None  # of samples; or of features, where an input is a single vector
        found = list(self.of(parts[0]))
        along = [self.of(part)[axis] for part in parts]
        found[axis] = None
        if all(width is not None for width in along):
            found[axis] = tuple(dict.fromkeys(name for width in along for name in width or ()))
        return found

    # Calls that failed

    def clash(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
        """How the layers behind a failed call do not fit, whatever the input; empty: nothing of the kind is known."""
        call = Call(name, args, kwargs)
        value = call.value
        if name == "linear" or name in CONVOLUTIONS:
            weight = call.arg(1, "weight")
            if value.dtype != weight.dtype and (makers := _any(self.of(value))):
                kinds = (str(each.dtype).removeprefix("torch.") for each in (weight, value))
                return "{} holds {} and gets {} from {}".format((self._here() or (name,))[0], *kinds, _listed(makers))
        if name in ("linear", "layer_norm", "rms_norm"):
            return self.unfit(name, value, -1, call.width(), "features")
        if name in CONVOLUTIONS:
            return self.unfit(name, value, -CONVOLUTIONS[name] - 1, call.channels(), "channels")
        if name in ("batch_norm", "instance_norm", "group_norm", "prelu"):
            stored = next((each for each in (*args[1:], *kwargs.values()) if isinstance(each, torch.Tensor)), None)
            return self.unfit(name, value, 1, stored.shape[0], "channels") if stored is not None else ""
        if name in _ELEMENTWISE and isinstance(args[1], torch.Tensor):
            return self._unlike(args[0], args[1], _ELEMENTWISE[name])
        return ""

    def several(self, layer: nn.Module, value: Sequence[Any]) -> str:
        """What a recurrent layer returns, its output and its states, is given to a layer that takes one tensor."""
        first = value[0] if value else None
        makers = _any(self.of(first)) if isinstance(first, torch.Tensor) else ()
        if not makers or id(layer) not in self._names:
            return ""
        whole = f"the {type(value).__name__} that {_listed(makers)} returns; its output is the first part"
        return f"{self._names[id(layer)]} takes a tensor and gets {whole}"

    def unfit(self, call: str, value: torch.Tensor, axis: int, taken: int, unit: str, layer: Any = None) -> str:
        """A layer takes another length of an axis than the layers before it give."""
        got = value.shape[axis]
        width = self.of(value)[axis]
        if got == taken or not width or taken <= 1:
            return ""
        name = self._names.get(id(layer)) if layer is not None else (self._here() or (call,))[0]
        return f"{name or call} takes {taken} {unit} and gets {got} from {_listed(width)}"

    def _unlike(self, left: torch.Tensor, right: torch.Tensor, done: str) -> str:
        for axis in range(-min(left.dim(), right.dim()), 0):
            lengths = left.shape[axis], right.shape[axis]
            one, other = self.of(left)[axis], self.of(right)[axis]
            if lengths[0] != lengths[1] and 1 not in lengths and one and other:
                given = f"{lengths[0]} from {_listed(one)} and {lengths[1]} from {_listed(other)}"
                return f"{given} cannot be {done} element by element"
        return ""


def _any(axes: Sequence[Width]) -> tuple[str, ...]:
    """The layers that are known to have made one of the axes."""
    return next((width for width in axes if width), ())


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + f" and {names[-1]}" if len(names) > 1 else names[0]


def _flattened(before: Sequence[Width], first: torch.Tensor, result: torch.Tensor) -> Sequence[Width] | None:
    """All axes behind the samples in one, if their lengths are all known; two axes may be all that this input has."""
    inner = before[1:]
    if first.dim() < 3 or result.dim() != 2 or result.shape[0] != first.shape[0] or None in inner:
        return None
    return before[0], tuple(dict.fromkeys(name for width in inner for name in width or ()))


def picked(before: Sequence[_Axis | None], index: Any, new: _Axis | None) -> list[_Axis | None] | None:
    """Of the axes of a tensor, those of what an index picks, `new` for such as it makes and None for parts of axes.

    None where the index holds a tensor or a list.
    """
    parts = list(index) if isinstance(index, tuple) else [index]
    if any(not isinstance(part, (int, slice, type(None), type(...))) for part in parts):
        return None
    spent = sum(isinstance(part, (int, slice)) for part in parts)
    rest = [slice(None)] * (len(before) - spent)
    place = parts.index(...) if ... in parts else len(parts)
    parts = [*parts[:place], *rest, *parts[place + 1 :]]
    axes = iter(before)
    found: list[_Axis | None] = []
    for part in parts:
        width = next(axes) if part is not None else new
        if not isinstance(part, int):
            found.append(width if part in (None, slice(None)) else None)
    return found


def _reduced(before: Sequence[Width], dim: Any) -> Sequence[Width] | None:
    if dim is None:
        return None
    gone = {axis % len(before) for axis in (dim if isinstance(dim, (tuple, list)) else (dim,))}
    return [width for axis, width in enumerate(before) if axis not in gone]


def _squeezed(before: Sequence[Width], args: Sequence[Any], kwargs: Mapping[str, Any], first: torch.Tensor) -> Any:
    dim = args[0] if args else kwargs.get("dim")
    dims = range(first.dim()) if dim is None else dim if isinstance(dim, (tuple, list)) else (dim,)
    gone = {axis % first.dim() for axis in dims if first.shape[axis] == 1}
    return [width for axis, width in enumerate(before) if axis not in gone]


def moved(name: str, args: Sequence[Any], kwargs: Mapping[str, Any], rank: int) -> list[int | None]:
    """Which axis of a tensor each axis of its moved view is; None: a new one."""
    lengths = [index + 2 for index in range(rank)]
    with torch._C.DisableTorchFunction():
        found = getattr(torch.empty(lengths, device="meta"), name)(*args, **kwargs)
    return [length - 2 if length > 1 else None for length in found.shape]
