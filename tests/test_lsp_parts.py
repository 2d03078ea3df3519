"""The parts of the language server that need no client: what belongs to a target, what is shown where, the edit."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from netlint.lsp import child, words
from netlint.lsp.findings import MOST, Entry, entries
from netlint.lsp.ignoring import insertion
from netlint.lsp.imports import Imports
from netlint.lsp.targets import Target, configured, place
from netlint.report.json import (
    JsonEvidence,
    JsonFinding,
    JsonLocation,
    JsonPlace,
    JsonRelated,
    JsonSource,
    JsonTarget,
    LevelName,
)


def written(folder: Path, **files: str) -> None:
    """Files by their names without `.py`; `__` stands for a slash."""
    for name, text in files.items():
        file = folder / (name.replace("__", "/") + ".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def test_what_a_file_is_made_of(tmp_path: Path) -> None:
    written(
        tmp_path,
        net="import torch\nfrom parts import head as h\ndef f():\n    import late.deep\n",
        parts__head="from . import tail\nfrom ..parts.other import X\n",
        parts__tail="import net\n",
        parts__other="",
        parts__unused="",
        late__deep="",
        unrelated="",
    )
    (tmp_path / "parts" / "__init__.py").touch()
    imports = Imports()

    def names() -> set[str]:
        return {os.path.relpath(file, tmp_path) for file in imports.closure(tmp_path / "net.py", tmp_path)}

    whole = {"net.py", "parts/__init__.py", "parts/head.py", "parts/tail.py", "parts/other.py", "late/deep.py"}
    assert names() == whole
    (tmp_path / "parts" / "head.py").write_text("from . import tail\nfrom ..parts.other import X, (\n")
    assert names() == whole  # while it does not parse, it imports what it did before
    (tmp_path / "parts" / "head.py").write_text("")
    assert names() == whole - {"parts/tail.py", "parts/other.py"}


def test_imports_are_found_from_the_root_of_a_package_and_from_the_folder(tmp_path: Path) -> None:
    written(
        tmp_path, src__pkg____init="", tools="", src__beside="", src__pkg__net="import pkg.part\nimport tools, beside"
    )
    (tmp_path / "src" / "pkg" / "__init__.py").touch()
    written(tmp_path, src__pkg__part="")
    found = Imports().closure(tmp_path / "src" / "pkg" / "net.py", tmp_path)
    names = {os.path.relpath(file, tmp_path) for file in found}
    assert names == {"tools.py", "src/beside.py", "src/pkg/__init__.py", "src/pkg/net.py", "src/pkg/part.py"}


def test_targets_are_those_of_the_settings(tmp_path: Path) -> None:
    written(tmp_path, net="", nets__a="", nets__b="", pkg__mod="")
    for name in ("a.onnx", "b.onnx", "c.txt", "out.onnx", "w.pt", "deep/er/c.onnx", "deep/d.onnx", ".venv/e.onnx"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    paths = [
        "net.py:Net(classes=3)",
        "nets/*.py:Net",
        "pkg.mod:make",
        "gone.py:Net",
        "./a.onnx",
        "[b].onnx",
        "deep/**/*.onnx",
        "x.py:f(a)",
    ]
    entries_ = "\n".join(f'[[targets]]\npath = "{path}"' for path in paths)
    weights = '\n[[targets]]\npath = "w.pt"\nfactory = "net.py:Net"\n'
    (tmp_path / "netlint.toml").write_text(f'exclude = ["out.onnx"]\n{entries_}{weights}')
    found = {
        target.text: target.file and os.path.relpath(target.file, tmp_path) for target in configured(tmp_path, True)
    }
    assert found == {
        "net.py:Net(classes=3)": "net.py",
        "pkg.mod:make": "pkg/mod.py",
        "gone.py:Net": None,
        "a.onnx": "a.onnx",
        "b.onnx": "b.onnx",
        "deep/d.onnx": "deep/d.onnx",
        "deep/er/c.onnx": "deep/er/c.onnx",
        "x.py:f(a)": None,
        "w.pt": "net.py",
    }
    read = configured(tmp_path / "nets", False)
    models = ("a.onnx", "b.onnx", "deep/d.onnx", "deep/er/c.onnx")
    assert [target.file for target in read] == [tmp_path / name for name in models]
    assert {target.folder for target in read} == {Path(tmp_path.anchor)}  # below which no settings are trusted


def test_a_large_tree_is_not_searched_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(6):
        (tmp_path / f"f{number}").mkdir()
        (tmp_path / f"f{number}" / "m.onnx").touch()
    (tmp_path / "netlint.toml").write_text('[[targets]]\npath = "**/*.onnx"\n')
    assert len(configured(tmp_path, True)) == 6
    monkeypatch.setattr("netlint.lsp.targets.MOST_FOLDERS", 4)
    assert len(configured(tmp_path, True)) == 3
    monkeypatch.setattr("netlint.lsp.targets.MOST_MODELS", 2)
    assert [target.text for target in configured(tmp_path, True)] == ["f0/m.onnx", "f1/m.onnx"]


@pytest.mark.parametrize(
    ("text", "source", "line"),
    [
        ("net.py:Net", "import x\nclass Net(\n", 2),
        ("net.py:Net(a=1)", "x = 1\n\nasync def Net(): pass", 3),
        ("net.py:Model.small", "class Model:\n    def small(self): ...", 2),
        ("net.py:net", "network = 1\nnet = Sequential()", 2),
    ],
)
def test_a_target_as_a_whole_stands_on_its_definition(text: str, source: str, line: int, tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text(source)
    assert place(Target(text, tmp_path, file, tmp_path / "netlint.toml")) == (file, line)


def test_without_a_definition_it_stands_where_it_is_named(tmp_path: Path) -> None:
    settings = tmp_path / "netlint.toml"
    settings.write_text('[[targets]]\npath = "net.py:Net"')
    (tmp_path / "net.py").write_text("from other import *")
    assert place(Target("net.py:Net", tmp_path, tmp_path / "net.py", settings)) == (settings, 2)
    (tmp_path / "net.py").write_text("import x\n\ndef (:\n")
    assert place(Target("net.py:Net", tmp_path, tmp_path / "net.py", settings)) == (tmp_path / "net.py", 3)


def finding(line: int | None = 3, level: LevelName = "warning", number: int = 0) -> JsonFinding:
    source = None if line is None else JsonSource("net.py", line, True)
    return JsonFinding(
        code=f"ACT{number:03}",
        rule="some-rule",
        level=level,
        message=f"layer {number} [x](command:y) is *bad*",
        why="",
        help="",
        op="Relu",
        writes=["h"],
        graph="Gemm → `Relu`",
        location=JsonLocation(f"layer.{number} ▸ Relu", f"layer.{number}", source),
        place=JsonPlace("net.py", 1, 1, None),
        evidence=[JsonEvidence("least", 0.123456789, "you")],
        related=[JsonRelated("the other end", JsonLocation("tail", None, JsonSource("tail.py", 7, True)))],
        claim=None,
        fingerprint=str(number),
    )


def report(*findings: JsonFinding) -> child.Outcome:
    nothing: dict[str, Any] = dict.fromkeys(JsonTarget.__struct_fields__, ())
    return child.Outcome(JsonTarget(**nothing | {"target": "net.py:Net", "failure": None, "findings": list(findings)}))


def found(source: JsonSource, folder: Path) -> Path | None:
    return folder / source.file if source.found else None


def test_findings_of_one_rule_on_one_line_are_one(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("\nclass Net: ...\n")
    target = Target("net.py:Net", tmp_path, tmp_path / "net.py", tmp_path / "netlint.toml")
    shown = entries(target, report(finding(), finding(), finding(4), finding(None)), found)
    assert [(entry.line, len(entry.alike)) for entry in shown] == [(3, 2), (4, 1), (2, 1)]
    assert shown[0].message.endswith("(and 1 more here)")
    assert shown[0].related == (("the other end", tmp_path / "tail.py", 7),)


def test_no_more_are_shown_than_can_be_read_the_worst_first(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("\nclass Net: ...\n")
    target = Target("net.py:Net", tmp_path, tmp_path / "net.py", tmp_path / "netlint.toml")
    many = [finding(number, "note", number) for number in range(1, 500)] + [finding(1, "error", 999)]
    shown = entries(target, report(*many), found)
    assert len(shown) == MOST + 1
    assert (shown[0].code, shown[0].level) == ("ACT999", "error")
    assert shown[-1].message == "+300 more findings: `netlint net.py:Net` lists all of them"


def test_what_netlint_cannot_do_is_told_in_one_line(tmp_path: Path) -> None:
    target = Target("m.onnx", tmp_path, tmp_path / "m.onnx")
    (bug,) = entries(target, child.Outcome(None, "internal error: KeyError: 1\nthis is a bug"), found)
    assert bug.message == "m.onnx: netlint failed, which is a bug of its own: internal error: KeyError: 1"
    (mistake,) = entries(target, child.Outcome(None, "no such rule", usage=True), found)
    assert (mistake.message, mistake.level, mistake.line) == ("m.onnx: no such rule", "error", 1)


def test_what_a_model_says_is_no_markdown(tmp_path: Path) -> None:
    entry = Entry(tmp_path / "net.py", 3, "warning", "is [x](command:y)", "net`.py", "ACT001", (finding(),))
    said = words.page(entry, "# Title\n\n```py\n# code\n```\n\n## Why\n")
    assert r"is \[x\](command:y)" in said
    assert "`Gemm → 'Relu'`" in said and "`net'.py`" in said
    assert "least 0.1235 (from you)" in said
    assert said.endswith("---\n\n### Title\n\n```py\n# code\n```\n\n#### Why")


@pytest.mark.parametrize(
    ("line", "edited"),
    [
        ("y = f(x)", "y = f(x)  # netlint: ignore[my-rule] TODO: reason"),
        ("y = f(x)   ", "y = f(x)  # netlint: ignore[my-rule] TODO: reason   "),
        ("y = f(x)  # head", "y = f(x)  # head  # netlint: ignore[my-rule] TODO: reason"),
        ("y = f(x)  # netlint: ignore[a] why", "y = f(x)  # netlint: ignore[a, my-rule] why"),
        ("y = f(x)  #netlint:ignore [ a,b ]", "y = f(x)  #netlint:ignore [ a,b , my-rule]"),
        ("y = f(x)  # netlint: ignore[] why", "y = f(x)  # netlint: ignore[my-rule] why"),
        ("y = f(x)  # netlint: ignore", "y = f(x)  # netlint: ignore  # netlint: ignore[my-rule] TODO: reason"),
        ("y = f(x)  # netlint: ignore[a, my-rule] why", None),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_comment_that_ignores_a_rule(line: str, edited: str | None, end: str) -> None:
    program = ["x = (1,", "  2)", line, "z = 1"]
    assert applied([text + end for text in program], 2) == (
        None if edited is None else "".join(text + end for text in [*program[:2], edited, *program[3:]])
    )


def applied(lines: list[str], number: int) -> str | None:
    """The program with the edit that ignores `my-rule`."""
    edit = insertion(lines, number, "my-rule")
    if edit is None:
        return None
    line = lines[edit.line]
    return "".join([*lines[: edit.line], line[: edit.column], edit.text, line[edit.column :], *lines[edit.line + 1 :]])


COMMENT = "  # netlint: ignore[my-rule] TODO: reason"


@pytest.mark.parametrize(
    ("program", "end"),
    [
        ("y = f(\n    g(x),\n)\n", "g(x),"),
        ("y = f(x) + \\\n    1\n", "    1"),
        ('y = f(x, """\ntext""")\n', 'text""")'),
        ("if f(x): pass", "pass"),
    ],
)
def test_the_comment_stands_where_it_can_in_the_statement(program: str, end: str) -> None:
    lines = program.splitlines(keepends=True)
    number = next(number for number, line in enumerate(lines) if "(x" in line)
    assert applied(lines, number) == program.replace(end, end + COMMENT)


def test_where_no_comment_helps_there_is_none() -> None:
    assert applied(["y = f(\n", "    g(x),\n"], 7) is None
    assert applied(['y = """f(x)\n'], 0) is None
    assert applied(["y = f(\n", "  # netlint: ignore[my-rule] why\n", "  x)\n"], 0) is None


def test_arguments_that_are_none_are_the_users_mistake(tmp_path: Path) -> None:
    outcome = asyncio.run(child.lint("m.onnx", tmp_path, ["--no-such-option"]))
    assert outcome.target is None and outcome.usage
    assert "No such option" in outcome.trouble and "Usage" not in outcome.trouble
    gone = asyncio.run(child.lint("m.onnx", tmp_path / "gone", []))
    assert "could not be started" in gone.trouble
