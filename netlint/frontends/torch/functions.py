"""Which of torch's functions the recorder treats in which way."""

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from netlint.frontends.torch import batch_axis

_T = torch.Tensor


def _methods(*names: str) -> list[Any]:
    return [getattr(_T, name) for name in names if hasattr(_T, name)]


def _getters(*names: str) -> list[Any]:
    return [getattr(_T, name).__get__ for name in names if hasattr(_T, name)]


ASKING: frozenset[Any] = frozenset(
    (
        *_getters("shape", "dtype", "ndim", "layout", "is_sparse", "is_sparse_csr", "is_quantized", "is_nested"),
        *_getters("is_mkldnn", "names", "itemsize", "nbytes", "name", "output_nr", "_version", "is_mps", "is_xpu"),
        *_methods("size", "dim", "stride", "numel", "nelement", "element_size", "is_contiguous", "storage_offset"),
        *_methods("is_floating_point", "is_complex", "is_signed", "__len__", "ndimension", "is_same_size", "is_conj"),
        *_methods("is_neg", "__hash__", "dim_order", "has_names", "is_inference", "__dir__", "is_shared", "is_pinned"),
        *(torch.is_floating_point, torch.is_complex, torch.is_signed, torch.numel, torch.is_same_size, torch.is_conj),
        *(torch.result_type, torch.can_cast, torch.promote_types, torch.is_neg, torch.is_inference),
    )
)
"""These tell what every tensor knows of itself; neither recorded nor answered otherwise than torch does."""

DEMANDING: frozenset[Any] = frozenset(
    (
        *_methods("item", "tolist", "numpy", "__array__", "__bool__", "__int__", "__float__", "__index__"),
        *_methods("__complex__", "__nonzero__", "__contains__", "equal", "allclose", "is_nonzero", "__reduce_ex__"),
        *(torch.equal, torch.allclose, torch.is_nonzero),
    )
)
"""These hand elements of a tensor to Python."""

SHOWING: frozenset[Any] = frozenset(_methods("__repr__", "__str__", "__format__"))

SAME_OBJECT = frozenset(
    (
        *("contiguous", "to", "type", "float", "half", "double", "bfloat16", "int", "long", "short", "bool", "char"),
        *("byte", "cpu", "cuda", "type_as", "pin_memory", "coalesce", "as_tensor", "asarray", "resolve_conj", "expand"),
        *("resolve_neg", "real", "conj", "atleast_1d", "atleast_2d", "atleast_3d", "broadcast_tensors", "positive"),
        *("share_memory_", "requires_grad_", "broadcast_to", "expand_as", "view_as", "reshape", "flatten", "squeeze"),
        *("ravel", "chunk", "nan_to_num", "detach_", "rename", "refine_names", "align_to", "alias", "nested_to_padded"),
    )
)
"""Where these return the very tensor that they were given, nothing was done."""

RANDOM = frozenset(
    (
        *("rand", "randn", "randint", "randperm", "rand_like", "randn_like", "randint_like", "normal", "bernoulli"),
        *("multinomial", "poisson", "binomial", "dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout"),
        *("feature_dropout", "feature_alpha_dropout", "native_dropout", "rrelu", "gumbel_softmax", "uniform_"),
        *("normal_", "bernoulli_", "exponential_", "geometric_", "log_normal_", "cauchy_", "random_"),
        *("_sample_dirichlet", "_standard_gamma", "dropout_", "kaiming_uniform_", "kaiming_normal_", "xavier_uniform_"),
    )
)
"""By bare name: what these return is not decided by their arguments."""

_OUTSIDE_MAKERS = ("as_tensor", "asarray", "from_numpy", "frombuffer", "tensor", "scalar_tensor", "sparse_coo_tensor")
_MAKERS = (
    *("arange", "range", "linspace", "logspace", "eye", "empty", "empty_strided", "empty_permuted", "full", "ones"),
    *("zeros", "rand", "randn", "randint", "randperm", "tril_indices", "triu_indices", "vander", "normal", "complex"),
    *("bartlett_window", "blackman_window", "hamming_window", "hann_window", "kaiser_window", "sparse_csr_tensor"),
)
FROM_DATA: frozenset[Any] = frozenset(getattr(torch, name) for name in _OUTSIDE_MAKERS if hasattr(torch, name))
"""These turn Python's numbers or arrays into a tensor."""
MAKING: frozenset[Any] = frozenset(
    {
        *(getattr(torch, name) for name in _MAKERS if hasattr(torch, name)),
        *(torch.fft.fftfreq, torch.fft.rfftfreq),
        *(getattr(torch.signal.windows, name) for name in torch.signal.windows.__all__),
    }
)
"""These make a tensor from sizes and scalars, on the default device if none is given."""

DYNAMIC = frozenset(
    (
        *("nonzero", "argwhere", "unique", "unique_consecutive", "_unique2", "bincount", "masked_select"),
        *(
            "_return_counts",
            "_return_output",
            "_return_inverse",
            "nonzero_static",
            "unique_dim",
            "combinations",
            "_unique_impl",
        ),
    )
)
"""By bare name: how many elements these return depends on the elements of all their arguments."""
MASKED = frozenset({"__getitem__", "repeat_interleave", "where", "__setitem__", "index_put", "one_hot", "index_put_"})
"""By bare name: likewise on those arguments that are not floating-point."""

