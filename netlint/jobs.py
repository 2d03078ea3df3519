"""How many targets are linted at a time."""

from __future__ import annotations

import os
from collections.abc import Sequence

MAX_AUTOMATIC = 8
"""More processes are started only if asked for: containers often show more cores than they may use."""
_MODELS_WORTH_A_PROCESS = 8
_BYTES_LIKE_A_MODEL = 4 << 20


def automatic(sizes: Sequence[int]) -> int:
    """How many processes models of these sizes, in bytes, are worth: one for few small ones."""
    work = sum(1 + size // _BYTES_LIKE_A_MODEL for size in sizes)
    return max(1, min(cores(), MAX_AUTOMATIC, len(sizes), work // _MODELS_WORTH_A_PROCESS))


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def automatic_python(targets: int) -> int:
    """How many Python targets: each takes the memory of a process that has imported torch."""
    return max(1, min(cores(), MAX_AUTOMATIC // 2, targets))
