"""What one call of netlint does: for each target its settings, its rules, its report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from . import collector
from .config import ConfigError, Settings, find_settings, read_settings
from .engine import Report
from .engine import lint as lint_graph
from .frontends import TargetError
from .registry import Registry, load_rules
from .report import Failure
from .rule import Level
from .targets import STDIN, expand, load
from .training import Training


class Session:
    """The rules and settings of one call; settings files are found and read once each."""

    def __init__(self, config: Path | None, select: Sequence[str], ignore: Sequence[str], stated: Training) -> None:
        self._config = config
        self._select = select
        self._ignore = ignore
        self._stated = stated
        self._settings: dict[Path, Settings] = {}
        self._registries: dict[tuple[Path, ...], Registry] = {}
        self.fail_on = Level.ERROR
        """The strictest level that the settings of any target ask for."""

    def results(self, texts: Sequence[str]) -> Iterator[Report | Failure]:
        """The report of each target, or why there is none. Raises `ConfigError`."""
        collector.by_hand()
        for place, found in enumerate(expand(texts)):
            if place:
                collector.collect()  # the graph of the target before
            yield Failure(*found) if isinstance(found, tuple) else self._result(found)
        if not self._settings:
            self.fail_on = self._settings_for(Path.cwd()).fail_on

    def _result(self, target: str) -> Report | Failure:
        settings = self._settings_for(Path.cwd() if target == STDIN else Path(target).absolute().parent)
        self.fail_on = min(self.fail_on, settings.fail_on)
        registry = self._registry(settings.rule_folders)
        rules = settings.chosen(registry, self._select, self._ignore)
        training = self._stated.otherwise(settings.contract(target))
        options = settings.options(registry)
        try:
            return lint_graph(load(target), rules, training, options, target)
        except TargetError as error:
            return Failure(target, error)
        except (MemoryError, RecursionError) as error:
            why = TargetError(f"is too large or too deeply nested to analyse ({type(error).__name__})", "")
            return Failure(target, why)

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


def _trusted(settings: Settings) -> Settings:
    """Settings found beside a target may have come with it: they may not have Python of theirs run."""
    if settings.rule_folders and settings.file is not None and not Path.cwd().is_relative_to(settings.file.parent):
        raise ConfigError(
            f"{settings.file} names rule-folders, whose Python would run, but does not lie above the current folder; "
            "if you trust it, name it with --config"
        )
    return settings
