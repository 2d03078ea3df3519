"""The place of each value in a settings file: what stands there is that value, whatever way it is written."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from netlint.config import KeyPath, read_settings
from netlint.errors import ConfigError
from netlint.registry import load_rules
from netlint.settings.locate import places
from netlint.settings.rules import RuleSettings
from netlint.settings.version import allows

RULES = load_rules()

KEY = st.text("ab-_1", min_size=1, max_size=3) | st.sampled_from(['"a b"', "'c.d'", '"\\u0065"', '"]"', "'#='"])
SCALAR = st.sampled_from(
    [
        *("1", "0x1F", "1_000", "3.5e-7", "inf", "true", "1979-05-27", "1979-05-27 07:32:00Z", "07:32:00.5"),
        *('""', "''", '"x # y"', '"\\"]\\\\"', "'\\'", '"[a]\\nb = 1"', '"é ▸"'),
        *(
            '"""""" # "',
            "''''''",
            '"""a\n[b]\nc = 1\n"""',
            "'''\nx = '1'\n'''",
            '"""\\""""',
            '"""a""b"""""',
            "'''a''''",
        ),
    ]
)
BLANK = st.sampled_from(["", " ", "\t", "  "])
LINES = st.sampled_from(["", " ", "\n", " # ], } = 'x\n", "\n\n  "])


@st.composite
def array(draw: st.DrawFn, value: st.SearchStrategy[str]) -> str:
    items = draw(st.lists(value, max_size=3))
    comma = draw(st.booleans())
    inner = "".join(
        draw(LINES) + item + draw(LINES) + ("," if comma or place < len(items) - 1 else "")
        for place, item in enumerate(items)
    )
    return f"[{inner}{draw(LINES)}]"


@st.composite
def inline_table(draw: st.DrawFn, value: st.SearchStrategy[str]) -> str:
    keys = draw(st.lists(KEY, max_size=3, unique=True))
    pairs = [f"{draw(BLANK)}{key}{draw(BLANK)}={draw(BLANK)}{draw(value)}" for key in keys]
    return "{" + ",".join(pairs) + draw(BLANK) + "}"


VALUE = st.recursive(SCALAR, lambda value: array(value) | inline_table(value), max_leaves=6)


@st.composite
def document(draw: st.DrawFn) -> str:
    lines = []
    for _ in range(draw(st.integers(0, 7))):
        key = f"{draw(BLANK)}.{draw(BLANK)}".join(draw(st.lists(KEY, min_size=1, max_size=3)))
        comment = draw(st.sampled_from(["", " # x = [", "\t#"]))
        form = draw(st.sampled_from(["{key} = {value}", "{key}={value}", "[{key}]", "[[{key}]]", "[ {key} ]"]))
        lines.append(draw(BLANK) + form.format(key=key, value=draw(VALUE)) + comment)
    return draw(st.sampled_from(["\n", "\n\n", "\r\n"])).join(lines)


def leaves(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """Every value in the content of a file, tables and arrays themselves included."""
    if path:
        yield path, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from leaves(item, (*path, key))


def check(text: str) -> None:
    content = tomllib.loads(text)
    text = text.replace("\r\n", "\n")
    found = places(text)
    assert set(found) == {path for path, _ in leaves(content)}
    for path, value in leaves(content):
        start, end = found[path].key
        if isinstance(path[-1], str):
            assert list(tomllib.loads(f"{text[start:end]} = 1")) == [path[-1]]
        start, end = found[path].value
        spelled = text[start:end]
        if not isinstance(value, dict | list):
            assert tomllib.loads(f"x = {spelled}") == {"x": value}


def is_valid(text: str) -> bool:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True


@given(document().filter(is_valid))
def test_every_value_stands_where_it_is_said_to_stand(text: str) -> None:
    check(text)


@example('"""a""b"""""')
@example("'''a''''")
@example('"""\\""""')
@given(VALUE.filter(lambda value: is_valid(f"x = {value}")))
def test_of_every_value(value: str) -> None:
    check(f"[a.'b.c']\nd = 1 # x\n  e.f = {value}\n[[g]]\n[[g]]\nh={value}\n[g.i]\nj = {value}\n[[g.k]]\nl = {value}")


def test_arrays_of_tables_are_counted() -> None:
    found = places("[[a]]\nx = 1\n[[a.b]]\n[[a.b]]\ny = 2\n[[a]]\n[[a.b]]\ny = 3\n")
    assert ("a", 0, "b", 1, "y") in found
    assert ("a", 1, "b", 0, "y") in found
    assert ("a", 1, "b", 1) not in found


@pytest.mark.parametrize(
    ("required", "version", "allowed"),
    [
        (">=0.3", "0.3.0", True),
        (">=0.3", "0.2.9", False),
        (">0.3", "0.3.0", False),
        ("==0.3", "0.3.0", True),
        ("!=0.3.1", "0.3.1", False),
        (">=0.3, <1", "0.10.2", True),
        (">=0.3,<0.10", "0.10.0", False),
        ("~=0.3", "0.9", True),
        ("~=0.3", "1.0", False),
        ("~=0.3.1", "0.3.9", True),
        ("~=0.3.1", "0.4.0", False),
        ("<=0.3", "0.3.0.dev1", True),
        ("0.3", "0.3.0", None),
        ("", "0.3.0", None),
        (">=0.3;", "0.3.0", None),
    ],
)
def test_required_versions(required: str, version: str, allowed: bool | None) -> None:
    assert allows(required, version) is allowed


TOP = ("extends", "select", "fail-on", "baseline", "training", "targets", "overrides", "rules", "required-version")
INNER = (
    "path",
    "loss",
    "inputs",
    "seed",
    "target",
    "module",
    "ignore",
    "level",
    "reason",
    "CNV001",
    "min-kernel",
    "lr",
)
ANY = st.recursive(
    SCALAR | st.sampled_from(['"error"', '"ACT"', '">=0"', "nan", "-1", "[]", "{}"]),
    lambda value: (
        array(value) | st.tuples(st.sampled_from(INNER), value).map(lambda pair: f"{{{pair[0]} = {pair[1]}}}")
    ),
    max_leaves=4,
)
LINE = st.one_of(
    st.tuples(st.sampled_from(TOP + INNER), ANY).map(lambda pair: f"{pair[0]} = {pair[1]}"),
    st.sampled_from(["[training]", "[[targets]]", "[[overrides]]", "[rules.CNV001]", "[rules.zero-weights]", "[x"]),
)


@given(st.lists(LINE, max_size=6).map("\n".join))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_file_says_is_understood_or_told(tmp_path: Path, text: str) -> None:
    """No settings crash netlint, and every mistake names its line."""
    (tmp_path / "netlint.toml").write_text(text)
    try:
        read = read_settings(tmp_path / "netlint.toml")
        assert read is not None
        about = RuleSettings(read, RULES)
        about.decisions()
        about.levels()
        about.options()
        about.exceptions("m.onnx")
    except ConfigError as error:
        assert re.match(r".*netlint\.toml:\d+:\d+: .*\n *\|\n\d+ \| .*\n *\| *\^+$", str(error)), error
