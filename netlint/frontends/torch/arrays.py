"""NumPy arrays among inputs and targets become tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from netlint.frontends import TargetError


def with_tensors(value: Any, model: Any, what: str) -> Any:
    """The value with NumPy arrays as tensors; float64, which arrays are unless told otherwise, as the model's floats.

    Raises `TargetError` for arrays that torch has no type for.
    """
    if isinstance(value, np.ndarray | np.generic):
        return _tensor(np.asarray(value), model, what)
    if isinstance(value, dict):
        return {key: with_tensors(item, model, what) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(with_tensors(item, model, what) for item in value)
    return value


def _tensor(array: np.ndarray[Any, Any], model: Any, what: str) -> torch.Tensor:
    try:
        tensor = torch.from_numpy(np.ascontiguousarray(array).copy())
    except TypeError:
        raise TargetError(f"{what} holds an array of {array.dtype}, which is no tensor", "give numbers") from None
    return tensor.to(_float(model)) if tensor.dtype == torch.float64 else tensor


def _float(model: Any) -> torch.dtype:
    """The type of the first floating-point parameter; without one, torch's default."""
    parameters = model.parameters() if isinstance(model, nn.Module) else ()
    kinds = (parameter.dtype for parameter in parameters if parameter.is_floating_point())
    return next(kinds, torch.get_default_dtype())
