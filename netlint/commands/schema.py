"""`netlint schema`: the JSON Schemas of what netlint writes."""

from __future__ import annotations

from importlib import import_module

import click

from netlint.terminal import put

SCHEMAS = {"report": "netlint.report.json", "jsonl": "netlint.report.jsonl", "config": "netlint.settings.schema"}
"""What can be described, and the module that has it as `schema()`."""


@click.command()
@click.argument("what", type=click.Choice(list(SCHEMAS)))
def schema(what: str) -> None:
    """Print the JSON Schema of the JSON report, of a line of the JSON Lines report, or of the settings."""
    import json

    described = import_module(SCHEMAS[what]).schema()
    put(json.dumps(described, indent=2) + "\n")
