"""`python -m benchmarks`: generate the models, measure the commands, print tables and figures."""

import argparse
import contextlib
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.commands import Tools, cached_commands, many_commands, model_commands, startup_commands
from benchmarks.figures import CACHED, MANY, STARTUP, Results, figures
from benchmarks.measure import Command, measure
from benchmarks.models import SUBJECTS, Subject, generate, generate_many
from benchmarks.probe import CASE as PROBE_CASE
from benchmarks.probe import RUNS
from benchmarks.probe import measure as measure_probe
from benchmarks.report import as_json, figures_table, subject_table
from benchmarks.torch_models import TORCH_LLAMA_70B, TORCH_RESNET50, torch_commands


def main() -> int:
    """Run the benchmark; 1 if a command failed, otherwise 0, whether or not the targets are met."""
    options = _parse()
    own_bin = Path(sys.executable).parent
    tools = Tools(own_bin, options.peers_bin or own_bin)
    if not (own_bin / "netlint").exists():
        _note(f"netlint is not installed in {own_bin}: its rows are left out")
    if options.only == [PROBE_CASE]:
        for line in measure_probe(options.device, options.runs or RUNS):
            print(line, flush=True)
        return 0
    options.runs = options.runs or 5
    with _workspace(options.keep_dir) as folder:
        results = _measure_all(options, tools, folder)
    found = figures(results)
    print(figures_table(found))
    if options.json:
        options.json.write_text(json.dumps(as_json(options.runs, results, found), indent=1) + "\n")
    return int(any(measurement.failure for measurement in results.values()))


def _parse() -> argparse.Namespace:
    """The command line."""
    names = [STARTUP, CACHED, MANY, *(subject.name for subject in SUBJECTS)]
    names += [TORCH_RESNET50, TORCH_LLAMA_70B, PROBE_CASE]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure netlint beside onnx.load.")
    parser.add_argument("--runs", type=_count, metavar="N", help=f"counted runs (default 5; of the probe {RUNS})")
    parser.add_argument("--only", action="append", choices=names, help="measure this; may be repeated")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="where the probe is measured")
    parser.add_argument("--skip-large", action="store_true", help="leave out the models of 1 GiB and more")
    parser.add_argument("--keep-dir", type=_path, metavar="DIR", help="write the models here and keep them")
    parser.add_argument("--peers-bin", type=_path, metavar="DIR", help="where polygraphy and onnx-doctor lie")
    parser.add_argument("--json", type=_path, metavar="PATH", help="also write every run to this file")
    return parser.parse_args()


def _count(text: str) -> int:
    """A whole number of at least one."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def _path(text: str) -> Path:
    """An absolute path: the commands run in another folder."""
    return Path(text).absolute()


@contextlib.contextmanager
def _workspace(keep: Path | None) -> Iterator[Path]:
    """The folder of the models: `keep`, or a temporary one that is removed at the end."""
    if keep:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep
    else:
        with tempfile.TemporaryDirectory(prefix="netlint-benchmarks-") as folder:
            yield Path(folder)


def _measure_all(options: argparse.Namespace, tools: Tools, folder: Path) -> Results:
    """Measure what was asked for and print each table as it is ready."""
    results: Results = {}
    if not options.only or STARTUP in options.only:
        results.update(_measure_one(STARTUP, startup_commands(tools), options.runs, folder))
    if not options.only or CACHED in options.only:
        model = generate(SUBJECTS[0], folder)
        results.update(_measure_one(CACHED, cached_commands(model, tools), options.runs, folder))
    if not options.only or MANY in options.only:
        _note(f"{MANY}: writing the models")
        results.update(_measure_one(MANY, many_commands(generate_many(folder), tools), options.runs, folder))
    for name, commands in torch_commands(tools.netlint_bin / "netlint").items():
        if not options.only or name in options.only:
            results.update(_measure_one(name, commands, options.runs, folder))
    for subject in _chosen(options):
        _note(f"{subject.name}: writing the model")
        model = generate(subject, folder)
        commands = model_commands(subject, model, tools)
        results.update(_measure_one(subject.name, commands, options.runs, folder))
    return results


def _chosen(options: argparse.Namespace) -> list[Subject]:
    """The subjects asked for."""
    named = [subject for subject in SUBJECTS if not options.only or subject.name in options.only]
    return [subject for subject in named if not (options.skip_large and subject.large)]


def _measure_one(name: str, commands: Sequence[Command], runs: int, folder: Path) -> Results:
    """Measure one table's commands and print the table."""
    _note(f"{name}: {len(commands)} commands, 1 + {runs} runs each")
    measurements = measure(commands, runs, folder)
    print(subject_table(name, measurements), flush=True)
    return {(name, measurement.command.label): measurement for measurement in measurements}


def _note(text: str) -> None:
    """Progress, on standard error."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
