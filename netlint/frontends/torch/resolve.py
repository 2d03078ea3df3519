"""From the name of a Python target to the object it names: imports that code, and no other of the user's."""

from __future__ import annotations

import ast
import contextlib
import sys
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from inspect import signature
from pathlib import Path
from traceback import walk_tb
from types import ModuleType
from typing import Any

from netlint.capture import PythonTarget
from netlint.errors import said
from netlint.frontends import TargetError
from netlint.training import did_you_mean

_FOREIGN = ("site-packages", "dist-packages", "/lib/python", "<frozen", "importlib")
_OURS = str(Path(__file__).parent.parent.parent)


@contextlib.contextmanager
def users_code(doing: str, way_out: str) -> Iterator[None]:
    """Whatever the user's code raises inside becomes a `TargetError` that tells the line."""
    try:
        yield
    except TargetError:
        raise
    except SystemExit as error:
        raise TargetError(
            f"{doing}: the code ends the process (sys.exit({error.code!r})){where(error)}", way_out
        ) from error
    except EOFError as error:
        raise TargetError(f"{doing}: the code waits for input{where(error)}", way_out) from error
    except ModuleNotFoundError as error:
        hint = f"install {error.name} for {sys.executable}, or netlint where it is" if error.name else way_out
        raise TargetError(f"{doing}: {error}{where(error)}", hint) from error
    except SyntaxError as error:
        hint = "correct the file" if error.filename else way_out
        raise TargetError(f"{doing}: {type(error).__name__}: {error.msg}{where(error)}", hint) from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # also what no handler of a user's would catch
        text = said(error).strip().splitlines()
        message = f"{type(error).__name__}: {text[0][:300]}" if text else type(error).__name__
        raise TargetError(f"{doing}: {message}{where(error)}", way_out) from error


def where(error: BaseException) -> str:
    """` (net.py:12)`: the innermost line of the user's own, where an error comes from one."""
    places = [(frame.f_code.co_filename, line) for frame, line in walk_tb(error.__traceback__)]
    own = [
        place for place in places if not any(part in place[0] for part in _FOREIGN) and not place[0].startswith(_OURS)
    ]
    if isinstance(error, SyntaxError) and error.filename:
        own = [(error.filename, error.lineno or 0)]
    return f" ({Path(own[-1][0]).name}:{own[-1][1]})" if own else ""


def module_of(target: PythonTarget, sliced: bool) -> tuple[ModuleType, str]:
    """The module that a target names, and, where not all of it could be executed, why. Raises `TargetError`."""
    sys.argv = [target.place]
    if not target.is_file:
        sys.path.insert(0, str(Path.cwd()))
        hint = "check the name; the current folder is searched first"
        try:
            with users_code("cannot be imported", hint):
                return import_module(target.place), ""
        except TargetError as error:
            if target.place.startswith(getattr(error.__cause__, "name", None) or " "):
                raise TargetError(str(error), hint) from error  # it is the target itself that is missing
            raise
    file = Path(target.place).absolute()
    if not file.is_file():
        raise TargetError("does not exist", "check the path")
    name, root = _dotted(file)
    sys.path[:0] = [str(root), str(Path.cwd())]
    if sliced:
        return _sliced(file, name, target.name), "does not end its import"
    try:
        with users_code("cannot be imported", "put what starts work when imported under `if __name__ == '__main__':`"):
            return _executed(file, name), ""
    except TargetError as whole:
        if isinstance(whole.__cause__, SyntaxError):
            raise
        try:
            return _sliced(file, name, target.name), str(whole)
        except TargetError as part:
            if str(part).partition(": ")[2] == str(whole).partition(": ")[2]:
                raise whole from None
            raise TargetError(f"{whole}\nits definitions alone: {part}", whole.help) from None


def _dotted(file: Path) -> tuple[str, Path]:
    """The name of a file as a module, and the folder from which packages are imported."""
    parts = [] if file.stem == "__init__" else [file.stem]
    folder = file.parent
    while (folder / "__init__.py").is_file() and folder.name.isidentifier():
        parts.insert(0, folder.name)
        folder = folder.parent
    return ".".join(parts), folder


