"""The content of a settings file -> `Settings`. Whatever is wrong raises `Mistake`, with the way to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from netlint import __version__
from netlint.capture import MODES, WEIGHTS, Capture
from netlint.config import LEVELS, OFF, PRESETS, KeyPath, Mistake, Override, Settings, relative
from netlint.errors import ContractError, get_close_matches
from netlint.probe.request import DEVICES
from netlint.rule import Level
from netlint.training import FIELDS, Training, did_you_mean, parse_training

from .version import allows

KEYS = (
    *("required-version", "extends", "select", "ignore", "fail-on", "baseline", "exclude", "rule-folders"),
    *("training", "targets", "overrides", "rules"),
)
PROBE_KEYS = ("probe", "probe-budget", "seed", "batch", "against")
CAPTURE_KEYS = ("inputs", "step", "factory", "mode", "weights", "time-limit", *PROBE_KEYS)
TRAINING_KEYS = tuple(name.replace("_", "-") for name in FIELDS)
TARGET_KEYS = ("path", *CAPTURE_KEYS, *TRAINING_KEYS)
OVERRIDE_KEYS = ("target", "module", "ignore", "rules", "level", "reason")


def parsed(bare: Settings, table: Mapping[str, Any]) -> Settings:
    """The settings in the table of a file; `bare` knows the file. Raises `Mistake`."""
    assert bare.file is not None
    _required_version(table)
    _known((), table, KEYS)
    extends = _choice(("extends",), table.get("extends", PRESETS[0]), PRESETS)
    usual = "note" if extends == "strict" else "warning"
    baseline = _text(("baseline",), table.get("baseline", ""))
    where = relative(bare.file)
    entries = list(_targets(where, table.get("targets", [])))
    return replace(
        bare,
        extends=extends,
        select=_strings(("select",), table.get("select", [])),
        ignore=_strings(("ignore",), table.get("ignore", [])),
        fail_on=LEVELS[_choice(("fail-on",), table.get("fail-on", usual), LEVELS)],
        baseline=bare.file.parent / baseline if baseline else None,
        exclude=_strings(("exclude",), table.get("exclude", [])),
        rule_folders=tuple(
            bare.file.parent / folder for folder in _strings(("rule-folders",), table.get("rule-folders", []))
        ),
        training=_contract(where, ("training",), _table(("training",), table.get("training", {}))),
        targets=tuple((path, training) for path, training, _ in entries),
        captures=tuple((path, capture) for path, _, capture in entries),
        overrides=tuple(_overrides(table.get("overrides", []))),
        rules=dict(_rules(_table(("rules",), table.get("rules", {})))),
    )


def _required_version(table: Mapping[str, Any]) -> None:
    """Looked at first: what an older netlint does not know would otherwise be called a mistake."""
    required = _text(("required-version",), table.get("required-version", ">=0"))
    allowed = allows(required, __version__)
    if allowed is None:
        raise Mistake(("required-version",), f"'{required}' is no version requirement: write it as in \">=0.3, <1\"")
    if not allowed:
        raise Mistake(("required-version",), f"these settings want netlint {required}, and this is {__version__}")


def _rules(tables: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, table in tables.items():
        _table(("rules", name), table)
        if "level" in table:
            _choice(("rules", name, "level"), table["level"], (*LEVELS, OFF))
        yield name, table


def _targets(where: str, entries: Any) -> Iterator[tuple[str, Training, Capture]]:
    for index, entry in enumerate(_tables(("targets",), entries)):
        here = ("targets", index)
        _known(here, entry, (*TARGET_KEYS, *FIELDS))
        if "path" not in entry:
            raise Mistake(here, "an entry of targets says by its path which targets it is about")
        stated = {name: value for name, value in entry.items() if name != "path" and name not in CAPTURE_KEYS}
        path = _text((*here, "path"), entry["path"])
        yield path, _contract(where, here, stated), _capture(here, entry)


def _contract(where: str, here: KeyPath, table: Mapping[str, Any]) -> Training:
    training = Training()
    for key, value in table.items():
        try:
            stated = parse_training({key: value}, lambda name: f"{name} in {where}")
        except ContractError as error:
            message = str(error).partition(f" in {where}: ")[2]
            known = key.replace("-", "_") in FIELDS
            raise Mistake((*here, key), f"{key}: {message}" if known else message, at_key=not known) from None
        training = stated.otherwise(training)
    return training


def _capture(here: KeyPath, entry: Mapping[str, Any]) -> Capture:
    chosen = {
        key: _choice((*here, key), entry[key], choices)
        for key, choices in (("mode", MODES), ("weights", WEIGHTS), ("probe", DEVICES))
        if key in entry
    }
    seed = entry.get("seed")
    if seed is not None and (type(seed) is not int or seed < 0):
        raise Mistake((*here, "seed"), f"seed is a whole number from 0 on, not {seed!r}")
    return Capture(
        inputs=_strings((*here, "inputs"), entry.get("inputs", [])),
        step=_text((*here, "step"), entry.get("step", "")),
        factory=_text((*here, "factory"), entry.get("factory", "")),
        mode=chosen.get("mode", ""),
        weights=chosen.get("weights", ""),
        time_limit=_seconds((*here, "time-limit"), entry.get("time-limit")),
        probe=chosen.get("probe", ""),
        probe_budget=_seconds((*here, "probe-budget"), entry.get("probe-budget")),
        seed=seed,
        batch=_text((*here, "batch"), entry.get("batch", "")),
        against=_text((*here, "against"), entry.get("against", "")),
    )


def _seconds(path: KeyPath, value: Any) -> float | None:
    if value is None:
        return None
    if type(value) not in (int, float) or not value > 0:
        raise Mistake(path, f"{path[-1]} is a number of seconds, not {value!r}")
    return float(value)


def _overrides(entries: Any) -> Iterator[Override]:
    for index, entry in enumerate(_tables(("overrides",), entries)):
        here = ("overrides", index)
        _known(here, entry, OVERRIDE_KEYS)
        _shape_of_override(here, entry)
        yield Override(
            targets=_one_or_more((*here, "target"), entry.get("target", [])),
            modules=_one_or_more((*here, "module"), entry.get("module", [])),
            rules=_strings((*here, "ignore"), entry["ignore"])
            if "ignore" in entry
            else _strings((*here, "rules"), entry.get("rules", ["all"])),
            level=_level((*here, "level"), entry["level"]) if "level" in entry else None,
            reason=_text((*here, "reason"), entry["reason"]),
        )


def _shape_of_override(here: KeyPath, entry: Mapping[str, Any]) -> None:
    """Which keys an override must have. Raises `Mistake`."""
    if not entry.get("target") and not entry.get("module"):
        raise Mistake(here, "an override says what it is about: target, module, or both")
    if ("ignore" in entry) == ("level" in entry):
        raise Mistake(here, "an override either has ignore, a list of rules, or level, with rules")
    if "ignore" in entry and "rules" in entry:
        raise Mistake((*here, "rules"), "rules goes with level; ignore names its rules itself", at_key=True)
    reason = entry.get("reason", "")
    if not isinstance(reason, str) or not reason.strip():
        raise Mistake((*here, "reason"), "an override needs a reason, for whoever reads it next year")


def _level(path: KeyPath, value: Any) -> Level:
    if value == OFF:
        raise Mistake(path, "in an override, ignore turns rules off")
    return LEVELS[_choice(path, value, LEVELS)]


def _known(here: KeyPath, table: Mapping[str, Any], keys: tuple[str, ...]) -> None:
    for key in table:
        if key not in keys:
            near = get_close_matches(key, keys, n=1, cutoff=0.5)
            hint = "; it belongs into the table training" if key in TRAINING_KEYS else did_you_mean(near, keys)
            if not here and key == "tool":
                hint = "; in netlint.toml the keys stand without tool.netlint"
            raise Mistake((*here, key), f"unknown key '{key}'{hint}", at_key=True)


def _choice(path: KeyPath, value: Any, choices: Iterable[str]) -> str:
    names = tuple(choices)
    if not isinstance(value, str) or value not in names:
        near = get_close_matches(value, names, n=1, cutoff=0.5) if isinstance(value, str) else []
        hint = did_you_mean(near, names) if near else f"; it is one of {', '.join(names)}"
        raise Mistake(path, f"{path[-1]} is {value!r}{hint}")
    return value


def _strings(path: KeyPath, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise Mistake(path, f"{path[-1]} is a list of strings, not {value!r}")
    for index, item in enumerate(value):
        if not isinstance(item, str):
            raise Mistake((*path, index), f"{path[-1]} is a list of strings, not of {item!r}")
    return tuple(value)


def _one_or_more(path: KeyPath, value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else _strings(path, value)


def _text(path: KeyPath, value: Any) -> str:
    if not isinstance(value, str):
        raise Mistake(path, f"{path[-1]} is a string, not {value!r}")
    return value


def _table(path: KeyPath, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Mistake(path, f"{'.'.join(map(str, path))} is a table, not {value!r}")
    return value


def _tables(path: KeyPath, value: Any) -> list[Mapping[str, Any]]:
    if not isinstance(value, list):
        raise Mistake(path, f"{path[-1]} is a list of tables, not {value!r}")
    return [_table((*path, index), entry) for index, entry in enumerate(value)]
