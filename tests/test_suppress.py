"""Who silences what: comments, metadata, overrides; and what is said of those that silence nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import onnx
import pytest

from netlint import check
from netlint.comments import comments
from netlint.frontends.onnx import onnx_text
from netlint.plans import Plans
from netlint.report import Failure
from netlint.reported import Report
from netlint.rule import Level
from netlint.session import Session


def ranges(text: str) -> list[tuple[tuple[str, ...], str, int, int]]:
    return [(found.names, found.reason, found.covers[0], found.covers[-1]) for found in comments(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = f(y)  # netlint: ignore[log-domain] is positive", [(("log-domain",), "is positive", 1, 1)]),
        ("x = f(y)  # netlint:ignore[a, B001]: two", [(("a", "B001"), "two", 1, 1)]),
        ("x = f(y)  # type: ignore  # netlint: ignore[a] why  # noqa", [(("a",), "why", 1, 1)]),
        ("x = f(y)  # netlint: ignore[a] one # netlint: ignore[b] two", [(("a",), "one", 1, 1), (("b",), "two", 1, 1)]),
        ("x = f(y)  # netlint: ignore", [((), "", 1, 1)]),
        ("x = f(y)  # netlint: ignore[]", [((), "", 1, 1)]),
        ("x = f(y)  # netlint: ignored", []),
        ("# netlint: ignore[a] why\n\n# more\nx = f(\n    y,\n)\nz = 1", [(("a",), "why", 4, 6)]),
        ("x = f(\n    y,  # netlint: ignore[a] why\n)\nz = 1", [(("a",), "why", 1, 3)]),
        ("x = f(\n    y,\n)  # netlint: ignore[a] why", [(("a",), "why", 1, 3)]),
        ("if x:  # netlint: ignore[a] why\n    y()\n", [(("a",), "why", 1, 1)]),
        ("def f():\n    # netlint: ignore[a] why\n    y()\n", [(("a",), "why", 3, 3)]),
        ('x = """\n# netlint: ignore[a]\n"""', []),
        ("x = '# netlint: ignore[a]'", []),
        ('f(f"{x}  # netlint: ignore[a]")', []),
        ("# netlint: ignore[a] at the end", [(("a",), "at the end", 1, 1)]),
        ("x = 1  # netlint: ignore[a] why\ny = (", [(("a",), "why", 1, 1)]),
        ("x = 1  # netlint: ignore[a] why\n  y = 3\n z", [(("a",), "why", 1, 1)]),
        ("x = 1\x0c # netlint: ignore[a] why\ny", [(("a",), "why", 1, 1)]),
    ],
)
def test_comments(text: str, expected: list[tuple[tuple[str, ...], str, int, int]]) -> None:
    assert ranges(text) == expected


def test_files_without_comments_are_not_tokenised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenize", None)
    assert comments("x = 1  # net lint\n" * 3) == []
    with pytest.raises(ImportError):
        comments("x = 1  # netlint: ignore[a]")


FRAME = 'File "/elsewhere/proj/pkg/net.py", line {}, in forward'
"""A frame as the dynamo exporter records it, on another machine."""


def model(path: Path, *, ignore: str = "", lines: tuple[int, ...] = (2, 3), log: bool = True) -> Path:
    """Softmax then Log (or Neg), whose nodes come from these lines of pkg/net.py; and a weight with NaN."""
    metadata = f', metadata_props: ["netlint.ignore": "{ignore}"]' if ignore else ""
    last = "Log" if log else "Neg"
    proto = onnx_text(
        f"""<ir_version: 10, opset_import: ["" : 21]{metadata}>
        g (float[N, 4] x) => (float[N, 4] y) <float[4] b = {{nan, nan, nan, nan}}>
        {{ h = Softmax(x) z = {last}(h) y = Add(z, b) }}"""
    )
    for node, line in zip(proto.graph.node, (*lines, lines[-1]), strict=True):
        entry = node.metadata_props.add()
        entry.key, entry.value = "pkg.torch.onnx.stack_trace", FRAME.format(line)
        scope = node.metadata_props.add()
        scope.key, scope.value = "pkg.torch.onnx.name_scopes", "['', 'encoder.head', 'op']"
    path.write_bytes(proto.SerializeToString())
    return path


