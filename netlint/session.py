"""What one call of netlint does: for each target its settings, its rules, its report."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from . import collector
from .cache import Cache, Entry
from .capture import Capture, python_target
from .config import Settings, find_settings, read_settings
from .errors import ConfigError
from .finish import grades, reader, settled, silences
from .frontends import TargetError
from .report import Failure
from .reported import Report
from .rule import Level, Rule
from .sources import Sources
from .targets import CHECKPOINTS, STDIN, expand, is_python, load
from .training import Known, Training

if TYPE_CHECKING:
    from threading import Event

    from .baseline import Baseline
    from .checked import CheckReport
    from .graph import Graph
    from .pool import Died
    from .registry import Registry
    from .settings.explain import Explained
    from .settings.rules import RuleSettings
    from .suppress import Told

R = TypeVar("R", bound=Report)

# What only linting needs is imported where it is needed: a run whose results are all known needs none of it.


class Session:
    """The rules and settings of one call; settings files are found and read once each."""

    def __init__(
        self,
        config: Path | None,
        select: Sequence[str] = (),
        ignore: Sequence[str] = (),
        stated: Training | None = None,
        capture: Capture | None = None,
        cache: Cache | None = None,
        jobs: int | None = 1,
        progress: Callable[[int, int], None] = lambda done, total: None,
        baseline: Path | None = None,
        compare: bool = True,
        force_exclude: bool = False,
        timed: bool = False,
    ) -> None:
        """`cache`: where results of earlier runs are; None: nowhere. `jobs`: how many targets are linted at a time;
        None: as many as it pays. `progress` is told how many targets are done, of how many. `baseline` goes before
        that of the settings; without `compare`, none is looked at. `force_exclude`: what the settings exclude is left
        out even where it is named. `timed`: somebody reads the times of rules and analyses; carrying them from
        process to process costs as much as all the rest of a report."""
        self._timed = timed
        self._force_exclude = force_exclude
        self._config = config
        self._select = select
        self._ignore = ignore
        self._stated = stated or Training()
        self._capture = capture or Capture()
        self._cache = cache
        self._jobs = jobs
        self._progress = progress
        self._baseline = baseline
        self._compare = compare
        self._sources = Sources(Path.cwd())
        self._told: set[Told] = set()
        self._settings: dict[Path, Settings] = {}
        self._registries: dict[tuple[Path, ...], Registry[Rule]] = {}
        self._listed: dict[tuple[Path, ...], Registry[Any]] = {}
        self._baselines: dict[Path, Baseline] = {}
        self.fail_on = Level.ERROR
        """The strictest level that the settings of any target ask for."""
        self.printed = ""
        """What the code of Python targets printed."""

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs; it loads the rules itself."""
        return {**self.__dict__, "_registries": {}, "_listed": {}, "_progress": None}

    def results(self, texts: Sequence[str]) -> tuple[Report | Failure, ...]:
        """The report of each target in order, or why there is none. Raises `ConfigError`.

        Until the end `done` holds what the rules found, whatever is to become of it.
        """
        found = [target for target in expand(texts) if not self._left_out(target, texts)]
        done = {place: known for place, target in enumerate(found) if (known := self._known(target)) is not None}
        left = {place: target for place, target in enumerate(found) if place not in done and isinstance(target, str)}
        self._progress(len(done), len(found))
        pythons = [place for place, target in left.items() if self._is_python(target)]
        models = [place for place in left if place not in pythons]
        for places, lint in ((models, self._models), (pythons, self._pythons)):
            for index, result in lint([left[place] for place in places]):
                done[places[index]] = result
                self._progress(len(done), len(found))
        if self._cache is not None and left:
            self._cache.prune()
        if not self._settings:
            self.fail_on = self._settings_for(Path.cwd()).fail_on
        return settled(self._result(target, done[place]) for place, target in enumerate(found))

    def _left_out(self, target: str | tuple[str, TargetError], named: Sequence[str]) -> bool:
        if not isinstance(target, str) or (target in named and not self._force_exclude):
            return False
        return self._settings_for(_folder(target)).excludes(target)

    def configured(self) -> list[str]:
        """The Python targets that the settings above the current folder name. Raises `ConfigError`."""
        return self._settings_for(Path.cwd()).configured()

    def _result(self, target: str | tuple[str, TargetError], result: Report | Failure) -> Report | Failure:
        """A result as it is reported."""
        if isinstance(result, Failure) or not isinstance(target, str):
            return result
        return self._finished(result, self._settings_for(_folder(target)), ran_here=self._is_python(target))

    def _known(self, found: str | tuple[str, TargetError]) -> Report | Failure | None:
        """What is to be said of a target without linting it: why it is none, or what was found in an earlier run."""
        if isinstance(found, tuple):
            return Failure(*found)
        settings = self._settings_for(_folder(found))
        self.fail_on = min(self.fail_on, settings.fail_on)
        self._baseline_of(settings)  # what is wrong with it is told before anything is linted
        entry = None if self._is_python(found) else self._entry(found)
        return entry.find() if entry else None

    def _entry(self, target: str) -> Entry | None:
        settings = self._settings_for(_folder(target))
        # What a probe shows depends on the machine as well.
        if self._cache is None or target == STDIN or self._capture_of(target).probe:
            return None
        rests_on = (replace(settings, content=b""), tuple(self._select), tuple(self._ignore), self._stated)
        return self._cache.entry(target, _beside(settings), settings.rule_folders, repr(rests_on))

    def _capture_of(self, target: str) -> Capture:
        return self._capture.otherwise(self._settings_for(_folder(target)).capture(target))

    def _is_python(self, target: str) -> bool:
        return runs_python(target, self._capture_of(target))

    def _models(self, targets: Sequence[str]) -> Iterator[tuple[int, Report | Failure]]:
        """The report on each model in a file, with its place, as it is made."""
        from .jobs import automatic

        count = min(self._jobs or automatic([_size(target) for target in targets]), len(targets))
        if count > 1:
            yield from self._in_processes(targets, count)
            return
        for place, target in enumerate(targets):
            if place:
                collector.collect()  # the graph of the target before
            yield place, self._model(target)

    def _in_processes(self, targets: Sequence[str], count: int) -> Iterator[tuple[int, Report | Failure]]:
        from .pool import Died, in_processes

        for target in {_folder(target): target for target in targets}.values():
            self.plan(self._settings_for(_folder(target)), target)  # for all: mistakes are told at once
        _import_for_models()
        for place, result in in_processes(self._portable, targets, count):
            if isinstance(result, Died):
                yield place, Failure(targets[place], _died(result))
            elif isinstance(result, Exception):
                raise result
            else:
                yield place, result

    def _portable(self, target: str) -> Report | Failure:
        from .checked import CheckReport, portable

        result = self._model(target)
        collector.collect()
        if not isinstance(result, CheckReport):
            return result
        return portable(result if self._timed else replace(result, times=()))

    def _model(self, target: str) -> Report | Failure:
        """The report on a model in a file; it is kept in the cache."""
        from .cache.stamps import see
        from .checked import check_graph, portable
        from .frontends.onnx.external import ExternalFiles
        from .probe.attach import runnable
        from .times import Clock

        rules, training, options = self.plan(self._settings_for(_folder(target)), target)
        entry = self._entry(target)
        external = ExternalFiles(Path(target))
        clock = Clock()
        files = [see(target)] if entry else []
        try:
            with clock.running("load", "model file"):
                graph = runnable(load(target, external), target, self._capture_of(target).request)
            named = external.named() if entry else None
            files += [see(target, name) for name in named or ()]
            report = check_graph(graph, rules, training, options, target, loading=clock.spent())
        except TargetError as error:
            return Failure(target, error)
        except (MemoryError, RecursionError) as error:
            why = TargetError(f"is too large or too deeply nested to analyse ({type(error).__name__})", "")
            return Failure(target, why)
        if entry and named is not None and None not in files:
            entry.store(replace(portable(report), times=()), [file for file in files if file])
        return report

    def _pythons(self, targets: Sequence[str]) -> Iterator[tuple[int, Report | Failure]]:
        """The report on each Python target, with its place, as it is made; each in a process of its own."""
        from .jobs import automatic_python, cores

        count = min(self._jobs or automatic_python(len(targets)), len(targets))
        printed = [""] * len(targets)
        if count > 1:
            from .pool import in_threads

            alone = partial(self._python, threads=max(1, cores() // count))
            made = in_threads(alone, targets, count)
        else:
            made = ((place, self._python(target)) for place, target in enumerate(targets))
        for place, (result, text) in made:
            printed[place] = text
            yield place, result
        self.printed += "".join(printed)

    def _python(self, target: str, stop: Event | None = None, threads: int = 0) -> tuple[Report | Failure, str]:
        """The report on a Python target, and what its code printed; `threads`: of torch, 0 for as many as it takes."""
        from .worker import Job, run

        settings = self._settings_for(_folder(target))
        rules, training, options = self.plan(settings, target)
        capture = self._capture_of(target)
        codes = tuple(rule.code for rule in rules)
        job = Job("lint", target, capture, training, settings.rule_folders, codes, options, threads=threads)
        printed: list[str] = []
        try:
            _need_torch()
            result = run(job, printed.append, stop)
        except TargetError as error:
            return Failure(target, error), "".join(printed)
        assert isinstance(result, Report)
        return result, "".join(printed)

    def report(
        self,
        graph: Graph,
        name: str,
        training: Training | None = None,
        facts: Mapping[str, Known[Any]] | None = None,
    ) -> CheckReport:
        """The report on a graph at hand, under the settings of the current folder; `training` is told beside it.

        Raises `ConfigError`.
        """
        from .checked import check_graph

        settings = self._settings_for(Path.cwd())
        rules, stated, options = self.plan(settings, name)
        found = check_graph(graph, rules, stated.otherwise(training or Training()), options, name, facts)
        return self._finished(found, settings, ran_here=True)

    def _finished(self, report: R, settings: Settings, ran_here: bool) -> R:
        """What becomes of a report: levels, suppressions, baseline. `ran_here`: the source is where it was recorded."""
        read = reader(self._sources, ran_here)
        if silences(report, settings, read):
            from .suppress import judged

            known = self._known_rules(settings)
            report = judged(report, known, known.chosen(self._select, self._ignore), read, self._told)
        if grades(report, settings):
            from .levels import levelled

            findings = levelled(report.findings, report.target, self._known_rules(settings))
            report = replace(report, findings=findings)
        baseline = self._baseline_of(settings)
        return baseline.applied(report) if baseline else report

    def _baseline_of(self, settings: Settings) -> Baseline | None:
        file = self._baseline or settings.baseline
        if file is None or not self._compare:
            return None
        from .baseline import read_baseline

        if file not in self._baselines:
            self._baselines[file] = read_baseline(file)
        return self._baselines[file]

    def named_baseline(self) -> Path | None:
        """The baseline that the settings of the current folder name."""
        return self._settings_for(Path.cwd()).baseline

    def show(self, target: str, value: str | None) -> str:
        """What the analyses know of a target, or of one value in it. Raises `TargetError` or `UnknownValue`."""
        from . import show as pages
        from .probe.attach import runnable
        from .probe.summary import Summary

        settings = self._settings_for(_folder(target))
        training = self._stated.otherwise(settings.contract(target))
        capture = self._capture_of(target)
        if runs_python(target, capture):
            from .worker import Job, run

            _need_torch()
            page = run(Job("show", target, capture, training, value=value), self._note)
            if isinstance(page, Exception):
                raise page
            return pages.probed(page) if isinstance(page, Summary) else str(page)
        graph = runnable(load(target), target, capture.request)
        if capture.request is not None and value is None:
            return pages.probed(pages.runs(graph, training))
        return pages.model(graph, training) if value is None else pages.one(graph, training, value)

    def explained(self, target: str) -> Explained:
        """What settings and flags decide for a target, or without one for the current folder. Raises `ConfigError`."""
        from .settings.explain import Explainer
        from .settings.rules import RuleSettings

        settings = self._settings_for(_folder(target) if target else Path.cwd())
        about_rules = RuleSettings(settings, self._registry(settings.rule_folders))
        return Explainer(about_rules, target, self._select, self._ignore, self._stated, self._capture).explained()

    def plan(self, settings: Settings, target: str) -> tuple[list[Rule], Training, dict[str, dict[str, Any]]]:
        """The rules that judge a target, its training contract, and the options of rules. Raises `ConfigError`."""
        from .settings.rules import RuleSettings
        from .suppress import at_once

        about_rules = RuleSettings(settings, self._registry(settings.rule_folders))
        rules = at_once(about_rules.chosen(self._select, self._ignore))
        about_rules.exceptions(target)  # what is wrong with them is told before anything is linted
        return rules, self._stated.otherwise(settings.contract(target)), about_rules.options()

    def _note(self, text: str) -> None:
        self.printed += text

    def _settings_for(self, folder: Path) -> Settings:
        if self._config is not None:
            folder = self._config
        if folder not in self._settings:
            self._settings[folder] = self._read(folder)
        return self._settings[folder]

    def _read(self, folder: Path) -> Settings:
        if self._config is None:
            return _trusted(find_settings(folder))
        settings = read_settings(self._config)
        if settings is None:
            raise ConfigError(f"{self._config} has no [tool.netlint]")
        return settings

    def _registry(self, folders: tuple[Path, ...]) -> Registry[Rule]:
        if folders not in self._registries:
            from .registry import load_rules

            self._registries[folders] = load_rules(folders)
        return self._registries[folders]

    def _known_rules(self, settings: Settings) -> RuleSettings[Any]:
        """The settings over the rules, as they are listed where results of earlier runs are, or else imported."""
        from .settings.rules import RuleSettings

        folders = settings.rule_folders
        if folders not in self._listed:
            self._listed[folders] = self._list(_beside(settings), folders)
        return RuleSettings(settings, self._listed[folders])

    def _list(self, beside: Path, folders: tuple[Path, ...]) -> Registry[Any]:
        from .registry import Registry
        from .suppress import comes_after

        cache = self._cache
        if cache and folders not in self._registries and (listed := cache.rules(beside, folders)):
            return Registry(listed)
        rules = self._registry(folders)
        if cache:
            cache.list_rules(beside, folders, ((rule, comes_after(rule)) for rule in rules.values()))
        return rules


def runs_python(target: str, capture: Capture) -> bool:
    """Whether a target is code of the user's, or weights for a model that such code makes."""
    return is_python(target) or (bool(capture.factory) and target.endswith(CHECKPOINTS))


def _size(target: str) -> int:
    try:
        return os.stat(target).st_size
    except (OSError, ValueError):
        return 0


def _import_for_models() -> None:
    """Import what processes that are forked off share."""
    from . import checked, onnxlib
    from .analyses import _shapes_elements, _weights_scan
    from .frontends import onnx

    assert checked and onnx and _shapes_elements and _weights_scan  # with these comes numpy
    onnxlib.protobuf()
    onnxlib.core()
    collector.collect()  # or each process would look through all of it, and so copy it


def _died(how: Died) -> TargetError:
    from .worker import how_it_ended

    return TargetError(
        f"{how_it_ended(how.code)} while it was linted", "lint it alone; it may need more memory than there is"
    )


def _need_torch() -> None:
    """Raises `TargetError` where torch is missing, before a worker is started for nothing."""
    if find_spec("torch") is None:
        raise TargetError(
            f"is Python, and torch is not installed for {sys.executable}",
            "install netlint where the model's packages are, or export the model with torch.onnx.export",
        )


def _beside(settings: Settings) -> Path:
    """Where the results for targets under these settings are kept."""
    return settings.file.parent if settings.file else Path.cwd()


def _folder(target: str) -> Path:
    """Where the settings of a target are looked for."""
    if target == STDIN:
        return Path.cwd()
    python = python_target(target) if is_python(target) else None
    return python.folder if python else Path(target).absolute().parent


def _trusted(settings: Settings) -> Settings:
    """Settings found beside a target may have come with it: they may not have Python of theirs run."""
    naming = [
        key for key in ("factory", "step", "probe") if any(getattr(capture, key) for _, capture in settings.captures)
    ]
    naming += ["rule-folders"] if settings.rule_folders else []
    if naming and settings.file is not None and not Path.cwd().is_relative_to(settings.file.parent):
        raise ConfigError(
            f"{settings.file} names {' and '.join(naming)}, whose Python would run, but does not lie above the current "
            "folder; if you trust it, name it with --config"
        )
    return settings
