"""`.pt2` files of `torch.export.save` -> `Graph`: only the JSON inside is read, nothing is unpickled."""

from __future__ import annotations

import contextlib
import json
import zlib
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile, ZipInfo

from netlint import collector
from netlint.graph import Graph, Tensor

from . import LFS_POINTER, TargetError
from .aten import lower
from .aten.payload import Payload
from .aten.serialized import UnknownName, program

MAX_JSON = 512 << 20
"""Bytes of JSON, unpacked; a program of a hundred thousand calls has a hundred million."""
MAX_ENTRIES = 500_000
_MAX_RATIO = 2000
"""No JSON packs this well."""
_SCHEMA = 8
_AGAIN = "export it again with torch.export.save"
_MALFORMED = (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError, OverflowError)
_BROKEN = (BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError)


def load(path: Path) -> Graph:
    """Read an exported program. Raises `TargetError` if the file holds none that can be read."""
    with collector.paused():
        try:
            with ZipFile(path) as archive:
                model = _Model(path, archive)
                stored = model.json(model.program)
                lowered = model.read(stored)
        except FileNotFoundError:
            raise TargetError("does not exist", "check the path") from None
        except IsADirectoryError:
            raise TargetError("is a folder", "name the .pt2 file in it") from None
        except PermissionError as error:
            raise TargetError(f"cannot be read: {error.strerror}", "check the path") from None
        except _BROKEN as error:
            raise _unreadable(path, error) from None
    return lowered


def _unreadable(path: Path, error: BaseException) -> TargetError:
    with contextlib.suppress(OSError), path.open("rb") as file:
        if file.read(len(LFS_POINTER)) == LFS_POINTER:
            return TargetError("is a Git LFS pointer, not the model itself", "git lfs pull")
    return TargetError(f"is not a readable .pt2 archive: {_said(error)}", _AGAIN)


class _Model:
    """One model in an archive."""

    def __init__(self, path: Path, archive: ZipFile) -> None:
        infos = archive.infolist()
        if len(infos) > MAX_ENTRIES:
            raise TargetError(f"holds {len(infos)} entries", _AGAIN)
        self._path = path
        self._archive = archive
        self._entries = {info.filename: info for info in infos}
        found = [name for name in self._entries if name.endswith(".json") and "/models/" in f"/{name}"]
        legacy = [name for name in self._entries if name.endswith("serialized_exported_program.json")]
        if not found and not legacy:
            raise TargetError(self._what_else(), _AGAIN)
        if len(found) > 1:
            names = ", ".join(sorted(Path(name).stem for name in found)[:5])
            raise TargetError(f"holds {len(found)} models ({names})", "save each in a file of its own")
        self.program = (found or legacy)[0]
        self._name = Path(self.program).stem if found else "model"
        self._root = self.program.rpartition("models/")[0]

    def _what_else(self) -> str:
        names = self._entries
        if any("aotinductor" in name for name in names):
            return "holds compiled code and no exported program"
        if any(name.endswith("data.pkl") for name in names):
            return "holds pickled weights and no exported program (a .pt file?)"
        return "holds no exported program"

    def json(self, name: str) -> Any:
        """The JSON of an entry."""
        entry = self._entries[name]
        raw = self._bytes(entry)
        try:
            return json.loads(raw)
        except (ValueError, RecursionError, MemoryError) as error:
            raise TargetError(f"holds broken JSON in '{name[:200]}': {_said(error)}", _AGAIN) from None

    def _bytes(self, entry: ZipInfo) -> bytes:
        too_large = entry.file_size > MAX_JSON or entry.file_size > _MAX_RATIO * (entry.compress_size + 1000)
        if not too_large:
            with self._archive.open(entry) as file:
                raw = file.read(MAX_JSON + 1)
            too_large = len(raw) > MAX_JSON
        if too_large:
            raise TargetError(f"claims {entry.file_size} bytes of JSON in '{entry.filename[:200]}'", _AGAIN)
        return raw

    def read(self, stored: Any) -> Graph:
        """The graph of the stored program."""
        try:
            self._check_version(stored.get("schema_version") or {})
            made = program(stored["graph_module"], self._constants(), self._name)
            made.metadata = {"producer": f"torch {stored.get('torch_version', '')}".strip()}
        except UnknownName as error:
            name = str(error)[:100]
            raise TargetError(f"reads '{name}', which nothing before it computes", _AGAIN) from None
        except _MALFORMED as error:
            raise TargetError(f"holds a program that cannot be read: {_said(error)}", _AGAIN) from None
        return lower(made)

    def _check_version(self, version: Any) -> None:
        major = version.get("major")
        if major != _SCHEMA:
            raise TargetError(
                f"is written in version {str(major)[:20]} of the format, of which only {_SCHEMA} is read",
                "export it with torch 2.9 or later",
            )

    def _constants(self) -> Any:
        """Finds the weights: two tables of entries, for parameters and buffers and for other constants."""
        weights = self._table(f"{self._root}data/weights/{self._name}_weights_config.json")
        constants = self._table(f"{self._root}data/constants/{self._name}_constants_config.json")
        order = self._entries.get(f"{self._root}byteorder")
        payload = Payload(self._path, self._entries, order is None or self._bytes(order).strip() != b"big")

        def stored(kind: str, name: str, meta: Any) -> Tensor:
            for table, folder in ((weights, "weights"), (constants, "constants")):
                if name in table:
                    own = table[name].get("tensor_meta") or meta
                    return payload.tensor(f"{self._root}data/{folder}/", table[name], own)
            return payload.tensor("", None, meta)

        return stored

    def _table(self, name: str) -> dict[str, Any]:
        if name not in self._entries:
            return {}
        found: dict[str, Any] = self.json(name)["config"]
        return found if isinstance(found, dict) else {}


def _said(error: BaseException) -> str:
    """What an error says, in one short line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return f"it lacks {text[:200]}" if isinstance(error, KeyError) else text[:200]
