"""Fixtures and helpers that several test files use."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FIXTURES = ROOT / "fixtures" / "onnx"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--parity",
        choices=("usual", "all"),
        default="usual",
        help="all: also export each model with each injected fault by each exporter, which takes hours",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--parity") == "all":
        return
    left_out = [item for item in items if item.get_closest_marker("whole")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if not item.get_closest_marker("whole")]


@pytest.fixture(scope="session")
def light_models() -> list[Path]:
    """The models that the onnx package ships without weights."""
    from netlint import onnxlib

    folder = Path(onnxlib.protobuf().__file__).parent / "backend" / "test" / "data" / "light"
    return sorted(folder.glob("*.onnx"))


@pytest.fixture
def netlint(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command line in a process of its own, in an empty folder unless told otherwise."""

    def run(
        *args: object, cwd: Path = tmp_path, stdin: bytes = b"", env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        import os

        done = subprocess.run(
            [sys.executable, "-m", "netlint", *map(str, args)],
            cwd=cwd,
            input=stdin,
            capture_output=True,
            env={**os.environ, **(env or {})},
            timeout=300,
            check=False,
        )
        text = (done.stdout.decode(), done.stderr.decode())
        return subprocess.CompletedProcess(done.args, done.returncode, *text)

    return run
