"""For every operator in the table of `ranges`, nodes to run: see test_soundness."""

from __future__ import annotations

import numpy as np
from onnx import numpy_helper

from .soundness_specs import C, Case, N, W, X, attrs, binary, case, text, unary

ROW = X((2, 4))
IMAGE = X((1, 2, 4, 4))
KEEP = attrs(keepdims=[0, 1])
REDUCE = (case(X(), C([1]), attrs=KEEP), case(X(), attrs=KEEP), case(X(), C([0, 2]), attrs=KEEP))
REDUCE_OLD = case(X(), attrs=attrs(axes=[[1], [-1], [0, 1], None], keepdims=[0, 1]), opset=11)
POOL = attrs(kernel_shape=[[2, 2], [3, 3]], pads=[None, [1, 1, 1, 1]], ceil_mode=[None, 1], strides=[None, [2, 2]])
LOGICAL = (case(N((3, 4), "bool"), N((4,), "bool")),)
COMPARE = (case(X(), X((4,))),)
REDUCE_LISTED = tuple(Case(c.inputs, c.attrs, within=(-1e4, 1e4)) for c in REDUCE)
MODEST = (-300.0, 300.0)
SPREAD = (-1.0, 7.0)
"""Where statistics are far from cancellation."""
RECURRENT = {
    gates: (X((3, 2, 3)), W((1, 2 * gates, 3)), W((1, 2 * gates, 2)), W((1, 4 * gates))) for gates in (1, 3, 4)
}

