"""Settings: every mistake is told with the file, the key and the way out; and who wins over whom."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from netlint.analyses.contract import contract
from netlint.analysis import Results
from netlint.config import Settings, find_settings, read_settings
from netlint.errors import ConfigError
from netlint.frontends.onnx import load_text
from netlint.registry import load_rules
from netlint.rule import Level
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
        read.chosen(REGISTRY)
        read.options(REGISTRY)
    return str(caught.value)


@pytest.mark.parametrize("key", ["select", "ignore", "rule-folders"])
@pytest.mark.parametrize("value", ["3", "[3]", '"all"', "{}", "true", "1979-05-27"])
def test_lists_of_strings(tmp_path: Path, key: str, value: str) -> None:
    assert f"netlint.toml: {key} is a list of strings, not " in mistake(tmp_path, f"{key} = {value}")


@pytest.mark.parametrize("value", ["3", '"fatal"', "[]", "{}", '["error"]', "true"])
def test_fail_on(tmp_path: Path, value: str) -> None:
    assert "it is one of note, warning, error" in mistake(tmp_path, f"fail-on = {value}")


@pytest.mark.parametrize("key", ["training", "rules", "rules.oversized-kernel"])
@pytest.mark.parametrize("value", ["3", "[]", '"x"', "true"])
def test_tables(tmp_path: Path, key: str, value: str) -> None:
    assert f"netlint.toml: {key} is a table, not " in mistake(tmp_path, f"{key} = {value}")


@pytest.mark.parametrize("value", ["3", "{}", "[3]", "[{}]", "[{path = 3}]", '[{loss = "mse"}]'])
def test_targets(tmp_path: Path, value: str) -> None:
    assert "targets is a list of tables, each with a path" in mistake(tmp_path, f"targets = {value}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("selct = []", "netlint.toml: unknown key 'selct'; did you mean 'select'?"),
        ("zzz = []", "unknown key 'zzz'; known: select, ignore"),
        ('select = ["sigmoid-hiden"]', "netlint.toml: select: unknown rule 'sigmoid-hiden'; did you mean 'sigmoid-"),
        ('ignore = ["ACT9"]', "netlint.toml: ignore: unknown rule 'ACT9'"),
        ('select = [""]', "select: unknown rule ''"),
        ('[training]\nlos = "mse"', "los in netlint.toml: unknown training field 'los'; did you mean 'loss'"),
        ('[training]\nloss = "crossentropyy"', "loss in netlint.toml: unknown loss 'crossentropyy'; did you mean"),
        ('[training]\nloss = ["mse", "l1"]', "loss in netlint.toml: ['mse', 'l1'] is neither text"),
        ("[training]\nlr = true", "lr in netlint.toml: True is neither text"),
        ("[training]\nlr = {}", "lr in netlint.toml: {} is neither text"),
        ("[training]\ntargets = [1]", "targets in netlint.toml: [1] is neither"),
        ("[training]\ntargets = [1, -1]", "the range '1..-1' is empty"),
        ('[training]\npath = "x"', "unknown training field 'path'"),
        ('[[targets]]\npath = "elsewhere/*"\nlosss = "mse"', "losss in netlint.toml: unknown training field"),
        ("[rules.oversized-kernel]\nminkernel = 3", "has no option 'minkernel'; did you mean 'min-kernel'?"),
        ('[rules.oversized-kernel]\nmin-kernel = "x"', "the option 'min-kernel' wants int, not 'x'"),
        ("[rules.oversized-kernel]\nmin-kernel = true", "wants int, not True"),
        ("[rules.oversized-kernl]\nmin-kernel = 3", "netlint.toml: unknown rule 'oversized-kernl'; did you mean"),
        ("select = [", "netlint.toml is not valid TOML: "),
        ("\n\nselect = nothing", "line 3"),
        ("x = " + "[" * 5000, "is not valid TOML"),
    ],
)
def test_mistakes_are_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in mistake(tmp_path, text)


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
    assert done.stderr.startswith("netlint: netlint.toml: fail-on is {}")


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
        return {rule.code for rule in settings(tmp_path, text).chosen(REGISTRY, **given)}

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
    assert read.options(REGISTRY) == {"oversized-kernel": {"min-kernel": 9}}
