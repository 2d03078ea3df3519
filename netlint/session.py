"""What one call of netlint does: for each target its settings, its rules, its report."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from . import collector
from .capture import Capture, python_target
from .checked import CheckReport, check_graph
from .config import Settings, find_settings, read_settings
from .errors import ConfigError
from .frontends import TargetError
from .graph import Graph
from .registry import Registry, load_rules
from .report import Failure
from .reported import Report
from .rule import Level, Rule
from .settings.rules import RuleSettings
from .targets import CHECKPOINTS, STDIN, expand, is_python, load
from .times import Clock
from .training import Known, Training


class Session:
    """The rules and settings of one call; settings files are found and read once each."""

    def __init__(
        self,
        config: Path | None,
        select: Sequence[str] = (),
        ignore: Sequence[str] = (),
        stated: Training | None = None,
        capture: Capture | None = None,
    ) -> None:
        self._config = config
        self._select = select
        self._ignore = ignore
        self._stated = stated or Training()
        self._capture = capture or Capture()
        self._settings: dict[Path, Settings] = {}
        self._registries: dict[tuple[Path, ...], Registry] = {}
        self.fail_on = Level.ERROR
        """The strictest level that the settings of any target ask for."""
        self.printed = ""
        """What the code of Python targets printed."""

    def results(self, texts: Sequence[str]) -> Iterator[Report | Failure]:
        """The report of each target, or why there is none. Raises `ConfigError`."""
        for place, found in enumerate(expand(texts)):
            if place:
                collector.collect()  # the graph of the target before
            yield Failure(*found) if isinstance(found, tuple) else self._result(found)
        if not self._settings:
            self.fail_on = self._settings_for(Path.cwd()).fail_on

    def _result(self, target: str) -> Report | Failure:
        settings = self._settings_for(_folder(target))
        self.fail_on = min(self.fail_on, settings.fail_on)
        rules, training, options = self.plan(settings, target)
        try:
            capture = self._capture.otherwise(settings.capture(target))
            if runs_python(target, capture):
                from .worker import Job, run

                _need_torch()
                codes = tuple(rule.code for rule in rules)
                job = Job("lint", target, capture, training, settings.rule_folders, codes, options)
                result = run(job, self._note)
                assert isinstance(result, Report)
                return result
            clock = Clock()
            with clock.running("load", "model file"):
                graph = load(target)
            return check_graph(graph, rules, training, options, target, loading=clock.spent())
        except TargetError as error:
            return Failure(target, error)
        except (MemoryError, RecursionError) as error:
            why = TargetError(f"is too large or too deeply nested to analyse ({type(error).__name__})", "")
            return Failure(target, why)

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
        rules, stated, options = self.plan(self._settings_for(Path.cwd()), name)
        return check_graph(graph, rules, stated.otherwise(training or Training()), options, name, facts)

    def show(self, target: str, value: str | None) -> str:
        """What the analyses know of a target, or of one value in it. Raises `TargetError` or `UnknownValue`."""
        from . import show as pages

        settings = self._settings_for(_folder(target))
        training = self._stated.otherwise(settings.contract(target))
        capture = self._capture.otherwise(settings.capture(target))
        if runs_python(target, capture):
            from .worker import Job, run

            _need_torch()
            page = run(Job("show", target, capture, training, value=value), self._note)
            if isinstance(page, Exception):
                raise page
            return str(page)
        graph = load(target)
        return pages.model(graph, training) if value is None else pages.one(graph, training, value)

    def plan(self, settings: Settings, target: str) -> tuple[list[Rule], Training, dict[str, dict[str, Any]]]:
        """The rules for a target, its training contract, and the options of rules. Raises `ConfigError`."""
        about_rules = RuleSettings(settings, self._registry(settings.rule_folders))
        rules = about_rules.chosen(self._select, self._ignore)
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

    def _registry(self, folders: tuple[Path, ...]) -> Registry:
        if folders not in self._registries:
            self._registries[folders] = load_rules(folders)
        return self._registries[folders]


def runs_python(target: str, capture: Capture) -> bool:
    """Whether a target is code of the user's, or weights for a model that such code makes."""
    return is_python(target) or (bool(capture.factory) and target.endswith(CHECKPOINTS))


def _need_torch() -> None:
    """Raises `TargetError` where torch is missing, before a worker is started for nothing."""
    if find_spec("torch") is None:
        raise TargetError(
            f"is Python, and torch is not installed for {sys.executable}",
            "install netlint where the model's packages are, or export the model with torch.onnx.export",
        )


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
