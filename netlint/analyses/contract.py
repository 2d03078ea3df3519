"""The training contract completed by what the graph says, and the losses in the graph."""

from __future__ import annotations

from typing import TypeVar

from netlint.analysis import Scope, Unavailable, analysis
from netlint.errors import ContractError
from netlint.graph import Graph
from netlint.training import Interval, Known, Loss, Training, Unknown, parse_training

from ._losses import Finder, LossSite
from .layers import layers
from .parameters import parameters
from .suppressions import IGNORE

__all__ = ["LossSite", "contract", "known_loss", "known_targets", "known_task", "losses", "misstated"]

T = TypeVar("T")

_PREFIX = "netlint."


@analysis(parameters, layers)
def losses(scope: Scope) -> tuple[LossSite, ...]:
    """The losses in the graph, in graph order; empty in an inference graph or where the loss is not understood."""
    return Finder(scope.graph, scope[parameters], scope[layers]).all()


@analysis(losses)
def contract(scope: Scope) -> Training:
    """The declared contract, then what the graph's loss says, then the model file's metadata (`netlint.loss` …).

    A field of the metadata that cannot be understood counts as not stated; `misstated` has the reason.
    """
    found = scope[losses]
    sites = {site.loss.name: site for site in reversed(found)}
    # Several different losses: which of them a rule should hold a head to is in `losses`, not here.
    from_graph = Training(loss=_loss_of(next(iter(sites.values())))) if len(sites) == 1 else Training()
    from_metadata, _ = _metadata(scope.graph)
    return scope.training.otherwise(from_graph).otherwise(from_metadata)


@analysis()
def misstated(scope: Scope) -> tuple[str, ...]:
    """Why fields of the contract in the model file's metadata are not understood."""
    return tuple(_metadata(scope.graph)[1])


def known_loss(training: Training) -> Known[Loss]:
    """The loss. Raises `Unavailable` where nobody has said."""
    return _known(training.loss, "needs a loss: --loss")


def known_targets(training: Training) -> Known[Interval]:
    """The targets' range. Raises `Unavailable` where nobody has said."""
    return _known(training.targets, "needs the targets' range: --targets=LOW..HIGH")


def known_task(training: Training) -> Known[str]:
    """The task. Raises `Unavailable` where nobody has said."""
    return _known(training.task, "needs a task: --task")


def _known(field: Known[T] | Unknown, why: str) -> Known[T]:
    if isinstance(field, Unknown):
        raise Unavailable(why)
    return field


def _loss_of(site: LossSite) -> Known[Loss]:
    return Known(site.loss, site.origin)


def _metadata(graph: Graph) -> tuple[Training, list[str]]:
    """The contract that the file's metadata states, and what is wrong with it."""
    training, wrong = Training(), []
    for key, text in graph.metadata.items():
        name = key.removeprefix(_PREFIX)
        if name == key or key == IGNORE:
            continue
        try:
            training = training.otherwise(parse_training({name: text}, _origin))
        except ContractError as error:
            wrong.append(str(error))
    return training, wrong


def _origin(field: str) -> str:
    return f"metadata {_PREFIX}{field} of the model file"
