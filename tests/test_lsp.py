"""`netlint server` as an editor sees it: what is saved is linted, what is found is shown, nothing is left behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import FIXTURES, ROOT
from tests.lsp_client import Client, Diagnostics

pytest.importorskip("pygls")

needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc on this system")

SETTINGS = '[[tool.netlint.targets]]\npath = "net.py:Net"\nloss = "cross_entropy"\ntime-limit = 50\n'
HEAD = """import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 5)

    def forward(self, x):
"""
FAULTY = HEAD + '        print("said by the model")\n        return torch.softmax(self.fc(x), 1)\n'
SOUND = HEAD + "        return self.fc(x)\n"
HANGING = (
    "import os, subprocess\n\n\ndef Net():\n    child = subprocess.Popen(['sleep', '600'])\n"
    "    open('pids.tmp', 'w').write(f'{os.getpid()} {child.pid}')\n    os.rename('pids.tmp', 'pids')\n"
    "    while True:\n        pass\n"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A workspace whose name is none of the simple ones."""
    place = tmp_path / "Mein Prüf#stand"
    place.mkdir()
    (place / "pyproject.toml").write_text(SETTINGS)
    return place


def messages(shown: Diagnostics) -> list[str]:
    return [diagnostic["message"] for diagnostic in shown]


def says(text: str) -> Callable[[Diagnostics], bool]:
    return lambda shown: any(text in message for message in messages(shown))


def is_empty(shown: Diagnostics) -> bool:
    return not shown


def test_a_factory_is_linted_when_opened_and_when_saved(folder: Path) -> None:
    pytest.importorskip("torch")
    net = folder / "net.py"
    net.write_text(FAULTY)
    with Client([folder]) as client:
        uri = client.open(net)
        (found,) = client.diagnostics(net)
        assert found["code"] == "LOS002" and found["severity"] == 1 and found["source"] == "netlint"
        assert found["range"] == {"start": {"line": 11, "character": 8}, "end": {"line": 11, "character": 43}}
        assert len(found["data"]["fingerprints"]) == 1
        _hover_tells(client, uri)
        _logged(client, "said by the model")
        _progress_ended(client)

        client.save(net, _fixed(client, net, found))
        client.diagnostics(net, is_empty)
        assert "# netlint: ignore[double-softmax] TODO: reason" in net.read_text()
        client.save(net, SOUND.replace("nn.Linear(8, 5)", "nn.Linear(8, 5"))
        (broken,) = client.diagnostics(net)
        assert "SyntaxError" in broken["message"]
        assert (broken["range"]["start"]["line"], broken["severity"]) == (4, 1)
        client.save(net, SOUND)
        client.diagnostics(net, is_empty)


def _fixed(client: Client, file: Path, found: dict[str, Any]) -> str:
    """The text of an open file with the one quick fix for a diagnostic."""
    asked = {"range": found["range"], "context": {"diagnostics": [found]}}
    (action,) = client.request("textDocument/codeAction", textDocument={"uri": file.as_uri()}, **asked)
    (edit,) = action["edit"]["changes"][file.as_uri()]
    lines = file.read_text().splitlines(keepends=True)
    line, column = edit["range"]["start"]["line"], edit["range"]["start"]["character"]
    lines[line] = lines[line][:column] + edit["newText"] + lines[line][column:]
    return "".join(lines)


def _hover_tells(client: Client, uri: str) -> None:
    def hover(line: int) -> Any:
        return client.request("textDocument/hover", textDocument={"uri": uri}, position={"line": line, "character": 9})

    assert hover(10) is None
    said = hover(11)["contents"]["value"]
    assert "**why**: the second softmax" in said
    assert "loss cross\\_entropy (from loss in pyproject.toml)" in said
    assert "**help**: return the logits" in said
    assert "#### Use instead" in said and "\n# given loss=cross_entropy\n" in said


def _logged(client: Client, text: str) -> None:
    told = (note["params"]["message"] for note in client.notified if note["method"] == "window/logMessage")
    assert any(text in message for message in told)


def _progress_ended(client: Client) -> None:
    kinds = [note["params"]["value"]["kind"] for note in client.notified if note["method"] == "$/progress"]
    assert kinds == ["begin", "end"]


