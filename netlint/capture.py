"""Python targets as the user names them (`net.py:Net(classes=10)`), and how they are to be captured. Runs nothing."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import field, fields, replace
from pathlib import Path
from typing import Any

from .frontends import TargetError
from .probe.request import BUDGET, Request
from .records import record

TIME_LIMIT = 60.0
"""Seconds that importing, building and recording a model may take unless --time-limit says otherwise."""

MODES = ("train", "eval")
WEIGHTS = ("auto", "never")

INPUTS = "inputs"
"""The assumption that says which inputs a model was run with."""

GUESSED = "guessed from "
"""How the origin of an assumption begins that nobody stated."""

PART = "imported"
"""The assumption that says that not all of a file was executed when it was imported, and why."""

_PYTHON = re.compile(
    r"(?P<place>.+\.py|[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):(?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)(?P<call>\s*\(.*)?\s*",
    re.DOTALL,
)


@record
class PythonTarget:
    """What makes a model: an attribute of a module or of a file, called with literals."""

    place: str
    """A dotted module name, or the path of a `.py` file."""
    name: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_file(self) -> bool:
        return self.place.endswith(".py")

    @property
    def folder(self) -> Path:
        """Where its settings are looked for: beside the file, else in the current folder."""
        return Path(self.place).absolute().parent if self.is_file else Path.cwd()

    def __str__(self) -> str:
        return f"{self.place}:{self.name}"


def python_target(text: str) -> PythonTarget | None:
    """The Python target that a text names; None if it has not the form of one. Raises `TargetError`."""
    match = _PYTHON.fullmatch(text)
    if match is None:
        return None
    args, kwargs = _arguments(match["call"] or "()")
    return PythonTarget(match["place"], match["name"], args, kwargs)


def _arguments(call: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    try:
        parsed = ast.parse(f"f{call.strip()}", mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise TargetError("has arguments that are not Python", 'write it as in "net.py:Net(classes=10)"') from None
    if not isinstance(parsed, ast.Call) or not isinstance(parsed.func, ast.Name):
        raise TargetError("is called more than once", 'write it as in "net.py:Net(classes=10)"')
    args = tuple(_literal(arg) for arg in parsed.args)
    kwargs = {keyword.arg or "**": _literal(keyword.value) for keyword in parsed.keywords}
    if "**" in kwargs:
        raise TargetError("unpacks arguments with **", "write them out: name=value")
    return args, kwargs


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, MemoryError, RecursionError):
        raise TargetError(
            f"has an argument that is no Python literal: {ast.unparse(node)[:80]}",
            "write numbers, texts, lists and dictionaries, or name a function without arguments that makes the model",
        ) from None


@record
class Capture:
    """How a model is to be captured; what is empty is left to netlint."""

    inputs: tuple[str, ...] = ()
    """Example inputs in order: `1,3,224,224`, `ids:int64:1,128`."""
    step: str = ""
    """A training step to record instead of the forward pass: `net.py:training_step`, or a method of the model."""
    factory: str = ""
    """What makes the model whose weights a `.pt` or `.pth` holds."""
    mode: str = ""
    """`train` or `eval`; empty: as the model is made."""
    weights: str = ""
    """`auto`: initial weights are kept where the model is small; `never`: they are not even made."""
    time_limit: float | None = None
    probe: str = ""
    """Where to run the model: `auto`, `cpu`, `cuda`; empty: it is not run."""
    probe_budget: float | None = None
    """Seconds for what the probe does beyond one forward and one backward pass."""
    seed: int | None = None
    batch: str = ""
    """A file with data to run it on."""
    against: str = ""
    """An exported model, `.onnx`, that should compute the same."""

    @property
    def request(self) -> Request | None:
        """How the model is to be run; None: not at all."""
        if not self.probe:
            return None
        return Request(self.probe, self.probe_budget or BUDGET, self.seed or 0, self.batch, self.against)

    def otherwise(self, other: Capture) -> Capture:
        """This one, with what it leaves open taken from `other`."""
        stated = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(other, **{name: value for name, value in stated.items() if value not in ("", (), None)})
