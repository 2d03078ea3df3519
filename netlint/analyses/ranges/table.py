"""Operator -> transfer function, and what the walk over the graph has to know of operators besides."""

from __future__ import annotations

from .arithmetic import ARITHMETIC
from .fused import FUSED
from .guards import GUARDS
from .layout import LAYOUT
from .linear import LINEAR
from .losses import LOSSES
from .normal import NORMAL
from .other import OTHER
from .pool import POOLING
from .quantised import QUANTISED
from .recurrent import RECURRENT
from .reduce import REDUCTIONS
from .resample import RESAMPLING
from .signal import SIGNAL
from .step import Transfer
from .unary import UNARY

TRANSFER: dict[str, Transfer] = {
    **UNARY,
    **ARITHMETIC,
    **LAYOUT,
    **RESAMPLING,
    **REDUCTIONS,
    **POOLING,
    **LINEAR,
    **NORMAL,
    **RECURRENT,
    **QUANTISED,
    **SIGNAL,
    **GUARDS,
    **LOSSES,
    **FUSED,
    **OTHER,
}
"""By full name (`com.microsoft::Gelu`, `torch.mse_loss`); the bare name in the default domain."""

WITH_BODIES = frozenset({"If", "Loop", "Scan", "SequenceMap"})
"""Operators that the walk itself follows, into their bodies and out."""

EXACT = frozenset(
    (
        *("Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Expand", "Tile", "Split", "Slice"),
        *("Concat", "Gather", "GatherElements", "GatherND", "DepthToSpace", "SpaceToDepth", "ReverseSequence"),
        *("Compress", "SplitToSequence", "SequenceAt", "ConcatFromSequence", "Trilu", "Where", "Relu", "Abs", "Neg"),
        *("ReduceMax", "ReduceMin", "MaxPool", "GlobalMaxPool", "Max", "Min"),
    )
)
"""Results are elements of the inputs, or these with another sign: nothing is rounded."""

MOVES = frozenset(
    ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Expand", "Tile", "Split", "Slice", "Gather")
)
"""Results are some of the elements of input 0."""

PASSIVE = frozenset(
    (
        *("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Expand", "Tile", "Split", "Slice", "Gather"),
        *("GatherElements", "GatherND", "DepthToSpace", "SpaceToDepth", "ReverseSequence", "Compress", "Trilu"),
        *("MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "Resize", "Upsample"),
        *("Floor", "Ceil", "Round", "LeakyRelu", "Pad", "CenterCropPad", "Sinh", "Asinh", "Tan"),
    )
)
"""Operators that say nothing of their result where nothing is known of input 0."""

LANED = frozenset(
    (
        *("Identity", "Expand", "Dropout", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Concat"),
        *("Relu", "LeakyRelu", "Neg", "Clip", "Sigmoid", "Tanh", "Exp", "Sqrt", "Softplus", "Add", "Sub", "Mul", "Div"),
        *("Max", "Min", "MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool", "ReduceMean", "ReduceMax"),
        "ReduceMin",
    )
)
"""Operators that channels are followed through: the keys of `channels.LANES`, which needs numpy."""
