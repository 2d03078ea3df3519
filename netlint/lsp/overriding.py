"""The edit that silences a rule for a target in the settings: for findings that stand on no line of code."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterable
from glob import has_magic
from pathlib import Path

from netlint.config import find_settings
from netlint.errors import ConfigError
from netlint.report.json import JsonFinding

from .ignoring import REASON
from .targets import Target

_MOST = 5
"""Modules that are named one by one."""


def settings_of(target: Target, folders: Iterable[Path]) -> Path | None:
    """The settings file to write into, which may have to be made; None if it lies in no folder of the workspace."""
    start = target.file.parent if target.file is not None else target.folder
    try:
        file = find_settings(start).file
    except ConfigError:
        return None
    around = [folder for folder in folders if start.is_relative_to(folder)]
    inside = max(around, key=lambda folder: len(folder.parts), default=None)
    if inside is None or (file is not None and not any(file.is_relative_to(folder) for folder in around)):
        return None
    return file or inside / "netlint.toml"


def override(text: str, file: Path, target: Target, rule: str, findings: Iterable[JsonFinding]) -> str | None:
    """What to write behind the text of a settings file; None if that would not be TOML any more."""
    table = "tool.netlint.overrides" if file.name == "pyproject.toml" else "overrides"
    lines = [f"[[{table}]]", f"target = {_string(_seen_from(file.parent, target))}"]
    modules = list(dict.fromkeys(finding.location.module or "" for finding in findings))
    if all(modules) and len(modules) <= _MOST and not any(map(has_magic, modules)):
        lines.append(f"module = [{', '.join(map(_string, modules))}]")
    lines += [f"ignore = [{_string(rule)}]", f"reason = {_string(REASON)}", ""]
    space = "" if not text else "\n" if text.endswith("\n") else "\n\n"
    added = space + "\n".join(lines)
    try:
        tomllib.loads(text.removeprefix("\ufeff") + added)
    except tomllib.TOMLDecodeError:
        return None
    return added


def _seen_from(folder: Path, target: Target) -> str:
    if target.is_model and target.file is not None:
        return Path(os.path.relpath(target.file, folder)).as_posix()
    return target.text


def _string(text: str) -> str:
    """A basic string of TOML."""
    return json.dumps(text, ensure_ascii=False)
