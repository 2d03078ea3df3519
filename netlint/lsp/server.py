"""The language server: a connection on standard input and output, with what it is told and asked."""

from __future__ import annotations

import os
import signal
import sys

from lsprotocol import types as lsp

from . import child
from .asked import actions, hover
from .connection import Server
from .told import TOLD


def serve() -> None:
    """Serve one client, until it says or its end tells that it is over."""
    signal.signal(signal.SIGTERM, _end)
    private = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints does not disturb the protocol
    make_server().start_io(sys.stdin.buffer, private)


def make_server() -> Server:
    """A server with all it can do."""
    server = Server()
    for method, handler in TOLD.items():
        server.feature(method)(handler)
    server.feature(lsp.TEXT_DOCUMENT_HOVER)(hover)
    fixes = lsp.CodeActionOptions(code_action_kinds=[lsp.CodeActionKind.QuickFix])
    server.feature(lsp.TEXT_DOCUMENT_CODE_ACTION, fixes)(actions)
    return server


def _end(number: int, frame: object) -> None:
    child.end_all()
    os._exit(128 + number)  # the thread that reads standard input waits for more
