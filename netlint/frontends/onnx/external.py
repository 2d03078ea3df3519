"""Where a tensor's external data may lie, by ONNX Runtime's rule.

The path is relative to the model's folder and may not leave it, links followed. A model that is itself a link (the
layout of the Hugging Face cache) may also keep its data beside the file it points to.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from .storage import FileStorage


class ExternalDataError(Exception):
    """The file cannot be used. `kind` is `escape` (it may not be read) or `missing`."""

    def __init__(self, kind: str, message: str, way_out: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.help = way_out


class ExternalFiles:
    """The external data files of one model, each checked and opened once."""

    def __init__(self, model: Path | None) -> None:
        self._model = model
        self._known: dict[str, tuple[FileStorage, int] | ExternalDataError] = {}

    def find(self, location: str) -> tuple[FileStorage, int]:
        """The file and its size in bytes. Raises `ExternalDataError`."""
        if location not in self._known:
            try:
                self._known[location] = self._check(location)
            except ExternalDataError as error:
                self._known[location] = error
        found = self._known[location]
        if isinstance(found, ExternalDataError):
            raise found
        return found

    def named(self) -> list[str] | None:
        """The files asked for, found or missing; None if one may not even be looked at."""
        known = self._known.items()
        if any(isinstance(found, ExternalDataError) and found.kind == "escape" for _, found in known):
            return None
        return list(self._known)

    def _check(self, location: str) -> tuple[FileStorage, int]:
        shown = location if len(location) <= 200 else location[:200] + "…"
        keep = "save the model again with its data in the same folder"
        if not location or "\0" in location:
            raise ExternalDataError("escape", "the path of external data is empty or not a path", keep)
        if os.path.isabs(location) or location[1:3] in (":\\", ":/"):
            raise ExternalDataError("escape", f"the path of external data is absolute: '{shown}'", keep)
        if self._model is None:
            if os.path.normpath(location).startswith(".."):
                raise self._escape(shown, keep)
            way_out = "give the model as a file, not as a stream or text"
            raise ExternalDataError("missing", f"external data '{shown}' of a model that lies in no folder", way_out)
        path = self._model.parent / location
        try:
            status = os.stat(path)
        except (OSError, ValueError) as error:
            if self._escapes(path):
                raise self._escape(shown, keep) from None
            reason = getattr(error, "strerror", None) or str(error)
            way_out = f"put the file '{shown}' beside the model"
            raise ExternalDataError("missing", f"external data '{shown}': {reason}", way_out) from None
        if self._escapes(path):
            raise self._escape(shown, keep)
        if not stat.S_ISREG(status.st_mode):
            raise ExternalDataError("escape", f"external data '{shown}' is not a regular file", keep)
        return FileStorage(path), status.st_size

    def _escapes(self, path: Path) -> bool:
        assert self._model is not None
        real = Path(os.path.realpath(path))
        folders = {os.path.realpath(self._model.parent), os.path.dirname(os.path.realpath(self._model))}
        return not any(real.is_relative_to(folder) for folder in folders)

    @staticmethod
    def _escape(shown: str, way_out: str) -> ExternalDataError:
        return ExternalDataError("escape", f"external data '{shown}' lies outside the model's folder", way_out)
