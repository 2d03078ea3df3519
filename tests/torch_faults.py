"""Models whose forward pass is wrong whatever the input, one fault each."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


class Head(nn.Module):
    """What the others share."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 4)


class Misspelt(Head):
    def forward(self, x: Tensor) -> Tensor:
        return self.fc1(self.fc(x))  # type: ignore[no-any-return]


class NoSuchMethod(Head):
    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x).soft_max(1)  # type: ignore[no-any-return]


class WrongKeyword(Head):
    def forward(self, x: Tensor) -> Tensor:
        return F.softmax(self.fc(x), dims=1)  # type: ignore[call-arg]


class WrongArity(Head):
    def helped(self, x: Tensor) -> Tensor:
        return x

    def forward(self, x: Tensor) -> Tensor:
        return self.helped(self.fc(x), 3)  # type: ignore[call-arg]


class ListOfLayers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(8, 4)])

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)  # type: ignore[no-any-return]


class WholeResult(nn.Module):
    """Hands on the states of a recurrent layer as well."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(8, 16, batch_first=True)
        self.fc = nn.Linear(16, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.rnn(x))  # type: ignore[no-any-return]


class NoSuchKey(Head):
    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x) * {"a": 1}["b"]


class Unwritten(Head):
    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError("to do")


class Convolutions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3)
        self.body = nn.Conv2d(32, 8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(F.max_pool2d(torch.relu(self.stem(x)), 2)).mean((2, 3))


class Normalised(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3)
        self.norm = nn.BatchNorm2d(32)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.stem(x)).mean((2, 3))  # type: ignore[no-any-return]


class Pooled(nn.Module):
    """A flattened map of a fixed size; the head counts otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3)
        self.head = nn.Linear(16 * 36, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.flatten(F.adaptive_avg_pool2d(self.stem(x), 7), 1))  # type: ignore[no-any-return]


class BothWays(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.GRU(8, 16, batch_first=True, bidirectional=True)
        self.head = nn.Linear(16, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.rnn(x)[0][:, -1])  # type: ignore[no-any-return]


class Embedded(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(50, 16)
        self.rnn = nn.LSTM(32, 8, batch_first=True)

    def forward(self, ids: Tensor) -> Tensor:
        return self.rnn(self.table(ids))[0][:, -1]  # type: ignore[no-any-return]


class Summed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Linear(8, 4)
        self.right = nn.Linear(8, 6)

    def forward(self, x: Tensor) -> Tensor:
        return self.left(x) + self.right(x)  # type: ignore[no-any-return]


class Concatenated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 8, 3, padding=1)
        self.deep = nn.Conv2d(8, 16, 3, padding=1)
        self.up = nn.Conv2d(16, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        fine = self.down(x)
        coarse = F.interpolate(self.deep(F.avg_pool2d(fine, 2)), size=fine.shape[2:])
        return self.up(torch.cat([fine, coarse], 1))  # type: ignore[no-any-return]


class TwoPrecisions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(8, 4)
        self.second = nn.Linear(4, 6).half()

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x))  # type: ignore[no-any-return]


class Sequence(nn.Module):
    """Fits sequences of ten steps: two layers that look as if they did not fit."""

    def __init__(self) -> None:
        super().__init__()
        self.each = nn.Linear(3, 4)
        self.all = nn.Linear(40, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.all(torch.flatten(self.each(x), 1))  # type: ignore[no-any-return]
