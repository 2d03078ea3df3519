"""Losses: single nodes, so that rules see prediction and target side by side."""

from __future__ import annotations

from typing import Any

from netlint.graph import Value, is_float

from .builder import Builder
from .table import operator

_REDUCTIONS = ("none", "mean", "sum")


def reduction_of(reduction: str | int, size_average: bool | None = None, reduce: bool | None = None) -> str:
    """The reduction by name, from aten's number or torch's former pair of flags."""
    if size_average is not None or reduce is not None:
        if reduce is False:
            return "none"
        return "sum" if size_average is False else "mean"
    return _REDUCTIONS[reduction] if isinstance(reduction, int) else reduction


def loss(b: Builder, name: str, *inputs: Value | None, **attrs: Any) -> Value:
    return b(name, *inputs, dtype=b.dtype, shape=b.shape, domain="torch", **attrs)


def _size_averaged(given: tuple[Any, ...], named: dict[str, Any], *between: str) -> tuple[str, dict[str, Any]]:
    """What `F.*_loss(input, target, size_average, *between, reduce, reduction)` says beyond its tensors."""
    order = ("size_average", *between, "reduce", "reduction")
    said = {**dict(zip(order, given, strict=False)), **named}
    kind = reduction_of(said.pop("reduction", "mean"), said.pop("size_average", None), said.pop("reduce", None))
    return kind, said


