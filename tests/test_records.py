"""A record is what a frozen dataclass is."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError, asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any

import pytest

from netlint.records import record


@dataclass(frozen=True)
class Kept:
    """A frozen dataclass."""

    name: str
    sizes: tuple[int, ...] = ()
    more: dict[str, int] = field(default_factory=dict, metadata={"parse": 3})

    @property
    def first(self) -> int:
        return self.sizes[0]


@record
class Record:
    """The same as a record."""

    name: str
    sizes: tuple[int, ...] = ()
    more: dict[str, int] = field(default_factory=dict, metadata={"parse": 3})

    @property
    def first(self) -> int:
        return self.sizes[0]


@record
class Longer(Record):
    """With a further field, and a `repr` of its own."""

    last: Any = None

    def __repr__(self) -> str:
        return "longer"


ARGUMENTS: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    (("a",), {}),
    (("a", (1, 2)), {}),
    (("a",), {"more": {"b": 1}}),
    ((), {"sizes": (3,), "name": "b"}),
]


@pytest.mark.parametrize(("args", "named"), ARGUMENTS)
def test_made_and_used_like_a_dataclass(args: tuple[Any, ...], named: dict[str, Any]) -> None:
    kept, made = Kept(*args, **named), Record(*args, **named)
    assert repr(made) == repr(kept).replace("Kept", "Record")
    assert asdict(made) == asdict(kept)  # type: ignore[call-overload]
    changed = replace(made, sizes=(7,))  # type: ignore[type-var]
    assert (changed.first, changed.name, made.sizes) == (7, made.name, kept.sizes)
    assert made == Record(*args, **named)
    assert made != changed
    assert made != kept
    assert pickle.loads(pickle.dumps(made)) == made


@pytest.mark.parametrize(
    ("args", "named"), [((), {}), (("a", (), {}, 1), {}), (("a",), {"name": "b"}), (("a",), {"x": 1})]
)
def test_wrong_arguments_are_refused(args: tuple[Any, ...], named: dict[str, Any]) -> None:
    for kind in (Kept, Record):
        with pytest.raises(TypeError):
            kind(*args, **named)


def test_frozen_and_hashable() -> None:
    made = Record("a", (1,))
    with pytest.raises(FrozenInstanceError):
        made.name = "b"  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        del made.name
    first, second = Known(1), Known(1)
    assert len({first, second, Known(2)}) == 2
    with pytest.raises(TypeError):
        hash(made)  # it holds a dict


@record
class Known:
    """Something hashable."""

    value: int


def test_defaults_are_no_ones_else() -> None:
    one, other = Record("a"), Record("a")
    one.more["x"] = 1
    assert other.more == {}
    assert is_dataclass(Record)
    assert [(entry.name, entry.type, dict(entry.metadata)) for entry in fields(Record)] == [  # type: ignore[arg-type]
        (entry.name, entry.type, dict(entry.metadata)) for entry in fields(Kept)
    ]


def test_fields_of_bases_come_first() -> None:
    longer = Longer("a", (1,), {}, 5)
    assert (longer.name, longer.last, repr(longer)) == ("a", 5, "longer")
    assert Longer("a").last is None
    match longer:
        case Longer(name, _, _, last):
            assert (name, last) == ("a", 5)