def source(folder: Path, *lines: str) -> None:
    (folder / "pkg").mkdir(exist_ok=True)
    (folder / "pkg" / "net.py").write_text("\n".join(lines) + "\n")


@pytest.fixture
def lint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Report]:
    monkeypatch.chdir(tmp_path)

    def run(target: Path | str, **given: list[str]) -> Report:
        (result,) = Session(Plans(**given)).results([str(target)])  # type: ignore[arg-type]
        assert not isinstance(result, Failure), result.error
        assert not result.crashed
        return result

    return run


def codes(report: Report) -> list[str]:
    return [found.rule.code for found in report.findings]


def silenced(report: Report) -> list[tuple[str, str, str]]:
    return [(entry.found.rule.code, entry.reason, entry.origin) for entry in report.suppressed]


def test_a_comment_on_the_line_silences(tmp_path: Path, lint: Callable[..., Report]) -> None:
    path = model(tmp_path / "m.onnx")
    source(tmp_path, "def forward(x):", "    h = softmax(x)", "    z = log(h)")
    assert codes(lint(path)) == ["LOS006", "INI008"]
    source(tmp_path, "def f(x):", "    h = softmax(x)", "    z = log(h)  # netlint: ignore[log-of-softmax] tiny")
    report = lint(path)
    assert codes(report) == ["INI008"]
    assert silenced(report) == [("LOS006", "tiny", "comment at pkg/net.py:3")]


def test_a_comment_elsewhere_does_not(tmp_path: Path, lint: Callable[..., Report]) -> None:
    path = model(tmp_path / "m.onnx")
    source(tmp_path, "def f(x):", "    h = softmax(x)  # netlint: ignore[LOS006] wrong line", "    z = log(h)")
    report = lint(path)
    assert codes(report) == ["LOS006", "INI008", "SUP001"]
    unused = report.findings[-1]
    assert unused.level == Level.NOTE
    assert unused.finding.message == "netlint: ignore[LOS006] silences no finding of log-of-softmax"
    assert unused.loc.source == ("/elsewhere/proj/pkg/net.py", 2)
    source(tmp_path, "def f(x):  # netlint: ignore[LOS006] no node comes from here", "    h = softmax(x)", "    log(h)")
    assert codes(lint(path)) == ["LOS006", "INI008"]


def test_unused_is_said_only_of_rules_that_judged_everything(tmp_path: Path, lint: Callable[..., Report]) -> None:
    path = model(tmp_path / "m.onnx", log=False)
    source(
        tmp_path, "def f(x):", "    softmax(x)", "    relu(x)  # netlint: ignore[log-of-softmax, double-softmax] why"
    )
    assert [found.finding.message for found in lint(path).findings[1:]] == [
        "netlint: ignore[log-of-softmax, double-softmax] silences no finding of log-of-softmax"
    ], "double-softmax was skipped: no loss is known"
    assert codes(lint(path, ignore=["LOS006"])) == ["INI008"], "it was not run"
    assert codes(lint(path, ignore=["SUP"])) == ["INI008"]


def test_unknown_names_and_missing_reasons(tmp_path: Path, lint: Callable[..., Report]) -> None:
    path = model(tmp_path / "m.onnx")
    source(tmp_path, "x = 1  # netlint: ignore[log-of-sofmax] why", "y", "z = log(h)  # netlint: ignore[LOS006]")
    report = lint(path)
    assert [(found.rule.code, found.level) for found in report.findings[1:]] == [
        ("SUP002", Level.WARNING),
        ("SUP003", Level.NOTE),
    ]
    assert "unknown rule 'log-of-sofmax'; did you mean 'log-of-softmax'" in report.findings[1].finding.message
    assert silenced(report) == [("LOS006", "", "comment at pkg/net.py:3")]


def test_metadata(tmp_path: Path, lint: Callable[..., Report]) -> None:
    ignore = "log-of-softmax, ini008: both meant; SEC001: trust me; zero-weights: none; nothing: x; PRB: y; : z"
    report = lint(model(tmp_path / "m.onnx", ignore=ignore))
    origin = "netlint.ignore in the model's metadata"
    assert silenced(report) == [("LOS006", "both meant", origin), ("INI008", "both meant", origin)]
    assert [found.finding.message for found in report.findings] == [
        "netlint.ignore = zero-weights silences no finding of zero-weights",
        "netlint.ignore = SEC001: a model cannot silence external-data-escape, which judges the file itself",
        "netlint.ignore = nothing: unknown rule 'nothing'; `netlint rules` lists them",
        "netlint.ignore = PRB: 'PRB' means 14 rules: name those to silence",
        "netlint.ignore = : names no rule",
    ]
    assert report.misstated == ()


