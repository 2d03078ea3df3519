"""`netlint.check(model)`: for notebooks, training scripts and tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from .capture import MODES, Capture
from .checked import CheckReport, Findings
from .errors import ConfigError
from .frontends import TargetError
from .objects import contract as told
from .objects import refuse_mistakes
from .plans import Plans
from .probe.request import DEVICES
from .report import Failure
from .session import Session
from .training import parse_training

__all__ = ["CheckReport", "Findings", "TargetError", "check"]


def check(
    model: Any,
    loss: Callable[..., Any] | str | None = None,
    optimizer: Any = None,
    scheduler: Any = None,
    inputs: Any = None,
    targets: Any = None,
    *,
    step: Callable[..., Any] | str | None = None,
    mode: str = "",
    probe: bool | str = False,
    probe_budget: float | None = None,
    seed: int | None = None,
    against: str | os.PathLike[str] = "",
    select: Sequence[str] | str = (),
    ignore: Sequence[str] | str = (),
    config: str | os.PathLike[str] | None = None,
    **contract: Any,
) -> CheckReport:
    """Lint a model and give the report.

    `model`: an `nn.Module` (also a `torch.fx.GraphModule`), an `ExportedProgram`, an `onnx.ModelProto`, or what the
    command line takes: a file, `"net.py:Net"`. A module is executed on tensors without memory and left as it was.

    `inputs`: a tensor or array, a tuple of arguments, a dict of them, or shapes as `--input` takes them; without it
    they are inferred. With `loss` (any callable) and `targets` (a tensor or array, or a tuple of what the loss takes
    after the prediction), `loss(model(*inputs), *targets)` is recorded; with `step`, `step(model, *inputs)`, or the
    method of that name. `targets` may also be a range, `(-1, 1)` or `"-1..1"`. `optimizer`, `scheduler` and the rest of
    `contract` (`task="regression"`, `classes=10` …) tell what the graph cannot.

    With `probe` (True, `"cpu"`, `"cuda"`) the model is run as well: on the inputs at hand where they are tensors, else
    on synthetic ones; `probe_budget` is in seconds, `seed` that of all random numbers. `against` is the file of an ONNX
    export that should compute the same.

    Raises `TargetError` where the model cannot be analysed, `ConfigError` and `ContractError` for mistakes in settings.
    """
    if mode and mode not in MODES:
        raise ConfigError(f"mode='{mode}' is not known; there are {' and '.join(MODES)}")
    if isinstance(targets, str) or _is_range(targets):
        contract, targets = {**contract, "targets": targets}, None
    refuse_mistakes(loss, optimizer, scheduler, step)
    stated = parse_training(_texts(contract), lambda field: f"{field}=")
    stated = stated.otherwise(told(loss, optimizer, scheduler))
    capture = _capture(inputs, step, mode)
    capture = replace(capture, probe=_device(probe, against), probe_budget=probe_budget, seed=seed)
    capture = replace(capture, against=os.fspath(against))
    session = Session(Plans(Path(config) if config else None, _listed(select), _listed(ignore), stated, capture))
    if isinstance(model, str | os.PathLike):
        return _of_target(session, os.fspath(model))
    name = type(model).__name__
    if name == "ModelProto" and hasattr(model, "SerializeToString"):
        from .frontends.onnx import load_bytes
        from .probe.attach import runnable

        data = model.SerializeToString()
        return session.report(runnable(load_bytes(data), data, capture.request), name)
    from .frontends.torch.live import captured

    found = captured(model, loss, optimizer, scheduler, capture.inputs or inputs, targets, step, mode)
    if capture.request is not None:
        from .probe.torch.runner import probed

        found = probed(found, capture.request)
    return session.report(found.graph, name, found.training, found.facts)


def _of_target(session: Session, target: str) -> CheckReport:
    """The report on one file or Python target. Raises `TargetError`."""
    results = list(session.results([target]))
    if len(results) != 1:
        raise TargetError(f"'{target}' holds {len(results)} models", "name one of them")
    (result,) = results
    if isinstance(result, CheckReport):
        return result
    assert isinstance(result, Failure)
    raise TargetError(f"{result.target} {result.error}", result.error.help)


def _capture(inputs: Any, step: Any, mode: str) -> Capture:
    texts = (inputs,) if isinstance(inputs, str) else inputs
    stated = tuple(texts) if isinstance(texts, tuple | list) and all(isinstance(text, str) for text in texts) else ()
    return Capture(inputs=stated, step=step if isinstance(step, str) else "", mode=mode)


def _device(probe: bool | str, against: str | os.PathLike[str]) -> str:
    """Where to run the model; empty: nowhere. Raises `ConfigError`."""
    found = "auto" if probe is True else probe or ""
    if found and found not in DEVICES:
        raise ConfigError(f"probe='{probe}' is not known; there are True, {', '.join(DEVICES)}")
    if against and not found:
        raise ConfigError("against= compares runs of the model, which probe=True makes")
    return found


def _listed(texts: Sequence[str] | str) -> list[str]:
    return [texts] if isinstance(texts, str) else list(texts)


def _is_range(value: Any) -> bool:
    return isinstance(value, tuple | list) and len(value) == 2 and all(type(end) in (int, float) for end in value)


def _texts(contract: Mapping[str, Any]) -> dict[str, object]:
    """Contract fields as they may be written in Python: a range also as a tuple."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in contract.items()}
