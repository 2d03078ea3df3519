"""What is found of a target, as plain data: reporters, caches and other processes read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from .records import record

if TYPE_CHECKING:
    from .graph import Location
    from .probe.summary import Summary
    from .rule import Finding, Level, RuleInfo
    from .times import Spent
    from .training import Known

IDLE = "silences nothing of"
"""The label of the evidence that names a rule of which a suppression silences nothing."""

BoxKind: TypeAlias = Literal["flagged", "node", "input", "output", "more"]


@record
class Box:
    """One box of a picture: an operator, an end of the graph, or how many found no place."""

    kind: BoxKind
    title: str
    """The operator, or the name of the input or output."""
    type: str
    """Element type and shape of its first result; empty where there is none or nobody knows."""
    path: str
    step: int
    """The row: negative before the flagged node, 0 the node itself, positive behind it."""
    constants: tuple[str, ...] = ()
    """Element types and shapes of its constant inputs, the first few."""


@record
class Neighbourhood:
    """The surroundings of a node, to be drawn."""

    boxes: tuple[Box, ...]
    arrows: tuple[tuple[int, int], ...]
    """From box to box, by their places in `boxes`."""


@record
class Reported:
    """A finding as the report holds it: with its rule, level, place and fingerprint."""

    rule: RuleInfo
    level: Level
    finding: Finding
    loc: Location
    op: str
    writes: tuple[str, ...]
    """Names of the node's results; the node itself is not kept, it would keep the whole graph."""
    context: str
    """The operators around the node and the type of its result, e.g. `Gemm → Softmax → output float32[N, 10]`."""
    fingerprint: str
    """Tells the findings of a target apart, and stays the same when the model is renamed or exported again."""
    neighbourhood: Neighbourhood | None = None
    """The surroundings of the node; None for a finding about the model, and past the first thousand of a level."""


@record
class Skipped:
    """A rule that could not judge (some of) the graph, and why."""

    rule: RuleInfo
    why: str


@record
class Crashed:
    """A rule that failed: a bug of netlint's, or of the plugin the rule comes from. The error has lost its frames."""

    rule: RuleInfo
    error: Exception
    where: str
    """The place in the code, `module:line`; it may be in an analysis that the rule asked for."""


@record
class Suppressed:
    """A finding that the user has silenced."""

    found: Reported
    reason: str
    origin: str
    """Who silenced it: `comment at net.py:88`, `overrides in pyproject.toml:14`, `baseline netlint.baseline` …"""


@record
class Cut:
    """An operator that the analysis of ranges does not know: what its rules say ends there."""

    op: str
    at: Location
    """The first node of it behind which something is unknown."""
    others: int
    """How many further nodes of it cut the analysis."""
    nodes: int
    """Nodes behind all of them of whose results nothing is known for that reason."""


@record
class Report:
    """All there is to say about one target."""

    target: str
    findings: tuple[Reported, ...]
    skipped: tuple[Skipped, ...]
    crashed: tuple[Crashed, ...]
    assumptions: Mapping[str, Known[Any]]
    """The training contract as far as it is known, each field with its origin."""
    misstated: tuple[str, ...]
    """Fields of the contract in the model's metadata that were not understood, with the reason."""
    not_understood: Mapping[str, int]
    """Operators that no analysis knows, with the number of nodes."""
    nodes: int = 0
    """Number of nodes in the graph, those that no analysis knows included."""
    suppressed: tuple[Suppressed, ...] = ()
    """Findings that the user has silenced, in the order of `findings`; they count for nothing."""
    probe: Summary | None = None
    """What runs of the model showed; None: it was not run."""
    times: tuple[Spent, ...] = ()
    """How long the target took to load, and each analysis and rule, itself."""
    lines: frozenset[tuple[str, int]] = frozenset()
    """The lines of source code, file and number as recorded, that the nodes come from."""
    ignore: str = ""
    """Which findings the model's own metadata asks to silence, as it stands there (`netlint.ignore`)."""
    cuts: tuple[Cut, ...] = ()
    """Those operators at which the analysis of ranges ends, in graph order; empty where no rule asked for ranges."""
