"""One page for a browser, complete in itself: it asks nothing of any network.

What a model says is untrusted. Every text of it goes through `escaped`, and the page's own content security policy
lets no script run but ours, known by its hash, and loads nothing.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256
from importlib.resources import files
from typing import TypeAlias

from netlint import __version__
from netlint.report import Run
from netlint.report.html.findings import findings, suppressed
from netlint.report.html.markup import escaped
from netlint.report.html.pages import rule_pages
from netlint.report.html.picture import ARROW
from netlint.report.html.probe import probes
from netlint.report.html.rest import not_analysed, not_judged, summary

Section: TypeAlias = Callable[[Run], str]
"""Renders one part of the page; empty where there is nothing to show."""

SECTIONS: tuple[Section, ...] = (not_analysed, findings, suppressed, probes, not_judged, rule_pages)
"""The parts of the page, in order."""


def render(run: Run) -> str:
    """The whole page."""
    style, script = _asset("page.css"), _asset("page.js")
    digest = b64encode(sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    sections = "\n".join(filter(None, (section(run) for section in SECTIONS)))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="netlint {escaped(__version__)}">
<title>netlint: {escaped(_title(run))}</title>
<style>
{style}</style>
</head>
<body>
<a class="skip" href="#findings">Skip to the findings</a>
{ARROW}
{summary(run)}
<main>
{sections}
</main>
<script>{script}</script>
</body>
</html>
"""


def _title(run: Run) -> str:
    targets = [result.target for result in run.results]
    return targets[0] if len(targets) == 1 else f"{len(targets)} models"


def _asset(name: str) -> str:
    return files(__name__).joinpath(name).read_text(encoding="utf-8")
