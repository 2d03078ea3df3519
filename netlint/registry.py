"""Find the rules: packages named under the entry point group `netlint.rules`, ours among them, and local folders."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from .analysis import Analysis
from .errors import RegistryError, UnknownRule, get_close_matches
from .plugins import plugins
from .rule import LOCAL, Level, Rule, RuleInfo
from .training import did_you_mean

R = TypeVar("R", bound=RuleInfo)

SECTIONS = ("What it does", "Why is this bad", "Example", "Use instead")
_CODE = re.compile(r"[A-Z]{2,}\d{3}")
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


class Registry(Mapping[str, R]):
    """The rules by code, in order of their codes."""

    def __init__(self, rules: Iterable[R]) -> None:
        self._rules = {rule.code: rule for rule in sorted(rules, key=lambda rule: rule.code)}
        self._by_name = {rule.name: rule for rule in self._rules.values()}

    def __getitem__(self, code: str) -> R:
        return self._rules[code]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rules)

    def __len__(self) -> int:
        return len(self._rules)

    def find(self, text: str) -> R:
        """The rule of that code or name, case forgiven. Raises `UnknownRule`."""
        found = self._rules.get(text.upper()) or self._by_name.get(text.lower().replace("_", "-"))
        if found is None:
            names = [*self._by_name, *self._rules]
            near = get_close_matches(text.lower(), names, n=3, cutoff=0.5)
            near += get_close_matches(text.upper(), names, n=1, cutoff=0.8)
            hint = did_you_mean(near, ()) if near else "; `netlint rules` lists them"
            raise UnknownRule(f"unknown rule '{text}'{hint}")
        return found

    def select(self, text: str) -> list[R]:
        """The rules a selector means: a code, a name, a code's prefix (`ACT`) or `all`, case forgiven.

        Raises `UnknownRule`.
        """
        if text.lower() == "all":
            return list(self._rules.values())
        try:
            return [self.find(text)]
        except UnknownRule:
            matched = [rule for code, rule in self._rules.items() if text and code.startswith(text.upper())]
            if not matched:
                raise
            return matched


def load_rules(folders: Iterable[Path] = ()) -> Registry[Rule]:
    """All installed rules and those in the folders, checked. Raises `RegistryError`."""
    problems: list[str] = []
    modules: list[ModuleType] = []
    for plugin in plugins():
        try:
            modules += _package_modules(import_module(plugin.package))
        except (Exception, SystemExit) as error:
            problems.append(f"the rules of '{plugin.name}' cannot be loaded: {error!r}")
    for folder in folders:
        modules += _folder_modules(folder, problems)
    rules = [rule for module in modules for rule in _rules_in(module)]
    problems += [problem for rule in rules for problem in check(rule)] + list(_clashes(rules))
    if problems:
        raise RegistryError("\n".join(problems))
    return Registry(rules)


def imported(rule: RuleInfo) -> Rule:
    """A rule that is known by its place alone, itself."""
    if isinstance(rule, Rule):
        return rule
    found = _rules_in(import_module(rule.module))
    return next(one for one in found if one.code == rule.code)


def _package_modules(package: ModuleType) -> list[ModuleType]:
    from pkgutil import walk_packages

    names = [info.name for info in walk_packages(getattr(package, "__path__", []), package.__name__ + ".")]
    return [package, *map(import_module, names)]


def _folder_modules(folder: Path, problems: list[str]) -> list[ModuleType]:
    if not folder.is_dir():
        problems.append(f"the rule folder '{folder}' does not exist: correct rule-folders in the settings")
        return []
    from importlib.util import module_from_spec, spec_from_file_location

    found = []
    for path in sorted(folder.rglob("*.py")):
        name = LOCAL + ".".join(path.relative_to(folder).with_suffix("").parts)
        spec = spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None  # a .py file always has both
        module = sys.modules[name] = module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except (Exception, SystemExit) as error:
            problems.append(f"the rule file '{path}' cannot be loaded: {error!r}")
            continue
        found.append(module)
    return found


def _rules_in(module: ModuleType) -> list[Rule]:
    """The rules a module defines itself, not those it imports."""
    return [item for item in vars(module).values() if isinstance(item, Rule) and item.module == module.__name__]


def check(rule: Rule) -> list[str]:
    """What a rule breaks of the conventions, one sentence each."""
    problems = []
    file = rule.module.rpartition(".")[2]
    if not _CODE.fullmatch(rule.code):
        problems.append("its code is not two or more capitals and three digits")
    if not _NAME.fullmatch(rule.name):
        problems.append("its name is not lower-case words joined by hyphens")
    if file != rule.name.replace("-", "_"):
        problems.append(f"its file is named {file}.py, not {rule.name.replace('-', '_')}.py")
    if rule.status not in ("stable", "preview", "opt-in"):
        problems.append(f"its status '{rule.status}' is none of stable, preview, opt-in")
    if not all(isinstance(level, Level) for level in rule.levels):
        problems.append("its levels are not all of ERROR, WARNING, NOTE")
    if not all(isinstance(need, Analysis) for need in rule.requires):
        problems.append("it requires something that is not an analysis")
    if len(set(rule.levels)) != len(rule.levels):
        problems.append("it declares a level twice")
    if any(option.name == "level" for option in rule.options):
        problems.append("it has an option called 'level', which in the settings sets the level of its findings")
    problems += [f"its page lacks '## {name}'" for name in SECTIONS if f"## {name}" not in rule.page]
    return [f"rule {rule.code} ({rule.module}): {problem}" for problem in problems]


def _clashes(rules: list[Rule]) -> Iterator[str]:
    for what in ("code", "name"):
        seen: dict[str, Rule] = {}
        for rule in rules:
            key = getattr(rule, what)
            if key in seen:
                yield f"the {what} {key} belongs to both {seen[key].module} and {rule.module}"
            seen[key] = rule
