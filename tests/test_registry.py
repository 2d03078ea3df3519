"""Finding rules: conventions are checked all at once, plugins load like our own, names are forgiven and suggested."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from netlint.errors import RegistryError, UnknownRule
from netlint.registry import load_rules
from tests.conftest import FIXTURES

PAGE = '''"""A thing.

## What it does
## Why is this bad
## Example
## Use instead
"""
from netlint.rule import *
'''
GOOD = '@rule("{code}", "{name}", level=WARNING, since="1")\ndef check(scope):\n    {body}\n'


def plugin(folder: Path, name: str, code: str = "MYR001", body: str = "return []", page: str = PAGE) -> Path:
    file = folder / f"{name.replace('-', '_')}.py"
    file.write_text(page + GOOD.format(code=code, name=name, body=body))
    return file


def problems(*folders: Path) -> str:
    with pytest.raises(RegistryError) as caught:
        load_rules(folders)
    return str(caught.value)


def test_a_folder_of_rules_is_loaded_beside_our_own(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    plugin(tmp_path, "a-rule")
    plugin(tmp_path / "inner", "another", "MYR002")
    rules = load_rules([tmp_path])
    assert set(rules) == set(load_rules()) | {"MYR001", "MYR002"}
    assert rules["MYR002"].summary == "A thing"
    assert [rule.code for rule in rules.select("MYR")] == ["MYR001", "MYR002"]


def test_every_broken_convention_is_listed_at_once(tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(
        'from netlint.rule import *\n@rule("x1", "Not_Good", level=WARNING, also=(WARNING,), since="1", status="new")\n'
        'def check(scope): ...\n@rule("MYR003", "levels", level="error", since="1", requires=(3,))\n'
        "def other(scope): ...\n"
    )
    (tmp_path / "syntax.py").write_text("def f(:\n")
    (tmp_path / "exits.py").write_text("import sys; sys.exit(0)\n")
    told = problems(tmp_path, tmp_path / "missing")
    for problem in (
        "its code is not two or more capitals and three digits",
        "its name is not lower-case words joined by hyphens",
        "its file is named wrong.py, not Not_Good.py",
        "its status 'new' is none of stable, preview, opt-in",
        "it declares a level twice",
        "its page lacks '## What it does'",
        "its page lacks '## Use instead'",
        "its levels are not all of ERROR, WARNING, NOTE",
        "it requires something that is not an analysis",
        "syntax.py' cannot be loaded: SyntaxError",
        "exits.py' cannot be loaded: SystemExit",
        f"'{tmp_path / 'missing'}' does not exist: correct rule-folders",
    ):
        assert problem in told


def test_clashes_name_both(tmp_path: Path) -> None:
    plugin(tmp_path, "a-rule", "ACT004")
    plugin(tmp_path, "sigmoid-hidden", "MYR002")
    told = problems(tmp_path)
    assert "the code ACT004 belongs to both netlint_rules.activation.sigmoid_hidden and netlint_local.a_rule" in told
    assert "the name sigmoid-hidden belongs to both netlint_rules.activation.sigmoid_hidden and netlint_local." in told


@pytest.mark.parametrize("text", ["ACT004", "act004", "sigmoid-hidden", "Sigmoid-Hidden", "sigmoid_hidden"])
def test_case_and_underscores_are_forgiven(text: str) -> None:
    assert load_rules().find(text).code == "ACT004"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("sigmoid-hiden", "did you mean 'sigmoid-hidden'"),
        ("ACT0O4", "did you mean 'ACT0"),
        ("zzzzzz", "`netlint rules` lists them"),
        ("", "`netlint rules` lists them"),
    ],
)
def test_unknown_rules_are_told_with_a_suggestion(text: str, hint: str) -> None:
    for look_up in (load_rules().find, load_rules().select):
        with pytest.raises(UnknownRule, match=f"unknown rule '{text}'; {hint}"):
            look_up(text)


def test_a_plugin_that_crashes_is_named_and_hides_nothing(
    netlint: Callable[..., CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "lint").mkdir()
    plugin(tmp_path / "lint", "a-rule", body='raise KeyError("boom")')
    plugin(tmp_path / "lint", "needy", "MYR002", body='raise Unavailable("needs a \\x1b[2Jthing")')
    (tmp_path / "netlint.toml").write_text('rule-folders = ["lint"]\n')
    done = netlint(FIXTURES / "sigmoid_hidden_mlp_dynamo.onnx", "--config=netlint.toml")
    assert done.returncode == 4
    assert done.stderr == ""
    assert "warning[ACT004]" in done.stdout
    assert "bug: rule a-rule failed on " in done.stdout
    assert "= at: netlint_local.a_rule:" in done.stdout
    assert "needs a \\x1b[2Jthing" in done.stdout


def test_a_broken_plugin_is_a_usage_mistake_that_names_the_file(
    netlint: Callable[..., CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "broken.py").write_text("1 / 0\n")
    (tmp_path / "netlint.toml").write_text('rule-folders = ["."]\n')
    assert netlint("rule", "ACT004").returncode == 0  # the page of another rule is shown all the same
    for argv in (["rules"], ["rule", "ACT999"], [FIXTURES / "plain_mlp.onnx", "--config=netlint.toml"]):
        done = netlint(*argv)
        assert done.returncode == 2
        assert "broken.py' cannot be loaded: ZeroDivisionError" in done.stderr
        assert "Traceback" not in done.stderr
