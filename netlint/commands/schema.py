"""`netlint schema`: the JSON Schemas of what netlint writes."""

from __future__ import annotations

import click

from netlint.terminal import put


@click.command()
@click.argument("what", type=click.Choice(["report"]))
def schema(what: str) -> None:
    """Print the JSON Schema of the JSON report."""
    import json

    from netlint.report.json import schema as report_schema

    put(json.dumps(report_schema(), indent=2) + "\n")
