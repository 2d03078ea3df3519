"""Further operators to run: quantised arithmetic, signals, loops, ONNX Runtime's fused operators."""

from __future__ import annotations

from .soundness_specs import C, Case, N, W, X, attrs, case, text

ROW = X((2, 4))
IMAGE = X((1, 2, 4, 4))
MODEST = (-300.0, 300.0)
CODES = N((2, 3), "uint8", 0, 255)
SCALE, ZERO = C(0.05, "float32"), C(3, "uint8")

DEFAULT: dict[str, tuple[Case, ...]] = {
    "BitShift": tuple(
        case(N((3,), "uint8", 0, 200), N((3,), "uint8", 0, 3), attrs=({"direction": way},)) for way in ("LEFT", "RIGHT")
    ),
    "Det": (case(X((2, 2)), within=MODEST),),
    "MeanVarianceNormalization": (case(IMAGE, within=(-1.0, 7.0)),),
    "TfIdfVectorizer": (
        case(
            N((1, 5), "int64", 0, 3),
            attrs=(
                {
                    "mode": "TF",
                    "min_gram_length": 1,
                    "max_gram_length": 1,
                    "max_skip_count": 0,
                    "ngram_counts": [0],
                    "ngram_indexes": [0, 1],
                    "pool_int64s": [1, 2],
                },
            ),
        ),
    ),
    "MatMulInteger": (
        case(CODES, N((3, 2), "uint8", 0, 255), C(3, "uint8"), C(7, "uint8")),
        case(CODES, N((3, 2), "int8", -128, 127)),
    ),
    "ConvInteger": (
        case(
            N((1, 2, 4, 4), "uint8", 0, 255),
            N((3, 2, 2, 2), "uint8", 0, 255),
            C(9, "uint8"),
            attrs=attrs(pads=[None, [1, 1, 1, 1]]),
        ),
    ),
    "QLinearMatMul": (case(CODES, SCALE, ZERO, N((3, 2), "uint8", 0, 255), SCALE, ZERO, C(0.5, "float32"), ZERO),),
    "QLinearConv": (
        case(N((1, 2, 4, 4), "uint8", 0, 255), SCALE, ZERO, N((3, 2, 2, 2), "uint8", 0, 255), SCALE, ZERO, SCALE, ZERO),
    ),
    "DFT": (
        case(X((1, 8, 1)), attrs=attrs(onesided=[0, 1]), within=MODEST),
        case(X((1, 8, 2)), C(4), attrs=attrs(inverse=[0, 1]), within=MODEST),
        case(X((2, 6, 2)), None, C(1), attrs=({"inverse": 1},), within=MODEST),
    ),
    "STFT": (case(X((1, 16, 1)), C(4), W((8,), 0.0, 1.0), C(8), within=MODEST),),
    "RotaryEmbedding": (
        case(X((1, 2, 3, 4)), W((5, 2), -1.0, 1.0), W((5, 2), -1.0, 1.0), C([[0, 1, 2]]), opset=23),
        case(
            X((1, 2, 3, 6)),
            W((5, 2), -1.0, 1.0),
            W((5, 2), -1.0, 1.0),
            C([[0, 1, 2]]),
            attrs=({"rotary_embedding_dim": 4, "interleaved": 1},),
            opset=23,
        ),
    ),
    "AffineGrid": (case(X((1, 2, 3)), C([1, 1, 3, 3]), attrs=attrs(align_corners=[0, 1])),),
    "Col2Im": (case(X((1, 4, 9)), C([4, 4]), C([2, 2])), case(X((1, 4, 9)), C([4, 4]), C([2, 2]), within=(0.0, 7.0))),
    "DeformConv": (
        case(IMAGE, W((3, 2, 2, 2)), W((1, 8, 3, 3)), W((3,)), W((1, 4, 3, 3), 0.0, 1.0), within=MODEST),
        case(IMAGE, W((3, 2, 2, 2)), W((1, 8, 3, 3)), within=MODEST),
    ),
    "Loop": (
        text(
            """n = Constant<value_int = 3>() c = Constant<value = bool {1}>()
            r, y = Loop (n, c, x) <body = b (int64 i, bool go, float[2, 3] h)
              => (bool on, float[2, 3] k, float[2, 3] z) { on = Identity(go) k = Sigmoid(h) z = Neg(h) }>"""
        ),
        text(
            """n = Constant<value_int = 3>() c = Constant<value = bool {1}>() s = Sigmoid(x)
            y = Loop (n, c, s) <body = b (int64 i, bool go, float[2, 3] h)
              => (bool on, float[2, 3] k) { on = Identity(go) k = Add(h, w) }>"""
        ),
        text(
            """n = Constant<value_int = 4>() c = Constant<value = bool {1}>() s = Sigmoid(x) o = Tanh(x)
            y, q = Loop (n, c, s, o) <body = b (int64 i, bool go, float[2, 3] h, float[2, 3] g)
              => (bool on, float[2, 3] k, float[2, 3] m) { on = Identity(go) k = Mul(h, g) m = Relu(k) }>"""
        ),
    ),
    "Scan": (
        text(
            """s = Sigmoid(x) e = Constant<value = float[3] {0, 0, 0}>()
            y, z = Scan <num_scan_inputs = 1, body = b (float[3] h, float[3] v)
              => (float[3] k, float[3] o) { k = Max(h, v) o = Sub(v, k) }> (e, s)""",
            "float[3]",
        ),
    ),
    "SequenceMap": (
        text(
            """s = SequenceConstruct(x, w)
            t = SequenceMap (s) <body = b (float[2, 3] v) => (float[2, 3] o) { o = Relu(v) }>
            i = Constant<value_int = 1>() y = SequenceAt(t, i)"""
        ),
    ),
}
GATED = case(ROW, opset=22, within=(-1e4, 1e4))
CONTRIB: dict[str, tuple[Case, ...]] = {
    "Gelu": (GATED,),
    "BiasGelu": (case(ROW, W((4,)), within=(-1e4, 1e4)),),
    "FastGelu": (GATED, case(ROW, W((4,)), within=(-1e4, 1e4))),
    "QuickGelu": (case(ROW, attrs=attrs(alpha=[None, 0.5]), within=(-1e4, 1e4)),),
    **{
        op: (
            case(X((2, 3)), W((3, 4)), attrs=attrs(alpha=[None, -0.5]), within=MODEST),
            case(X((3, 2)), W((4, 3)), attrs=({"transA": 1, "transB": 1},), within=MODEST),
        )
        for op in ("FusedMatMul", "TransposeMatMul")
    },
    "FusedGemm": (case(X((2, 3)), W((3, 4)), W((4,)), attrs=attrs(activation=["Relu", "Tanh"]), within=MODEST),),
    "FusedConv": (
        case(IMAGE, W((3, 2, 3, 3)), W((3,)), attrs=attrs(activation=["Relu", "Sigmoid"]), within=MODEST),
        case(IMAGE, W((2, 2, 1, 1)), W((2,)), IMAGE, attrs=({"activation": "Relu"},), within=MODEST),
    ),
    "SkipLayerNormalization": (
        case(X((1, 2, 4)), X((1, 2, 4)), W((4,)), W((4,)), W((4,)), outputs=1, within=(-1.0, 7.0)),
    ),
    "SkipSimplifiedLayerNormalization": (case(X((1, 2, 4)), X((1, 2, 4)), W((4,)), within=MODEST),),
    "Attention": (case(X((1, 3, 4)), W((4, 12)), W((12,)), attrs=({"num_heads": 2},), within=MODEST),),
    "MultiHeadAttention": (case(X((1, 3, 4)), X((1, 5, 4)), X((1, 5, 4)), attrs=({"num_heads": 2},), within=MODEST),),
    "QuantizeLinear": (case(ROW, SCALE, ZERO, within=MODEST),),
    "DequantizeLinear": (case(CODES, SCALE, ZERO),),
    **{op: (case(CODES, SCALE, ZERO, CODES, SCALE, ZERO, SCALE, ZERO),) for op in ("QLinearAdd", "QLinearMul")},
    **{op: (case(CODES, SCALE, ZERO, SCALE, ZERO),) for op in ("QLinearSigmoid", "QLinearLeakyRelu")},
}

CASES: dict[str, tuple[Case, ...]] = DEFAULT | {f"com.microsoft::{op}": cases for op, cases in CONTRIB.items()}

UNTESTABLE = {
    **dict.fromkeys(("StringConcat", "StringNormalizer", "StringSplit"), "works on strings"),
    "SequenceEmpty": "has no elements",
    "BitCast": "no runtime at hand has it; nothing is said of its result",
    "com.microsoft::BiasSoftmax": "only accelerators have it",
    "com.microsoft::DynamicQuantizeLSTM": "an LSTM, with weights in a layout of its own",
    **dict.fromkeys(
        (f"com.microsoft::QLinear{op}" for op in ("Softmax", "AveragePool", "GlobalAveragePool", "Concat")),
        "any code of its type, as for QLinearAdd",
    ),
}
