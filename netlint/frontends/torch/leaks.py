"""Tensors without elements must not outlive their run in the caches of the model's code."""

from __future__ import annotations

import functools
import gc
import linecache
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any
from weakref import ref

import torch

_MAX_DEPTH = 5
_CACHING = re.compile(r"lru_cache|functools|@cache\b")

_caches: list[ref[Any]] = []
_misses: dict[int, int] = {}
"""By cache, when it was last looked into."""
_seen_modules = 0


def clear(filenames: Iterable[str]) -> None:
    """Empties every `functools.lru_cache` around a function of these files that holds a meta tensor."""
    suspects = {filename for filename in filenames if _mentions_caches(filename)}
    for cache in _known_caches() if suspects else ():
        code = getattr(cache.__wrapped__, "__code__", None)
        if code is None or code.co_filename not in suspects:
            continue
        misses = cache.cache_info().misses
        if misses != _misses.get(id(cache), 0) and _holds_meta(cache):
            cache.cache_clear()
            misses = 0
        _misses[id(cache)] = misses


@functools.lru_cache(maxsize=10_000)
def _mentions_caches(filename: str) -> bool:
    return any(_CACHING.search(line) for line in linecache.getlines(filename))


def _known_caches() -> Iterator[Any]:
    """Every cache; looked for again when something was imported, since most are made then."""
    global _seen_modules
    if len(sys.modules) != _seen_modules:
        _seen_modules = len(sys.modules)
        _caches[:] = [ref(found) for found in gc.get_objects() if type(found) is functools._lru_cache_wrapper]
    for entry in _caches:
        if (cache := entry()) is not None:
            yield cache


def _holds_meta(owner: Any) -> bool:
    level: list[Any] = [owner]
    for _ in range(_MAX_DEPTH):
        level = [item for item in gc.get_referents(*level) if not isinstance(item, type)]
        if any(isinstance(item, torch.Tensor) and item.is_meta for item in level):
            return True
    return False