def test_a_model_cannot_silence_what_judges_the_file(tmp_path: Path, lint: Callable[..., Report]) -> None:
    proto = onnx_text(
        """<ir_version: 10, opset_import: ["" : 21], metadata_props: ["netlint.ignore": "SEC001: trust me"]>
        g (float[N, 2] x) => (float[N, 2] y) <float[2] b = ["location": "../../etc/passwd", "length": "8"]>
        { y = Add(x, b) }"""
    )
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    report = lint(tmp_path / "m.onnx")
    assert ("SEC001" in codes(report), silenced(report)) == (True, [])


OVERRIDES = """
[[overrides]]
module = "encoder.*"
ignore = ["LOS006"]
reason = "meant"

[[overrides]]
target = "m.onnx"
rules = ["nonfinite-weights"]
level = "note"
reason = "filled in later"

[rules.zero-weights]
level = "error"
"""


def test_overrides(tmp_path: Path, lint: Callable[..., Report]) -> None:
    path = model(tmp_path / "m.onnx")
    (tmp_path / "netlint.toml").write_text(OVERRIDES)
    report = lint(path)
    assert silenced(report) == [("LOS006", "meant", "overrides at netlint.toml:2")]
    (left,) = report.findings
    assert (left.rule.code, left.level) == ("INI008", Level.NOTE)
    fact = left.finding.evidence[-1]
    assert (fact.label, fact.value, fact.origin) == ("level", "note instead of error", "netlint.toml:10")
    (tmp_path / "netlint.toml").write_text(OVERRIDES.replace("encoder.*", "decoder.*"))
    assert codes(lint(path)) == ["LOS006", "INI008"], "and nothing is unused: it may be meant for other models"


def test_an_override_for_one_target_can_be_unused(tmp_path: Path, lint: Callable[..., Report]) -> None:
    path = model(tmp_path / "m.onnx", log=False)
    text = '[[overrides]]\ntarget = "{}"\nignore = ["LOS006"]\nreason = "r"\n'
    (tmp_path / "netlint.toml").write_text(text.format("m.onnx"))
    report = lint(path)
    assert codes(report) == ["INI008", "SUP001"]
    assert report.findings[-1].loc.source == (str(tmp_path / "netlint.toml"), 1)
    (tmp_path / "netlint.toml").write_text(text.format("*.onnx"))
    assert codes(lint(path)) == ["INI008"]
    text = 'ignore = ["LOS0", "LOS01"]\n' + text.replace("LOS006", "LOS")
    (tmp_path / "netlint.toml").write_text(text.format("m.onnx"))
    assert codes(lint(path)) == ["INI008"], "no rule of the prefix runs"
    some = 'ignore = ["INI004", "INI005", "INI006", "INI007", "INI008", "INI009", "INI010", "INI011"]\n'
    (tmp_path / "netlint.toml").write_text(some + text.partition("\n")[2].replace("LOS", "INI").format("m.onnx"))
    assert codes(lint(path)) == ["SUP001"], "all rules of the prefix that run have judged the model"


def test_the_last_override_that_matches_wins(tmp_path: Path, lint: Callable[..., Report]) -> None:
    path = model(tmp_path / "m.onnx")
    entry = '[[overrides]]\nmodule = "{}"\nrules = ["LOS"]\nlevel = "{}"\nreason = "r"\n'
    entries = (("encoder.*", "note"), ("encoder.head", "error"), ("decoder.*", "note"))
    (tmp_path / "netlint.toml").write_text(
        "".join(entry.format(*one) for one in entries) + '[rules.LOS006]\nlevel = "note"\n'
    )
    levels = {found.rule.code: found.level for found in lint(path).findings}
    assert levels["LOS006"] == Level.ERROR