def test_what_a_factory_imports_is_part_of_it(folder: Path) -> None:
    pytest.importorskip("torch")
    (folder / "parts").mkdir()
    (folder / "parts" / "__init__.py").touch()
    head = folder / "parts" / "head.py"
    head.write_text(FAULTY.replace("class Net", "class Head"))
    (folder / "net.py").write_text("from parts import head\n\n\ndef Net():\n    return head.Head()\n")
    (folder / "other.py").write_text("raise SystemExit('is not run')\n")
    with Client([folder]) as client:
        client.open(folder / "other.py")
        client.open(head)
        assert [diagnostic["code"] for diagnostic in client.diagnostics(head)] == ["LOS002"]
        client.save(head, SOUND.replace("class Net", "class Head"))
        client.diagnostics(head, is_empty)
        assert all(uri == head.as_uri() or not shown for uri, shown in client.published)


@needs_proc
def test_a_newer_save_ends_what_still_runs(folder: Path) -> None:
    pytest.importorskip("torch")
    net = folder / "net.py"
    net.write_text(HANGING)
    with Client([folder]) as client:
        client.open(net)
        pids = _pids(folder)
        client.save(net, FAULTY)
        _all_end(pids)
        assert "double-softmax" in messages(client.diagnostics(net))[0]


@needs_proc
@pytest.mark.parametrize("how", ["shutdown", "end of input", "terminate"])
def test_nothing_is_left_behind(folder: Path, how: str) -> None:
    pytest.importorskip("torch")
    (folder / "net.py").write_text(HANGING)
    with Client([folder]) as client:
        client.open(folder / "net.py")
        pids = _pids(folder)
        if how == "shutdown":
            client.request("shutdown")
            client.notify("exit")
        elif how == "terminate":
            client.process.terminate()
        else:
            assert client.process.stdin is not None
            client.process.stdin.close()
        client.process.wait(20)
        _all_end(pids)


def _pids(folder: Path) -> list[int]:
    """Of the process that makes the model, of what it started, and of netlint's own that waits for it."""
    end = time.monotonic() + 120
    while not (folder / "pids").exists():
        assert time.monotonic() < end
        time.sleep(0.05)
    maker, child = map(int, (folder / "pids").read_text().split())
    return [maker, child, int(_status(maker)[1])]


