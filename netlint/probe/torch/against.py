"""The model beside an export of it, in inference mode and on the same inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from netlint.analysis import Unavailable
from netlint.graph import Value
from netlint.probe.observed import Against, Compared

from .data import Batch
from .losses import floats
from .running import Running, why

NEEDED = "needs an export to compare with: --against=FILE.onnx"
_NUMBERS = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(double)": "float64"}
_NUMBERS |= {"tensor(int64)": "int64", "tensor(int32)": "int32", "tensor(bool)": "bool", "tensor(uint8)": "uint8"}


def against(running: Running) -> Against:
    """Run both. Raises `Unavailable` where there is no export, or it cannot be run."""
    file = running.request.against
    if not file:
        raise Unavailable(NEEDED)
    if running.source.step is not None:
        raise Unavailable(
            "compares the forward pass with its export, and a training step was recorded: leave out --step"
        )
    export = _session(file)
    batch = _fitting(running.batch, export)
    with running.lent(mode="eval"), torch.no_grad():
        on_device = batch.on(running.device)
        result = running(on_device)
        ours = [tensor.detach().cpu().float().numpy() for tensor in floats(result)]
    theirs = _run(export, batch, running, file)
    names = [out.name for out in export.get_outputs()]
    unequal = "" if len(ours) == len(theirs) else f"{len(ours)} outputs of the model, {len(theirs)} of the export"
    values = running.graph.outputs if len(running.graph.outputs) == len(ours) else running.graph.outputs[:1] * len(ours)
    pairs = zip(values, names, ours, theirs, strict=False)
    return Against(running.setup(batch=batch), file, tuple(_compared(*pair) for pair in pairs), unequal)


def _session(file: str) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise Unavailable("needs onnxruntime: pip install onnxruntime") from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(file, options, ["CPUExecutionProvider"])
    except Exception as error:
        raise Unavailable(f"{file} cannot be run: {why(error)}") from None


def _fitting(batch: Batch, export: Any) -> Batch:
    """As many samples as the export takes."""
    fixed = [each.shape[0] for each in export.get_inputs() if each.shape and isinstance(each.shape[0], int)]
    return batch.first(min(fixed)) if fixed else batch


def _run(export: Any, batch: Batch, running: Running, file: str) -> list[Any]:
    """The floating-point outputs of the export, in its order."""
    try:
        results = export.run(None, _feed(export, batch, running))
    except Unavailable:
        raise
    except Exception as error:
        raise Unavailable(f"{file} does not run on these inputs: {why(error)}") from None
    return [result for result in results if isinstance(result, np.ndarray) and result.dtype.kind == "f"]


def _feed(export: Any, batch: Batch, running: Running) -> Mapping[str, Any]:
    """Inputs by name where the names agree, else in order; exporters leave out what is not read."""
    wanted, tensors = export.get_inputs(), batch.tensors()
    by_name: dict[str, torch.Tensor] = {}
    if len(running.graph.inputs) == len(tensors):
        by_name = {value.name: tensor for value, tensor in zip(running.graph.inputs, tensors, strict=True)}
    if not all(each.name in by_name for each in wanted):
        if len(wanted) != len(tensors):
            raise Unavailable(f"the export takes {len(wanted)} inputs and the model {len(tensors)}")
        by_name = {each.name: tensor for each, tensor in zip(wanted, tensors, strict=True)}
    return {each.name: _as(by_name[each.name], each.type) for each in wanted}


def _as(tensor: torch.Tensor, kind: str) -> Any:
    array = tensor.detach().cpu().numpy()
    return array.astype(_NUMBERS[kind]) if kind in _NUMBERS else array


def _compared(value: Value, name: str, ours: Any, theirs: Any) -> Compared:
    size = float(np.abs(ours).max(initial=0.0))
    if ours.shape != theirs.shape:
        return Compared(value, name, float("inf"), size)
    both = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    difference = np.abs(np.where(both, 0.0, ours - theirs.astype(np.float64)))
    return Compared(value, name, _largest(difference), size)


def _largest(difference: Any) -> float:
    return float("inf") if np.isnan(difference).any() else float(difference.max(initial=0.0))
