"""Switches dropout off without leaving training mode."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch.nn.functional as F  # noqa: N812
from torch import nn
from torch.nn.modules.dropout import _DropoutNd
from torch.overrides import TorchFunctionMode

from netlint.frontends.torch import functions

_DROPPING = frozenset(
    {
        *("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_dropout", "native_dropout"),
        *("feature_alpha_dropout", "dropout_", "alpha_dropout_", "feature_dropout_", "feature_alpha_dropout_"),
    }
)


@contextmanager
def undropped(model: nn.Module) -> Iterator[None]:
    """Dropout passes everything on. The caller puts the attributes of the modules back."""
    for module in model.modules():
        if isinstance(module, _DropoutNd):
            module.training = False
        elif isinstance(module, nn.MultiheadAttention | nn.RNNBase):
            module.dropout = 0.0
    with _Passing():
        yield


class _Passing(TorchFunctionMode):
    """Of calls of functions: the model need not have a module for them."""

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = dict(kwargs or {})
        if func is F.scaled_dot_product_attention:
            args = (*args[:4], 0.0, *args[5:]) if len(args) > 4 else args
            given.pop("dropout_p", None)
        elif functions.bare_name(func) in _DROPPING and args:
            return args[0]
        return func(*args, **given)
