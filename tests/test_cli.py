"""The command line: exit codes, messages for the user's mistakes, outputs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from netlint.targets import expand
from tests.conftest import FIXTURES, ROOT

Run = Callable[..., subprocess.CompletedProcess[str]]

FAULTY = FIXTURES / "sigmoid_hidden_mlp_dynamo.onnx"
HEALTHY = FIXTURES / "plain_mlp.onnx"
SIGNED = FIXTURES / "relu_output_dynamo.onnx"


def test_clean_model_exits_with_0(netlint: Run) -> None:
    done = netlint(HEALTHY)
    assert done.returncode == 0, done.stdout
    assert "1 model checked: no findings" in done.stdout


def test_warning_exits_with_1_and_names_the_line(netlint: Run) -> None:
    done = netlint(FAULTY, cwd=ROOT)
    assert done.returncode == 1
    assert "warning[ACT004] sigmoid-hidden" in done.stdout
    assert "fixtures/nets.py:" in done.stdout
    assert "docs: netlint rule ACT004" in done.stdout
    assert "/home/user" not in done.stdout


def test_recorded_line_of_a_missing_file_is_said_to_be_recorded(netlint: Run) -> None:
    done = netlint(FAULTY)
    assert "fixtures/nets.py:" in done.stdout
    assert "(not below this folder)" in done.stdout
    assert "/home/user" not in done.stdout


@pytest.mark.parametrize(("flags", "code"), [(["--fail-on=error"], 0), (["--exit-zero"], 0), (["--fail-on=note"], 1)])
def test_fail_on(netlint: Run, flags: list[str], code: int) -> None:
    assert netlint(FAULTY, *flags).returncode == code


def test_contract_makes_the_difference(netlint: Run) -> None:
    signed = netlint(SIGNED, "--targets=-1..1")
    assert signed.returncode == 1
    assert "error[ACT001]" in signed.stdout
    assert "(from --targets)" in signed.stdout
    assert netlint(SIGNED, "--targets=0..1").returncode == 0


def test_skipped_rules_are_listed_with_the_way_out(netlint: Run) -> None:
    brief = netlint(HEALTHY).stdout
    assert "skipped: needs a loss: --loss" in brief
    full = netlint(HEALTHY, "-v").stdout
    assert "missing-softmax" in full
    assert "skipped" not in netlint(HEALTHY, "-q").stdout


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--loss=crosentropy", HEALTHY], "did you mean 'cross_entropy'"),
        (["--task=clasification", HEALTHY], "did you mean 'classification'"),
        (["--targets=high", HEALTHY], "write LOW..HIGH"),
        (["--select=sigmoid-hiden", HEALTHY], "did you mean 'sigmoid-hidden'"),
        (["--output=yaml", HEALTHY], "unknown output format 'yaml'; known: text, concise, json"),
        (["--output=sarfi", HEALTHY], "did you mean 'sarif'?"),
        (["-o", "text", "-o", "json", HEALTHY], "two outputs go to standard output; give each a file of its own"),
        (["-o", "text", "-o", "json:-", HEALTHY], "two outputs go to standard output"),
        (["-o", "text:a", "-o", "json:a", HEALTHY], "two outputs go to a"),
        (["-o", "json:no/where", HEALTHY], "cannot write no/where: the folder no does not exist"),
        (["-o", "json:.", HEALTHY], "cannot write .: it is a folder"),
        (["--select=ACTX", HEALTHY], "--select: unknown rule 'ACTX'"),
        (["--config=.", HEALTHY], "cannot be read: Is a directory"),
        (["--config=nowhere.toml", HEALTHY], "cannot be read"),
        (["--los=mse", HEALTHY], "--loss"),
        (["rule", "ACT999"], "unknown rule 'ACT999'"),
        (["show", HEALTHY, "outputt"], "no value or node is named 'outputt'"),
        (["lint"], "Missing argument"),
    ],
)
def test_usage_mistakes_exit_with_2_and_help(netlint: Run, argv: list[object], message: str) -> None:
    done = netlint(*argv)
    assert done.returncode == 2, done.stdout + done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_unreadable_target_exits_with_3_and_hides_nothing(netlint: Run) -> None:
    done = netlint("missing.onnx", FAULTY)
    assert done.returncode == 3
    assert "failed: missing.onnx does not exist" in done.stdout
    assert "warning[ACT004]" in done.stdout


def test_json_follows_its_published_schema(netlint: Run) -> None:
    schema = json.loads(netlint("schema", "report").stdout)
    done = netlint(FAULTY, SIGNED, "missing.onnx", "--targets=-1..1", "-o", "json")
    report = json.loads(done.stdout)
    jsonschema.Draft202012Validator(schema).validate(report)
    assert report["version"] == 1
    codes = [finding["code"] for target in report["targets"] for finding in target["findings"]]
    assert {"ACT001", "ACT004"} <= set(codes)
    assert report["errors"] == codes.count("ACT001")
    assert report["targets"][2]["failure"]["message"] == "does not exist"
    assert report["targets"][1]["assumptions"]["targets"] == {"value": {"lo": -1.0, "hi": 1.0}, "origin": "--targets"}


def test_json_lines_follow_their_published_schema(netlint: Run) -> None:
    schema = json.loads(netlint("schema", "jsonl").stdout)
    lines = netlint(FAULTY, "missing.onnx", "-o", "jsonl").stdout.splitlines()
    assert [json.loads(line)["kind"] for line in lines] == ["finding", "finding", "failure"]
    for line in lines:
        jsonschema.Draft202012Validator(schema).validate(json.loads(line))


def test_statistics_and_profile(netlint: Run) -> None:
    printed = netlint(FAULTY, "--statistics", "--profile").stdout
    assert "suppressed  rule" in printed
    assert "own time of" in printed
    (target,) = json.loads(netlint(FAULTY, "--profile", "-o", "json").stdout)["targets"]
    assert {"load", "analysis", "rule"} == {spent["kind"] for spent in target["times"]}
    assert json.loads(netlint(FAULTY, "-o", "json").stdout)["targets"][0]["times"] == []


def test_several_outputs_of_one_run(netlint: Run, tmp_path: Path) -> None:
    done = netlint(FAULTY, "-o", "text", "-o", "json:report.json")
    assert "warning[ACT004]" in done.stdout
    assert json.loads((tmp_path / "report.json").read_text())["warnings"] >= 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_the_other_reports_are_written_even_if_one_cannot_be(netlint: Run, tmp_path: Path) -> None:
    done = netlint(FAULTY, "-o", "json:/dev/full", "-o", "text", "-o", "concise:all.txt")
    assert done.returncode == 2
    assert done.stderr == "netlint: cannot write /dev/full: No space left on device\n"
    assert "warning[ACT004]" in done.stdout
    assert "ACT004" in (tmp_path / "all.txt").read_text()


def test_a_word_that_is_nearly_a_command_is_no_target(netlint: Run, tmp_path: Path) -> None:
    done = netlint("basline", "create", "models")
    assert done.returncode == 2
    assert "neither a command nor a target 'basline'; did you mean the command 'baseline'?" in done.stderr
    assert netlint("best").returncode == 3
    (tmp_path / "lnit").write_bytes(HEALTHY.read_bytes())
    assert "1 model checked" in netlint("lnit").stdout


def test_a_folder_that_cannot_be_read_is_not_called_empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(folder: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("netlint.targets.os.scandir", refuse)
    (found,) = expand([str(tmp_path)])
    assert str(found[1]) == "cannot be read: Permission denied"


def test_a_folder_that_is_missing_is_said_before_anything_is_linted(netlint: Run) -> None:
    done = netlint(FAULTY, "-o", "text", "-o", "json:no/where")
    assert (done.returncode, done.stdout) == (2, "")


def test_a_step_of_github_actions_gets_its_summary(netlint: Run, tmp_path: Path) -> None:
    page = tmp_path / "summary.md"
    page.write_text("before\n")
    env = {"GITHUB_STEP_SUMMARY": str(page)}
    annotated = netlint(FAULTY, "-o", "github", env=env)
    assert annotated.stdout.startswith("::warning file=")
    assert page.read_text().startswith("before\n## netlint\n\n1 model checked: ")
    netlint(FAULTY, "-o", "github:annotations", "-o", "text", env=env)
    netlint(FAULTY, env=env)
    assert page.read_text().count("## netlint") == 1


def shell(script: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a script in which `netlint` is the command line."""
    define = f'unset PYTHONUNBUFFERED; netlint() {{ "{sys.executable}" -m netlint "$@"; }}; '
    return subprocess.run(["bash", "-c", define + script], cwd=cwd, capture_output=True, text=True, check=False)


