"""How two rules tell that a head under a distance classifies."""

from __future__ import annotations

from dataclasses import dataclass

from netlint.analyses.contract import losses
from netlint.analyses.roles import Head, Roles, roles
from netlint.analyses.shapes import shapes
from netlint.graph import Node
from netlint.rule import Evidence, Scope
from netlint.training import Known, Training

from ._heads import CLASSIFY, classes_of, probabilities_declared, regression_declared


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a head classifies: the end of a sentence, and the fact behind it."""

    text: str
    fact: Evidence
    classes: int | None = None
    """The number of classes, where a softmax over them is the reason."""


def classifies(scope: Scope, head: Head, training: Training) -> Reason | None:
    """Why a head that a distance reads classifies; None where it may be a regression."""
    task, classes = training.task, training.classes
    if isinstance(task, Known) and task.value not in CLASSIFY:
        return None
    if _one_hot(scope[roles], head):
        return Reason("against one-hot targets", Evidence("targets", "one-hot"))
    # Beside a cross-entropy, a distance may belong to another part of the task.
    alone = all(site.loss.kind in ("squared", "absolute") for site in scope[losses])
    if isinstance(task, Known) and alone:
        return Reason(f"where the task is {task.value}", Evidence("task", task.value, task.origin))
    if isinstance(classes, Known) and alone:
        fact = Evidence("classes", classes.value, classes.origin)
        return Reason(f"where there are {classes.value} classes", fact)
    if regression_declared(training) and not probabilities_declared(training):
        return None
    return None if _soft_targets(scope[roles], head) else _softmax_head(scope, head)


def _softmax_head(scope: Scope, head: Head) -> Reason | None:
    count = classes_of(head, scope[shapes], scope.graph) if head.softmax is not None else 0
    if head.softmax is None or head.log or count == 1:
        return None
    over = f"{count} classes" if count else "classes"
    return Reason(
        f"on a softmax head over {over}",
        Evidence("assumption", "the head is a distribution over classes"),
        count,
    )


def _one_hot(known: Roles, head: Head) -> bool:
    targets = head.site.targets if head.site is not None else None
    made = known.maker(targets) if targets is not None else None
    return made is not None and (made.op == "OneHot" or (made.op == "Equal" and _with_class_ids(known, made)))


def _with_class_ids(known: Roles, equal: Node) -> bool:
    """Whether a comparison is with a list of several integers, as exporters write one-hot encoding."""
    listed = [value for value in equal.inputs if value is not None and value.constant is not None]
    ids = listed[0].constant if len(listed) == 1 else None
    return ids is not None and ids.dtype.startswith("int") and known.number(listed[0]) is None


def _soft_targets(known: Roles, head: Head) -> bool:
    targets = head.site.targets if head.site is not None else None
    made = known.maker(targets) if targets is not None else None
    return made is not None and known.softmax(made) is not None
