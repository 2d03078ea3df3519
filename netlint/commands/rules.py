"""`netlint rules` lists the rules; `netlint rule NAME` shows the page of one."""

from __future__ import annotations

from pathlib import Path

import click

from netlint import complete
from netlint.config import find_settings
from netlint.terminal import attended, colours, painted, put


@click.command()
@click.argument("rule", shell_complete=complete.rules)
def rule(rule: str) -> None:
    """Show the page of a rule, given its code or name."""
    from netlint.index import find_rule

    found = find_rule(rule, find_settings(Path.cwd()).rule_folders)
    levels = "/".join(str(level) for level in found.levels)
    title = (
        f"# {found.name} ({found.code})\n\n{levels} · since {found.since} · {found.status}\n\n{found.page.strip()}\n"
    )
    if attended() and colours():
        from rich.console import Console
        from rich.markdown import Markdown

        Console().print(Markdown(title))
    else:
        put(title + "\n")


@click.command()
def rules() -> None:
    """List all rules."""
    from netlint.registry import load_rules

    listed = load_rules(find_settings(Path.cwd()).rule_folders).values()
    put(
        "".join(
            f"{found.code}  {painted(f'{found.level!s:8}', str(found.level))} {found.name:26} {found.summary}\n"
            for found in listed
        )
    )
