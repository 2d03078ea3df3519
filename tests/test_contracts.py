"""What the design calls "never", executed: layers, imports, the wheel."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from netlint.registry import check, load_rules
from tests.conftest import FIXTURES, ROOT

HEAVY = ("numpy", "onnx", "onnx.onnx_ml_pb2", "onnx.onnx_cpp2py_export", "torch", "rich", "msgspec")


def imported_by(*argv: str) -> set[str]:
    """The modules loaded when netlint runs with these arguments."""
    program = (
        "import sys, netlint.cli\n"
        f"try: netlint.cli.main({list(argv)!r})\n"
        "except SystemExit: pass\n"
        "print('\\n' + ' '.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.rsplit("\n", 2)[-2].split())


@pytest.mark.parametrize("argv", [("--help",), ("--version",), ("rule", "sigmoid-hidden"), ("rules",)])
def test_help_and_rule_pages_import_nothing_heavy(argv: tuple[str, ...]) -> None:
    assert not imported_by(*argv) & set(HEAVY)


def test_onnx_path_imports_neither_torch_nor_the_onnx_package() -> None:
    loaded = imported_by(str(FIXTURES / "plain_cnn.onnx"), "--loss=cross_entropy", "-o", "json", "--no-cache")
    assert "numpy" in loaded
    assert not loaded & {"torch", "onnx", "onnx.helper", "rich"}


def test_layers_import_only_what_they_may() -> None:
    tool = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([tool, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_rules_follow_the_conventions() -> None:
    assert [problem for rule in load_rules().values() for problem in check(rule)] == []


def test_wheel_holds_every_rule_and_package(tmp_path: Path) -> None:
    source = tmp_path / "source"  # a copy: setuptools packs what an earlier build left behind, too
    for folder in ("netlint", "rules"):
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), "."]
    subprocess.run(build, cwd=source, check=True, capture_output=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        inside = set(wheel.namelist())
    ours = [path for kind in ("py", "css", "js") for path in (ROOT / "netlint").rglob(f"*.{kind}")]
    wanted = {path.relative_to(ROOT).as_posix() for path in ours}
    wanted |= {
        "netlint_rules/" + path.relative_to(ROOT / "rules").as_posix() for path in (ROOT / "rules").rglob("*.py")
    }
    assert wanted <= inside
    assert any(name.endswith("entry_points.txt") for name in inside)