def test_levels_of_rules(tmp_path: Path, lint: Callable[..., Report]) -> None:
    path = model(tmp_path / "m.onnx")
    (tmp_path / "pyproject.toml").write_text('[tool.netlint.rules]\nLOS006.level = "error"\nINI008.level = "off"\n')
    (found,) = lint(path).findings
    assert (found.rule.code, found.level, found.rule.level) == ("LOS006", Level.ERROR, Level.WARNING)
    assert found.finding.evidence[-1].origin == "pyproject.toml:2"


def test_a_suppression_that_another_target_needs_is_not_unused(
    tmp_path: Path, netlint: Callable[..., CompletedProcess[str]]
) -> None:
    model(tmp_path / "a.onnx", log=False)
    model(tmp_path / "b.onnx")
    source(tmp_path, "def f(x):", "    h = softmax(x)", "    z = act(h)  # netlint: ignore[LOS006] shared")
    alone = netlint("a.onnx", "--select=LOS006,SUP", "-q")
    assert (alone.returncode, "SUP001" in alone.stdout) == (0, True), "a note fails no run"
    both = netlint("a.onnx", "b.onnx", "--select=LOS006,SUP", "-q")
    assert (both.returncode, both.stdout) == (0, "")


def test_python_targets(
    tmp_path: Path, netlint: Callable[..., CompletedProcess[str]], lint: Callable[..., Report]
) -> None:
    pytest.importorskip("torch")
    (tmp_path / "net.py").write_text(
        "import torch\n"
        "class Net(torch.nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.fc1, self.fc2 = torch.nn.Linear(4, 8), torch.nn.Linear(8, 2)\n"
        "    def forward(self, x):\n"
        "        h = torch.sigmoid(self.fc1(x))  # netlint: ignore[sigmoid-hidden] logic gates\n"
        "        return self.fc2(h)  # netlint: ignore[zero-weights] none\n"
    )
    (tmp_path / "sub").mkdir()
    report = lint("net.py:Net")
    assert silenced(report) == [("ACT004", "logic gates", "comment at net.py:7")]
    assert codes(report) == ["SUP001"]
    done = netlint("../net.py:Net", "-o", "json", cwd=tmp_path / "sub")
    assert '"SUP001"' in done.stdout, "a file outside the current folder is read, too: it ran here"
    assert "sigmoid-hidden" not in done.stdout.partition('"suppressed"')[0].partition('"findings"')[2]


def test_the_api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "netlint.toml").write_text(OVERRIDES)
    report = check(onnx.load(model(tmp_path / "m.onnx")))
    assert silenced(report) == [("LOS006", "meant", "overrides at netlint.toml:2")]
    assert codes(report) == ["INI008"]


def test_without_comments_nothing_is_judged(tmp_path: Path, lint: Callable[..., Report]) -> None:
    report = lint(model(tmp_path / "m.onnx"))
    assert not any(skip.rule.code.startswith("SUP") for skip in report.skipped)
    assert report.suppressed == ()


def test_what_several_targets_share_is_told_once(tmp_path: Path, netlint: Callable[..., CompletedProcess[str]]) -> None:
    model(tmp_path / "a.onnx", log=False)
    model(tmp_path / "b.onnx", log=False)
    source(tmp_path, "x", "h = softmax(x)", "z = act(h)  # netlint: ignore[LOS006, LOS0066]")
    shown = netlint("a.onnx", "b.onnx", "--select=LOS006,SUP", "-o", "concise").stdout
    assert [line.split()[2] for line in shown.splitlines()] == ["SUP001", "SUP002", "SUP003"]


def test_comments_count_for_results_that_are_known(
    tmp_path: Path, netlint: Callable[..., CompletedProcess[str]]
) -> None:
    model(tmp_path / "m.onnx")
    source(tmp_path, "x", "h = softmax(x)", "z = log(h)")
    before = netlint("m.onnx", "--select=LOS006", "-q")
    source(tmp_path, "x", "h = softmax(x)", "z = log(h)  # netlint: ignore[LOS006] tiny")
    after = netlint("m.onnx", "--select=LOS006", "-q")
    source(tmp_path, "x", "h = softmax(x)", "z = log(h)")
    assert (before.returncode, after.returncode, netlint("m.onnx", "--select=LOS006", "-q").returncode) == (1, 0, 1)
    assert list(tmp_path.glob(".netlint_cache/*")), "the results were kept"
