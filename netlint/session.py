"""What one call of netlint does: for each target its settings, its rules, its report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from .cache import Cache
from .config import Settings
from .finish import grades, reader, settled, silences
from .frontends import TargetError
from .linter import Linter
from .plans import Plans
from .report import Failure
from .reported import Report
from .rule import Level
from .sources import Sources
from .targets import expand
from .training import Known, Training

if TYPE_CHECKING:
    from .baseline import Baseline
    from .checked import CheckReport
    from .graph import Graph
    from .suppress import Told

R = TypeVar("R", bound=Report)


class Session:
    """One call: what is found in each target, and what becomes of it under the settings."""

    def __init__(
        self,
        plans: Plans,
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
        self._plans = plans
        self._linter = Linter(plans, cache, jobs, timed)
        self._cache = cache
        self._progress = progress
        self._baseline = baseline
        self._compare = compare
        self._force_exclude = force_exclude
        self._sources = Sources(Path.cwd())
        self._told: set[Told] = set()
        self._baselines: dict[Path, Baseline] = {}
        self.fail_on = Level.ERROR
        """The strictest level that the settings of any target ask for."""

    @property
    def printed(self) -> str:
        """What the code of Python targets printed."""
        return self._linter.printed

    def configured(self) -> list[str]:
        """The Python targets that the settings above the current folder name. Raises `ConfigError`."""
        return self._plans.settings().configured()

    def named_baseline(self) -> Path | None:
        """The baseline that the settings of the current folder name."""
        return self._plans.settings().baseline

    def results(self, texts: Sequence[str]) -> tuple[Report | Failure, ...]:
        """The report of each target in order, or why there is none. Raises `ConfigError`.

        Until the end `done` holds what the rules found, whatever is to become of it.
        """
        found = [target for target in expand(texts) if not self._left_out(target, texts)]
        self._read_settings([target for target in found if isinstance(target, str)])
        done = {place: known for place, target in enumerate(found) if (known := self._known(target)) is not None}
        left = {place: target for place, target in enumerate(found) if place not in done and isinstance(target, str)}
        self._check_overrides([target for place, target in enumerate(found) if place in done])
        self._progress(len(done), len(found))
        pythons = [place for place, target in left.items() if self._plans.runs_python(target)]
        models = [place for place in left if place not in pythons]
        for places, lint in ((models, self._linter.models), (pythons, self._linter.pythons)):
            for index, result in lint([left[place] for place in places]):
                done[places[index]] = result
                self._progress(len(done), len(found))
        if self._cache is not None and left:
            self._cache.prune()
        return settled(self._result(target, done[place]) for place, target in enumerate(found))

    def _left_out(self, target: str | tuple[str, TargetError], named: Sequence[str]) -> bool:
        if not isinstance(target, str) or (target in named and not self._force_exclude):
            return False
        return self._plans.settings(target).excludes(target)

    def _read_settings(self, targets: Sequence[str]) -> None:
        """What is wrong with them, or with the baselines that they name, is told before anything is linted."""
        settings = [self._plans.settings(target) for target in targets] or [self._plans.settings()]
        self.fail_on = min(one.fail_on for one in settings)
        for one in settings:
            self._baseline_of(one)

    def _check_overrides(self, known: Sequence[str | tuple[str, TargetError]]) -> None:
        """What is wrong with the overrides for targets that need no linting; `Plans.plan` tells of the others."""
        named = {self._plans.settings(target).file: target for target in known if isinstance(target, str)}
        for target in named.values():
            if self._plans.settings(target).overrides:
                self._plans.known_rules(target, self._cache).exceptions(target)

    def _known(self, found: str | tuple[str, TargetError]) -> Report | Failure | None:
        """What is to be said of a target without linting it: why it is none, or what was found in an earlier run."""
        return Failure(*found) if isinstance(found, tuple) else self._linter.known(found)

    def _result(self, target: str | tuple[str, TargetError], result: Report | Failure) -> Report | Failure:
        """A result as it is reported."""
        if isinstance(result, Failure) or not isinstance(target, str):
            return result
        return self._finished(result, target, ran_here=self._plans.runs_python(target))

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

        rules, stated, options = self._plans.plan("")
        found = check_graph(graph, rules, stated.otherwise(training or Training()), options, name, facts)
        return self._finished(found, "", ran_here=True)

    def _finished(self, report: R, target: str, ran_here: bool) -> R:
        """What becomes of a report: levels, suppressions, baseline. `ran_here`: the source is where it was recorded."""
        settings, read = self._plans.settings(target), reader(self._sources, ran_here)
        if silences(report, settings, read):
            from .suppress import judged

            known = self._plans.known_rules(target, self._cache)
            running = known.chosen(self._plans.select, self._plans.ignore)
            report = judged(report, known, running, read, self._told)
        if grades(report, settings):
            from .levels import levelled

            findings = levelled(report.findings, report.target, self._plans.known_rules(target, self._cache))
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
