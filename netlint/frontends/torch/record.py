"""Executes a model on fake tensors and writes down every call that it makes to torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch

from netlint.frontends.torch.recording import Recording

Fallback = Literal["auto", "never"]


def record(
    target: torch.nn.Module | Callable[..., Any],
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    modules: torch.nn.Module | None = None,
    real: Fallback = "auto",
) -> Recording:
    """One run of `target(*args, **kwargs)`, as it is (train or eval); `modules` names parameters and module paths.

    `modules` defaults to the target if it is a module. `real="never"` forbids the fallback to a run on real tensors.
    Raises `TargetError`.
    """
    raise NotImplementedError


def record_symbolic(
    target: torch.nn.Module | Callable[..., Any],
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    modules: torch.nn.Module | None = None,
    real: Fallback = "auto",
    sizes: tuple[int, int] = (2, 3),
) -> Recording:
    """As `record`, at two batch sizes; dimensions that follow the size of axis 0 of the inputs become `batch`.

    Where the two runs differ in more than sizes, or the model runs only at the size given, shapes stay numbers and
    `notes` says why.
    """
    raise NotImplementedError