def _status(pid: int) -> list[str]:
    """The state of a process and its parent; `Z` (dead, not yet collected) where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
    except FileNotFoundError:
        return ["Z", "0"]


def _all_end(pids: list[int]) -> None:
    end = time.monotonic() + 20
    while any(_status(pid)[0] != "Z" for pid in pids):
        assert time.monotonic() < end, pids
        time.sleep(0.05)


def test_a_factory_that_hangs_is_said_to(folder: Path) -> None:
    pytest.importorskip("torch")
    (folder / "pyproject.toml").write_text(SETTINGS.replace("50", "1"))
    (folder / "net.py").write_text(HANGING)
    with Client([folder]) as client:
        client.open(folder / "net.py")
        (found,) = client.diagnostics(folder / "net.py")
        assert "took longer than 1 s while building the model" in found["message"]
        assert found["range"]["start"]["line"] == 3


def test_findings_in_an_exported_model_are_shown_in_its_source(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "fixtures", tmp_path / "fixtures", ignore=shutil.ignore_patterns("onnx*", "zoo"))
    model, nets = tmp_path / "double_softmax.onnx", tmp_path / "fixtures" / "nets.py"
    shutil.copy(FIXTURES / "double_softmax_loss.onnx", model)
    with Client([tmp_path]) as client:
        client.open(model)
        (found,) = client.diagnostics(nets)
        assert found["code"] == "LOS002"
        assert "softmax" in nets.read_text().splitlines()[found["range"]["start"]["line"]]
        (also,) = found["relatedInformation"]
        assert also["location"]["uri"] == model.as_uri() and "double_softmax.onnx ▸ model ▸ Softmax" in also["message"]
        (there,) = client.diagnostics(model)
        assert "findings in its source: nets.py:" in there["message"]
        client.notify("textDocument/didClose", textDocument={"uri": model.as_uri()})
        client.diagnostics(nets, is_empty)


def test_text_models_are_shown_on_the_line_of_the_node(tmp_path: Path) -> None:
    model = tmp_path / "model.onnxtxt"
    shutil.copy(ROOT / "fixtures" / "onnxtxt" / "nan_weight.onnxtxt", model)
    with Client([]) as client:  # no workspace: what is opened is linted all the same
        client.open(model)
        (found,) = client.diagnostics(model)
        assert '"/fc2/Gemm_output_0" = Gemm' in model.read_text().splitlines()[found["range"]["start"]["line"]]
        model.write_text("nothing that is ONNX")
        change = {"uri": model.as_uri(), "type": 2}
        client.notify("workspace/didChangeWatchedFiles", changes=[change])
        (broken,) = client.diagnostics(model, says("is not ONNX text"))
        assert broken["range"]["start"] == {"line": 0, "character": 0}


def test_settings_are_read_again_when_they_change(folder: Path) -> None:
    settings = folder / "pyproject.toml"
    model = folder / "model.onnx"
    settings.write_text('[[tool.netlint.targets]]\npath = "*.onnx"\n')
    shutil.copy(FIXTURES / "nan_weight.onnx", model)

    def change(text: str) -> None:
        settings.write_text(text)
        client.notify("workspace/didChangeWatchedFiles", changes=[{"uri": settings.as_uri(), "type": 2}])

    with Client([folder]) as client:
        assert [found["code"] for found in client.diagnostics(model)] == ["INI008"]  # named by settings: never opened
        change("[tool.netlint]\nignroe = []\n")
        client.diagnostics(model, is_empty)
        (mistake,) = client.diagnostics(settings)
        assert mistake["message"].startswith("unknown key") and "did you mean 'ignore'" in mistake["message"]
        assert mistake["range"]["start"]["line"] == 1
        change('[tool.netlint]\nignore = ["INI"]\n[[tool.netlint.targets]]\npath = "*.onnx"\n')
        client.diagnostics(settings, is_empty)
        client.diagnostics(model, is_empty)
        change('[[tool.netlint.targets]]\npath = "*.onnx"\n')
        assert [found["code"] for found in client.diagnostics(model)] == ["INI008"]


def test_a_target_that_is_not_there_is_shown_in_the_settings(folder: Path) -> None:
    settings = folder / "pyproject.toml"
    with Client([folder]) as client:
        client.open(settings)
        (found,) = client.diagnostics(settings)
        assert found["range"]["start"]["line"] == 1
        assert "net.py:Net" in found["message"] and "not" in found["message"]


def test_options_of_the_editor_select_rules_and_can_change(tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    shutil.copy(FIXTURES / "nan_weight.onnx", model)
    with Client([tmp_path], {"ignore": ["nonfinite-weights"]}) as client:
        client.open(model)
        assert client.diagnostics(model, is_empty) == []
        client.notify("workspace/didChangeConfiguration", settings={"netlint": {"args": ["--select=INI008"]}})
        assert [found["code"] for found in client.diagnostics(model)] == ["INI008"]
        client.notify("workspace/didChangeConfiguration", settings={"netlint": {"args": ["--selct=INI008"]}})
        assert "No such option" in messages(client.diagnostics(model, says("selct")))[0]
        client.notify("workspace/didChangeConfiguration", settings={"netlint": {"arg": []}})
        client.wait(lambda: next((note for note in client.notified if "`arg`" in str(note)), None))
        client.replies["workspace/configuration"] = [{"ignore": ["INI008"]}]
        client.notify("workspace/didChangeConfiguration", settings=None)  # an editor that wants to be asked
        client.diagnostics(model, is_empty)


def test_without_trust_no_code_of_the_workspace_is_run(folder: Path) -> None:
    (folder / "net.py").write_text("open('ran', 'w')\n")
    (folder / "rules").mkdir()
    (folder / "rules" / "mine.py").write_text("open('ran', 'w')\n")
    (folder / "model.onnx").write_bytes((FIXTURES / "nan_weight.onnx").read_bytes())
    with Client([folder], {"trust": False}) as client:
        client.open(folder / "net.py")
        client.open(folder / "model.onnx")
        assert [found["code"] for found in client.diagnostics(folder / "model.onnx")] == ["INI008"]
        text = '[tool.netlint]\nrule-folders = ["rules"]\n[[tool.netlint.targets]]\npath = "*.onnx"\n'
        client.save(folder / "pyproject.toml", text)
        (found,) = client.diagnostics(folder / "model.onnx", says("rule-folders"))
        assert "if you trust it" in found["message"]
        assert "window/workDoneProgress/create" not in {request["method"] for request in client.asked}  # none began
    assert not list(folder.rglob("ran"))
    assert {uri for uri, _ in client.published} == {(folder / "model.onnx").as_uri()}


def test_a_rule_that_fails_is_one_diagnostic(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    source = (ROOT / "README.md").read_text().partition('"""A square root of a value')[2].partition("````")[0]
    body = '"""A square root of a value' + source.replace("    for node", "    raise RuntimeError('oh')\n    for node")
    (tmp_path / "rules" / "sqrt_of_relu.py").write_text(body)
    (tmp_path / "netlint.toml").write_text('select = ["MY001"]\nrule-folders = ["rules"]\n')
    model = tmp_path / "model.onnx"
    shutil.copy(FIXTURES / "plain_mlp.onnx", model)
    with Client([tmp_path]) as client:
        client.open(model)
        (found,) = client.diagnostics(model)
        assert found["message"].startswith("rules failed on model.onnx") and "RuntimeError('oh')" in found["message"]
        _logged(client, "rule sqrt-of-relu failed")


