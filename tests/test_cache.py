"""Results of earlier runs: a report from the cache is the fresh one, and nothing that it rests on changes unnoticed."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from importlib import import_module
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest

from netlint import reported
from netlint.cache import Cache, Entry
from netlint.cache import folder as folders
from netlint.cache.folder import NAME, Folder, usable
from netlint.cache.plain import TYPES, decode, encode
from netlint.cache.stamps import MAX_DIGESTED, RACY_NS, renewed, see
from netlint.checked import CheckReport, portable
from netlint.commands.outputs import FORMATS, rendered
from netlint.plans import Plans
from netlint.report import Run as ReportedRun
from netlint.reported import Report
from netlint.rule import Rule
from netlint.session import Session
from netlint.sources import Sources
from netlint.training import Interval, find_loss, parse_training
from tests.conftest import FIXTURES, ROOT

Run = Callable[..., CompletedProcess[str]]

FAULTY = FIXTURES / "sigmoid_hidden_mlp_dynamo.onnx"
MODELS = sorted([*FIXTURES.glob("*.onnx"), *(FIXTURES.parent / "onnxtxt").glob("*.onnxtxt")])
STATED = parse_training({"loss": "cross_entropy", "targets": "-1..1", "input-range": "0..inf", "classes": 5}, str)


@pytest.mark.parametrize("model", MODELS, ids=lambda path: path.stem)
def test_a_stored_report_reads_as_the_fresh_one(model: Path) -> None:
    (fresh,) = Session(Plans(stated=STATED)).results([str(model)])
    assert isinstance(fresh, CheckReport)
    told = replace(portable(fresh), times=())
    stored = decode(json.loads(json.dumps(encode(told))))
    assert isinstance(stored, Report)
    for verbose in (-1, 0, 1):
        for format_ in FORMATS:
            texts = [
                rendered(ReportedRun((report,), Sources(ROOT), verbose, statistics=True), format_)
                for report in (told, stored)
            ]
            assert texts[0] == texts[1]
    assert stored.lines == fresh.lines


def parts(value: Any) -> Iterator[Any]:
    yield value
    if is_dataclass(value) and not isinstance(value, Rule):
        for field in fields(value):
            yield from parts(getattr(value, field.name))
    elif isinstance(value, tuple | list):
        for item in value:
            yield from parts(item)


def test_all_that_reports_are_made_of_is_listed() -> None:
    """A dataclass that the list lacks would come back as text."""
    made = set()
    for model in MODELS:
        (report,) = Session(Plans(stated=STATED)).results([str(model)])
        assert isinstance(report, CheckReport)
        made |= {type(part) for part in parts(replace(portable(report), times=())) if is_dataclass(part)}
    names = {kind.__name__ for kind in made} - {"CheckReport", "Rule"}
    kinds = {name for name, kind in vars(reported).items() if getattr(kind, "__module__", "") == reported.__name__}
    never_kept = {"Crashed", "Suppressed"}
    assert names | kinds - never_kept <= set(TYPES)
    for name, module in TYPES.items():
        assert hasattr(import_module(f"netlint.{module}"), name)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        -3,
        "text \ud800 \u2028",
        0.1,
        1e300,
        float("inf"),
        float("-inf"),
        (1, (2.0, [3, ()])),
        {"a": 1, 2: "b"},
        frozenset({("net.py", 3)}),
        Interval(-1.0, float("inf")),
        find_loss("mse"),
    ],
)
def test_plain_values_come_back(value: object) -> None:
    back = decode(json.loads(json.dumps(encode(value))))
    assert back == value
    assert type(back) is type(value)


def test_what_json_has_no_word_for_prints_the_same() -> None:
    back = decode(json.loads(json.dumps(encode([float("nan"), np.float32(0.1), np.int64(3)]))))
    assert str(back[0]) == "nan"
    assert [str(item) for item in back[1:]] == ["0.1", "3"]
    assert back[1].item() == pytest.approx(0.1)
    assert back[2].item() == 3


@pytest.mark.parametrize(
    "data",
    [
        {"Report": []},
        {"Report": [1] * 14},
        {"Evidence": [1, 2, "x"]},
        {"Location": ["a", [1, 2], None, None, None]},
        {"Level": 7},
        {"Finding": ["m", {"Level": 1}, [], "", "", None, [], None]},
        {"os.system": ["true"]},
        {"Known": [], "Level": 1},
        {"list": 3},
        {"dict": [[1]]},
    ],
)
def test_what_does_not_fit_is_not_read(data: object) -> None:
    with pytest.raises((TypeError, ValueError, KeyError)):
        decode(data)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    shutil.copy(FAULTY, path)
    return path


def entries(folder: Path) -> list[Path]:
    return sorted((folder / NAME).glob("*.json"))


def lint(folder: Path, *argv: str, env: dict[str, str] | None = None) -> tuple[int, str, bool]:
    """Exit code and output of a run, and whether it had to lint: only then numpy is imported."""
    program = (
        "import sys\nfrom netlint.cli import main\n"
        f"try: main({list(argv)!r})\n"
        "except SystemExit as end: code = end.code\n"
        "print(code, 'numpy' in sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, env={**os.environ, **(env or {})}, capture_output=True, text=True
    )
    code, linted = done.stderr.splitlines()[-1].split()
    return int(code), done.stdout, linted == "True"


def age(path: Path) -> None:
    """Make a file look as if it had been written long ago. Its change is still recent, which nobody can feign."""
    os.utime(path, ns=(1, time.time_ns() - 100 * RACY_NS))


def test_a_known_result_is_printed_without_linting(model: Path) -> None:
    first = lint(model.parent, "model.onnx", "-v")
    assert first[0] == 1
    assert first[2]
    second = lint(model.parent, "model.onnx", "-v")
    assert second == (*first[:2], False)
    assert lint(model.parent, "./model.onnx")[2]  # it is called otherwise in the report
    assert (model.parent / NAME / ".gitignore").read_text() == "*\n"
    assert (model.parent / NAME / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55")


HEAVY = {"numpy", "onnx", "google.protobuf", "msgspec", "rich", "torch", "importlib.metadata", "netlint.engine"}


def imported_by(folder: Path) -> set[str]:
    """The modules that a run on the model imports."""
    program = (
        "import sys\nfrom netlint.cli import main\n"
        "try: main(['model.onnx'])\nexcept SystemExit: pass\nprint(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True)
    return set(done.stderr.split())


def test_nothing_heavy_is_imported_for_a_known_result(model: Path) -> None:
    lint(model.parent, "model.onnx")
    loaded = imported_by(model.parent)
    assert not loaded & (HEAVY | {"netlint.registry", "netlint.worker", "netlint.pool", "multiprocessing"})
    assert not [name for name in loaded if name.startswith(("netlint_rules", "netlint.analyses"))]


LEVEL = '[rules.sigmoid-hidden]\nlevel = "note"\n'
OVERRIDE = '[[overrides]]\ntarget = "*.onnx"\nignore = ["ACT", "zero-weights"]\nreason = "gates"\n'


@pytest.mark.parametrize(
    ("settings", "comment", "shown", "rules"),
    [
        (LEVEL, "", "2 notes", set()),
        (OVERRIDE.replace('ignore = ["ACT",', 'level = "note"\nrules = ["ACT",'), "", "2 notes", set()),
        (OVERRIDE.replace("*.onnx", "others"), "", "2 warnings", set()),
        (OVERRIDE, "", "2 suppressed", {"netlint_rules.settings"}),
        ("", "  # netlint: ignore[sigmoid-hidden] gates", "2 suppressed", {"netlint_rules.settings"}),
    ],
    ids=["level", "override-level", "other-target", "override", "comment"],
)
def test_rules_are_not_imported_to_apply_settings_to_a_known_result(
    model: Path, settings: str, comment: str, shown: str, rules: set[str]
) -> None:
    folder = model.parent
    (folder / "netlint.toml").write_text(settings)
    (folder / "fixtures").mkdir()
    (folder / "fixtures" / "nets.py").write_text("\n" * 95 + f"x = f(y){comment}\n")
    first = lint(folder, "model.onnx")
    assert f"1 model checked: {shown}" in first[1]
    assert lint(folder, "model.onnx") == (*first[:2], False)
    loaded = imported_by(folder)
    assert not loaded & HEAVY
    assert {
        name.rpartition(".")[0] for name in loaded if name.startswith("netlint_rules.") and "_" in name[14:]
    } == rules
    for listed in (folder / NAME).glob("rules-*"):  # what is wrong with the list of rules does not matter
        listed.write_bytes(b"noise")
    assert lint(folder, "model.onnx") == (*first[:2], False)


def test_what_becomes_of_findings_may_change_without_linting(model: Path) -> None:
    folder = model.parent
    (folder / "netlint.toml").write_text("")
    assert lint(folder, "model.onnx")[0] == 1
    (folder / "netlint.toml").write_text('fail-on = "error"\nexclude = ["old"]\n')
    assert lint(folder, "model.onnx")[::2] == (0, False)
    (folder / "netlint.toml").write_text(OVERRIDE)
    lint(folder, "model.onnx")  # lists the rules
    code, said, linted = lint(folder, "model.onnx")
    assert (code, "2 suppressed" in said, linted) == (0, True, False)
    (folder / "netlint.toml").write_text(OVERRIDE.replace("zero-weights", "zero-wieghts").replace("*.onnx", "other"))
    assert lint(folder, "model.onnx")[::2] == (2, False)


def test_rules_that_came_meanwhile_are_in_no_old_list(model: Path) -> None:
    folder = model.parent
    (folder / "netlint.toml").write_text(LEVEL)
    lint(folder, "model.onnx")
    (folder / "netlint.toml").write_text('rule-folders = ["lint"]\n' + LEVEL.replace("sigmoid-hidden", "my-own"))
    (folder / "lint").mkdir()
    (folder / "lint" / "my_own.py").write_text(MY_OWN)
    first = lint(folder, "model.onnx", "-o", "concise")
    assert "note MYR001" in first[1]
    assert lint(folder, "model.onnx", "-o", "concise") == (*first[:2], False)


MY_OWN = '''"""Mine.

