"""The settings that `docs/editors.md` shows are what editors take; in Neovim they are tried."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.conftest import ROOT
from tests.test_lsp import FAULTY, SETTINGS

PAGE = (ROOT / "docs" / "editors.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^(?:<!-- (\S+) -->\n)?```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
NEOVIM = {marker: text for marker, language, text in BLOCKS if language == "lua"}

TRIAL = """
vim.cmd("edit net.py")
local function shown(wanted)
  local came = vim.wait(120000, function() return (#vim.diagnostic.get(0) > 0) == wanted end, 50)
  if not came then vim.cmd("cquit") end
  return vim.diagnostic.get(0)
end
local function asked(method, params)
  local answers = vim.lsp.buf_request_sync(0, method, params, 120000)
  for _, answer in pairs(answers) do return answer.result end
end
local found = shown(true)[1]
local line = { line = found.lnum, character = found.col }
local here = { textDocument = vim.lsp.util.make_text_document_params(), position = line }
local told = { range = { start = line, ["end"] = line }, message = found.message, source = "netlint" }
told.code, told.data = found.code, found.user_data.lsp.data
local around = { textDocument = here.textDocument, range = told.range, context = { diagnostics = { told } } }
local result = {
  message = found.message, code = found.code, line = found.lnum, severity = found.severity, source = found.source,
  hover = asked("textDocument/hover", here).contents.value,
  action = asked("textDocument/codeAction", around)[1].title,
}
vim.api.nvim_buf_set_lines(0, found.lnum, found.lnum + 1, false, { "        return self.fc(x)" })
vim.cmd("write")
result.left = #shown(false)
vim.fn.writefile({ vim.fn.json_encode(result) }, "result.json")
vim.cmd("qall!")
"""


def test_settings_are_of_the_form_that_editors_read() -> None:
    from netlint.lsp.linter import Options

    parse: dict[str, Any] = {"json": json.loads, "toml": tomllib.loads}
    read = [parse[language](text) for _, language, text in BLOCKS if language in parse]
    assert len(read) == 4
    (editor,) = (settings for settings in read if "glspc.server.initializationOptions" in settings)
    assert msgspec.convert(editor["glspc.server.initializationOptions"], Options).trust
    rows = re.findall(r"^\| `(\w+)`(?:, `(\w+)`)? \|", PAGE, re.MULTILINE)
    assert {name for row in rows for name in row if name} == set(Options.__struct_fields__)


def _neovim() -> tuple[str, str]:
    """The settings for the version that is installed, and its executable."""
    program = shutil.which("nvim") or pytest.skip("Neovim is not installed")
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    version = tuple(map(int, re.findall(r"\d+", told)[:2]))
    return NEOVIM["neovim-0.11" if version >= (0, 11) else "neovim-0.7"], program


def test_neovim_shows_what_is_saved(tmp_path: Path) -> None:
    pytest.importorskip("pygls")
    pytest.importorskip("torch")
    settings, program = _neovim()
    (tmp_path / "pyproject.toml").write_text(SETTINGS)
    (tmp_path / "net.py").write_text(FAULTY)
    (tmp_path / "init.lua").write_text(settings)
    (tmp_path / "trial.lua").write_text(TRIAL)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    argv = [program, "--headless", "--clean", "-u", "init.lua", "-c", "luafile trial.lua"]
    subprocess.run(argv, cwd=tmp_path, env=os.environ | {"PATH": path}, timeout=300, check=True)
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["message"].startswith("double-softmax: the head ends in softmax")
    assert (result["code"], result["line"], result["severity"], result["source"]) == ("LOS002", 11, 1, "netlint")
    assert "**why**" in result["hover"]
    assert result["action"] == "Ignore double-softmax on this line"
    assert result["left"] == 0
