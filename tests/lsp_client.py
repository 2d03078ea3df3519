"""A client of the language server protocol over standard input and output, with nothing of the server's in it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

PATIENCE = 120.0
"""Seconds to wait for what must come; importing torch may take several on a busy machine."""

Diagnostics = list[dict[str, Any]]
CAPABILITIES = {
    "window": {"workDoneProgress": True},
    "workspace": {
        "didChangeWatchedFiles": {"dynamicRegistration": True},
        "workspaceFolders": True,
        "configuration": True,
        "workspaceEdit": {"documentChanges": True, "resourceOperations": ["create"]},
    },
    "textDocument": {"publishDiagnostics": {"relatedInformation": True, "dataSupport": True}},
}


class Client:
    """Starts a server on some folders; collects what it publishes, in order."""

    def __init__(self, folders: Sequence[Path], options: dict[str, Any] | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "netlint", "server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._news = threading.Condition()
        self._number = 0
        self.published: list[tuple[str, Diagnostics]] = []
        self.notified: list[dict[str, Any]] = []
        self.asked: list[dict[str, Any]] = []
        self.replies: dict[str, Any] = {}
        """What is answered to the server's requests, by method; None where nothing is said."""
        self._answers: dict[int, dict[str, Any]] = {}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        workspace = [{"uri": folder.as_uri(), "name": folder.name} for folder in folders]
        self.initialized = self.request(
            "initialize",
            processId=None,
            rootUri=workspace[0]["uri"] if workspace else None,
            workspaceFolders=workspace,
            capabilities=CAPABILITIES,
            initializationOptions=options,
        )
        self.notify("initialized")

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.process.poll() is None and kind is None:
            self.request("shutdown")
            self.notify("exit")
            assert self.process.wait(PATIENCE) == 0
        self.process.kill()
        self.process.wait()

    def open(self, file: Path) -> str:
        """Open a file as it is on disk; returns its URI."""
        uri = file.as_uri()
        text = file.read_text("utf-8", "replace")
        self.notify("textDocument/didOpen", textDocument={"uri": uri, "languageId": "x", "version": 1, "text": text})
        return uri

    def save(self, file: Path, text: str) -> None:
        """Change the text of an open file, write it, and say so."""
        uri = file.as_uri()
        self.notify("textDocument/didChange", textDocument={"uri": uri, "version": 2}, contentChanges=[{"text": text}])
        file.write_text(text)
        self.notify("textDocument/didSave", textDocument={"uri": uri})

    def diagnostics(
        self, file: Path, suits: Callable[[Diagnostics], object] = bool, since: int = 0, patience: float = PATIENCE
    ) -> Diagnostics:
        """Those last published for a file, as soon as they suit; `since`: how many publications were there before."""

        def last() -> Diagnostics | None:
            told = [shown for uri, shown in self.published[since:] if uri == file.as_uri()]
            return told[-1] if told and suits(told[-1]) else None

        found = self.wait(last, patience)
        assert found is not None
        return found

    def wait(self, look: Callable[[], Any], patience: float = PATIENCE) -> Any:
        """What `look` finds, as soon as it is something."""
        end = time.monotonic() + patience
        with self._news:
            while (found := look()) is None:
                left = end - time.monotonic()
                assert left > 0 and self._news.wait(left), f"nothing came; published: {self.published}"
            return found

    def notify(self, method: str, **params: Any) -> None:
        """Send a notification."""
        self._send({"method": method, "params": params})

    def request(self, method: str, **params: Any) -> Any:
        """Send a request and wait for its result."""
        self._number += 1
        number = self._number
        self._send({"id": number, "method": method} | ({"params": params} if params else {}))
        answer = self.wait(lambda: self._answers.get(number))
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def _send(self, message: dict[str, Any]) -> None:
        data = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self.process.stdin is not None
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(data) + data)
        self.process.stdin.flush()

    def _read(self) -> None:
        assert self.process.stdout is not None
        while header := self.process.stdout.readline():
            size = int(header.removeprefix(b"Content-Length:"))
            while self.process.stdout.readline().strip():
                pass
            message = json.loads(self.process.stdout.read(size))
            with self._news:
                self._take(message)
                self._news.notify_all()

    def _take(self, message: dict[str, Any]) -> None:
        if "method" not in message:
            self._answers[message["id"]] = message
        elif message["method"] == "textDocument/publishDiagnostics":
            self.published.append((message["params"]["uri"], message["params"]["diagnostics"]))
        elif "id" in message:
            self.asked.append(message)
            self._send({"id": message["id"], "result": self.replies.get(message["method"])})
        else:
            self.notified.append(message)
