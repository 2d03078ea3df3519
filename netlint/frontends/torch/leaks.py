"""Tensors without elements must not outlive their run in the caches of the model's code."""

from __future__ import annotations

import functools
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import ref

import torch

_MAX_DEPTH = 5

_caches: list[ref[Any]] = []
_seen_modules = 0


def _known_caches() -> Iterator[Any]:
    """Every `functools.lru_cache`; most are made while modules are imported."""
    global _seen_modules
    if len(sys.modules) != _seen_modules:
        _seen_modules = len(sys.modules)
        _caches[:] = [ref(found) for found in gc.get_objects() if type(found) is functools._lru_cache_wrapper]
    for entry in _caches:
        if (cache := entry()) is not None:
            yield cache


@contextmanager
def no_leaks(enabled: bool) -> Iterator[None]:
    """Empties every `functools.lru_cache` that got a meta tensor within."""
    before = [(cache, cache.cache_info().misses) for cache in _known_caches()] if enabled else []
    try:
        yield
    finally:
        for cache, misses in before:
            if cache.cache_info().misses != misses and _holds_meta(cache):
                cache.cache_clear()


def _holds_meta(owner: Any) -> bool:
    level: list[Any] = [owner]
    for _ in range(_MAX_DEPTH):
        level = [item for item in gc.get_referents(*level) if not isinstance(item, type)]
        if any(isinstance(item, torch.Tensor) and item.is_meta for item in level):
            return True
    return False
