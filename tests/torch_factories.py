"""What Python targets do wrong, one function each. The tests name them as `torch_factories.py:…`."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.fc = nn.Linear(width, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.fc(x))


class Two(nn.Module):
    def __init__(self, width: int, depth: int, *, act: str = "relu") -> None:
        super().__init__()


def with_inputs() -> tuple[nn.Module, torch.Tensor]:
    return Net(), torch.zeros(5, 4)


def step(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return nn.functional.cross_entropy(model(x).softmax(-1), y)


def batch_step(model: nn.Module, batch: Any) -> torch.Tensor:
    x, y = batch
    return nn.functional.mse_loss(model(x), y)


def keyed_step(model: nn.Module, batch: Any) -> torch.Tensor:
    return nn.functional.cross_entropy(model(batch["x"]), batch["y"])


def trainer_step(model: nn.Module, batch: Any, criterion: Any, optimizer: Any) -> torch.Tensor:
    return criterion(model(batch[0]), batch[1])


def misspelt_step(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return losss(model(x), y)  # type: ignore[name-defined]  # noqa: F821


def unmet_step(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    raise ValueError("not these")


class Bare(nn.Module):
    """A container: others call its parts."""


def pair() -> tuple[nn.Module, nn.Module]:
    return Net(), Net()


def with_optimizer() -> tuple[nn.Module, nn.Module, dict[str, float]]:
    return Net(), nn.CrossEntropyLoss(), {"lr": 0.1}


def lazy() -> nn.Module:
    return nn.LazyLinear(3)


made = Net()
number = 3


def raises() -> nn.Module:
    raise ValueError("no such data set: /data")


def nothing() -> None:
    return None


def table() -> dict[str, int]:
    return {"a": 1}


def script() -> nn.Module:
    return torch.jit.script(nn.Linear(2, 2))


def exits() -> nn.Module:
    sys.exit(3)


def asks() -> nn.Module:
    return Net(int(input("width? ")))


def needs_a_package() -> nn.Module:
    import no_such_package  # type: ignore[import-not-found]

    return no_such_package.Net()


def floods() -> nn.Module:
    while True:
        print("x" * 1000)


def ends_at_once() -> nn.Module:
    os._exit(0)


def segfaults() -> nn.Module:
    import ctypes

    ctypes.string_at(0)
    return Net()


def interrupts() -> nn.Module:
    raise KeyboardInterrupt


def forks_and_ends() -> nn.Module:
    if os.fork() == 0:
        time.sleep(60)
    os._exit(3)


def forks_and_leaves_a_thread() -> nn.Module:
    import threading

    os.fork()
    threading.Thread(target=time.sleep, args=(600,)).start()
    return Net()


def prints() -> nn.Module:
    print("from print")
    sys.stderr.write("from stderr\n")
    os.write(1, b"from below\n")
    return Net()


class Waiting(Net):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        while True:
            time.sleep(1)


class Odd(nn.Module):
    """Whatever is put in, it will not do."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise ValueError("not these")


class Speechless(Exception):
    """Its text cannot be made."""

    def __str__(self) -> str:
        raise RuntimeError("no text either")


def fails_without_words() -> nn.Module:
    raise Speechless


class FailsWithoutWords(nn.Module):
    """Raises it when it is called."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise Speechless
