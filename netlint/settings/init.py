"""A first settings file for what lies in a folder. Python files are read, nothing in them runs."""

from __future__ import annotations

import ast
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from netlint import __version__
from netlint.targets import SUFFIXES

_MOST_FILES = 2000
_LARGEST = 1 << 20
_MOST_ENTRIES = 20
_PASSED_BY = frozenset({"node_modules", "__pycache__", "site-packages", "build", "dist"})


@dataclass(frozen=True, slots=True)
class Network:
    """A class of a file that is a whole model, as far as its text tells: no other class there makes one of it."""

    file: str
    name: str
    is_lightning: bool
    has_step: bool
    wants: tuple[str, ...]
    """The arguments without which it cannot be made."""

    @property
    def target(self) -> str:
        return f"{self.file}:{self.name}"


@dataclass(frozen=True, slots=True)
class Found:
    """What could be linted in a folder."""

    models: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    """Model files by their folder, with slashes, seen from the one that was searched, and their suffix."""
    networks: tuple[Network, ...] = ()


def search(folder: Path) -> Found:
    """Model files and classes of models in a folder and below; hidden folders and environments are passed by."""
    models: dict[tuple[str, str], list[str]] = defaultdict(list)
    networks: list[Network] = []
    read = 0
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if _is_of_interest(Path(parent) / name))
        where = Path(parent).relative_to(folder)
        for name in sorted(files):
            if name.endswith(SUFFIXES):
                models[where.as_posix(), Path(name).suffix].append(name)
            elif name.endswith(".py") and read < _MOST_FILES:
                read += 1
                networks += _networks(Path(parent) / name, (where / name).as_posix())
    return Found(dict(models), tuple(networks))


def _is_of_interest(folder: Path) -> bool:
    return not folder.name.startswith(".") and folder.name not in _PASSED_BY and not (folder / "pyvenv.cfg").exists()


def _networks(path: Path, shown: str) -> Iterator[Network]:
    try:
        text = path.read_text("utf-8") if path.stat().st_size <= _LARGEST else ""
        tree = ast.parse(text) if "Module" in text else ast.Module([], [])
    except (OSError, ValueError, SyntaxError, MemoryError, RecursionError):
        return
    modules: dict[str, ast.ClassDef] = {}
    lightning: set[str] = set()
    for statement in tree.body:
        bases = {_last_name(base) for base in statement.bases} if isinstance(statement, ast.ClassDef) else set()
        if isinstance(statement, ast.ClassDef) and bases & {"Module", "LightningModule", *modules}:
            modules[statement.name] = statement
            if bases & {"LightningModule", *lightning}:
                lightning.add(statement.name)
    parts = {name for definition in modules.values() for name in _made_by(definition)}
    for name, definition in modules.items():
        if name not in parts and not any(name in map(_last_name, other.bases) for other in modules.values()):
            functions = {part.name: part for part in definition.body if isinstance(part, ast.FunctionDef)}
            wants = _wanted(functions["__init__"]) if "__init__" in functions else ()
            yield Network(shown, name, name in lightning, "training_step" in functions, wants)


def _last_name(node: ast.expr) -> str:
    """`Module` of `torch.nn.Module`."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _made_by(definition: ast.ClassDef) -> Iterator[str]:
    """The names of what a class calls."""
    return (_last_name(node.func) for node in ast.walk(definition) if isinstance(node, ast.Call))


def _wanted(function: ast.FunctionDef) -> tuple[str, ...]:
    """The parameters without a default, `self` aside."""
    args = function.args
    positional = [*args.posonlyargs, *args.args]
    bare = positional[1 : len(positional) - len(args.defaults)]
    keywords = [arg for arg, default in zip(args.kwonlyargs, args.kw_defaults, strict=True) if default is None]
    return tuple(arg.arg for arg in (*bare, *keywords))


_HEAD = """\
# Settings of netlint. `netlint config` shows what holds and why, `netlint rules` lists the rules;
# `netlint schema config` is for editors.

required-version = ">={version}"
# extends = "recommended"         # "all": opt-in rules as well; "strict": and notes fail a run
# ignore = ["oversized-kernel"]   # codes, names, prefixes such as "CNV"
# fail-on = "warning"             # or "error", "note"
# baseline = "netlint.baseline"   # findings to live with, after: netlint baseline create {example}

# What the graph cannot say, of every target. Rules that need what nobody states are skipped, and say so.
[training]
# task = "classification"
# loss = "cross_entropy"
# targets = [-1, 1]               # the range of the training targets
"""

_TAIL = """
# An exception, with its reason.
# [[overrides]]
# module = "encoder.layers.*"
# ignore = ["zero-weights"]
# reason = "filled when the checkpoint is loaded"

# The level and the options of a rule.
# [rules.oversized-kernel]
# level = "note"                  # or "warning", "error", "off"
# min-kernel = 7
"""


def settings_for(found: Found) -> str:
    """The text of a settings file."""
    entries = [_about_models(*place, names) for place, names in found.models.items()]
    entries += [_about_network(network) for network in found.networks[:_MOST_ENTRIES]]
    left = len(found.networks) - _MOST_ENTRIES
    entries += [f"\n# and {left} more PyTorch models\n"] if left > 0 else []
    version = ".".join(__version__.split(".")[:2])
    return _HEAD.format(version=version, example=" ".join(targets(found)[:1]) or "models") + "".join(entries) + _TAIL


def targets(found: Found) -> list[str]:
    """What to name on the command line: folders with models, and classes that can be made without arguments."""
    return [
        *dict.fromkeys(folder for folder, _ in found.models),
        *(network.target for network in found.networks if not network.wants),
    ]


def _about_models(folder: str, suffix: str, names: list[str]) -> str:
    many = "1 model file" if len(names) == 1 else f"{len(names)} model files"
    path = f"*{suffix}" if folder == "." else f"{_in_toml(folder)}/*{suffix}"
    return f'\n# {many}\n[[targets]]\npath = "{path}"\n# loss = "mse_loss"              # where it differs\n'


def _about_network(network: Network) -> str:
    arguments = f"({', '.join(f'{name}=…' for name in network.wants)})" if network.wants else ""
    path = _in_toml(network.target) + arguments
    entry = ["[[targets]]", f'path = "{path}"']
    if network.wants:  # as it stands it could not be made, and each run with --configured would fail
        entry = [f"# {line}" for line in entry]
    entry += ['# inputs = ["1,3,224,224"]       # if those that netlint infers are not right']
    if network.is_lightning and network.has_step:
        entry += ['# step = "training_step"          # lints the loss with the model']
    return "\n".join([f'\n# netlint "{path}" runs that code', *entry]) + "\n"


def _in_toml(text: str) -> str:
    """Text inside a basic string."""
    import json

    return json.dumps(text, ensure_ascii=False)[1:-1]
