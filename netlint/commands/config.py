"""`netlint config`: what settings and flags decide, and where each of it comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from netlint import complete
from netlint.options import capture_options, stated_training, taken_capture, training_options
from netlint.terminal import painted, put

from . import Command

if TYPE_CHECKING:
    from netlint.settings.explain import Explained, RuleState, Stated


@click.command(cls=Command)
@click.argument("target", required=False, default="", shell_complete=complete.files)
@click.option(
    "--select", multiple=True, metavar="RULES", help="As if netlint were run with it.", shell_complete=complete.rules
)
@click.option(
    "--ignore", multiple=True, metavar="RULES", help="As if netlint were run with it.", shell_complete=complete.rules
)
@click.option("--config", type=click.Path(path_type=Path), help="Settings file; default: the closest above the target.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@capture_options
@training_options
def config(
    target: str, select: tuple[str, ...], ignore: tuple[str, ...], config: Path | None, as_json: bool, **fields: Any
) -> None:
    """Show what holds for a target, or for the current folder, and which setting in which line decided it."""
    from netlint.plans import Plans

    from .lint import split

    capture = taken_capture(fields)
    explained = Plans(config, split(select), split(ignore), stated_training(fields), capture).explained(target)
    put(_json(explained) if as_json else "\n".join(_text(explained, target)) + "\n")


def _json(explained: Explained) -> str:
    import json
    from dataclasses import asdict

    return json.dumps(asdict(explained), indent=2, ensure_ascii=False) + "\n"


def _text(explained: Explained, target: str) -> Iterator[str]:
    yield f"settings: {explained.file or 'no file; these are the defaults'}"
    yield from _stated(explained.general)
    running = sum(state.runs.value for state in explained.rules)
    yield f"\nrules: {running} run, {len(explained.rules) - running} do not"
    width = max((len(state.name) for state in explained.rules), default=0)
    for state in explained.rules:
        yield _rule(state, width)
    about = f" of {target}" if target else ""
    for title, fields in (("training contract", explained.contract), ("capture", explained.capture)):
        if fields:
            yield f"\n{title}{about}:"
            yield from _stated(fields)
    if explained.overrides:
        yield "\noverrides:"
        yield from (f"  {entry.about}: {entry.does} ({entry.reason})  {entry.origin}" for entry in explained.overrides)


def _stated(fields: Mapping[str, Stated]) -> Iterator[str]:
    width = max(map(len, fields), default=0)
    for name, stated in fields.items():
        value = ", ".join(map(str, stated.value)) if isinstance(stated.value, list) else stated.value
        yield f"  {name:{width}}  {value}  {painted(stated.origin, 'frame')}"


def _rule(state: RuleState, width: int) -> str:
    level = painted(f"{state.level.value:7}", state.level.value) if state.runs.value else "off    "
    parts = [state.runs.origin]
    if state.runs.value and state.level.origin not in ("default", state.runs.origin):
        parts.append(f"level {state.level.origin}")
    for name, option in state.options.items():
        if state.runs.value and option.origin != "default":
            parts.append(f"{name} = {option.value} {option.origin}")
    return f"  {state.code}  {level}  {state.name:{width}}  {painted('; '.join(parts), 'frame')}"