## What it does
## Why is this bad
## Example
## Use instead
"""
from netlint.rule import *


@rule("MYR001", "my-own", level=WARNING, since="1")
def run(scope):
    yield Finding("one", scope.graph.nodes[0])
'''


@pytest.mark.parametrize(
    "flags",
    [
        ["--loss=mse"],
        ["--ignore=sigmoid-hidden"],
        ["--select=ACT"],
        ["--targets=-1..1"],
        ["--stage=init"],
    ],
)
def test_flags_that_matter_make_another_result(model: Path, flags: list[str]) -> None:
    fresh = lint(model.parent, "model.onnx", "--no-cache", *flags)
    lint(model.parent, "model.onnx")
    assert lint(model.parent, "model.onnx", *flags) == fresh
    assert not lint(model.parent, "model.onnx", *flags)[2]
    assert not lint(model.parent, "model.onnx")[2]


def test_flags_that_do_not_matter_share_the_result(model: Path) -> None:
    lint(model.parent, "model.onnx")
    assert lint(model.parent, "model.onnx", "--exit-zero", "-q", "-o", "concise")[::2] == (0, False)
    assert lint(model.parent, "model.onnx", "--fail-on=error")[::2] == (0, False)


def test_no_cache_neither_reads_nor_writes(model: Path) -> None:
    assert lint(model.parent, "model.onnx", "--no-cache")[2]
    assert not (model.parent / NAME).exists()
    lint(model.parent, "model.onnx")
    assert lint(model.parent, "model.onnx", "--no-cache")[2]
    assert lint(model.parent, "model.onnx", "--profile")[2]


def test_settings_and_rules_make_another_result(model: Path) -> None:
    folder = model.parent
    lint(folder, "model.onnx")
    (folder / "netlint.toml").write_text('ignore = ["sigmoid-hidden"]\nrule-folders = ["lint"]\n')
    (folder / "lint").mkdir()
    (folder / "lint" / "my_own.py").write_text(MY_OWN)
    first = lint(folder, "model.onnx", "-o", "sarif")
    assert "ACT004" not in first[1]
    assert "MYR001" in first[1]
    assert lint(folder, "model.onnx", "-o", "sarif") == (*first[:2], False)
    (folder / "lint" / "my_own.py").write_text(MY_OWN.replace('"one"', '"two"'))
    assert "two" in lint(folder, "model.onnx", "-o", "json")[1]


def test_the_folder_lies_beside_the_settings_or_where_it_is_wanted(model: Path) -> None:
    folder = model.parent
    (folder / "deep").mkdir()
    (folder / "netlint.toml").write_text("")
    lint(folder / "deep", "../model.onnx")
    assert len(entries(folder)) == 1
    assert not (folder / "deep" / NAME).exists()
    lint(folder, "model.onnx", "--cache-dir=elsewhere")
    assert len(list((folder / "elsewhere").glob("*.json"))) == 1


def test_a_changed_model_is_linted_again(model: Path) -> None:
    lint(model.parent, "model.onnx")
    shutil.copy(FIXTURES / "plain_mlp.onnx", model)
    assert "no findings" in lint(model.parent, "model.onnx")[1]


def test_the_same_content_elsewhere_in_time_is_known(model: Path) -> None:
    """A fresh checkout has other times and inodes."""
    lint(model.parent, "model.onnx")
    copy = model.with_name("copy")
    shutil.copy(model, copy)
    os.replace(copy, model)
    assert not lint(model.parent, "model.onnx")[2]


def test_a_quick_change_of_equal_length_is_seen(tmp_path: Path) -> None:
    """Size, time and inode the same: what was written just before it was stamped is known by content alone."""
    path = tmp_path / "file"
    path.write_bytes(b"before")
    before = see(str(path))
    assert before is not None
    assert before.stamp.recent
    path.write_bytes(b"after.")
    unnoticed = before._replace(stamp=see(str(path)).stamp)  # type: ignore[union-attr]
    assert renewed(str(path), unnoticed) is None
    path.write_bytes(b"before")
    assert renewed(str(path), before) is not None


def test_a_large_file_is_known_by_its_stamp_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(MAX_DIGESTED + 1)
    assert see(str(path)) is None  # it has just been written
    monkeypatch.setattr("netlint.cache.stamps.RACY_NS", -1)
    seen = see(str(path))
    assert seen is not None
    assert seen.digest == ""
    assert renewed(str(path), seen) == seen
    path.touch()
    assert renewed(str(path), seen) is None


def external(folder: Path) -> Path:
    """A model with weights in a file beside it."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load(FIXTURES / "plain_mlp.onnx")
    onnx.save(model, folder / "m.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    return folder / "weights.bin"


def test_files_that_a_model_names_count(tmp_path: Path) -> None:
    weights = external(tmp_path)
    first = lint(tmp_path, "m.onnx")
    assert not lint(tmp_path, "m.onnx")[2]
    content = weights.read_bytes()
    weights.write_bytes(b"\xff" * len(content))
    assert "nonfinite-weights" in lint(tmp_path, "m.onnx")[1]
    weights.unlink()
    missing = lint(tmp_path, "m.onnx")
    assert "weights.bin" in missing[1]
    assert lint(tmp_path, "m.onnx") == (*missing[:2], False)
    weights.write_bytes(content)
    assert lint(tmp_path, "m.onnx")[:2] == first[:2]


def test_a_link_that_leads_outside_is_noticed(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    weights = external(inside)
    lint(inside, "m.onnx")
    weights.rename(tmp_path / "weights.bin")  # the same file, inode and times
    weights.symlink_to(tmp_path / "weights.bin")
    done = lint(inside, "m.onnx")
    assert "external-data-escape" in done[1]
    assert len(entries(inside)) == 1  # what leads outside is not even stamped


BROKEN: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-20]),
    "flipped": lambda path: path.write_bytes(path.read_bytes().replace(b"sigmoid", b"sigmoie")),
    "pickle": lambda path: path.write_bytes(pickle.dumps(print)),
    "noise": lambda path: path.write_bytes(bytes(range(256)) * 10),
    "foreign": lambda path: forged(path, lambda entry: entry | {"key": "other"}),
    "no-files": lambda path: forged(path, lambda entry: entry | {"files": []}),
    "no-report": lambda path: forged(path, lambda entry: entry | {"report": {"Level": 1}}),
    "other-types": lambda path: forged(path, lambda entry: entry | {"report": {"Report": [3] * 14}}),
    "nested": lambda path: forged(path, lambda entry: entry | {"report": json.loads("[" * 900 + "]" * 900)}),
    "no-object": lambda path: forged(path, lambda entry: [1, 2]),
    "folder": lambda path: (path.unlink(), path.mkdir()),
    "pipe": lambda path: (path.unlink(), os.mkfifo(path)),
    "link": lambda path: (path.rename(path.with_suffix(".x")), path.symlink_to(path.with_suffix(".x"))),
}


