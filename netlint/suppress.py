"""Who silences which findings: comments in the source, the model's own metadata, overrides in the settings.

Requests are collected, held against the findings, and what came of each is handed to the rules that judge
suppressions (`netlint.analyses.suppressions`). Results may be known from an earlier run: the engine, and the rules that
do not judge suppressions, are imported only where one of those that do has something to say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import field, replace
from functools import partial
from pathlib import PureWindowsPath
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from .analyses.suppressions import IGNORE, Suppression, suppressions
from .analysis import Results, Scope
from .errors import UnknownRule
from .finish import MARK, Read, files_of
from .graph import Graph
from .levels import lies_in
from .location import Location
from .records import record
from .registry import Registry, imported
from .reported import Crashed, Report, Reported, Suppressed
from .rule import Listed, Rule, RuleInfo
from .settings.rules import RuleSettings
from .training import Training

if TYPE_CHECKING:
    from .comments import Comment

R = TypeVar("R", bound=Report)
T = TypeVar("T", bound=RuleInfo)

Told: TypeAlias = tuple[str, tuple[str, int] | None, str]
"""What was said of a line: the rule, the line, the message."""

SECURITY = "SEC"
"""The rules of these codes judge the model file itself: its metadata cannot silence them."""


@record
class Request:
    """A wish to silence findings: which it covers, and of which rules it has silenced some."""

    what: Suppression
    names: dict[str, frozenset[str]]
    """The codes that each selector means."""
    covers: Callable[[Reported], bool]
    answers: bool = True
    """Whether it can be said that it silences nothing: not of an override that may be meant for other targets."""
    used: set[str] = field(default_factory=set)

    def takes(self, found: Reported) -> bool:
        if not any(found.rule.code in codes for codes in self.names.values()) or not self.covers(found):
            return False
        self.used.add(found.rule.code)
        return True

    def outcome(self, running: Set[str], judged: Set[str]) -> Suppression:
        """The request with the names that did nothing although their rules, as far as they run, judged all."""
        if not self.answers:
            return self.what
        ran = {name: codes & running for name, codes in self.names.items()}
        idle = (name for name, codes in ran.items() if codes and codes <= judged and not codes & self.used)
        return replace(self.what, idle=tuple(idle))


def at_once(rules: Sequence[T]) -> list[T]:
    """The rules that judge the model; the others judge suppressions, when those have run."""
    return [rule for rule in rules if not comes_after(rule)]


def comes_after(rule: RuleInfo) -> bool:
    """Whether a rule judges suppressions."""
    return rule.after if isinstance(rule, Listed) else isinstance(rule, Rule) and suppressions in rule.requires


def judged(report: R, settings: RuleSettings[Any], rules: Sequence[RuleInfo], read: Read, told: set[Told]) -> R:
    """The report without what is silenced, and with what is wrong with the requests.

    `rules` are all those chosen; `told` is what was said of lines that several targets of one run share, and is added
    to. Raises `ConfigError`.
    """
    wishes = requests(report, settings, read)
    if not wishes:
        return report
    kept, silenced = divided(report.findings, wishes)
    findings, crashed = _about(report, wishes, rules, settings)
    more, also = divided(_once(findings, told), [wish for wish in wishes if wish.what.form == "override"])
    return replace(report, findings=(*kept, *more), suppressed=(*silenced, *also), crashed=(*report.crashed, *crashed))


def _once(findings: Iterable[Reported], told: set[Told]) -> Iterator[Reported]:
    """Findings about lines of source or settings, which other targets may share, are reported with the first one."""
    for found in findings:
        what = (found.rule.code, found.loc.source, found.finding.message)
        if found.loc.source is None or what not in told:
            told.add(what)
            yield found


def _about(
    report: Report, wishes: Sequence[Request], rules: Sequence[RuleInfo], settings: RuleSettings[Any]
) -> tuple[tuple[Reported, ...], tuple[Crashed, ...]]:
    """What the rules about suppressions say of these; and those of them that failed."""
    running = {rule.code for rule in at_once(rules)}
    unsure = {skip.rule.code for skip in report.skipped} | {crash.rule.code for crash in report.crashed}
    outcome = tuple(wish.outcome(running, running - unsure) for wish in wishes)
    judges = [imported(rule) for rule in rules if comes_after(rule)]
    options = {rule.name: settings.options_of(rule) for rule in judges}
    if all(_is_silent(rule, options[rule.name], outcome) for rule in judges):
        return (), ()
    from .engine import lint

    about = lint(_NO_MODEL, judges, Training(), options, given={suppressions: outcome})
    return about.findings, about.crashed


_NO_MODEL = Graph((), (), (), {})


def _is_silent(rule: Rule, options: Mapping[str, Any], outcome: tuple[Suppression, ...]) -> bool:
    """Whether a rule has nothing to say of these suppressions: then there is nothing to report, as is most usual."""
    results = Results(_NO_MODEL, Training(), {suppressions: outcome})
    try:
        return next(iter(rule.run(Scope(results, rule.name, rule.requires, rule.settings(options)))), None) is None
    except Exception:
        return False  # the engine says what became of it


def requests(report: Report, settings: RuleSettings[Any], read: Read) -> list[Request]:
    """Every request that concerns a report. Raises `ConfigError`."""
    found = [*_in_comments(report, settings.registry, read), *_in_metadata(report, settings.registry)]
    return [*found, *_in_settings(report.target, settings)]


def divided(
    findings: Iterable[Reported], wishes: Sequence[Request]
) -> tuple[tuple[Reported, ...], tuple[Suppressed, ...]]:
    """The findings that stay, and those that the first request that covers them silences."""
    kept, silenced = [], []
    for found in findings:
        wish = next((wish for wish in wishes if wish.takes(found)), None)
        if wish is None:
            kept.append(found)
        else:
            silenced.append(Suppressed(found, wish.what.reason, wish.what.origin))
    return tuple(kept), tuple(silenced)


def _in_comments(report: Report, registry: Registry[RuleInfo], read: Read) -> Iterator[Request]:
    lines = files_of(report)
    for recorded in sorted(lines):
        source = read(recorded)
        if source is not None and MARK in source[1]:
            from .comments import comments

            for comment in comments(source[1]):
                yield _commented(comment, recorded, source[0], lines[recorded], registry)


def _commented(comment: Comment, recorded: str, shown: str, lines: set[int], registry: Registry[RuleInfo]) -> Request:
    text = f"netlint: ignore[{', '.join(comment.names)}]"
    place = f"{PureWindowsPath(recorded).name} ▸ {text}"
    names, unknown = _rules(comment.names, registry)
    if not comment.names:
        unknown = ("names no rule: write ignore[rule], with the names of those to silence",)
    loc = Location(place, (recorded, comment.line))
    return Request(
        Suppression("comment", f"comment at {shown}:{comment.line}", loc, text, comment.reason, unknown),
        names,
        lambda found: (
            found.loc.source is not None and found.loc.source[0] == recorded and found.loc.source[1] in comment.covers
        ),
        answers=not lines.isdisjoint(comment.covers),
    )


def _in_metadata(report: Report, registry: Registry[RuleInfo]) -> Iterator[Request]:
    """`netlint.ignore = "name, name: reason; name: reason"`."""
    for part in filter(None, map(str.strip, re.split(r"[;\n]", report.ignore))):
        stated, _, reason = part.partition(":")
        names, unknown = _rules(tuple(filter(None, map(str.strip, stated.split(",")))), registry)
        if not names and not unknown:
            unknown = ("names no rule",)
        refused = tuple(name for name, codes in names.items() if any(code.startswith(SECURITY) for code in codes))
        text = f"{IGNORE} = {stated.strip()}"
        loc = Location(f"metadata ▸ {text}")
        yield Request(
            Suppression("metadata", f"{IGNORE} in the model's metadata", loc, text, reason.strip(), unknown, refused),
            {name: codes for name, codes in names.items() if name not in refused},
            lambda found: True,
        )


def _rules(names: Sequence[str], registry: Registry[RuleInfo]) -> tuple[dict[str, frozenset[str]], tuple[str, ...]]:
    """The code of each name, and what is wrong with those that name no rule."""
    known, unknown = {}, []
    for name in names:
        try:
            rule = registry.find(name)
            known[rule.name] = frozenset({rule.code})
        except UnknownRule as error:
            several = _several(name, registry)
            unknown.append(f"'{name}' means {several} rules: name those to silence" if several else str(error))
    return known, tuple(unknown)


def _several(name: str, registry: Registry[RuleInfo]) -> int:
    """How many rules a prefix means, which is enough to choose rules, and too little to silence them; 0: it is none."""
    try:
        return len(registry.select(name))
    except UnknownRule:
        return 0


def _in_settings(target: str, settings: RuleSettings[Any]) -> Iterator[Request]:
    file = settings.settings
    for index, override, meant in settings.exceptions(target):
        if override.level is not None:
            continue
        path = ("overrides", index)
        about = f"overrides for {', '.join((*override.targets, *override.modules))}"
        loc = Location(f"settings ▸ {about}", (str(file.file), file.line(path) or 1))
        yield Request(
            Suppression("override", f"overrides at {file.where(path)}", loc, about, override.reason),
            dict(meant),
            partial(lies_in, modules=override.modules),
            answers=bool(override.targets) and not any(re.search(r"[*?\[]", name) for name in override.targets),
        )