def _executed(file: Path, name: str) -> ModuleType:
    package, _, last = name.rpartition(".")
    if package:
        parent = import_module(package)
        module = import_module(name)
        return module if module.__file__ == str(file) else _loaded(file, f"{parent.__name__}.{last}_")
    return _loaded(file, name if name not in sys.modules else f"{name}_")


def _loaded(file: Path, name: str) -> ModuleType:
    spec = spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None  # a .py file always has both
    module = sys.modules[name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _sliced(file: Path, name: str, wanted: str) -> ModuleType:
    """A module of which only imports, definitions and what `wanted` needs of the rest are executed."""
    package = name.rpartition(".")[0]
    if package:
        with contextlib.suppress(Exception):
            import_module(package)
    module = ModuleType(name)
    module.__file__, module.__package__ = str(file), package
    sys.modules[name] = module
    with users_code("cannot be read", "correct the file"):
        tree = ast.parse(file.read_text("utf-8"), str(file))
    first: BaseException | None = None
    for statement in _needed(tree.body, wanted.partition(".")[0]):
        code = compile(ast.Module([statement], []), str(file), "exec")
        try:
            exec(code, vars(module))
        except BaseException as error:  # what depends on it fails by name, below or when the model is built
            first = first or error
    if not hasattr(module, wanted.partition(".")[0]) and first is not None:
        with users_code("fails", "correct the file"):
            raise first
    return module


def _needed(body: list[ast.stmt], wanted: str) -> list[ast.stmt]:
    """Imports, definitions, and the assignments and set-up calls whose names these use, directly or not."""
    names = {wanted}
    taken: set[int] = set()
    grown = True
    while grown:
        grown = False
        for index, statement in enumerate(body):
            if index not in taken and _serves(statement, names):
                taken.add(index)
                names |= {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}
                grown = True
    return [body[index] for index in sorted(taken)]


def _serves(statement: ast.stmt, names: set[str]) -> bool:
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return True
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return statement.name in names
    if isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        return any(isinstance(node, ast.Name) and node.id in names for part in targets for node in ast.walk(part))
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        # `parser.add_argument(…)`, `sys.path.append(…)`: sets up what an import or a definition uses.
        called = ast.unparse(statement.value.func)
        return called.startswith("sys.path.") or (called.partition(".")[0] in names and "add_" in called)
    if isinstance(statement, ast.Try):
        return all(_serves(inner, names) for inner in statement.body)
    return False


def attribute(module: ModuleType, target: PythonTarget) -> Any:
    """What the target names in its module. Raises `TargetError`."""
    found: Any = module
    for name in target.name.split("."):
        if not hasattr(found, name):
            raise TargetError(f"names nothing: {target.place} has no '{name}'", _suggestion(module, name, target))
        found = getattr(found, name)
    return found


def _suggestion(module: ModuleType, name: str, target: PythonTarget) -> str:
    import torch

    own = [key for key, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__]
    models = [
        key
        for key in own
        if isinstance(getattr(module, key), type) and issubclass(getattr(module, key), torch.nn.Module)
    ]
    near = get_close_matches(name, own, n=2, cutoff=0.6)
    if not near:
        has = (models if name[:1].isupper() else [])[-3:] or own[-3:]
        return f"it has {', '.join(has)}" if has else "name a class, or a function that makes the model"
    return did_you_mean(near, ()).removeprefix("; ").replace("did you mean", f"did you mean, in {target.place},")


def check_arguments(function: Callable[..., Any], target: PythonTarget) -> None:
    """Raises `TargetError` if the function cannot be called with the target's arguments."""
    try:
        parameters = signature(function)
    except (TypeError, ValueError):
        return  # written in C: the call itself will tell
    try:
        parameters.bind(*target.args, **target.kwargs)
    except TypeError as error:
        missing = [
            entry.name
            for entry in parameters.parameters.values()
            if entry.default is entry.empty and entry.kind not in (entry.VAR_POSITIONAL, entry.VAR_KEYWORD)
        ]
        shown = ", ".join(str(entry).split(":")[0].strip() for entry in parameters.parameters.values())
        example = ", ".join(f"{name}=…" for name in missing[:3])
        way_out = f'give arguments as literals: "{target}({example})", or name a function that needs none'
        if target.args or target.kwargs:
            way_out = "give the arguments that it takes, or name a function that needs none"
        raise TargetError(f"cannot be called so: {target.name}({shown}): {error}", way_out) from None