EXECUTED = frozenset(
    (
        *(
            f"{kind}{axes}d"
            for kind in ("conv", "conv_transpose", "max_pool", "adaptive_avg_pool")
            for axes in (1, 2, 3)
        ),
        *("__invert__", "abs", "addcdiv", "addcmul", "addmm", "affine_grid", "all", "angle", "any", "arange"),
        *("argsort", "avg_pool1d", "avg_pool2d", "avg_pool3d", "baddbmm", "binary_cross_entropy"),
        *("binary_cross_entropy_with_logits", "bitwise_not", "channel_shuffle", "clamp", "clip", "conj"),
        *("cosine_embedding_loss", "cosine_similarity", "cross", "cross_entropy", "cummax", "cummin", "cumprod"),
        *("cumsum", "deg2rad", "diag_embed", "diff", "digamma", "dot", "erf", "fold", "full_like", "gather"),
        *("gaussian_nll_loss", "glu", "heaviside", "hinge_embedding_loss", "huber_loss", "hypot", "imag"),
        *("index_add", "index_copy", "index_select", "isclose", "kl_div", "l1_loss", "lerp", "lgamma", "linspace"),
        *("local_response_norm", "log_softmax", "logaddexp", "logcumsumexp", "logical_not", "lp_pool1d"),
        *("lp_pool2d", "margin_ranking_loss", "max_pool1d", "mean", "median", "mse_loss", "multi_margin_loss"),
        *("multilabel_margin_loss", "multilabel_soft_margin_loss", "neg", "new_full", "new_ones", "new_zeros"),
        *("nll_loss", "norm", "normalize", "one_hot", "ones_like", "pairwise_distance", "pixel_shuffle"),
        *("pixel_unshuffle", "poisson_nll_loss", "polar", "prod", "quantile", "real", "renorm", "scatter"),
        *("scatter_add", "smooth_l1_loss", "soft_margin_loss", "softmax", "sort", "std_mean", "sum"),
        *("take_along_dim", "topk", "trace", "tril", "triplet_margin_loss", "triu", "unfold", "var_mean", "vdot"),
        *("view_as_complex", "xlogy", "zeros_like"),
    )
)
"""By bare name: executed on small zeros rather than on meta tensors; none of them can crash on zeros."""

COUNTING: frozenset[Any] = frozenset(
    {
        *(torch.arange, torch.range, torch.eye, torch.linspace, torch.logspace, torch.tril_indices, torch.triu_indices),
        *(torch.fft.fftfreq, torch.fft.rfftfreq, torch.hann_window, torch.hamming_window, torch.bartlett_window),
    }
)
"""These are executed as they are while they make few elements."""

_ENTERED = frozenset({"multi_head_attention_forward", "gumbel_softmax"})
_CHECKS = ("has_torch_function", "has_torch_function_unary", "has_torch_function_variadic")


def known_names() -> frozenset[str] | None:
    """The bare names that the lowering understands; None where it does not say."""
    try:
        from netlint.frontends import aten
    except ImportError:
        return None
    found = getattr(aten, "KNOWN", None)
    return frozenset(found) if found else None


def inner(func: Callable[..., Any], known: frozenset[str] | None) -> Callable[..., Any] | None:
    """A function written in Python, free of the check that hands it to a mode, so that its inner calls are seen.

    None for what is recorded as one call: functions that the lowering understands, and all that is not Python.
    """
    if not isinstance(func, types.FunctionType) or not any(name in func.__code__.co_names for name in _CHECKS):
        return None
    name = func.__name__
    wanted = name in _ENTERED if known is None else name not in known and name.lstrip("_") not in known
    if not wanted or func.__module__ not in (F.__name__, torch.functional.__name__):
        return None
    scope = {**func.__globals__, **dict.fromkeys(_CHECKS, lambda *tensors: False)}
    made = types.FunctionType(func.__code__, scope, func.__name__, func.__defaults__, func.__closure__)
    made.__kwdefaults__ = func.__kwdefaults__
    return made


def bare_name(func: Callable[..., Any]) -> str:
    """`conv2d`, `add`, `__getitem__`; for operators of torch.ops the name without namespace and overload."""
    if isinstance(func, torch._ops.OpOverload):
        return str(func._schema.name).rpartition("::")[2]
    return str(getattr(func, "__name__", None) or type(func).__name__)


def writes(name: str, kwargs: Any) -> bool:
    """Whether a call writes into its first argument, by its name."""
    if name.endswith("__"):
        return name in _WRITING_DUNDERS
    return (name.endswith("_") and name not in _HARMLESS) or kwargs.get("inplace") is True


_OPERATORS = ("add", "sub", "mul", "div", "truediv", "floordiv", "pow", "mod", "and", "or", "xor", "lshift", "rshift")
_WRITING_DUNDERS = frozenset({"__setitem__", "__imatmul__", *(f"__i{name}__" for name in _OPERATORS)})
_HARMLESS = frozenset({"requires_grad_", "share_memory_", "detach_", "retain_grad_"})


@dataclass(slots=True)
class Info:
    """What is known of a function of torch's."""

    name: str
    target: Callable[..., Any]
    inner: Callable[..., Any] | None = None
    extra: tuple[Any, ...] = ()
    """Further arguments of the target."""
    random: bool = False
    telling: bool = False
    """Whether a call may know which axis is the batch."""


def info_of(func: Any, known: frozenset[str] | None) -> Info:
    """What is known of a function; of a property, which comes as its getter or setter, by its name."""
    name = bare_name(func)
    if isinstance(func, types.MethodWrapperType) and name in ("__get__", "__set__"):
        owner = func.__self__
        attribute = str(getattr(owner, "__name__", "") or getattr(getattr(owner, "fget", None), "__name__", ""))
        return Info(attribute, getattr if name == "__get__" else setattr, extra=(attribute,))
    return Info(name, func, inner(func, known), random=name in RANDOM, telling=name in batch_axis.TELLING)
