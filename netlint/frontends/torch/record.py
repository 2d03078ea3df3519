"""Executes a model on tensors without elements and writes down every call that it makes to torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from netlint.frontends.torch.recording import Recording
from netlint.frontends.torch.run import Fallback, Run, Target
from netlint.frontends.torch.symbolic import both
from netlint.frontends.torch.write import graph_of


def record(
    target: Target,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    modules: nn.Module | None = None,
    real: Fallback = "auto",
) -> Recording:
    """One run of `target(*args, **kwargs)`, as it is (train or eval); `modules` names parameters and module paths.

    `modules` defaults to the target if it is a module. `real="never"` forbids the fallback to a run on real tensors.
    Raises `TargetError`.
    """
    recorder = Run(target, args, kwargs or {}, modules, real).best()
    graph, tensors = graph_of(recorder.trace)
    return Recording(graph, tensors, recorder.real, thorough=recorder.thorough, notes=recorder.trace.notes)


def record_symbolic(
    target: Target,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    modules: nn.Module | None = None,
    real: Fallback = "auto",
    sizes: tuple[int, int] = (2, 3),
) -> Recording:
    """As `record`, at two batch sizes; dimensions that follow the size of axis 0 of the inputs become `batch`.

    Where the two runs differ in more than sizes, or the model runs only at the size given, shapes stay numbers and
    `notes` says why.
    """
    recorder, symbolic = both(Run(target, args, kwargs or {}, modules, real), sizes)
    graph, tensors = graph_of(recorder.trace)
    return Recording(graph, tensors, recorder.real, symbolic, recorder.thorough, recorder.trace.notes)
