"""What settings files and flags decide for each target: its rules and their options, its contract, its capture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .capture import Capture, python_target
from .config import Settings, find_settings, read_settings
from .errors import ConfigError
from .rule import Rule
from .targets import CHECKPOINTS, STDIN, is_python
from .training import Training

if TYPE_CHECKING:
    from .cache import Cache
    from .registry import Registry
    from .settings.explain import Explained
    from .settings.rules import RuleSettings

# What only linting needs is imported where it is needed: a run whose results are all known needs none of it.


class Plan(NamedTuple):
    """How a target is judged: the rules that run, its training contract, and the options of rules by their names."""

    rules: list[Rule]
    training: Training
    options: dict[str, dict[str, Any]]


class Plans:
    """Settings of one call; settings files and folders of rules are found and read once each.

    Every method raises `ConfigError` for mistakes in what it reads.
    """

    def __init__(
        self,
        config: Path | None = None,
        select: Sequence[str] = (),
        ignore: Sequence[str] = (),
        stated: Training | None = None,
        capture: Capture | None = None,
    ) -> None:
        """`config`: the one settings file; None: the closest above each target. The others are flags.

        A target "" stands for the current folder, or for a model at hand there.
        """
        self.select = select
        self.ignore = ignore
        self.stated = stated or Training()
        self._config = config
        self._capture = capture or Capture()
        self._settings: dict[Path, Settings] = {}
        self._registries: dict[tuple[Path, ...], Registry[Rule]] = {}
        self._listed: dict[tuple[Path, ...], Registry[Any]] = {}

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs; it loads the rules itself."""
        return {**self.__dict__, "_registries": {}, "_listed": {}}

    def settings(self, target: str = "") -> Settings:
        """The settings for a target."""
        folder = self._config or (_folder(target) if target else Path.cwd())
        if folder not in self._settings:
            self._settings[folder] = self._read(folder)
        return self._settings[folder]

    def plan(self, target: str) -> Plan:
        from .suppress import at_once

        settings, about_rules = self.settings(target), self.about_rules(target)
        rules = at_once(about_rules.chosen(self.select, self.ignore))
        about_rules.exceptions(target)  # what is wrong with them is told before anything is linted
        return Plan(rules, self.stated.otherwise(settings.contract(target)), about_rules.options())

    def plan_each(self, targets: Sequence[str]) -> None:
        """Plan one target of each folder, so that mistakes are told at once."""
        for target in {_folder(target): target for target in targets}.values():
            self.plan(target)

    def about_rules(self, target: str = "") -> RuleSettings[Rule]:
        from .settings.rules import RuleSettings

        settings = self.settings(target)
        return RuleSettings(settings, self._registry(settings.rule_folders))

    def known_rules(self, target: str, cache: Cache | None) -> RuleSettings[Any]:
        """The same over the rules as they are listed where results of earlier runs are, or else imported."""
        from .settings.rules import RuleSettings

        settings = self.settings(target)
        folders = settings.rule_folders
        if folders not in self._listed:
            self._listed[folders] = self._list(beside(settings), folders, cache)
        return RuleSettings(settings, self._listed[folders])

    def capture(self, target: str) -> Capture:
        return self._capture.otherwise(self.settings(target).capture(target))

    def runs_python(self, target: str) -> bool:
        """Whether a target is code of the user's, or weights for a model that such code makes."""
        return is_python(target) or (bool(self.capture(target).factory) and target.endswith(CHECKPOINTS))

    def explained(self, target: str) -> Explained:
        """What decides for a target, and where it says so."""
        from .settings.explain import Explainer

        about_rules = self.about_rules(target)
        return Explainer(about_rules, target, self.select, self.ignore, self.stated, self._capture).explained()

    def _read(self, folder: Path) -> Settings:
        if self._config is None:
            return _trusted(find_settings(folder))
        settings = read_settings(self._config)
        if settings is None:
            raise ConfigError(f"{self._config} has no [tool.netlint]")
        return settings

    def _list(self, place: Path, folders: tuple[Path, ...], cache: Cache | None) -> Registry[Any]:
        from .registry import Registry
        from .suppress import comes_after

        if cache and folders not in self._registries and (listed := cache.rules(place, folders)):
            return Registry(listed)
        rules = self._registry(folders)
        if cache:
            cache.list_rules(place, folders, ((rule, comes_after(rule)) for rule in rules.values()))
        return rules

    def _registry(self, folders: tuple[Path, ...]) -> Registry[Rule]:
        if folders not in self._registries:
            from .registry import load_rules

            self._registries[folders] = load_rules(folders)
        return self._registries[folders]


def beside(settings: Settings) -> Path:
    """Where results for targets under these settings are kept."""
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
