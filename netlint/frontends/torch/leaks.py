"""Tensors without elements must not outlive their run in the caches of the model's code."""

from __future__ import annotations

import functools
import gc
import sys
from collections import Counter
from collections.abc import Iterable
from typing import Any

import torch

from netlint.frontends.torch.trace import Slot

_MAX_DEPTH = 5


def clear(slots: Iterable[Slot]) -> bool:
    """Empties every `functools.lru_cache` that holds one of these tensors; whether others hold any still."""
    if not _held(slots):
        return False
    ids = {id(slot.tensor) for slot in slots}
    for found in gc.get_objects():
        if type(found) is functools._lru_cache_wrapper and found.cache_info().currsize and _reaches(found, ids):
            found.cache_clear()
    return _held(slots)


def _held(slots: Iterable[Slot]) -> bool:
    times = Counter(id(slot.tensor) for slot in slots)
    return any(sys.getrefcount(slot.tensor) > times[id(slot.tensor)] + 1 for slot in slots)


def _reaches(owner: Any, ids: set[int]) -> bool:
    level: list[Any] = [owner]
    for _ in range(_MAX_DEPTH):
        level = [item for item in gc.get_referents(*level) if not isinstance(item, type)]
        if any(id(item) in ids for item in level if isinstance(item, torch.Tensor)):
            return True
    return False
