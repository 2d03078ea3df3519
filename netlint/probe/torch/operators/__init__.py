"""ONNX operators as torch functions; each is held against the runtime's and ONNX's own results by tests."""

from __future__ import annotations

from . import layers, layout, pointwise, recurrent, reductions, windows
from .call import Call, Function, Result

__all__ = ["FUNCTIONS", "Call", "Result"]

FUNCTIONS: dict[str, Function] = {
    **pointwise.TABLE,
    **reductions.TABLE,
    **layout.TABLE,
    **windows.TABLE,
    **layers.TABLE,
    **recurrent.TABLE,
}
"""By full name. Functions give one tensor, or one for each output; they raise `Unavailable` for what torch lacks."""