def test_a_reader_that_goes_away_changes_nothing(tmp_path: Path) -> None:
    done = shell(f'netlint "{FAULTY}" -o text -o json:r.json | true; exit "${{PIPESTATUS[0]}}"', tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    assert json.loads((tmp_path / "r.json").read_text())["warnings"] >= 1
    assert shell('netlint rules | true; exit "${PIPESTATUS[0]}"', tmp_path).returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
@pytest.mark.parametrize("command", [f"netlint '{FAULTY}'", "netlint rule ACT004", "netlint rules"])
def test_a_full_disk_is_not_a_bug(command: str, tmp_path: Path) -> None:
    done = shell(f"{command} > /dev/full", tmp_path)
    assert done.returncode == 2
    assert done.stderr == "netlint: cannot write to standard output: No space left on device\n"


def test_a_closed_standard_output_is_not_a_bug(tmp_path: Path) -> None:
    done = shell(f"netlint '{FAULTY}' >&-", tmp_path)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-16"])
@pytest.mark.parametrize("argv", [[FAULTY], ["rule", "ACT004"], ["rules"], ["show", SIGNED], ["--help"]])
def test_any_encoding_of_the_terminal_will_do(argv: list[object], encoding: str, tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONIOENCODING": encoding, "LC_ALL": "C"}
    done = subprocess.run(
        [sys.executable, "-m", "netlint", *map(str, argv)], cwd=tmp_path, env=env, capture_output=True
    )
    assert done.returncode == (1 if argv == [FAULTY] else 0), done.stderr
    assert done.stdout


def test_standard_input_and_text(netlint: Run, tmp_path: Path) -> None:
    assert "ACT004" in netlint("-", stdin=FAULTY.read_bytes()).stdout
    text = '<ir_version: 10, opset_import: ["" : 21]>\ng (float[N, 1] x) => (float[N, 1] y) { y = Softmax(x) }'
    assert "ACT009" in netlint("-", stdin=text.encode()).stdout
    (tmp_path / "model.onnxtxt").write_text(text)
    assert "ACT009" in netlint("model.onnxtxt").stdout


def test_folders_and_globs(netlint: Run, tmp_path: Path) -> None:
    inner = tmp_path / "models" / "old"
    inner.mkdir(parents=True)
    (tmp_path / "models" / "a.onnx").write_bytes(HEALTHY.read_bytes())
    (inner / "b.onnx").write_bytes(FAULTY.read_bytes())
    assert "2 models checked" in netlint("models").stdout
    assert "2 models checked" in netlint("models/**/*.onnx").stdout
    assert "1 model checked" in netlint("models/*.onnx", "models/a.onnx", "./models/../models/a.onnx").stdout


def test_colour_only_where_wanted(netlint: Run) -> None:
    assert "\x1b[" not in netlint(FAULTY).stdout
    assert "\x1b[" in netlint(FAULTY, env={"FORCE_COLOR": "1"}).stdout
    assert "\x1b[" not in netlint(FAULTY, env={"FORCE_COLOR": "1", "NO_COLOR": "1"}).stdout


def test_what_a_comment_suppresses_stays_in_the_reports(netlint: Run, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes((FIXTURES / "double_softmax_loss.onnx").read_bytes())
    (tmp_path / "fixtures").mkdir()
    lines = (ROOT / "fixtures" / "nets.py").read_text().splitlines()
    lines[49] += "  # netlint: ignore[double-softmax] the exporter adds it"
    (tmp_path / "fixtures" / "nets.py").write_text("\n".join(lines))
    done = netlint(
        "model.onnx", "-v", "-o", "text", "-o", "json:r.json", "-o", "sarif:r.sarif", "-o", "gitlab:r.gitlab"
    )
    assert done.returncode == 0
    assert "1 model checked: 1 suppressed" in done.stdout
    assert "the exporter adds it (comment at fixtures/nets.py:50)" in done.stdout
    (silenced,) = json.loads((tmp_path / "r.json").read_text())["targets"][0]["suppressed"]
    assert (silenced["code"], silenced["reason"]) == ("LOS002", "the exporter adds it")
    (result,) = json.loads((tmp_path / "r.sarif").read_text())["runs"][0]["results"]
    assert result["suppressions"][0]["kind"] == "inSource"
    assert json.loads((tmp_path / "r.gitlab").read_text()) == []


LINK = "\x1b]8;;file://"


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
@pytest.mark.parametrize(
    ("env", "linked"),
    [
        ({"TERM_PROGRAM": "WezTerm"}, True),
        ({"TERM_PROGRAM": "WezTerm", "NO_COLOR": "1"}, True),
        ({"VTE_VERSION": "7600"}, True),
        ({"VTE_VERSION": "4800"}, False),
        ({"TERM_PROGRAM": "WezTerm", "TMUX": "/tmp/tmux-0/default,1,0"}, False),
        ({"TERM_PROGRAM": "WezTerm", "FORCE_HYPERLINK": "0"}, False),
        ({"FORCE_HYPERLINK": "1", "TMUX": "x"}, True),
        ({"FORCE_HYPERLINK": "1", "TERM": "dumb"}, False),
        ({}, False),
    ],
)
def test_links_only_on_terminals_that_are_known_to_show_them(env: dict[str, str], linked: bool) -> None:
    assert (LINK in on_a_terminal([str(FAULTY)], env)) == linked


def test_no_links_where_a_program_reads(netlint: Run) -> None:
    assert LINK not in netlint(FAULTY, env={"TERM_PROGRAM": "WezTerm", "FORCE_HYPERLINK": "1"}).stdout


def on_a_terminal(argv: list[str], env: dict[str, str]) -> str:
    """What netlint prints on a terminal of its own."""
    import pty

    clean = {name: value for name, value in os.environ.items() if name not in ("CI", "TMUX", "STY", "NO_COLOR")}
    ours, theirs = pty.openpty()
    program = [sys.executable, "-m", "netlint", *argv]
    process = subprocess.Popen(program, cwd=ROOT, env={**clean, "TERM": "xterm", **env}, stdout=theirs)
    os.close(theirs)
    printed = b""
    while True:
        try:
            part = os.read(ours, 1 << 16)
        except OSError:  # Linux says so where the other end is closed
            break
        if not part:
            break
        printed += part
    os.close(ours)
    process.wait()
    return printed.decode()


def test_settings_file(netlint: Run, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(SIGNED.read_bytes())
    (tmp_path / "pyproject.toml").write_text(
        '[tool.netlint]\nignore = ["LOS"]\n[[tool.netlint.targets]]\npath = "mod*.onnx"\ntargets = [-1, 1]\n'
    )
    done = netlint("model.onnx")
    assert done.returncode == 1
    assert "(from targets in pyproject.toml)" in done.stdout
    (tmp_path / "pyproject.toml").write_text("[tool.netlint]\nselct = []\n")
    wrong = netlint("model.onnx")
    assert wrong.returncode == 2
    assert "did you mean 'select'" in wrong.stderr


def test_rule_page_by_code_and_name(netlint: Run) -> None:
    page = netlint("rule", "act004")
    assert page.returncode == 0
    assert page.stdout == netlint("rule", "sigmoid-hidden").stdout
    assert "## Why is this bad" in page.stdout


def test_rules_lists_every_rule(netlint: Run) -> None:
    from netlint.registry import load_rules

    listed = netlint("rules").stdout
    assert all(rule.code in listed and rule.name in listed for rule in load_rules().values())


def test_show_tells_what_the_analyses_know(netlint: Run) -> None:
    page = netlint("show", SIGNED).stdout
    assert "Relu" in page
    assert "head" in page
    name = page.split("output", 1)[1].split()[0]
    value = netlint("show", SIGNED, name).stdout
    assert "range     [0, inf" in value


def test_version_and_help(netlint: Run) -> None:
    assert netlint("--version").stdout.startswith("netlint 0.")
    text = netlint("--help").stdout
    assert "--targets" in text
    assert "Exit: 0 clean" in text


def test_settings_that_come_with_a_model_run_no_python(netlint: Run, tmp_path: Path) -> None:
    folder = tmp_path / "downloaded"
    (folder / "rules").mkdir(parents=True)
    (folder / "m.onnx").write_bytes(HEALTHY.read_bytes())
    (folder / "netlint.toml").write_text('rule-folders = ["rules"]\n')
    (folder / "rules" / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    refused = netlint("downloaded/m.onnx")
    assert refused.returncode == 2
    assert "--config" in refused.stderr
    assert not (tmp_path / "ran").exists()
    assert netlint("downloaded/m.onnx", "--config", "downloaded/netlint.toml").returncode == 0
    assert (tmp_path / "ran").exists()


def test_what_is_said_of_many_targets_is_said_once(netlint: Run) -> None:
    done = netlint(HEALTHY, FIXTURES / "plain_cnn.onnx", "missing.onnx")
    assert done.stdout.count("skipped: needs a loss: --loss") == 1
    assert "plain_mlp.onnx and 1 more:" in done.stdout
    assert "2 models checked: 1 not analysed" in done.stdout


def test_a_file_of_python_alone_is_no_target(netlint: Run, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("class Net(nn.Module): ...\n")
    done = netlint("net.py")
    assert done.returncode == 3
    assert "name a class, or a function that makes the model: net.py:Net" in done.stdout


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("net.py:Net(width=size())", "has an argument that is no Python literal: size()"),
        ("net.py:Net(width=3", "has arguments that are not Python"),
        ("net.py:Net(1)(2)", "is called more than once"),
        ("net.py:Net(**{})", "unpacks arguments with **"),
    ],
)
def test_arguments_of_python_targets_are_literals(netlint: Run, target: str, message: str) -> None:
    done = netlint(target)
    assert done.returncode == 3
    assert message in done.stdout