def test_what_is_no_file_is_left_alone_and_folders_may_come_and_go(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    for place in (first, second):
        place.mkdir()
        (place / "netlint.toml").write_text('[[targets]]\npath = "*.onnx"\n')
        shutil.copy(FIXTURES / "nan_weight.onnx", place / "m.onnx")
    with Client([first]) as client:
        untitled = {"uri": "untitled:Untitled-1", "languageId": "python", "version": 1, "text": "x = 1\n"}
        client.notify("textDocument/didOpen", textDocument=untitled)
        client.notify("textDocument/didSave", textDocument={"uri": untitled["uri"]})
        client.notify("textDocument/didOpen", textDocument=untitled | {"uri": "file:///%00.onnx"})
        assert client.diagnostics(first / "m.onnx")
        added = [{"uri": second.as_uri(), "name": "b"}]
        client.notify("workspace/didChangeWorkspaceFolders", event={"added": added, "removed": []})
        assert client.diagnostics(second / "m.onnx")
        client.notify("workspace/didChangeWorkspaceFolders", event={"added": [], "removed": added})
        client.diagnostics(second / "m.onnx", is_empty)


def test_the_edit_that_ignores_a_rule_is_what_the_editor_shows(folder: Path) -> None:
    net = folder / "net.py"
    net.write_text("# 𝔸 first\ny = f(x)  # 𝔸\n")
    diagnostic = {
        "range": {"start": {"line": 1, "character": 0}, "end": {"line": 1, "character": 8}},
        "message": "…",
        "code": "LOS002",
        "source": "netlint",
        "data": {"rule": "double-softmax"},
    }
    with Client([folder], {"trust": False}) as client:
        uri = client.open(net)
        (action,) = client.request(
            "textDocument/codeAction",
            textDocument={"uri": uri},
            range=diagnostic["range"],
            context={"diagnostics": [diagnostic, diagnostic | {"source": "another"}]},
        )
        assert action["title"] == "Ignore double-softmax on this line"
        (edit,) = action["edit"]["changes"][uri]
        assert edit["newText"] == "  # netlint: ignore[double-softmax] TODO: reason"
        end = {"line": 1, "character": 14}  # in units of UTF-16, of which 𝔸 has two
        assert edit["range"] == {"start": end, "end": end}


def test_with_the_quick_fix_the_next_run_is_silent(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "fixtures", tmp_path / "fixtures", ignore=shutil.ignore_patterns("onnx*", "zoo"))
    model, nets = tmp_path / "double_softmax.onnx", tmp_path / "fixtures" / "nets.py"
    shutil.copy(FIXTURES / "double_softmax_loss.onnx", model)
    with Client([tmp_path]) as client:
        client.open(model)
        (found,) = client.diagnostics(nets)
        uri = client.open(nets)
        before = nets.read_text()
        at = {"textDocument": {"uri": uri}, "position": found["range"]["start"]}
        assert "double-softmax" in client.request("textDocument/hover", **at)["contents"]["value"]
        moved = [{"text": f"\n{before}"}]
        client.notify("textDocument/didChange", textDocument={"uri": uri, "version": 2}, contentChanges=moved)
        assert client.request("textDocument/hover", **at) is None  # another line stands there now, not yet saved
        client.save(nets, _fixed(client, nets, found))
        client.diagnostics(nets, is_empty)
        asked = {"range": found["range"], "context": {"diagnostics": [found]}}
        assert client.request("textDocument/codeAction", textDocument={"uri": uri}, **asked) == []
        client.save(nets, before)
        assert client.diagnostics(nets)[0]["code"] == "LOS002"


def _override(client: Client, shown: Path, found: dict[str, Any], **context: Any) -> Any:
    """The edit of the one quick fix for a diagnostic that stands on no line of code."""
    context = {"diagnostics": [found], **context}
    asked = {"textDocument": {"uri": shown.as_uri()}, "range": found["range"], "context": context}
    actions = client.request("textDocument/codeAction", **asked)
    if not actions:
        return None
    (action,) = actions
    return action["title"], action["edit"]


def test_what_stands_on_no_line_of_code_is_ignored_in_the_settings(tmp_path: Path) -> None:
    model, settings = tmp_path / "models" / "nan.onnx", tmp_path / "netlint.toml"
    model.parent.mkdir()
    shutil.copy(FIXTURES / "nan_weight.onnx", model)
    with Client([tmp_path]) as client:
        client.open(model)
        (found,) = client.diagnostics(model)
        title, edit = _override(client, model, found)
        assert title == "Ignore nonfinite-weights in models/nan.onnx: an override in netlint.toml"
        made, written = edit["documentChanges"]
        assert made == {"kind": "create", "uri": settings.as_uri()}
        (text,) = written["edits"]
        assert text["newText"].splitlines() == [
            "[[overrides]]",
            'target = "models/nan.onnx"',
            'module = ["fc2"]',
            'ignore = ["nonfinite-weights"]',
            'reason = "TODO: reason"',
        ]
        settings.write_text(text["newText"])
        client.notify("workspace/didChangeWatchedFiles", changes=[{"uri": settings.as_uri(), "type": 1}])
        client.diagnostics(model, is_empty)
        assert _override(client, model, found, only=["refactor", "source.organizeImports"]) is None


@pytest.mark.parametrize(
    ("name", "before", "end", "added"),
    [
        ("pyproject.toml", "[tool.netlint]", (0, 14), "\n\n[[tool.netlint.overrides]]"),
        ("netlint.toml", "# 𝔸", (0, 4), "\n\n[[overrides]]"),
        ("netlint.toml", "ignore = []\n", (1, 0), "\n[[overrides]]"),
        ("netlint.toml", "overrides = []\n", None, ""),
    ],
)
def test_overrides_are_appended_to_the_settings_there_are(
    tmp_path: Path, name: str, before: str, end: tuple[int, int] | None, added: str
) -> None:
    model, settings = tmp_path / "nan.onnx", tmp_path / name
    shutil.copy(FIXTURES / "nan_weight.onnx", model)
    settings.write_text(before)
    with Client([tmp_path]) as client:
        client.open(model)
        (found,) = client.diagnostics(model)
        offered = _override(client, model, found)
        if end is None:
            assert offered is None  # no table can be added to what is written as one value
            return
        (edit,) = offered[1]["changes"][settings.as_uri()]
        assert (edit["range"]["start"]["line"], edit["range"]["start"]["character"]) == end
        assert edit["newText"].startswith(added)
        client.save(settings, before + edit["newText"])
        client.diagnostics(model, is_empty)


def test_without_pygls_the_server_says_what_to_install() -> None:
    program = "import sys; sys.modules['pygls'] = None; from netlint.cli import main; main(['server'])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 2
    assert "pip install 'netlint-nn[lsp]'" in done.stderr


def test_the_server_imports_neither_torch_nor_onnx() -> None:
    argv = [sys.executable, "-X", "importtime", "-m", "netlint", "server"]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=ROOT, check=True)
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "pygls.lsp.server" in loaded
    assert not loaded & {"torch", "onnx", "rich", "netlint_rules", "netlint.engine"}


def test_settings_beside_a_model_outside_the_workspace_run_nothing(tmp_path: Path) -> None:
    (tmp_path / "netlint.toml").write_text('rule-folders = ["."]\n')
    (tmp_path / "rule.py").write_text(f"import os; os.mkdir({os.fspath(tmp_path / 'ran')!r})\n")
    model = tmp_path / "model.onnx"
    shutil.copy(FIXTURES / "nan_weight.onnx", model)
    with Client([]) as client:
        client.open(model)
        assert "rule-folders" in messages(client.diagnostics(model))[0]
    assert not (tmp_path / "ran").exists()