@operator("cross_entropy")
def cross_entropy(
    b: Builder,
    input: Value,
    target: Value,
    weight: Value | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Value:
    """ONNX's operator takes class numbers and a batch axis; probabilities and smoothing stay torch's."""
    kind = reduction_of(reduction, size_average, reduce)
    attrs: dict[str, Any] = {"reduction": kind, "ignore_index": ignore_index}
    if is_float(target.dtype) or label_smoothing or b.rank(input) < 2:
        attrs["label_smoothing"] = float(label_smoothing)
        return loss(b, "cross_entropy", input, target, weight, **attrs)
    return b("SoftmaxCrossEntropyLoss", input, target, weight, shape=b.shape, **attrs)


@operator("cross_entropy_loss")
def cross_entropy_loss(
    b: Builder,
    input: Value,
    target: Value,
    weight: Value | None = None,
    reduction: int = 1,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> Value:
    return cross_entropy(b, input, target, weight, None, ignore_index, None, reduction_of(reduction), label_smoothing)


@operator("torch.nn.functional.nll_loss", origin=True)
def functional_nll_loss(
    b: Builder,
    input: Value,
    target: Value,
    weight: Value | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Value:
    return nll_loss(b, input, target, weight, reduction_of(reduction, size_average, reduce), ignore_index)


@operator("nll_loss", "nll_loss_nd", "nll_loss2d")
def nll_loss(
    b: Builder,
    input: Value,
    target: Value,
    weight: Value | None = None,
    reduction: str | int = 1,
    ignore_index: int = -100,
) -> Value:
    attrs: dict[str, Any] = {"reduction": reduction_of(reduction), "ignore_index": ignore_index}
    if b.rank(input) < 2:
        return loss(b, "nll_loss", input, target, weight, **attrs)
    return b("NegativeLogLikelihoodLoss", input, target, weight, shape=b.shape, **attrs)


@operator("nll_loss_forward", "nll_loss2d_forward")
def nll_loss_forward(
    b: Builder, input: Value, target: Value, weight: Value | None, reduction: int, ignore_index: int
) -> list[Value]:
    """With the total weight, which only a backward pass reads."""
    found = nll_loss(b, input, target, weight, reduction, ignore_index)
    return [found, b("total_weight", target, weight, dtype=input.dtype, shape=(), domain="torch")]


def _plain(name: str) -> Any:
    def lower(b: Builder, input: Value, target: Value, *rest: Any, **named: Any) -> Value:
        """`F.foo(input, target, size_average, reduce, reduction)` and aten's `foo(input, target, reduction)`."""
        if rest and type(rest[0]) is int:
            named, rest = {**named, "reduction": rest[0]}, ()
        weight = named.pop("weight", None)
        kind, _ = _size_averaged(rest, named)
        return loss(b, name, input, target, weight, reduction=kind)

    return lower


for _name in ("mse_loss", "l1_loss", "soft_margin_loss", "multilabel_margin_loss"):
    operator(_name)(_plain(_name))


def _bent(name: str, bend: str) -> Any:
    def lower(b: Builder, input: Value, target: Value, *rest: Any, **named: Any) -> Value:
        """A loss that is square up to a place. Of aten: `foo(input, target, reduction, place)`."""
        if rest and type(rest[0]) is int:
            named = {**named, **dict(zip(("reduction", bend), rest, strict=False))}
        elif name == "huber_loss":
            named = {**dict(zip(("reduction", bend), rest, strict=False)), **named}
        else:
            named = {**dict(zip(("size_average", "reduce", "reduction", bend), rest, strict=False)), **named}
        kind, said = _size_averaged((), named)
        return loss(b, name, input, target, said.get("weight"), reduction=kind, **{bend: float(said.get(bend, 1.0))})

    return lower


operator("smooth_l1_loss")(_bent("smooth_l1_loss", "beta"))
operator("huber_loss")(_bent("huber_loss", "delta"))


@operator("binary_cross_entropy")
def binary_cross_entropy(
    b: Builder, input: Value, target: Value, weight: Value | None = None, *rest: Any, **named: Any
) -> Value:
    if rest and type(rest[0]) is int:
        named, rest = {"reduction": rest[0]}, ()
    return loss(b, "binary_cross_entropy", input, target, weight, reduction=_size_averaged(rest, named)[0])


@operator("torch.nn.functional.binary_cross_entropy_with_logits", origin=True)
def functional_with_logits(
    b: Builder,
    input: Value,
    target: Value,
    weight: Value | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Value | None = None,
) -> Value:
    return with_logits(b, input, target, weight, pos_weight, reduction_of(reduction, size_average, reduce))


@operator("binary_cross_entropy_with_logits")
def with_logits(
    b: Builder,
    input: Value,
    target: Value,
    weight: Value | None = None,
    pos_weight: Value | None = None,
    reduction: str | int = 1,
) -> Value:
    kind = reduction_of(reduction)
    return loss(b, "binary_cross_entropy_with_logits", input, target, weight, pos_weight, reduction=kind)


@operator("kl_div")
def kl_div(b: Builder, input: Value, target: Value, *rest: Any, **named: Any) -> Value:
    """aten: (reduction, log_target); torch: (size_average, reduce, reduction, log_target)."""
    if rest and type(rest[0]) is int:
        named = {**dict(zip(("reduction",), rest, strict=False)), **named}
    else:
        named = {**dict(zip(("size_average", "reduce", "reduction", "log_target"), rest, strict=False)), **named}
    kind, said = _size_averaged((), named)
    return loss(b, "kl_div", input, target, reduction=kind, log_target=int(said.get("log_target", False)))


@operator("poisson_nll_loss")
def poisson_nll_loss(
    b: Builder,
    input: Value,
    target: Value,
    log_input: bool = True,
    full: bool = False,
    *rest: Any,
    **named: Any,
) -> Value:
    """aten: (eps, reduction); torch: (size_average, eps, reduce, reduction)."""
    order = ("eps", "reduction") if len(rest) == 2 else ("size_average", "eps", "reduce", "reduction")
    kind, said = _size_averaged((), {**dict(zip(order, rest, strict=False)), **named})
    attrs = {"log_input": int(log_input), "full": int(full), "eps": float(said.get("eps", 1e-8))}
    return loss(b, "poisson_nll_loss", input, target, reduction=kind, **attrs)


@operator("gaussian_nll_loss")
def gaussian_nll_loss(
    b: Builder,
    input: Value,
    target: Value,
    var: Value | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Value:
    variance = b.tensor(var, input.dtype)
    attrs = {"full": int(full), "eps": float(eps), "reduction": reduction_of(reduction)}
    return loss(b, "gaussian_nll_loss", input, target, variance, **attrs)


def kind_of(rest: tuple[Any, ...], named: dict[str, Any]) -> str:
    """The reduction, given as aten's number or after torch's former pair of flags."""
    if len(rest) == 1 and (type(rest[0]) is int or isinstance(rest[0], str)):
        return reduction_of(rest[0])
    return _size_averaged(rest, {key: named[key] for key in ("size_average", "reduce", "reduction") if key in named})[0]


@operator("ctc_loss")
def ctc_loss(
    b: Builder,
    log_probs: Value,
    targets: Value,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str | int = "mean",
    zero_infinity: bool = False,
) -> Value:
    lengths = [x if isinstance(x, Value) else b.ints(*x) for x in (input_lengths, target_lengths)]
    attrs = {"blank": blank, "reduction": reduction_of(reduction), "zero_infinity": int(zero_infinity)}
    return loss(b, "ctc_loss", log_probs, targets, *lengths, **attrs)
