"""Classes of plain data that cost next to nothing to define.

`dataclasses` compiles the methods of each class, half a millisecond apiece. Thirty classes are loaded only to print a
result that is known already: a third of such a run. `@record` makes what `@dataclass(frozen=True)` makes, methods that
are shared by all classes instead; `fields`, `replace`, `asdict` and `is_dataclass` of `dataclasses` work on it.
An instance takes twice as long to make: for what there are thousands of, take `dataclass`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import MISSING, Field, FrozenInstanceError, field
from inspect import get_annotations
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(cls: type[T]) -> type[T]:
    """Make a class a record of its annotated names, after those of its bases."""
    known: dict[str, Field[Any]] = dict(getattr(cls, "__dataclass_fields__", {}))
    for name, kind in get_annotations(cls).items():
        known[name] = _field(cls, name, kind)
    for name, method in _METHODS.items():
        if name not in cls.__dict__:
            setattr(cls, name, method)
    cls.__dataclass_fields__ = known  # type: ignore[attr-defined]
    cls.__match_args__ = tuple(known)  # type: ignore[attr-defined, misc]
    return cls


def _field(cls: type, name: str, kind: Any) -> Field[Any]:
    default = cls.__dict__.get(name, MISSING)
    made: Field[Any] = default if isinstance(default, Field) else field(default=default)
    made.name, made.type = name, kind
    made._field_type = dataclasses._FIELD  # type: ignore[attr-defined]
    if made.default_factory is not MISSING or made.default is MISSING:
        if name in cls.__dict__:
            delattr(cls, name)
    else:
        setattr(cls, name, made.default)
    return made


def _init(self: Any, *args: Any, **kwargs: Any) -> None:
    names = self.__match_args__
    values = dict(zip(names, args, strict=False))
    if len(args) > len(names) or not values.keys().isdisjoint(kwargs):
        raise TypeError(f"{type(self).__name__}() got {len(args)} positional arguments and {', '.join(kwargs)}")
    values |= kwargs
    if len(values) != len(names) or kwargs:
        _complete(self, values)
    self.__dict__.update(values)


def _complete(self: Any, values: dict[str, Any]) -> None:
    """Add the defaults. Raises TypeError for arguments too few or unknown."""
    known = self.__dataclass_fields__
    missing = []
    for name in known.keys() - values.keys():
        entry = known[name]
        if entry.default is not MISSING:
            values[name] = entry.default
        elif entry.default_factory is not MISSING:
            values[name] = entry.default_factory()
        else:
            missing.append(name)
    if missing or values.keys() - known.keys():
        wrong = ", ".join([*missing, *(values.keys() - known.keys())])
        raise TypeError(f"{type(self).__name__}() misses, or does not know, the arguments {wrong}")


def _values(self: Any) -> tuple[Any, ...]:
    values = self.__dict__
    return tuple([values[name] for name in self.__match_args__])


def _repr(self: Any) -> str:
    shown = ", ".join(f"{name}={self.__dict__[name]!r}" for name in self.__match_args__)
    return f"{type(self).__qualname__}({shown})"


def _eq(self: Any, other: object) -> bool:
    return _values(self) == _values(other) if other.__class__ is self.__class__ else NotImplemented


def _hash(self: Any) -> int:
    return hash(_values(self))


def _set(self: Any, name: str, value: Any) -> None:
    raise FrozenInstanceError(f"cannot assign to field '{name}'")


def _delete(self: Any, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field '{name}'")


_METHODS = {
    "__init__": _init,
    "__repr__": _repr,
    "__eq__": _eq,
    "__hash__": _hash,
    "__setattr__": _set,
    "__delattr__": _delete,
}
