"""`netlint server`: a language server, for editors."""

from __future__ import annotations

import gc
import sys
from importlib.util import find_spec

import click

from . import fail


@click.command()
@click.option("--stdio", is_flag=True, help="Speak on standard input and output; it does so in any case.")
def server(stdio: bool) -> None:
    """Serve an editor: a language server on standard input and output."""
    if find_spec("pygls") is None:
        fail(f"the server needs pygls, which is not installed for {sys.executable}: pip install 'netlint-nn[lsp]'")
    from netlint.lsp.server import serve

    gc.enable()
    serve()