CASES: dict[str, tuple[Case, ...]] = {
    **{op: unary() for op in ("Relu", "Sigmoid", "Tanh", "HardSwish", "Mish", "Softplus", "Softsign", "Erf", "Abs")},
    **{op: unary() for op in ("Neg", "Exp", "Log", "Sqrt", "Reciprocal", "Floor", "Ceil", "Round", "Sign", "Sin")},
    **{op: unary() for op in ("Cos", "Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Acosh", "Atanh")},
    "Gelu": unary(approximate=["none", "tanh"]),
    "LeakyRelu": unary(alpha=[None, 0.3, -0.5, 1.5]),
    "PRelu": (case(X(), W((4,))), case(X(), W((1,), 0.0, 0.5))),
    "ThresholdedRelu": unary(alpha=[None, 0.5, -2.0]),
    "HardSigmoid": unary(alpha=[None, 0.1, -0.3], beta=[None, 0.7]),
    "Swish": (case(X(), attrs=attrs(alpha=[None, 0.5, 3.0]), opset=24),),
    "Elu": unary(alpha=[None, 0.1, 2.0]),
    "Celu": unary(alpha=[None, 0.1, 2.0]),
    "Selu": unary(alpha=[None, 0.5], gamma=[None, 2.0]),
    "Shrink": unary(lambd=[None, 0.1, 2.0], bias=[None, 1.5, -1.0]),
    "Not": (case(N((3,), "bool")),),
    "IsNaN": unary(),
    "IsInf": unary(),
    "BitwiseNot": (case(N((3,), "int32", -9, 9)), case(N((3,), "uint8", 0, 255))),
    **{op: binary() for op in ("Add", "Sub", "Mul")},
    "Div": (*binary()[:4], *binary()[5:], case(X(), C(0.0, "float32"))),
    "Pow": (
        case(X(), C(2.0, "float32")),
        case(X(), C(3.0, "float32")),
        case(X(), C(0.5, "float32")),
        case(X(), C(-1.0, "float32")),
        case(X(), C(-2.0, "float32")),
        case(X(), C(-0.5, "float32")),
        case(X(), W((4,)), within=(0.0, 100.0)),
        case(C(2.0, "float32"), X()),
        case(X(), X((4,))),
    ),
    "Mod": (
        case(X(), W((4,), 0.5, 2.0), attrs=({"fmod": 1},), within=MODEST),
        case(N((3,), "int64", -9, 9), C(4)),
        case(N((3,), "int64", -9, 9), C(-4)),
        case(N((3,), "int64", -9, 9), C(4), attrs=({"fmod": 1},)),
    ),
    **{op: (case(X(), X((4,))), case(X(), W((4,)), X((1,)))) for op in ("Max", "Min", "Sum", "Mean")},
    "Clip": (
        case(X(), C(-1.0, "float32"), C(2.0, "float32")),
        case(X(), None, C(2.0, "float32")),
        case(X(), C(0.5, "float32")),
        case(X(), attrs=attrs(min=[None, -1.0], max=[None, 6.0]), opset=6),
    ),
    "Where": (case(N((4,), "bool"), X(), W((4,))),),
    "Cast": tuple(case(X(), attrs=({"to": to},), within=(-120.0, 120.0)) for to in (1, 6, 7, 9, 10, 11, 3)),
    "CastLike": (case(X(), C(1, "int64"), within=MODEST), case(X(), C(1, "float64"))),
    **dict.fromkeys(("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"), COMPARE),
    **dict.fromkeys(("And", "Or", "Xor"), LOGICAL),
    **{
        op: (case(N((5,), "int32", 0, 40), N((5,), "int32", 0, 9)), case(N((5,), "int32", -9, 9), C(5, "int32")))
        for op in ("BitwiseAnd", "BitwiseOr", "BitwiseXor")
    },
    "Identity": unary(),
    "Reshape": (case(X(), C([4, 6])), case(X(), C([0, -1]))),
    "Flatten": unary(axis=[None, 0, -1]),
    "Squeeze": (case(X((2, 1, 3)), C([1])), case(X((2, 1, 3)))),
    "Unsqueeze": (case(X(), C([0, 2])),),
    "Transpose": unary(perm=[None, [1, 0, 2]]),
    "Expand": (case(X((3, 1)), C([2, 3, 4])),),
    "Tile": (case(X((3, 1)), C([2, 3])),),
    "Split": (case(X(), attrs=({"axis": 2, "num_outputs": 2},), outputs=2),),
    "Slice": (case(X(), C([0]), C([2]), C([2])),),
    "Concat": (case(X(), W((2, 3, 1)), attrs=({"axis": 2},)),),
    "Gather": (case(X(), N((2,), "int64", 0, 1), attrs=attrs(axis=[None, 1, -1])),),
    "GatherElements": (case(ROW, N((2, 4), "int64", 0, 1), attrs=attrs(axis=[0, 1])),),
    "GatherND": (case(ROW, N((3, 1), "int64", 0, 1)),),
    "DepthToSpace": (case(X((1, 4, 2, 2)), attrs=({"blocksize": 2},)),),
    "SpaceToDepth": (case(X((1, 1, 4, 4)), attrs=({"blocksize": 2},)),),
    "ReverseSequence": (case(X((3, 2)), C([2, 3]), attrs=({"time_axis": 0, "batch_axis": 1},)),),
    "Compress": (case(X(), C([True, False, True], "bool"), attrs=({"axis": 1},)),),
    "Trilu": unary(upper=[0, 1]),
    "CenterCropPad": (case(X((3, 4)), C([5, 2])),),
    "MaxUnpool": (
        case(X((1, 1, 2, 2)), C([[[[5, 7], [13, 15]]]]), attrs=({"kernel_shape": [2, 2], "strides": [2, 2]},)),
    ),
    "MaxRoiPool": (case(IMAGE, C([[0, 0, 0, 3, 3]], "float32"), attrs=({"pooled_shape": [2, 2]},), opset=13),),
    "RoiAlign": (
        case(IMAGE, C([[-1, 0, 3, 9]], "float32"), C([0]), attrs=attrs(output_height=[2], mode=["avg", "max"])),
    ),
    "Pad": (
        case(X((3, 4)), C([1, 0, 0, 2]), attrs=attrs(mode=["constant", "edge", "reflect"])),
        case(X((3, 4)), C([1, 0, 0, 2]), C(5.0, "float32")),
        case(X((3, 4)), attrs=({"pads": [1, 0, 0, 2], "value": -4.0},), opset=2),
    ),
    "Scatter": (case(ROW, N((2, 4), "int64", 0, 1), W((2, 4)), opset=9),),
    "ScatterElements": (
        case(ROW, C([[0, 1, 1, 0]]), W((1, 4)), attrs=attrs(reduction=[None, "add", "mul", "max", "min"], axis=[0])),
        case(ROW, C([[0, 1, 1, 0]]), W((1, 4), 0.0, 3.0), attrs=({"reduction": "add"},)),
    ),
    "ScatterND": (case(ROW, C([[1]]), W((1, 4)), attrs=attrs(reduction=[None, "add", "mul", "max", "min"])),),
    "TensorScatter": (case(X((1, 4, 2)), W((1, 2, 2)), C([1]), opset=24),),
    "OneHot": (case(N((3,)), C(3), C([-0.5, 2.0], "float32")),),
    "ConstantOfShape": (
        case(C([2, 3])),
        case(C([2, 3]), attrs=({"value": numpy_helper.from_array(np.array([2.5], np.float32))},)),
    ),
    "Resize": (
        case(IMAGE, None, C([1, 1, 2, 1.7], "float32"), attrs=attrs(mode=["nearest", "linear", "cubic"])),
        case(IMAGE, None, C([1, 1, 0.6, 0.5], "float32"), attrs=attrs(mode=["linear", "cubic"], antialias=[0, 1])),
        case(IMAGE, None, C([1, 1, 1.3, 2], "float32"), attrs=attrs(mode=["cubic"], cubic_coeff_a=[-0.5, -1.0, 0.3])),
        case(
            IMAGE,
            C([0, 0, -0.5, 0, 1, 1, 1.5, 1], "float32"),
            None,
            C([1, 2, 5, 5]),
            attrs=(
                {"mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize", "extrapolation_value": -9.0},
            ),
        ),
    ),
    "Upsample": (case(IMAGE, C([1, 1, 2, 2], "float32"), attrs=attrs(mode=["nearest", "linear"]), opset=9),),
    "GridSample": (
        case(
            IMAGE, W((1, 3, 3, 2)), attrs=attrs(mode=["linear", "nearest", "cubic"], padding_mode=["zeros", "border"])
        ),
    ),
    "SequenceConstruct": (text("s = SequenceConstruct(x, w)\n i = Constant<value_int = 0>()\n y = SequenceAt(s, i)"),),
    "SplitToSequence": (text("s = SplitToSequence(x)\n i = Constant<value_int = 0>()\n y = SequenceAt(s, i)"),),
    "SequenceAt": (text("s = SequenceConstruct(x, w)\n i = Constant<value_int = 1>()\n y = SequenceAt(s, i)"),),
    "SequenceInsert": (
        text(
            "s = SequenceConstruct(x)\n t = SequenceInsert(s, w)\n i = Constant<value_int = 1>()\n y = SequenceAt(t, i)"
        ),
    ),
    "SequenceErase": (
        text(
            "s = SequenceConstruct(w, x)\n i = Constant<value_int = 0>()\n"
            " t = SequenceErase(s, i)\n y = SequenceAt(t, i)"
        ),
    ),
    "ConcatFromSequence": (text("s = SequenceConstruct(x, w)\n y = ConcatFromSequence<axis = 0>(s)"),),
    "SequenceLength": (text("s = SequenceConstruct(x, w)\n y = SequenceLength(s)", "int64"),),
    "Optional": (text("s = Optional(x)\n y = OptionalGetElement(s)"),),
    "OptionalGetElement": (text("y = OptionalGetElement(x)"),),
    "OptionalHasElement": (text("y = OptionalHasElement(x)", "bool"),),
    "If": (
        text(
            "c = Constant<value = bool {1}>()\n y = If (c) <then_branch = a () => (float[2, 3] p) { p = Sigmoid(x) },"
            " else_branch = b () => (float[2, 3] q) { q = Neg(w) }>"
        ),
    ),
    **dict.fromkeys(("ReduceMax", "ReduceMin", "ReduceMean"), (*REDUCE, REDUCE_OLD)),
    **dict.fromkeys(("ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare"), (*REDUCE_LISTED, REDUCE_OLD)),
    **dict.fromkeys(("ReduceLogSum", "ReduceLogSumExp"), (*REDUCE_LISTED, REDUCE_OLD)),
    "ReduceSum": (*REDUCE, case(X(), attrs=attrs(axes=[[1], None], keepdims=[0, 1]), opset=11)),
    **{op: unary(axis=[0, 1, -1], keepdims=[0, 1]) for op in ("ArgMax", "ArgMin")},
    "TopK": (case(X(), C([2]), attrs=attrs(axis=[-1, 1], largest=[0, 1]), outputs=2),),
    "CumSum": (case(X(), C(1), attrs=attrs(exclusive=[0, 1], reverse=[0, 1])),),
    "CumProd": (case(X(), C(1), attrs=attrs(exclusive=[0, 1]), opset=26, within=(-3.0, 3.0)),),
    "Softmax": (*unary(axis=[0, 1, -1, None]), case(X(), attrs=attrs(axis=[0, 1, 2, None]), opset=11)),
    "LogSoftmax": (*unary(axis=[0, 1, -1, None]), case(X(), attrs=attrs(axis=[0, 1, 2]), opset=11)),
    "Hardmax": (*unary(axis=[0, 1, -1]), case(X(), attrs=attrs(axis=[0, 1]), opset=11)),
    "MaxPool": (case(IMAGE, attrs=POOL), case(IMAGE, attrs=POOL[:1], outputs=2)),
    "AveragePool": (
        case(IMAGE, attrs=tuple(a | {"count_include_pad": c} for a in POOL for c in (0, 1))),
        case(IMAGE, attrs=({"kernel_shape": [3, 3], "auto_pad": "SAME_UPPER", "count_include_pad": 1},)),
    ),
    "LpPool": (case(IMAGE, attrs=attrs(kernel_shape=[[2, 2]], p=[None, 1, 3], pads=[None, [1, 1, 1, 1]])),),
    **{op: (case(IMAGE),) for op in ("GlobalAveragePool", "GlobalMaxPool")},
    "GlobalLpPool": (case(IMAGE, attrs=attrs(p=[None, 1]), opset=13),),
    "Conv": (
        case(IMAGE, W((3, 2, 3, 3)), W((3,)), attrs=attrs(pads=[None, [1, 1, 1, 1]], strides=[None, [2, 2]])),
        case(IMAGE, W((2, 1, 2, 2), 0.0, 1.0), attrs=attrs(group=[2], auto_pad=["SAME_UPPER", "VALID"])),
        case(IMAGE, W((4, 2, 1, 1), -1.0, 0.0)),
        case(IMAGE, X((3, 2, 2, 2)), W((3,)), within=MODEST),
    ),
    "ConvTranspose": (
        case(IMAGE, W((2, 3, 3, 3)), W((3,)), attrs=attrs(strides=[None, [2, 2]], output_padding=[None])),
        case(IMAGE, W((2, 1, 2, 2)), attrs=({"group": 2},)),
        case(IMAGE, X((2, 3, 2, 2)), within=MODEST),
    ),
    "Gemm": (
        case(ROW, W((4, 3)), W((3,)), attrs=attrs(alpha=[None, -0.5], beta=[None, 2.0])),
        case(ROW, W((3, 4)), attrs=({"transB": 1},)),
        case(ROW, X((2, 3)), W((1,)), attrs=({"transA": 1},), within=MODEST),
    ),
    "MatMul": (case(X(), W((4, 2))), case(W((5, 3)), X()), case(X(), W((4,))), case(X(), X((4, 2)), within=MODEST)),
    "Einsum": (case(ROW, W((4, 3), 0.0, 1.0), attrs=({"equation": "ij,jk->ik"},)),),
    "Attention": (
        case(X((1, 2, 3, 4)), X((1, 2, 5, 4)), X((1, 2, 5, 4)), opset=23, within=MODEST),
        case(X((1, 2, 3, 4)), W((1, 2, 5, 4)), W((1, 2, 5, 4), 0.0, 1.0), attrs=({"is_causal": 1},), opset=23),
    ),
    "BatchNormalization": (
        case(IMAGE, W((2,)), W((2,)), W((2,)), W((2,), 0.0, 2.0)),
        case(IMAGE, W((2,), 0.5, 2.0), W((2,)), W((2,)), W((2,), 0.0, 1e-6), attrs=({"epsilon": 1e-3},)),
    ),
    "LayerNormalization": (
        case(X(), W((4,)), W((4,)), outputs=3, opset=17, within=SPREAD),
        case(X(), W((3, 4)), attrs=({"axis": 1},), opset=17, within=SPREAD),
    ),
    "RMSNormalization": (case(X(), W((4,)), opset=23, within=MODEST),),
    "InstanceNormalization": (case(IMAGE, W((2,)), W((2,)), within=SPREAD),),
    "GroupNormalization": (case(X((1, 4, 3)), W((4,)), W((4,)), attrs=({"num_groups": 2},), within=SPREAD),),
    "LRN": (case(IMAGE, attrs=attrs(size=[1, 3], bias=[None, 0.5], alpha=[None, 1.0])),),
    "LpNormalization": (case(X(), attrs=attrs(p=[1, 2], axis=[None, 1]), within=MODEST),),
    "Dropout": (
        case(X(), outputs=2),
        case(X(), C(0.5, "float32"), C(True, "bool"), outputs=2),
        case(X(), attrs=({"ratio": 0.3},), opset=7),
    ),
    "QuantizeLinear": (
        case(X(), C(0.05, "float32"), C(3, "uint8")),
        case(X(), C(0.5, "float32"), C(-3, "int8")),
        case(X((2, 3)), C([0.5, 0.1, 2.0], "float32"), C([0, 1, 2], "uint8")),
    ),
    "DequantizeLinear": (
        case(N((2, 3), "uint8", 0, 255), C(0.05, "float32"), C(3, "uint8")),
        case(N((2, 3), "int8", -128, 127), C([0.5, 0.1, 2.0], "float32"), C([0, 1, -2], "int8")),
    ),
    "DynamicQuantizeLinear": (case(X(), outputs=3),),
    "LSTM": (case(*RECURRENT[4], attrs=({"hidden_size": 2},), outputs=3, within=MODEST),),
    "GRU": (
        case(*RECURRENT[3], attrs=attrs(hidden_size=[2], linear_before_reset=[0, 1]), outputs=2, within=MODEST),
        case(*RECURRENT[3], None, W((1, 2, 2), -4.0, 4.0), attrs=({"hidden_size": 2},), outputs=2, within=MODEST),
    ),
    "RNN": (
        case(*RECURRENT[1], attrs=({"hidden_size": 2},), outputs=2, within=MODEST),
        case(*RECURRENT[1], attrs=({"hidden_size": 2, "activations": ["Relu"]},), outputs=2, within=(-1.0, 1.0)),
    ),
    "SoftmaxCrossEntropyLoss": (
        case(ROW, N((2,)), attrs=attrs(reduction=["none", "mean", "sum"]), outputs=2, within=MODEST),
        case(ROW, N((2,)), W((4,), 0.1, 2.0), within=MODEST),
    ),
    "NegativeLogLikelihoodLoss": (
        case(ROW, N((2,)), attrs=attrs(reduction=["none", "mean", "sum"]), within=MODEST),
        case(ROW, N((2,)), W((4,), 0.1, 2.0), attrs=attrs(reduction=["none", "mean", "sum"]), within=MODEST),
    ),
    "RandomUniform": (case(attrs=({"shape": [2, 3]}, {"shape": [2, 3], "low": -3.0, "high": -1.0})),),
    "RandomUniformLike": (case(X(), attrs=attrs(low=[None, -2.0])),),
    "RandomNormal": (case(attrs=({"shape": [2, 3]},)),),
    "RandomNormalLike": (case(X()),),
    "Bernoulli": (case(X(), within=(0.0, 1.0)),),
    "EyeLike": (case(X((3, 4)), attrs=attrs(k=[None, 1])),),
    "Range": (
        case(C(0), C(5), C(2)),
        case(C(5), C(-2), C(-2)),
        case(C(0.5, "float32"), C(3.0, "float32"), C(0.75, "float32")),
        case(C(3), N((), "int64", -2, 9), C(1)),
    ),
    "Shape": (case(X()),),
    "Size": (case(X()),),
    "NonZero": (case(X()),),
    "NonMaxSuppression": (case(X((1, 3, 4)), X((1, 2, 3)), C([3])),),
    "Unique": (case(X(), outputs=4),),
    "Multinomial": (case(ROW, attrs=attrs(sample_size=[5]), opset=13, within=(-3.0, 3.0)),),
    **{op: (case(C(6), attrs=attrs(periodic=[0, 1])),) for op in ("HannWindow", "HammingWindow", "BlackmanWindow")},
    "MelWeightMatrix": (case(C(8), C(16), C(8192), C(0.0, "float32"), C(4000.0, "float32")),),
}
"""At least one for each operator of the table, besides `UNTESTABLE`."""

UNTESTABLE = {
    "ImageDecoder": "no runtime at hand decodes images",
    "RegexFullMatch": "works on strings; its result is a truth value",
}
