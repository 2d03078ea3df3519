"""Run the examples in a rule's page: each says, line by line, what the rule must report, and nothing else.

An example is an ```onnx or a ```torch fence. `# want "text"` at the end of a line expects a finding there, in whose
message that text stands; `# want note "text"` also expects the level; `# todo want "text"` marks a known gap and fails
once the gap is closed. A first line `# given loss=mse_loss targets=-1..1` sets the training contract.

A torch fence is Python in which `torch`, `nn`, `F` and `math` are known. Its model is what a function `make()` gives,
else an instance of the last `nn.Module` class in it. A function `step(model, ...)`, if there is one, is recorded in
place of the forward pass. The first line may state the inputs, `inputs=2,3` or `inputs=ids:int64:1,8;mask:bool:1,8`,
which are inferred otherwise, and the mode, `mode=eval`; with `loss=mse_loss targets=2,1`, a shape, that loss is
recorded, too. With `probe=cpu` the model is executed as well, on made-up data, and compared with the ONNX export of
what a function `exported(model)` gives, if there is one. Where torch is missing, such examples cannot run: see
`runnable`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from importlib.util import find_spec
from linecache import getlines
from pathlib import Path
from tempfile import TemporaryDirectory

from .analyses.suppressions import suppressions
from .config import Settings
from .engine import lint
from .frontends import TargetError
from .graph import Graph
from .registry import load_rules
from .reported import Report, Reported
from .rule import Rule
from .settings.rules import RuleSettings
from .suppress import at_once, judged
from .training import Training, parse_training

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
_WANT = re.compile(r'#\s*(todo )?want (?:(error|warning|note) )?"([^"]*)"')
_SECONDS = 120.0
"""The time that an example's model may be run beyond one forward and one backward pass."""
_OUTPUTS = re.compile(r"^\s*([\w./:-]+(?:\s*,\s*[\w./:-]+)*)\s*=")


@dataclass(frozen=True, slots=True)
class Want:
    """An expected finding: at the node that writes one of `outputs` (none: at the model itself), or at a line."""

    outputs: frozenset[str] | None
    """None: the line tells."""
    level: str
    text: str
    todo: bool
    line: int


@dataclass(frozen=True, slots=True)
class Example:
    """One fence of a page."""

    language: str
    section: str
    text: str
    given: dict[str, str]
    wants: tuple[Want, ...]


def examples(rule: Rule) -> list[Example]:
    """The examples of a rule's page, in order."""
    headings = [(match.start(), match[1]) for match in _HEADING.finditer(rule.page)]
    found = []
    for fence in _FENCE.finditer(rule.page):
        section = next((name for start, name in reversed(headings) if start < fence.start()), "")
        if fence[1] in ("onnx", "torch"):
            wants = tuple(_wants(fence[2], fence[1] == "onnx"))
            found.append(Example(fence[1], section, fence[2], _given(fence[2]), wants))
    return found


@cache
def _has_torch() -> bool:
    return find_spec("torch") is not None


def runnable(example: Example) -> bool:
    """Whether an example can run here: those in torch want torch."""
    return example.language == "onnx" or _has_torch()


def _given(text: str) -> dict[str, str]:
    first = text.lstrip().split("\n", 1)[0]
    if not first.startswith("# given "):
        return {}
    return dict(part.split("=", 1) for part in first.removeprefix("# given ").split())


def _wants(text: str, outputs_tell: bool) -> Iterator[Want]:
    for number, line in enumerate(text.splitlines(), 1):
        for match in _WANT.finditer(line):
            outputs = _OUTPUTS.match(line)
            names = frozenset(re.split(r"\s*,\s*", outputs[1])) if outputs else frozenset[str]()
            yield Want(names if outputs_tell else None, match[2] or "", match[3], bool(match[1]), number)


def run(rule: Rule, example: Example) -> list[str]:
    """What differs from the example's expectations; empty if all is as expected."""
    given = dict(example.given)
    try:
        with TemporaryDirectory() as folder:
            is_torch = example.language == "torch"
            graph = _torch_graph(example, given, Path(folder)) if is_torch else _onnx_graph(example)
            training = parse_training(given, lambda name: f"given {name}")
            if suppressions in rule.requires:
                return list(_compare(_about_suppressions(rule, graph, training), example))
            return list(_compare(lint(graph, [rule], training), example))
    except TargetError as error:
        return [f"{error} ({error.help})"]


def _about_suppressions(rule: Rule, graph: Graph, training: Training) -> Report:
    """What a rule that judges suppressions says of an example, after all the others have judged it."""
    registry = load_rules()
    rules = [*at_once(list(registry.values())), rule]
    report = judged(lint(graph, at_once(rules), training), RuleSettings(Settings(), registry), rules, _fence, set())
    return replace(report, findings=tuple(found for found in report.findings if found.rule.code == rule.code))


def _fence(place: str) -> tuple[str, str] | None:
    return place, "".join(getlines(place))  # the torch front end leaves the source of a fence there


def _onnx_graph(example: Example) -> Graph:
    from .frontends.onnx import load_text

    return load_text(example.text)


def _torch_graph(example: Example, given: dict[str, str], folder: Path) -> Graph:
    """The graph of a torch fence. Takes out of `given` what is not of the training contract. Raises `TargetError`."""
    from .frontends.torch.fence import fence

    inputs = [text for text in given.pop("inputs", "").split(";") if text]
    target = loss = ""
    if "loss" in given and ".." not in given.get("targets", ".."):
        target, loss = given.pop("targets"), given.pop("loss")
    place = f"/netlint-example/{sha256(example.text.encode()).hexdigest()[:8]}.py"
    device = given.pop("probe", "")
    export = folder / "model.onnx"
    captured = fence(example.text, place, inputs, given.pop("mode", ""), loss, target, str(export) if device else "")
    if device:
        from .probe.request import Request
        from .probe.torch.runner import probed

        request = Request(device, budget=_SECONDS, against=str(export) if export.exists() else "")
        captured = probed(captured, request)
    return captured.graph


def _compare(report: Report, example: Example) -> Iterator[str]:
    for crash in report.crashed:
        yield f"the rule crashed: {crash.error!r}"
    left = list(report.findings)
    for want in example.wants:
        hit = next((found for found in left if _matches(found, want)), None)
        if hit is not None:
            left.remove(hit)
        if hit is None and not want.todo:
            skipped = "".join(f" (skipped: {skip.why})" for skip in report.skipped)
            yield f'line {want.line}: expected "{want.text}"{skipped}'
        if hit is not None and want.todo:
            yield f'line {want.line}: "{want.text}" is reported now: turn the todo into a want'
    for found in left:
        line = f" (line {found.loc.source[1]})" if found.loc.source and example.language == "torch" else ""
        yield f"unexpected: {found.level} at {found.loc.path}{line}: {found.finding.message}"


def _matches(found: Reported, want: Want) -> bool:
    if want.text not in found.finding.message or want.level not in ("", str(found.level)):
        return False
    if want.outputs is None:
        return found.loc.source is not None and found.loc.source[1] == want.line
    if found.op:
        return not want.outputs.isdisjoint(found.writes)
    # Without a node the path names what the line writes; the line of a signature writes nothing.
    return not want.outputs or bool(want.outputs & set(found.loc.path.split(" ▸ ")))
