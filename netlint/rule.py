"""Everything the author of a rule imports: `rule`, `Finding`, `Evidence`, `Claim`, the levels.

A rule is a function from a `Scope` to findings; its module's docstring is its page. See README, "Write a rule".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import IntEnum
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias

from .analysis import Analysis, Scope, Unavailable
from .records import record

if TYPE_CHECKING:
    from .graph import Location, Node, Value

__all__ = ["ERROR", "NOTE", "WARNING", "Claim", "Evidence", "Finding", "Level", "Option", "Rule", "Scope"]
__all__ += ["Unavailable", "rule"]


LOCAL = "netlint_local."
"""How the modules of rules in folders are called; they cannot be imported by these names."""


class Level(IntEnum):
    """A promise. ERROR: wrong on every input that meets the printed assumptions. WARNING: a harmful pattern, or
    proved under a printed assumption. NOTE: advice, never changes the exit status."""

    NOTE = 1
    WARNING = 2
    ERROR = 3

    def __str__(self) -> str:
        return self.name.lower()


NOTE, WARNING, ERROR = Level.NOTE, Level.WARNING, Level.ERROR


@record
class Evidence:
    """One fact behind a finding: a label, plain data (number, text, list, dict), and who said so, if anybody did."""

    label: str
    value: Any
    origin: str = ""


@record
class Claim:
    """What a finding says of a value, so that a run of the model can corroborate it: it lies in [lo, hi]."""

    value: Value
    lo: float
    hi: float


@record
class Finding:
    """One fault. `message`: a fact with numbers, lower case, no full stop; advice goes into `help`."""

    message: str
    at: Node | Location
    evidence: tuple[Evidence, ...] = ()
    help: str = ""
    why: str = ""
    level: Level | None = None
    """None: the rule's own level. Another level must be among those the rule declares."""
    related: tuple[tuple[str, Location], ...] = ()
    claim: Claim | None = None


@record
class Option:
    """A threshold the user may set. The type of `default` is the type of the option."""

    name: str
    default: int | float | bool | str
    help: str


Check: TypeAlias = Callable[[Scope], Iterable[Finding]]


@record
class RuleInfo:
    """What reports say of a rule. `levels[0]` is the usual level, the others are used where the page says so."""

    code: str
    name: str
    levels: tuple[Level, ...]
    since: str
    status: str
    module: str
    stored_page: str
    """The page, where the module cannot be imported by its name."""

    @property
    def level(self) -> Level:
        return self.levels[0]

    @property
    def page(self) -> str:
        """The page in Markdown: the docstring of the rule's module."""
        return self.stored_page or import_module(self.module).__doc__ or ""

    @property
    def summary(self) -> str:
        return self.page.strip().split("\n", 1)[0].rstrip(".")


@record
class Listed(RuleInfo):
    """A rule that is known without having been imported."""

    after: bool
    """Whether it judges suppressions, which it does after all the others."""


@record
class Rule(RuleInfo):
    """A check with a name."""

    requires: tuple[Analysis[Any], ...]
    options: tuple[Option, ...]
    run: Check

    def __reduce__(self) -> tuple[Callable[[str, str], Rule], tuple[str, str]]:
        """Reports travel between processes; a rule travels as the place where it stands."""
        return _rule_at, (self.module, self.run.__name__)

    def settings(self, chosen: Mapping[str, Any]) -> dict[str, Any]:
        """The value of every option: the chosen one, else the default."""
        return {option.name: chosen.get(option.name, option.default) for option in self.options}


@cache
def _rule_at(module: str, name: str) -> Rule:
    found = getattr(import_module(module), name)
    assert isinstance(found, Rule)
    return found


def rule(
    code: str,
    name: str,
    *,
    level: Level,
    also: tuple[Level, ...] = (),
    since: str,
    status: str = "stable",
    requires: tuple[Analysis[Any], ...] = (),
    options: tuple[Option, ...] = (),
) -> Callable[[Check], Rule]:
    """Turn a check into a `Rule`. `also` lists the other levels its findings may carry.

    `status` is `stable`, `preview` (not yet run over many healthy models) or `opt-in` (off unless selected).
    """

    def make(run: Check) -> Rule:
        levels = (level, *also)
        return Rule(code, name, levels, since, status, run.__module__, "", requires, options, run)

    return make
