"""Results as Markdown tables and as JSON."""

import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version

from benchmarks.commands import BARE_CLICK, NETLINT_ONE_JOB, NETLINT_VERSION, ONNX_LOAD
from benchmarks.figures import CACHED, MANY, STARTUP, Figure, Results, Target, cpu_ratio
from benchmarks.measure import Measurement


def subject_table(subject: str, measurements: Sequence[Measurement]) -> str:
    """The table of one subject: CPU seconds, peak RSS in MB and CPU beside the yardstick of that table."""
    yardstick = {STARTUP: BARE_CLICK, CACHED: NETLINT_VERSION, MANY: NETLINT_ONE_JOB}.get(subject, ONNX_LOAD)
    by_label = {measurement.command.label: measurement for measurement in measurements}
    header = ["command", "CPU s", "min–max", "wall s", "peak RSS MB", f"CPU / {yardstick}"]
    rows = [_row(measurement, by_label.get(yardstick)) for measurement in measurements]
    failures = [f"- {m.command.label} failed: {m.failure}\n" for m in measurements if m.failure]
    return "\n".join([f"## {subject}\n", _markdown([header, *rows]) + "\n", *failures])


def figures_table(figures: Sequence[Figure]) -> str:
    """The table of targets."""
    header = ["target", "bound", "measured", ""]
    rows = [[figure.target.statement, figure.target.bound, _value(figure), figure.verdict] for figure in figures]
    return f"## figures\n\n{_markdown([header, *rows])}\n"


def as_json(runs: int, results: Results, figures: Sequence[Figure]) -> dict[str, object]:
    """All runs and figures, for `--json`; units are in the keys."""
    return {
        "runs": runs,
        "versions": {"python": platform.python_version(), "onnx": version("onnx"), "numpy": version("numpy")},
        "measurements": [_measurement_json(subject, found) for (subject, _), found in results.items()],
        "figures": [{**_target_json(f.target), "measured": f.measured, "verdict": f.verdict} for f in figures],
    }


def _row(measurement: Measurement, yardstick: Measurement | None) -> list[str]:
    """One command's cells."""
    if measurement.failure:
        return [measurement.command.label, "FAILED", "", "", "", ""]
    cpu, ratio = measurement.cpu_s, cpu_ratio(measurement, yardstick)
    return [
        measurement.command.label,
        f"{measurement.median_cpu_s:.3f}",
        f"{min(cpu):.3f}–{max(cpu):.3f}",
        f"{measurement.median_wall_s:.2f}",
        f"{measurement.median_peak_rss_mb:.1f}",
        "" if ratio is None else f"{ratio:.2f}",
    ]


def _value(figure: Figure) -> str:
    """What was measured of a target, with its unit."""
    if figure.measured is None:
        return "–"
    return f"{figure.measured:.3f} ×" if figure.target.beside else f"{figure.measured:.1f} MB"


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with aligned columns; the first row is the header."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = ["-" * width for width in widths]
    return "\n".join(_line(row, widths) for row in [rows[0], rule, *rows[1:]])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """One line of a Markdown table."""
    return f"| {' | '.join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))} |"


def _measurement_json(subject: str, measurement: Measurement) -> dict[str, object]:
    """One command on one subject."""
    samples = [asdict(sample) for sample in measurement.samples]
    command = measurement.command
    return {"subject": subject, "command": command.label, "failure": measurement.failure, "samples": samples}


def _target_json(target: Target) -> dict[str, object]:
    """A target without its keys."""
    return {"target": target.statement, "bound": target.bound}
