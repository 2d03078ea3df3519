"""Data of the user's to run a model on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from netlint.frontends import TargetError
from netlint.graph import Value

Array = np.ndarray[Any, Any]

TARGETS = ("y", "target", "targets", "label", "labels")


@dataclass(frozen=True, slots=True)
class Data:
    """Arrays with names; names that are numbers stand for places."""

    name: str
    """Of the file."""
    arrays: Mapping[str, Any]

    @property
    def nameless(self) -> bool:
        return all(name.isdecimal() or name.removeprefix("arr_").isdecimal() for name in self.arrays)


def read(file: str) -> Data:
    """The arrays in an `.npz`. Raises `TargetError`."""
    path = Path(file)
    if path.suffix != ".npz":
        way_out = "write it with numpy.savez as FILE.npz, or for PyTorch models with torch.save as FILE.pt"
        raise TargetError(f"has a batch that is not understood: {file}", way_out)
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except OSError as error:
        raise TargetError(
            f"has a batch that cannot be read: {file}: {error.strerror or error}", "check the path"
        ) from None
    except Exception:
        raise TargetError(f"has a batch that is no .npz of plain arrays: {file}", "write it with numpy.savez") from None
    if not arrays:
        raise TargetError(f"has a batch without arrays: {file}", "write it with numpy.savez")
    return Data(path.name, arrays)


def fitted(data: Data, inputs: Sequence[Value]) -> dict[str, Array]:
    """An array for each input: by name where names fit, else in order. Raises `TargetError`."""
    names = [value.name for value in inputs]
    if all(name in data.arrays for name in names):
        chosen = {name: data.arrays[name] for name in names}
    else:
        free = [array for name, array in data.arrays.items() if name not in TARGETS]
        if len(free) != len(names) or (not data.nameless and len(names) > 1):
            _refuse(data, names)
        chosen = dict(zip(names, free, strict=True))
    return {value.name: _cast(chosen[value.name], value) for value in inputs}


def _refuse(data: Data, names: Sequence[str]) -> None:
    near = [match for name in data.arrays for match in get_close_matches(name, names, 1)]
    hint = f"did you mean {' and '.join(near)}?" if near else f"name them {', '.join(names)}"
    raise TargetError(f"has inputs {', '.join(names)}, and {data.name} holds {', '.join(data.arrays)}", hint)


def _cast(array: Array, value: Value) -> Array:
    """In the type and rank of the input. Raises `TargetError`."""
    if value.shape is not None and len(value.shape) != array.ndim:
        raise TargetError(
            f"wants {len(value.shape)} axes for {value.name}, and the batch has {array.ndim}",
            f"the shape of {value.name} is {list(value.shape)}",
        )
    return array.astype(value.dtype) if value.dtype and value.dtype != str(array.dtype) else array


def targets(data: Data, inputs: Sequence[Value]) -> Any:
    """What a file holds beyond the inputs: the targets of a loss; None: nothing."""
    named = next((data.arrays[name] for name in TARGETS if name in data.arrays), None)
    if named is not None or not data.nameless or len(data.arrays) <= len(inputs):
        return named
    return list(data.arrays.values())[len(inputs)]
