"""`netlint show`: what the analyses know of a model, or of a value in it."""

from __future__ import annotations

from typing import Any

import click

from netlint import complete
from netlint.options import capture_options, stated_training, taken_capture, training_options
from netlint.terminal import put

from . import UNREADABLE, Command, fail


@click.command(cls=Command)
@click.argument("model", metavar="TARGET", shell_complete=complete.files)
@click.argument("value", required=False)
@capture_options
@training_options
def show(model: str, value: str | None, **fields: Any) -> None:
    """Show what the analyses know of a model, or of one value or node in it."""
    from netlint import show as pages
    from netlint.frontends import TargetError
    from netlint.report.wording import clean
    from netlint.session import Session

    capture = taken_capture(fields)
    try:
        page = Session(None, stated=stated_training(fields), capture=capture).show(model, value)
    except TargetError as error:
        why = "; ".join(map(clean, str(error).splitlines()))
        fail(f"{clean(model)} {why}" + (f"; {error.help}" if error.help else ""), UNREADABLE)
    except pages.UnknownValue as error:
        fail(str(error))
    put(page + "\n")
