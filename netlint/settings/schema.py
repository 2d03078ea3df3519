"""The JSON Schema of the settings, for editors: `netlint schema config`. `parse.py` has the last word.

The schema wants the usual spelling of names and choices; netlint also takes others (`Cross-Entropy`, `batch_size`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from netlint.capture import MODES, WEIGHTS
from netlint.config import LEVELS, OFF, PRESETS, find_settings
from netlint.probe.request import DEVICES
from netlint.registry import Registry, load_rules
from netlint.rule import Option, Rule
from netlint.training import LOSSES, OPTIMIZERS, PRECISIONS, TASKS

from .parse import CAPTURE_KEYS, KEYS, OVERRIDE_KEYS, TRAINING_KEYS

Schema: TypeAlias = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_TEXTS: Schema = {"type": "array", "items": _TEXT}
_PATTERNS: Schema = {"anyOf": [_TEXT, _TEXTS], "minLength": 1, "minItems": 1}
_SECONDS: Schema = {"type": "number", "exclusiveMinimum": 0}
_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}


def schema() -> Schema:
    """The JSON Schema (2020-12), with the rules that are installed, and those of the current folder's settings."""
    return of(load_rules(find_settings(Path.cwd()).rule_folders))


def of(registry: Registry[Rule]) -> Schema:
    described = _described(registry)
    assert set(described) == set(KEYS)
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "netlint-settings", "title": "netlint"}
    return {
        **head,
        "description": "netlint.toml, or the table tool.netlint of pyproject.toml",
        **_table(described),
        "$defs": {"selector": _selector(registry), "level": _one_of(LEVELS)},
    }


def _described(registry: Registry[Rule]) -> Mapping[str, Schema]:
    selectors: Schema = {"type": "array", "items": {"$ref": "#/$defs/selector"}}
    return {
        "required-version": _about("The releases of netlint these settings are for, e.g. >=0.3, <1", _TEXT),
        "extends": _about(
            "recommended: every rule that is not opt-in; all: every rule; strict: every rule, and notes fail a run",
            _one_of(PRESETS),
        ),
        "select": _about("The rules that run: codes, names, prefixes of codes, all", selectors),
        "ignore": _about("The rules that do not run", selectors),
        "fail-on": _about("The lowest level that makes the exit code 1", {"$ref": "#/$defs/level"}),
        "baseline": _about("The file of known findings, seen from this one", _TEXT),
        "exclude": _about("Patterns of targets, seen from this file, that are left out of folders", _TEXTS),
        "rule-folders": _about("Folders with rules of your own, seen from this file; their Python runs", _TEXTS),
        "training": _about("The training contract of every target", _table(_training())),
        "targets": _about(
            "What holds for some targets; the last entry that matches wins, field by field",
            {"type": "array", "items": _target()},
        ),
        "overrides": _about(
            "Exceptions for some targets or modules, with their reasons",
            {"type": "array", "items": _override(selectors)},
        ),
        "rules": _about("The level and the options of each rule", _table(dict(_rules(registry)))),
    }


def _table(properties: Mapping[str, Schema], **more: Any) -> Schema:
    return {"type": "object", "properties": dict(properties), "additionalProperties": False, **more}


def _about(text: str, described: Schema) -> Schema:
    return {"description": text, **described}


def _one_of(names: Any) -> Schema:
    return {"enum": list(names)}


def _selector(registry: Registry[Rule]) -> Schema:
    names = [name for rule in registry.values() for name in (rule.name, rule.code)]
    prefixes = sorted({rule.code.rstrip("0123456789") for rule in registry.values()})
    return {"anyOf": [{"enum": ["all", *prefixes, *names]}, {"pattern": f"^({'|'.join(prefixes)})\\d{{1,2}}$"}]}


def _training() -> Mapping[str, Schema]:
    interval: Schema = {
        "anyOf": [_TEXT, {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}],
    }
    positive: Schema = {"type": "number", "minimum": 0}
    fields: Mapping[str, Schema] = {
        "task": _one_of(TASKS),
        "loss": {"type": "string", "examples": list(LOSSES)},
        "targets": interval,
        "classes": {"type": "integer", "minimum": 1},
        "class-counts": {"anyOf": [_TEXT, {"type": "array", "items": {"type": "integer"}, "minItems": 2}]},
        "target-mean": {"type": "number"},
        "input-range": interval,
        "input-mean": {"type": "number"},
        "input-std": positive,
        "optimizer": _one_of(OPTIMIZERS),
        "lr": positive,
        "momentum": positive,
        "weight-decay": positive,
        "schedule": _TEXT,
        "batch-size": {"type": "integer", "minimum": 1},
        "dataset-size": {"type": "integer", "minimum": 1},
        "epochs": {"type": "integer", "minimum": 0},
        "grad-clip": {"anyOf": [positive, {"const": "none"}]},
        "precision": _one_of(PRECISIONS),
        "stage": _one_of(("init", "trained")),
    }
    assert set(fields) == set(TRAINING_KEYS)
    return fields


def _target() -> Schema:
    capture: Mapping[str, Schema] = {
        "inputs": _TEXTS,
        "step": _TEXT,
        "factory": _TEXT,
        "mode": _one_of(MODES),
        "weights": _one_of(WEIGHTS),
        "time-limit": _SECONDS,
        "probe": _one_of(DEVICES),
        "probe-budget": _SECONDS,
        "seed": {"type": "integer", "minimum": 0},
        "batch": _TEXT,
        "against": _TEXT,
    }
    assert set(capture) == set(CAPTURE_KEYS)
    path = _about("Which targets: a pattern of paths, seen from this file", _TEXT)
    return _table({"path": path, **capture, **_training()}, required=["path"])


def _override(selectors: Schema) -> Schema:
    keys: Mapping[str, Schema] = {
        "target": _about("Patterns of targets, seen from this file", _PATTERNS),
        "module": _about("Patterns of module paths, e.g. encoder.layers.*", _PATTERNS),
        "ignore": _about("Rules whose findings are silenced", selectors),
        "rules": _about("Rules whose findings get the level; default: all", selectors),
        "level": {"$ref": "#/$defs/level"},
        "reason": {"type": "string", "pattern": "\\S"},
    }
    assert set(keys) == set(OVERRIDE_KEYS)
    silences: Schema = {"required": ["ignore"], "not": {"anyOf": [{"required": ["level"]}, {"required": ["rules"]}]}}
    levels: Schema = {"required": ["level"], "not": {"required": ["ignore"]}}
    about: Schema = {"anyOf": [{"required": ["target"]}, {"required": ["module"]}]}
    return _table(keys, required=["reason"], allOf=[about, {"oneOf": [silences, levels]}])


def _rules(registry: Registry[Rule]) -> Any:
    for rule in registry.values():
        for name in (rule.name, rule.code):
            yield name, _rule(rule)


def _rule(rule: Rule) -> Schema:
    level = _about(f"of all its findings, in place of {'/'.join(map(str, rule.levels))}", _one_of((*LEVELS, OFF)))
    return _about(rule.summary, _table({"level": level, **{option.name: _option(option) for option in rule.options}}))


def _option(option: Option) -> Schema:
    return {"description": option.help, "type": _TYPES[type(option.default)], "default": option.default}
