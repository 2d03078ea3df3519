"""What netlint knows of operators: one table per fact, keyed by ONNX operator name.

A table says what is true of the operator in every opset; where an opset changes the meaning, `netlint.ops.read` has a
function that tells what a given node means.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Slots:
    """Which input of a weighted operator is the data, the weight, the bias (-1: none)."""

    data: int = 0
    weight: int = 1
    bias: int = 2


WEIGHTED = {
    "Conv": Slots(),
    "ConvTranspose": Slots(),
    "DeformConv": Slots(0, 1, 3),
    "Gemm": Slots(),
    "MatMul": Slots(0, 1, -1),
    "ConvInteger": Slots(0, 1, -1),
    "MatMulInteger": Slots(0, 1, -1),
    "QLinearConv": Slots(0, 3, 8),
    "QLinearMatMul": Slots(0, 3, -1),
    "Einsum": Slots(0, 1, -1),
    "LSTM": Slots(0, 1, 3),
    "GRU": Slots(0, 1, 3),
    "RNN": Slots(0, 1, 3),
}
"""Operators that multiply their input with a weight. MatMul, Gemm and Einsum do so only where an input is one."""

RECURRENT = frozenset({"LSTM", "GRU", "RNN"})

# Moves, copies, cuts or glues elements; computes nothing. The data is input 0 (for Concat: every input).
LAYOUT = frozenset(
    (
        *("Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Expand", "Tile", "Split", "Slice"),
        *(
            "Concat",
            "Gather",
            "GatherElements",
            "GatherND",
            "DepthToSpace",
            "SpaceToDepth",
            "ReverseSequence",
            "Compress",
        ),
        *("SplitToSequence", "SequenceAt", "ConcatFromSequence", "Trilu"),
    )
)

STOPS_GRADIENT = "stop_gradient"
"""An attribute that the torch front end gives an Identity which was a `detach`; ONNX has none for it."""

# Leaves every element as it is in inference, or changes only its precision.
TRANSPARENT = frozenset({"Identity", "Dropout", "Cast", "CastLike", "QuantizeLinear", "DequantizeLinear"})

# Elementwise non-linearities used between layers.
ACTIVATIONS = frozenset(
    (
        *(
            "Relu",
            "LeakyRelu",
            "PRelu",
            "Elu",
            "Selu",
            "Celu",
            "ThresholdedRelu",
            "Softplus",
            "Softsign",
            "Mish",
            "Gelu",
        ),
        *("Sigmoid", "Tanh", "HardSigmoid", "HardSwish", "Swish", "Erf", "Clip", "Shrink"),
    )
)

SOFTMAX = frozenset({"Softmax", "LogSoftmax", "Hardmax"})

NORMALISATION = frozenset(
    (
        *(
            "BatchNormalization",
            "InstanceNormalization",
            "LayerNormalization",
            "GroupNormalization",
            "RMSNormalization",
        ),
        *("LRN", "LpNormalization", "MeanVarianceNormalization"),
    )
)

POOLING = frozenset(
    {"MaxPool", "AveragePool", "LpPool", "GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool", "MaxRoiPool", "RoiAlign"}
)

RESAMPLING = frozenset({"Resize", "Upsample", "GridSample", "AffineGrid", "CenterCropPad", "MaxUnpool", "Pad"})

REDUCTIONS = frozenset(
    (
        *("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceLogSum"),
        *("ReduceLogSumExp", "ReduceSumSquare", "ArgMax", "ArgMin", "CumSum", "CumProd", "TopK"),
    )
)

ARITHMETIC = frozenset({"Add", "Sub", "Mul", "Div", "Pow", "Mod", "Max", "Min", "Sum", "Mean", "BitShift"})

ELEMENTWISE_UNARY = frozenset(
    (
        *(
            "Abs",
            "Neg",
            "Exp",
            "Log",
            "Sqrt",
            "Reciprocal",
            "Floor",
            "Ceil",
            "Round",
            "Sign",
            "Sin",
            "Cos",
            "Tan",
            "Asin",
        ),
        *("Acos", "Atan", "Sinh", "Cosh", "Asinh", "Acosh", "Atanh", "Not", "IsNaN", "IsInf", "BitwiseNot"),
    )
)

COMPARISONS = frozenset(
    (
        *("Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual", "And", "Or", "Xor", "Where"),
        *("BitwiseAnd", "BitwiseOr", "BitwiseXor"),
    )
)

RANDOM = frozenset(
    {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli", "Multinomial"}
)
"""Draws numbers: never constant, whatever the inputs."""

HOLDS_BODIES = frozenset({"If", "Loop", "Scan", "SequenceMap"})
"""Holds subgraphs as attributes."""

LOSSES = frozenset({"SoftmaxCrossEntropyLoss", "NegativeLogLikelihoodLoss"})

TORCH_LOSSES = frozenset(
    f"torch.{name}"
    for name in (
        *("cross_entropy", "nll_loss", "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy"),
        *(
            "binary_cross_entropy_with_logits",
            "kl_div",
            "poisson_nll_loss",
            "gaussian_nll_loss",
            "hinge_embedding_loss",
        ),
        *("soft_margin_loss", "multilabel_soft_margin_loss", "multilabel_margin_loss"),
        *("multi_margin_loss", "margin_ranking_loss", "cosine_embedding_loss", "triplet_margin_loss", "ctc_loss"),
    )
)
"""Losses as torch calls them, by full name: input 0 is the prediction, input 1 the target, `reduction` an attribute."""

_OTHER = frozenset(
    (
        *("Attention", "RotaryEmbedding", "Constant", "ConstantOfShape", "Shape", "Size", "Range", "NonZero", "OneHot"),
        *("EyeLike", "Scatter", "ScatterElements", "ScatterND", "TensorScatter", "Unique", "NonMaxSuppression", "Det"),
        *("DynamicQuantizeLinear", "SequenceConstruct", "SequenceEmpty"),
        *("SequenceInsert", "SequenceErase", "SequenceLength", "Optional", "OptionalGetElement", "OptionalHasElement"),
        *("DFT", "STFT", "MelWeightMatrix", "HannWindow", "HammingWindow", "BlackmanWindow", "Col2Im", "ImageDecoder"),
        *("StringNormalizer", "StringConcat", "StringSplit", "RegexFullMatch", "TfIdfVectorizer", "BitCast"),
    )
)

KNOWN_OPS = (
    frozenset(WEIGHTED)
    | LAYOUT
    | TRANSPARENT
    | ACTIVATIONS
    | SOFTMAX
    | NORMALISATION
    | POOLING
    | RESAMPLING
    | REDUCTIONS
    | ARITHMETIC
    | ELEMENTWISE_UNARY
    | COMPARISONS
    | RANDOM
    | HOLDS_BODIES
    | LOSSES
    | TORCH_LOSSES
    | _OTHER
)
"""Every operator that some table names, by its full name; the report counts the nodes with others."""
