"""Whether a model's weights come from a file: watched while the model is built."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import wraps
from typing import Any

import torch
from torch import nn

from .held import look

_FILES = (".pt", ".pth", ".bin", ".ckpt", ".safetensors", ".npz", ".npy", ".h5", ".pkl", ".pickle", ".gguf", ".onnx")


@dataclass(slots=True)
class Loads:
    """What was seen while watching."""

    active: bool = True
    any: bool = False
    """Whether weights may have been read from somewhere: a state dict was loaded, or a file of weights opened."""


@contextlib.contextmanager
def watching_loads() -> Iterator[Loads]:
    """Watches `load_state_dict`, `torch.load`, the safetensors package and files with the usual suffixes."""
    seen = Loads()

    def opened(event: str, args: tuple[Any, ...]) -> None:
        if seen.active and event == "open" and isinstance(args[0], str) and args[0].endswith(_FILES):
            seen.any = True

    sys.addaudithook(opened)  # for the rest of the process: hooks cannot be taken away
    places: list[tuple[Any, str]] = [(nn.Module, "load_state_dict"), (torch, "load")]
    safetensors = sys.modules.get("safetensors")
    places += [(safetensors, "safe_open")] if safetensors is not None else []
    with contextlib.ExitStack() as stack:
        for holder, name in places:
            stack.callback(setattr, holder, name, getattr(holder, name))
            setattr(holder, name, _noted(getattr(holder, name), seen))
        try:
            yield seen
        finally:
            seen.active = False


def _noted(function: Callable[..., Any], seen: Loads) -> Callable[..., Any]:
    @wraps(function, updated=())
    def call(*args: Any, **kwargs: Any) -> Any:
        seen.any = True
        return function(*args, **kwargs)

    return call


def pretrained(model: nn.Module) -> bool:
    """Whether a part of a model says that it comes from a checkpoint, as Hugging Face's do."""
    configs = (look(module, "config") for module in model.modules())
    return any(look(config, "_name_or_path") or look(config, "name_or_path") for config in configs)