def forged(path: Path, change: Callable[[Any], Any]) -> None:
    """An entry whose sum is right and whose content is not."""
    entry = json.loads(path.read_bytes().partition(b"\n")[2])
    path.unlink()
    Folder(str(path.parent)).write(path.stem, json.dumps(change(entry)).encode())


@pytest.mark.parametrize("how", BROKEN)
def test_broken_entries_are_ignored_and_written_again(model: Path, how: str) -> None:
    first = lint(model.parent, "model.onnx")
    (entry,) = entries(model.parent)
    BROKEN[how](entry)
    assert lint(model.parent, "model.onnx") == first
    if how != "folder":
        assert not lint(model.parent, "model.onnx")[2]


def test_a_folder_that_came_with_a_checkout_is_not_followed(model: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (model.parent / NAME).symlink_to(elsewhere)
    assert not usable(str(model.parent / NAME))
    assert lint(model.parent, "model.onnx")[0] == 1
    assert list(elsewhere.iterdir()) == []


def test_a_folder_that_cannot_be_written_changes_nothing(model: Path) -> None:
    (model.parent / NAME).write_text("a file")
    assert lint(model.parent, "model.onnx")[0] == 1
    assert lint(model.parent, "model.onnx", "--cache-dir=/proc/none")[0] == 1


def test_many_write_at_once(model: Path) -> None:
    argv = [sys.executable, "-m", "netlint", "model.onnx"]
    running = [subprocess.Popen(argv, cwd=model.parent, stdout=subprocess.PIPE) for _ in range(4)]
    outputs = {process.communicate()[0] for process in running}
    assert len(outputs) == 1
    assert len(entries(model.parent)) == 1
    assert not lint(model.parent, "model.onnx")[2]


def test_the_oldest_are_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "MAX_ENTRIES", 8)
    folder = Folder(str(tmp_path / "cache"))
    names = [f"{place:040x}" for place in range(12)]
    for place, name in enumerate(names):
        folder.write(name, b"{}")
        os.utime(tmp_path / "cache" / f"{name}.json", (place, place))
    (tmp_path / "cache" / "notes.txt").write_text("not ours")
    folder.prune()
    assert [name for name in names if folder.read(name)] == names[-6:]
    assert (tmp_path / "cache" / "notes.txt").exists()
    monkeypatch.setattr(folders, "MAX_BYTES", 100)
    folder.prune()
    assert [name for name in names if folder.read(name)] == names[-1:]


def test_unreadable_files_are_not_kept(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    assert lint(tmp_path, "broken.onnx")[0] == 3
    assert entries(tmp_path) == []


def test_a_report_made_while_the_file_changed_is_not_kept(model: Path) -> None:
    (report,) = Session(Plans()).results([str(model)])
    assert isinstance(report, CheckReport)
    entry = Cache().entry(str(model), model.parent, (), "")
    assert isinstance(entry, Entry)
    seen = see(str(model))
    assert seen is not None
    model.write_bytes(model.read_bytes() + b"\0")
    entry.store(portable(report), [seen])
    assert entry.find() is None
