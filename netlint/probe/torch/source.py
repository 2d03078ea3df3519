"""What a runner runs: a live model that was recorded, or the graph of a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from netlint.frontends.torch.recipe import Step
from netlint.frontends.torch.symbolic import BATCH
from netlint.frontends.torch.target import Subject
from netlint.graph import Graph
from netlint.probe.files import Data
from netlint.probe.request import Request
from netlint.training import Training

from . import data as live
from .data import Batch
from .follow import Follower, following
from .plan import Watched, plan

See = Callable[[Watched, torch.Tensor], None]


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
