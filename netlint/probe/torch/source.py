"""What a runner runs: a live model that was recorded, or the graph of a file."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import nn
from torch.nn.parameter import UninitializedBuffer, is_lazy

from netlint.frontends.torch import guard
from netlint.frontends.torch.recipe import Step
from netlint.frontends.torch.symbolic import BATCH
from netlint.frontends.torch.target import Subject, in_mode
from netlint.graph import Graph
from netlint.probe.files import Data
from netlint.probe.request import Request
from netlint.training import Training

from . import data as live
from . import size
from .data import Batch, recorded_samples
from .follow import Follower, following
from .plan import See, plan


def with_weights(subject: Subject, seed: int) -> Subject:
    """The subject, or where it holds lazy modules, a copy of it that was called once and has all weights.

    What a training step calls is the model itself, and no copy.
    """
    if subject.step is not None or not any(map(is_lazy, (*subject.model.parameters(), *subject.model.buffers()))):
        return subject
    copied: dict[int, Any] = {}
    empty = [buffer for buffer in subject.model.buffers() if is_lazy(buffer)]
    for each in empty:  # torch knows how to copy an empty parameter, and not an empty buffer
        copied[id(each)] = UninitializedBuffer(requires_grad=False, device=each.device, dtype=each.dtype)  # type: ignore[call-arg]
    try:
        model = copy.deepcopy(subject.model, copied)
        with guard.random_restored(), in_mode(model, "eval"), torch.no_grad():
            guard.seed(seed)
            model(*subject.example.args, **subject.example.kwargs)
    except Exception:  # code of the user's; that the weights are missing is told when the model is to be run
        return subject
    return replace(subject, model=model)


class Followed(Protocol):
    """A run that is being followed."""

    lost: str
    """Why not all of it could be; empty: it could."""


class Source(Protocol):
    """A model, and how to run it."""

    @property
    def model(self) -> nn.Module: ...
    @property
    def step(self) -> Step | None:
        """The training step; None: the forward pass."""

    @property
    def mode(self) -> str:
        """`train`, `eval`, or empty: as the model is."""

    @property
    def samples_axis(self) -> str | None:
        """What the graph calls the number of samples; None where that is fixed, or not known."""

    @property
    def refused(self) -> Mapping[str, str]:
        """The stages that make no sense of it, and why."""

    @property
    def products(self) -> float:
        """Multiplications of weights in a forward pass, for each sample; known once there is a batch."""

    def batch(
        self, graph: Graph, training: Training, request: Request, samples: int, kind: str, data: Data | None
    ) -> Batch:
        """The user's data, or at most so many samples. Raises `Unavailable`, and `TargetError` for data."""

    def followed(self, graph: Graph, see: See, samples: int) -> AbstractContextManager[Followed]:
        """Within, `see` is shown the tensors that a run computes."""

    def order(self) -> Sequence[str]:
        """Names of parameters in the order in which they are used."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A live model."""

    subject: Subject

    @property
    def refused(self) -> Mapping[str, str]:
        return {}

    @property
    def model(self) -> nn.Module:
        return self.subject.model

    @property
    def step(self) -> Step | None:
        return self.subject.step

    @property
    def mode(self) -> str:
        return self.subject.mode

    @property
    def samples_axis(self) -> str | None:
        return BATCH if self.subject.recording.symbolic else None

    @property
    def products(self) -> float:
        return size.products(self.subject.recording, recorded_samples(self.subject))

    def batch(
        self, graph: Graph, training: Training, request: Request, samples: int, kind: str, data: Data | None
    ) -> Batch:
        """As the inputs at hand, else of as many samples as fit."""
        return live.batch(self.subject, graph, training, request, samples, kind, data)

    @contextmanager
    def followed(self, graph: Graph, see: See, samples: int) -> Iterator[Followed]:
        """Call by call along the recording."""
        recording = self.subject.recording
        follower = Follower(plan(recording, graph), see, samples)
        with following(follower, recording.thorough):
            yield follower

    def order(self) -> Sequence[str]:
        """As the recording reads them."""
        return [str(node.target) for node in self.subject.recording.graph.nodes]
