"""`netlint show`: what the analyses know of a model, or of a value in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from netlint import complete
from netlint.options import capture_options, stated_training, taken_capture, training_options
from netlint.terminal import put

from . import BUG, UNREADABLE, Command, fail

if TYPE_CHECKING:
    from netlint.capture import Capture
    from netlint.plans import Plans
    from netlint.training import Training


@click.command(cls=Command)
@click.argument("model", metavar="TARGET", shell_complete=complete.files)
@click.argument("value", required=False)
@capture_options
@training_options
def show(model: str, value: str | None, **fields: Any) -> None:
    """Show what the analyses know of a model, or of one value or node in it."""
    from netlint import show as pages
    from netlint.frontends import NetlintBug, TargetError
    from netlint.plans import Plans
    from netlint.report.wording import clean

    capture = taken_capture(fields)
    plans = Plans(stated=stated_training(fields), capture=capture)
    try:
        page = _page(plans, model, value)
    except TargetError as error:
        why = "; ".join(map(clean, str(error).splitlines()))
        code = BUG if isinstance(error, NetlintBug) else UNREADABLE
        fail(f"{clean(model)} {why}" + (f"; {error.help}" if error.help else ""), code)
    except pages.UnknownValue as error:
        fail(str(error))
    put(page + "\n")


def _page(plans: Plans, target: str, value: str | None) -> str:
    """Raises `TargetError` or `UnknownValue`."""
    from netlint import show as pages
    from netlint.probe.attach import runnable
    from netlint.targets import load

    training = plans.stated.otherwise(plans.settings(target).contract(target))
    capture = plans.capture(target)
    if plans.runs_python(target):
        return _page_of_python(target, capture, training, value)
    graph = runnable(load(target), target, capture.request)
    if capture.request is not None and value is None:
        return pages.probed(pages.runs(graph, training))
    return pages.model(graph, training) if value is None else pages.one(graph, training, value)


def _page_of_python(target: str, capture: Capture, training: Training, value: str | None) -> str:
    from netlint import show as pages
    from netlint.probe.summary import Summary
    from netlint.worker import Job, run

    page = run(Job("show", target, capture, training, value=value))
    if isinstance(page, Exception):
        raise page
    return pages.probed(page) if isinstance(page, Summary) else str(page)
