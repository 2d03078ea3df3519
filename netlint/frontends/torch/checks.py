"""Conditions whose other outcome only raises: `assert x.isfinite().all()`, `if (x < 0).any(): raise …`."""

from __future__ import annotations

import dis
from functools import lru_cache
from types import CodeType, FrameType

_MAX_LENGTH = 60
"""Instructions of the block that raises: it builds a message."""


def outcome(frame: FrameType | None) -> bool | None:
    """What the condition that a frame is just deciding on must be for the frame to go on; None: both are ways on."""
    return None if frame is None else _outcome(frame.f_code, frame.f_lasti)


@lru_cache(maxsize=1000)
def _outcome(code: CodeType, offset: int) -> bool | None:
    following = [instruction for instruction in dis.get_instructions(code) if instruction.offset >= offset]
    skipped = ("TO_BOOL", "CACHE", "NOT_TAKEN")
    decisive = [instruction for instruction in following[:3] if instruction.opname not in skipped]
    if not decisive or not decisive[0].opname.startswith("POP_JUMP") or decisive[0].opname.endswith("NONE"):
        return None
    jump = decisive[0]
    block = following[following.index(jump) + 1 :][:_MAX_LENGTH]
    for instruction in block:
        if instruction.opname == "RAISE_VARARGS":
            return jump.opname.endswith("TRUE")
        leaves = "JUMP" in instruction.opname or instruction.opname.startswith(("RETURN", "FOR_ITER", "SEND"))
        if leaves or instruction.offset == jump.argval:
            return None
    return None
