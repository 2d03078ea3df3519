"""What is installed, read off the file system: the same as the slow ways say."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from netlint.errors import UnknownRule
from netlint.index import declared, find_rule
from netlint.plugins import GROUP, Plugin, distributions, package_places, plugins, versioned
from netlint.registry import load_rules
from tests.conftest import ROOT


def install(site: Path, name: str, points: str) -> None:
    (site / name).mkdir(parents=True)
    (site / name / "entry_points.txt").write_text(points)
    (site / name / "METADATA").write_text(f"Name: {name.split('-')[0]}\nVersion: 1.0\n")


def test_plugins_are_those_that_importlib_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path / "a", "My.Rules-1.0.dist-info", f"[{GROUP}]\nmine = my_rules\n# no = no\n b =  b.c [extra]\n")
    install(
        tmp_path / "a", "other-2.0rc1.dist-info", f"[console_scripts]\nx = y:z\n[{GROUP}]\n\nother=other\n[more]\nq=r\n"
    )
    install(tmp_path / "b", "my_rules-0.9.dist-info", f"[{GROUP}]\nolder = older\n")
    install(tmp_path / "b", "egg.egg-info", "[console_scripts]\nnetlint.rules = a:b\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "a"), str(tmp_path / "missing"), str(tmp_path / "b"), *sys.path])
    found = plugins()
    assert {(plugin.name, plugin.package) for plugin in found} == {
        (point.name, point.module) for point in entry_points(group=GROUP)
    }
    assert Plugin("mine", "my_rules", "my-rules 1.0") in found
    assert Plugin("other", "other", "other 2.0rc1") in found
    assert versioned(distributions()["egg"]) == "egg "


def test_other_places_than_folders_are_left_to_importlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = plugins()
    (tmp_path / "packed.zip").write_bytes(b"PK\x05\x06" + bytes(18))
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "packed.zip")])
    monkeypatch.setattr("netlint.plugins.distributions", dict)  # not looked at
    assert [plugin.package for plugin in plugins()] == [plugin.package for plugin in before]


def test_the_index_sees_every_rule_as_the_registry_does() -> None:
    known = {(rule.code, rule.name, rule.module, rule.summary) for rule in load_rules().values()}
    assert {tuple(entry) for entry in declared()} == known
    for code, name, _, _ in known:
        assert find_rule(name).code == find_rule(code.lower()).code == code


def test_the_page_of_one_rule_imports_no_other() -> None:
    program = (
        "import sys, netlint.cli\n"
        "try: netlint.cli.main(['rule', 'ACT004'])\n"
        "except SystemExit: pass\n"
        "print(*[name for name in sys.modules if name.startswith('netlint_rules.activation.')])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "netlint_rules.activation.sigmoid_hidden"


def test_a_rule_in_a_folder_is_found_and_what_is_not_there_is_told(tmp_path: Path) -> None:
    page = '"""Mine.\n\n## What it does\n## Why is this bad\n## Example\n## Use instead\n"""\n'
    head = 'from netlint.rule import *\n@rule("MYR001", "my-own", level=NOTE, since="1")\n'
    (tmp_path / "my_own.py").write_text(page + head + "def run(scope):\n    return []\n")
    assert find_rule("my_own", [tmp_path]).code == "MYR001"
    with pytest.raises(UnknownRule, match="did you mean 'my-own'"):
        find_rule("my-owm", [tmp_path])


def test_places_of_packages() -> None:
    assert package_places("netlint_rules.loss") == [str(ROOT / "rules" / "loss")]
    assert package_places("netlint.rule") == [str(ROOT / "netlint" / "rule.py")]
    assert package_places("no_such_package_at_all") == []
