"""One model by two ways: recorded as a module, and exported to ONNX; and what is found on either."""

from __future__ import annotations

import contextlib
import inspect
import io
import logging
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import onnx
import torch
from torch import nn

from netlint.engine import lint
from netlint.frontends.onnx import load_bytes
from netlint.frontends.torch.live import captured
from netlint.registry import load_rules
from netlint.reported import Report
from netlint.training import Training, parse_training

EPSILON = "the exporter drops the epsilon, so that the file really can divide by zero or take the root of zero"

RULES = load_rules()
Finding = tuple[str, str, str]
"""Code, level, module path."""

_CALL = re.compile(r"_\d+(?=\.|\Z)")


def agree(here: Counter[Finding], there: Counter[Finding], explained: Iterable[str] = ()) -> None:
    """Demands that the findings of the rules that are explained differ, and those of all other rules do not."""
    differ = {code for code, _, _ in (here - there) + (there - here)}
    assert differ == set(explained), (here - there, there - here)


def like_the_module(found: Counter[Finding], model: nn.Module) -> Counter[Finding]:
    """Module paths as the module has them: see `_path`."""
    paths = {path for path, _ in model.named_modules()}
    total: Counter[Finding] = Counter()
    for (code, level, path), count in found.items():
        total[code, level, path if path in paths else _path(path, paths)] += count
    return total


def _path(path: str, paths: set[str]) -> str:
    """Without the numbers of further calls, and with containers that a file leaves out, where no more than one fits.

    The file tells that itself, unless it renames all parameters of a module.
    """
    bare = _CALL.sub("", path)
    if bare in paths:
        return bare
    parts = bare.split(".")
    within = [known for known in paths if parts[-1] == known.rpartition(".")[2] and _is_within(parts, known.split("."))]
    return within[0] if len(within) == 1 else bare


def _is_within(parts: list[str], whole: list[str]) -> bool:
    rest = iter(whole)
    return all(part in rest for part in parts)


def findings(report: Report) -> Counter[Finding]:
    assert report.crashed == ()
    return Counter((found.rule.code, str(found.level), found.loc.module or "") for found in report.findings)


def recorded(
    model: nn.Module, inputs: tuple[Any, ...], contract: Mapping[str, Any], mode: str = "eval"
) -> tuple[Counter[Finding], Training]:
    """What is found on the module, and under which contract: the inputs tell their range."""
    found = captured(model, None, None, None, inputs, None, None, mode)
    stated = {name: list(value) if isinstance(value, tuple) else value for name, value in contract.items()}
    training = parse_training(stated, lambda name: name).otherwise(found.training)
    return findings(lint(found.graph, RULES.values(), training)), training


def exported(model: onnx.ModelProto, training: Training) -> Counter[Finding]:
    return findings(lint(load_bytes(model.SerializeToString()), RULES.values(), training))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Exporters print their progress and warn about themselves."""
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)


def dynamo(model: nn.Module, inputs: tuple[Any, ...]) -> onnx.ModelProto:
    """By `torch.export`; the first axis of every input is symbolic where the model allows it."""
    shapes: tuple[Any, ...] = tuple({0: torch.export.Dim.AUTO} for _ in inputs)
    if next(iter(inspect.signature(model.forward).parameters.values())).kind is inspect.Parameter.VAR_POSITIONAL:
        shapes = (shapes,)  # the one parameter `*inputs` takes them all
    with quiet():
        program = torch.onnx.export(
            model.eval(), inputs, dynamo=True, opset_version=20, dynamic_shapes=shapes, verbose=False
        )
    assert program is not None
    return program.model_proto


def torchscript(model: nn.Module, inputs: tuple[Any, ...]) -> onnx.ModelProto:
    """By tracing; the first axis of every input is symbolic."""
    names = [f"input_{place}" for place, _ in enumerate(inputs)]
    file = io.BytesIO()
    with quiet():
        torch.onnx.export(
            model.eval(),
            inputs,
            file,
            dynamo=False,
            opset_version=17,
            input_names=names,
            dynamic_axes={name: {0: "batch"} for name in names},
        )
    return onnx.load_from_string(file.getvalue())


EXPORTERS: dict[str, Callable[[nn.Module, tuple[Any, ...]], onnx.ModelProto]] = {
    "dynamo": dynamo,
    "torchscript": torchscript,
}


# Faults to inject: each takes a fresh model and gives a faulty one, or None where there is no place for it.


def sigmoid_between(model: nn.Module) -> nn.Module | None:
    """Every activation in a row of layers becomes a sigmoid."""
    done = False
    for row in model.modules():
        if isinstance(row, nn.Sequential):
            for place, part in enumerate(row):
                if isinstance(part, nn.ReLU | nn.LeakyReLU | nn.GELU | nn.SiLU | nn.Tanh) and place < len(row) - 1:
                    row[place] = nn.Sigmoid()
                    done = True
    return model if done else None


class Softmaxed(nn.Module):
    """Probabilities where the loss wants logits."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, *inputs: Any) -> torch.Tensor:
        return torch.softmax(self.net(*inputs), dim=1)


def softmax_at_the_end(model: nn.Module) -> nn.Module:
    return Softmaxed(model)


def _weighted(model: nn.Module) -> list[nn.Module]:
    return [part for part in model.modules() if isinstance(part, nn.Linear | nn.Conv1d | nn.Conv2d)]


def zero_hidden_layer(model: nn.Module) -> nn.Module | None:
    """A layer in the middle starts at zero."""
    layers = [part for part in _weighted(model) if type(part.weight) is nn.Parameter]
    if len(layers) < 3:
        return None
    nn.init.zeros_(layers[len(layers) // 2].weight)
    return model


def constant_layer(model: nn.Module) -> nn.Module | None:
    """Every weight of a layer in the middle is the same."""
    layers = [part for part in _weighted(model) if type(part.weight) is nn.Parameter]
    if len(layers) < 3:
        return None
    nn.init.constant_(layers[len(layers) // 2].weight, 0.05)
    return model


def linear_twice(model: nn.Module) -> nn.Module | None:
    """A second linear layer right behind the first one in a row."""
    for row in model.modules():
        if isinstance(row, nn.Sequential):
            for place, part in enumerate(row):
                if type(part) is nn.Linear and place < len(row) - 1:
                    row[place] = nn.Sequential(part, nn.Linear(part.out_features, part.out_features))
                    return model
    return None


FAULTS: dict[str, Callable[[nn.Module], nn.Module | None]] = {
    fault.__name__: fault
    for fault in (sigmoid_between, softmax_at_the_end, zero_hidden_layer, constant_layer, linear_twice)
}
