"""Python's cyclic garbage collector, kept away from where many objects are made and none is dropped."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused() -> Iterator[None]:
    """No collection inside: on a graph of 100,000 nodes each one costs seconds and finds nothing."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def keep() -> None:
    """What there is by now stays to the end, and no collection looks at it again.

    A collection that walks through all of torch costs more than it finds: without, transformers is imported in three
    quarters of the time.
    """
    gc.freeze()


def by_hand() -> None:
    """No automatic collection in this process from now on; see `collect`."""
    gc.disable()
    gc.freeze()


def collect() -> None:
    """Free what cyclic references keep: a graph, once its report is made."""
    gc.collect()
    if not gc.isenabled():  # what is left stays to the end: modules, reports
        gc.freeze()
