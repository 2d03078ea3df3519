"""Settings: every mistake is told with the file, the key and the way out; and who wins over whom."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from netlint.analyses.contract import contract
from netlint.analysis import Results
from netlint.config import Settings, find_settings, read_settings
from netlint.errors import ConfigError
from netlint.frontends.onnx import load_text
from netlint.patterns import matches
from netlint.registry import Registry, load_rules
from netlint.rule import Level
from netlint.settings.rules import RuleSettings
from netlint.training import parse_training
from tests.conftest import FIXTURES

REGISTRY = load_rules()


def settings(folder: Path, text: str, name: str = "netlint.toml") -> Settings:
    (folder / name).write_text(text)
    found = read_settings(folder / name)
    assert found is not None
    return found


def mistake(folder: Path, text: str, name: str = "netlint.toml") -> str:
    """The message for a mistake that shows at the latest when rules are chosen."""
    with pytest.raises(ConfigError) as caught:
        read = settings(folder, text, name)
        rules = RuleSettings(read, REGISTRY)
        rules.decisions()
        rules.levels()
        rules.options()
        rules.exceptions("m.onnx")
    return str(caught.value)


def pointed(message: str, text: str) -> str:
    """What the caret of a message stands under, checked against the line and column that it names."""
    head, _, line, carets = message.splitlines()
    match = re.match(r"[\w./-]+\.toml:(\d+):(\d+): ", head)
    assert match is not None, head
    number, column = int(match[1]), int(match[2])
    margin = line.index("| ") + 2
    assert line[margin:] == text.splitlines()[number - 1]
    marked = line[carets.index("^") : carets.rindex("^") + 1]
    assert carets.index("^") - margin == column - 1
    return marked


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("key", ["select", "ignore", "rule-folders"])
@pytest.mark.parametrize("value", ["3", "[3]", '"all"', "{}", "true", "1979-05-27", '["ACT", 3]'])
def test_lists_of_strings(tmp_path: Path, key: str, value: str) -> None:
    text = f"{key} = {value}"
    message = mistake(tmp_path, text)
    assert f"{key} is a list of strings, not " in message
    assert pointed(message, text) == ("3" if "3" in value else value)


@pytest.mark.parametrize("value", ["3", '"fatal"', "[]", "{}", '["error"]', "true"])
def test_choices(tmp_path: Path, value: str) -> None:
    for key in ("fail-on", "extends"):
        text = f"{key} = {value}"
        message = mistake(tmp_path, text)
        assert re.search(f"{key} is .*; (it is one of (note, warning, error|recommended, strict, all)|did)", message)
        assert pointed(message, text) == value


@pytest.mark.parametrize("key", ["training", "rules", "rules.oversized-kernel"])
@pytest.mark.parametrize("value", ["3", "[]", '"x"', "true"])
def test_tables(tmp_path: Path, key: str, value: str) -> None:
    message = mistake(tmp_path, f"{key} = {value}")
    assert f": {key} is a table, not " in message
    assert pointed(message, f"{key} = {value}") == value


@pytest.mark.parametrize("key", ["targets", "overrides"])
@pytest.mark.parametrize("value", ["3", "{}", "[3]"])
def test_lists_of_tables(tmp_path: Path, key: str, value: str) -> None:
    assert " table" in mistake(tmp_path, f"{key} = {value}")


OVERRIDE = '[[overrides]]\nmodule = "a.*"\nreason = "r"\n'


@pytest.mark.parametrize(
    ("text", "message", "at"),
    [
        ("selct = []", "unknown key 'selct'; did you mean 'select'?", "selct"),
        ("zzz = []", "unknown key 'zzz'; known: required-version, extends, select, ignore", "zzz"),
        ("tool.netlint.select = []", "unknown key 'tool'; in netlint.toml the keys stand without tool.netlint", "tool"),
        ('loss = "mse"', "unknown key 'loss'; it belongs into the table training", "loss"),
        ("fail_on = 'note'", "unknown key 'fail_on'; did you mean 'fail-on'?", "fail_on"),
        ('select = ["sigmoid-hiden"]', "select: unknown rule 'sigmoid-hiden'; did you mean 'sig", '"sigmoid-hiden"'),
        ('ignore = ["LOS",\n  "ACT9"]', "ignore: unknown rule 'ACT9'", '"ACT9"'),
        ('select = [""]', "select: unknown rule ''", '""'),
        ('[training]\nlos = "mse"', "unknown training field 'los'; did you mean 'loss'", "los"),
        ('[training]\nloss = "crossentropyy"', "loss: unknown loss 'crossentropyy'; did you", '"crossentropyy"'),
        ('training = {lr = 1, loss = ["mse", "l1"]}', "loss: ['mse', 'l1'] is neither text", '["mse", "l1"]'),
        ("training.lr = true", "lr: True is neither text", "true"),
        ("[training]\nlr = {}", "lr: {} is neither text", "{}"),
        ("[training]\ntargets = [1]", "targets: [1] is neither", "[1]"),
        ("[training]\ntargets = [1, -1] # x", "targets: the range '1..-1' is empty", "[1, -1]"),
        ('[training]\npath = "x"', "unknown training field 'path'", "path"),
        ('[[targets]]\npath = "a/*"\n[[targets]]\npath = "b"\nlosss = "mse"', "unknown key 'losss'; did", "losss"),
        ('[[targets]]\nloss = "mse"', "an entry of targets says by its path", "[[targets]]"),
        ("targets = [{path = 3}]", "path is a string, not 3", "3"),
        ('targets = [{path = "x", mode = "tran"}]', "mode is 'tran'; did you mean 'train'?", '"tran"'),
        ('targets = [{path = "x", time-limit = 0}]', "time-limit is a number of seconds, not 0", "0"),
        ('targets = [{path = "x", probe-budget = "1"}]', "probe-budget is a number of seconds, not '1'", '"1"'),
        ('targets = [{path = "x", seed = -1}]', "seed is a whole number from 0 on, not -1", "-1"),
        ('targets = [{path = "x", probe = "fpga"}]', "probe is 'fpga'; it is one of ", '"fpga"'),
        ('targets = [{path = "x", inputs = [2]}]', "inputs is a list of strings, not of 2", "2"),
        (
            "[rules.oversized-kernel]\nminkernel = 3",
            "has no option 'minkernel'; did you mean 'min-kernel'?",
            "minkernel",
        ),
        ('[rules.oversized-kernel]\nmin-kernel = "x"', "'min-kernel' of oversized-kernel wants int, not 'x'", '"x"'),
        ("[rules.oversized-kernel]\nmin-kernel = true", "wants int, not True", "true"),
        ("[rules]\noversized-kernl.min-kernel = 3", "unknown rule 'oversized-kernl'; did you mean", "oversized-kernl"),
        ("[rules.CNV001]\n[rules.oversized-kernel]", "oversized-kernel has two tables", "oversized-kernel"),
        ('[rules.CNV001]\nlevel = "eror"', "level is 'eror'; did you mean 'error'?", '"eror"'),
        ("[rules.CNV001]\nlevl = 'off'", "has no option 'levl'; did you mean 'level'?", "levl"),
        ("baseline = 3", "baseline is a string, not 3", "3"),
        ("required-version = 3", "required-version is a string, not 3", "3"),
        ('required-version = "0.3"', "'0.3' is no version requirement", '"0.3"'),
        ('required-version = ">=99"\nnew-key = 1', "these settings want netlint >=99, and this is 0.", '">=99"'),
        ("[[overrides]]\nreason = 'r'", "an override says what it is about: target, module, or both", "[[overrides]]"),
        ("[[overrides]]\nmodule = 'a'\nignore = ['ACT']", "an override needs a reason", "[[overrides]]"),
        ("[[overrides]]\nmodule = 'a'\nignore = []\nreason = ' '", "an override needs a reason", "' '"),
        (OVERRIDE, "either has ignore, a list of rules, or level, with rules", "[[overrides]]"),
        (OVERRIDE + "ignore = ['ACT']\nlevel = 'note'", "either has ignore", "[[overrides]]"),
        (OVERRIDE + "ignore = ['ACT']\nrules = ['LOS']", "rules goes with level", "rules"),
        (OVERRIDE + "level = 'off'", "in an override, ignore turns rules off", "'off'"),
        (OVERRIDE + "ignore = ['zero-wights']", "unknown rule 'zero-wights'; did you mean", "'zero-wights'"),
        (OVERRIDE + "level = 'note'\nrules = ['XY']", "unknown rule 'XY'", "'XY'"),
        (OVERRIDE + "modul = 1", "unknown key 'modul'; did you mean 'module'?", "modul"),
        (OVERRIDE.replace('"a.*"', "3"), "either has ignore", "[[overrides]]"),
        ("[[overrides]]\nmodule = 3\nreason = 'r'\nignore = []", "module is a list of strings, not 3", "3"),
        ("select = [", "not valid TOML: invalid value", "["),
        ("\n\nselect = nothing", "not valid TOML: invalid value", "n"),
        ("a = 1\na = 2", "not valid TOML: cannot overwrite a value", "2"),
    ],
)
def test_mistakes_are_explained(tmp_path: Path, text: str, message: str, at: str) -> None:
    told = mistake(tmp_path, text)
    assert message in told
    assert pointed(told, text) == at
    inside = "".join(f"{line}\n" for line in ("[project]", 'name = "x"', "", "[tool.netlint]"))
    if not text.startswith(("[", "select = [", "a = ", "\n")):
        assert pointed(mistake(tmp_path, inside + text, "pyproject.toml"), inside + text) == at


def test_lines_of_all_kinds_are_shown(tmp_path: Path) -> None:
    assert "not valid TOML: " in mistake(tmp_path, "x = " + "[" * 5000)
    long = mistake(tmp_path, "select = [" + '"ACT", ' * 100 + '"ACTX"]')
    assert max(map(len, long.splitlines())) < 200
    assert long.splitlines()[3].count("^") == len('"ACTX"')
    (tmp_path / "netlint.toml").write_bytes(b'ignore = []\r\nfail-on = "x"\r\n')
    with pytest.raises(ConfigError, match=r"netlint.toml:2:11: fail-on"):
        read_settings(tmp_path / "netlint.toml")
    (tmp_path / "netlint.toml").write_bytes(b'\xef\xbb\xbffail-on = "error"\n')
    marked = read_settings(tmp_path / "netlint.toml")
    assert marked is not None
    assert (marked.fail_on, marked.where(("fail-on",))) == (Level.ERROR, "netlint.toml:1")
    for text in ("x = \x1b[31m", 'fail-on = "\\u001b[31m"', '"\\u001b[31m" = 1', '[training]\nloss = "\\u001b[31m"'):
        assert "\x1b" not in mistake(tmp_path, text)


@pytest.mark.parametrize("text", ["tool = 1", "[tool]\nnetlint = 3", "[tool]\nnetlint = []", "[[tool.netlint]]"])
def test_pyproject_without_tables(tmp_path: Path, text: str) -> None:
    assert "is a table" in mistake(tmp_path, text, "pyproject.toml")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    for name, message in (
        ("bytes.toml", "not valid TOML"),
        ("none.toml", "cannot be read: No such"),
        (".", "cannot be"),
    ):
        with pytest.raises(ConfigError, match=message):
            read_settings(tmp_path / name)


def test_no_mistake_is_taken_for_a_bug(netlint: Callable[..., CompletedProcess[str]], tmp_path: Path) -> None:
    (tmp_path / "netlint.toml").write_text("fail-on = {}")
    done = netlint(FIXTURES / "plain_mlp.onnx", "--config=netlint.toml")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "netlint: netlint.toml:1:11: fail-on is {}; it is one of note, warning, error",
        "  |",
        "1 | fail-on = {}",
        "  |           ^^",
    ]


def test_the_closest_file_above_a_target_counts(tmp_path: Path) -> None:
    inner = tmp_path / "models" / "inner"
    other = tmp_path / "other"
    inner.mkdir(parents=True)
    other.mkdir()
    settings(inner, 'fail-on = "note"')
    assert find_settings(inner / ".." / ".." / "other").file is None, "the folder inner is not above other"
    (inner / "netlint.toml").unlink()
    settings(tmp_path, '[tool.netlint]\nfail-on = "error"', "pyproject.toml")
    (tmp_path / "models" / "pyproject.toml").write_text("[project]\n")
    assert find_settings(inner).fail_on == Level.ERROR, "a pyproject.toml that does not speak of netlint is passed by"
    settings(inner, 'fail-on = "note"')
    assert find_settings(inner).fail_on == Level.NOTE
    settings(tmp_path, 'fail-on = "warning"')
    assert find_settings(other).fail_on == Level.WARNING, "netlint.toml goes before pyproject.toml"


def test_contract_of_a_target_by_pattern(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = settings(
        tmp_path,
        """
        training = {loss = "cross_entropy", batch-size = 8}
        [[targets]]
        path = "models/*.onnx"
        loss = "mse"
        targets = [-1, 1]
        [[targets]]
        path = "models/b*.onnx"
        loss = "l1"
        """,
    )
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")

    def loss(target: str) -> str:
        return read.contract(target).known()["loss"].value.name  # type: ignore[no-any-return]

    assert loss("../a.onnx") == "cross_entropy"
    assert loss("../models/a.onnx") == loss(str(tmp_path / "models" / "a.onnx")) == "mse_loss"
    assert loss("../models/b.onnx") == "l1_loss"
    both = read.contract("../models/b.onnx").known()
    assert (both["targets"].value.lo, both["batch_size"].value) == (-1, 8), "field by field"


def test_command_line_before_settings_before_graph_before_metadata(tmp_path: Path) -> None:
    head = """<ir_version: 10, opset_import: ["" : 21],
      metadata_props: ["netlint.loss": "l1", "netlint.lr": "4", "netlint.task": "regression", "netlint.epochs": "4"]>
    g (float[N, 4] x, int64[N] t) => (float loss) { loss = SoftmaxCrossEntropyLoss(x, t) }"""
    flags = parse_training({"lr": "1"}, lambda name: "flag")
    file = settings(tmp_path, 'training = {lr = 2, task = "gan", loss = "mse"}').contract("m.onnx")
    graph = load_text(head)

    def known(*declared: object) -> dict[str, object]:
        training = parse_training({}, str)
        for one in declared:
            training = training.otherwise(one)  # type: ignore[arg-type]
        fields = Results(graph, training).get(contract).known()
        return {name: getattr(field.value, "name", field.value) for name, field in fields.items()}

    every = known(flags, file)
    assert (every["lr"], every["task"], every["loss"], every["epochs"]) == (1, "gan", "mse_loss", 4)
    without_file = known()
    assert (without_file["loss"], without_file["lr"], without_file["task"]) == ("cross_entropy", 4, "regression")


def test_which_rules_run(tmp_path: Path) -> None:
    def codes(text: str, **given: list[str]) -> set[str]:
        return {rule.code for rule in RuleSettings(settings(tmp_path, text), REGISTRY).chosen(**given)}

    everything = {rule.code for rule in REGISTRY.values()}
    usual = {rule.code for rule in REGISTRY.values() if rule.status != "opt-in"}
    activation = {code for code in everything if code.startswith("ACT")}
    assert codes("") == usual
    assert codes('select = ["all"]') == everything
    assert codes('select = ["ACT"]') == codes('select = ["act"]') == codes("", select=["ACT0"]) == activation
    assert codes('select = ["LOS"]', select=["ACT"]) == activation, "the command line replaces select"
    assert codes('ignore = ["LOS"]', select=["ACT", "LOS"], ignore=["ACT004"]) == activation - {"ACT004"}
    assert codes('select = ["sigmoid_hidden"]') == {"ACT004"}
    with pytest.raises(ConfigError, match=r"^--ignore: unknown rule 'sigmod'; did you mean 'sigmoid-hidden'"):
        codes("", ignore=["sigmod"])


def test_options_are_checked_and_widened(tmp_path: Path) -> None:
    read = settings(tmp_path, "[rules.oversized_kernel]\nmin-kernel = 9")
    assert RuleSettings(read, REGISTRY).options() == {"oversized-kernel": {"min-kernel": 9}}


def test_presets(tmp_path: Path) -> None:
    opt_in = replace(REGISTRY["CNV001"], code="TST001", name="test-opt-in", status="opt-in")
    registry = Registry([*REGISTRY.values(), opt_in])

    def runs(text: str, **given: list[str]) -> bool:
        return RuleSettings(settings(tmp_path, text), registry).decisions(**given)["TST001"].runs

    assert not runs("")
    assert not runs('extends = "recommended"')
    assert runs('extends = "strict"')
    assert runs('extends = "all"')
    assert not runs('extends = "all"\nselect = ["ACT"]'), "select says which rules run, whatever is extended"
    assert not runs('extends = "all"\nignore = ["TST001"]')
    assert runs('[rules.test-opt-in]\nlevel = "note"'), "who gives a rule a level wants it"
    assert not runs('[rules.test-opt-in]\nlevel = "note"', select=["ACT"])
    assert not runs('extends = "all"\n[rules.test-opt-in]\nlevel = "off"')
    fail_on = {text: settings(tmp_path, text).fail_on for text in ("", 'extends = "strict"', 'extends = "all"')}
    assert list(fail_on.values()) == [Level.WARNING, Level.NOTE, Level.WARNING]
    assert settings(tmp_path, 'extends = "strict"\nfail-on = "error"').fail_on == Level.ERROR


def test_who_decided(tmp_path: Path) -> None:
    text = """
    ignore = ["LOS",
              "zero-weights"]
    [rules]
    CNV001.level = "off"
    """
    read = settings(tmp_path, text)
    decided = RuleSettings(read, REGISTRY).decisions(ignore=["ACT001"])
    by = {code: decided[code].by for code in ("LOS001", "INI001", "CNV001", "ACT001", "ACT002")}
    assert by == {
        "LOS001": ("ignore", 0),
        "INI001": ("ignore", 1),
        "CNV001": ("rules", "CNV001", "level"),
        "ACT001": "--ignore=ACT001",
        "ACT002": (),
    }
    assert [code for code in by if decided[code].runs] == ["ACT002"]
    assert [read.where(by[code]) for code in ("LOS001", "INI001", "CNV001")] == [  # type: ignore[arg-type]
        "netlint.toml:2",
        "netlint.toml:3",
        "netlint.toml:5",
    ]


def test_overrides_of_a_target(tmp_path: Path) -> None:
    read = settings(
        tmp_path,
        """
        [[overrides]]
        target = "models/*.onnx"
        ignore = ["INI"]
        reason = "old"
        [[overrides]]
        target = ["a.onnx", "net.py:Net"]
        module = "encoder.*"
        rules = ["zero-weights"]
        level = "note"
        reason = "meant"
        """,
    )
    rules = RuleSettings(read, REGISTRY)

    def of(target: str) -> list[int]:
        return [index for index, _, _ in rules.exceptions(target)]

    assert (of("models/a.onnx"), of("a.onnx"), of("net.py:Net(3)"), of("b.onnx")) == ([0], [1], [1], [])
    ((_, override, codes),) = rules.exceptions("a.onnx")
    assert (override.level, override.reason, codes) == (Level.NOTE, "meant", {"zero-weights": {"INI001"}})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('baseline = "none"', "the baseline none does not exist"),
        (OVERRIDE + "ignore = ['zero-wights']", "unknown rule 'zero-wights'"),
        ("[rules.CNV001]\nlevl = 'off'", "has no option 'levl'"),
    ],
)
def test_mistakes_are_told_before_anything_is_linted(
    netlint: Callable[..., CompletedProcess[str]], tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "netlint.toml").write_text(text)
    (tmp_path / "m.onnx").write_bytes(b"not a model")
    done = netlint("m.onnx")
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


@pytest.mark.parametrize(
    ("pattern", "name", "meant"),
    [
        ("m.onnx", "m.onnx", True),
        ("./m.onnx", "m.onnx", True),
        ("old", "old/m.onnx", True),
        ("old/", "old/deep/m.onnx", True),
        ("old", "older/m.onnx", False),
        ("old", "new/old.onnx", False),
        ("*/old", "a/b/old/m.onnx", True),
        ("**/m.onnx", "m.onnx", True),
        ("**/m.onnx", "a/b/m.onnx", True),
        ("**/m.onnx", "a/xm.onnx", False),
        ("a/**/m.onnx", "a/m.onnx", True),
        ("a/**/b/**/m.onnx", "a/x/b/m.onnx", True),
        ("a/**/m.onnx", "b/m.onnx", False),
        ("a/**", "a/b/m.onnx", True),
        ("m[1].onnx", "m[1].onnx", True),
        ("net.py:Net(sizes=[1, 2])", "net.py:Net(sizes=[1, 2])", True),
        ("net.py:Net", "net.py:Network", False),
    ],
)
def test_patterns_of_targets(pattern: str, name: str, meant: bool) -> None:
    assert matches(name, pattern) is meant
