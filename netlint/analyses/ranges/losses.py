"""Transfer functions of loss operators: ONNX's, and torch's as the front end keeps them."""

from __future__ import annotations

from . import algebra
from .interval import INF, TOP, Range
from .step import Step, Transfer

_POSITIVE = Range(0.0, INF, nan=True)


def cross_entropy(step: Step) -> tuple[Range, ...]:
    """-log p, weighted: not negative. The second output is the log-probability."""
    weights = step.arg(2) if step.has(2) else Range(1.0, 1.0)
    loss = Range(0.0, INF, nan=True) if weights.lo >= 0 else TOP
    return loss, Range(-INF, 0.0, nan=True)


def negative_log_likelihood(step: Step) -> Range:
    """Picked elements, negated; 0 for ignored ones."""
    picked = algebra.with_zero(algebra.negate(step.arg(0)))
    weights = step.arg(2) if step.has(2) else Range(1.0, 1.0)
    if step.has(2) or step.text("reduction", "mean") == "sum":
        if weights.lo >= 0 and picked.lo >= 0:
            return Range(0.0, INF, nan=True, assumed=picked.assumed)
        return Range(-INF, 0.0, nan=True) if weights.lo >= 0 and picked.hi <= 0 else TOP
    return step.summed(picked, None).having(nan=step.text("reduction", "mean") == "mean")


def _weights_positive(step: Step) -> bool:
    return all(step.arg(slot).lo >= 0 for slot in range(2, len(step.node.inputs)) if step.has(slot))


def distance(step: Step) -> Range:
    """Of prediction and target, by their squares or magnitudes: not negative; averaged, not above the largest."""
    if not _weights_positive(step):
        return TOP
    apart = algebra.absolute(algebra.subtract(step.arg(0), step.arg(1)))
    if step.node.op != "l1_loss" or step.text("reduction", "mean") == "sum" or step.has(2) or not apart.bounded:
        return _POSITIVE
    return step.summed(Range(0.0, apart.hi, nan=True, assumed=apart.assumed, loose=True), None)


def never_negative(step: Step) -> Range:
    """Rectified or logarithms of numbers above 1."""
    return _POSITIVE if _weights_positive(step) else TOP


def of_probabilities(step: Step) -> Range:
    """Not negative if the targets are probabilities; torch cuts each logarithm at -100."""
    if not (_weights_positive(step) and step.arg(1).within(0.0, 1.0)):
        return TOP
    cut = step.node.op == "binary_cross_entropy" and not step.has(2) and step.text("reduction", "mean") != "sum"
    return Range(0.0, 101.0, nan=True, loose=True) if cut and step.arg(0).within(0.0, 1.0) else _POSITIVE


def of_classes(step: Step) -> Range:
    """Not negative if targets are class indices, or probabilities."""
    dtype = step.state.dtype(step.node.input(1)) or ""
    positive = dtype.startswith(("int", "uint")) or step.arg(1).lo >= 0
    return _POSITIVE if positive and _weights_positive(step) else TOP


def picked(step: Step) -> Range:
    """Negated log-probabilities."""
    return _POSITIVE if step.arg(0).hi <= 0 and _weights_positive(step) else TOP


def hinge(step: Step) -> Range:
    """The prediction itself where the target is 1."""
    return _POSITIVE if step.arg(0).lo >= 0 and _weights_positive(step) else TOP


def cosine(step: Step) -> Range:
    """1 - cos, or cos - margin rectified: negative by rounding only."""
    return Range(-8 * step.eps, INF, nan=True) if step.text("reduction", "mean") != "sum" else TOP


_TORCH: dict[str, Transfer] = {
    **dict.fromkeys(("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"), distance),
    **dict.fromkeys(("soft_margin_loss", "multi_margin_loss", "multilabel_margin_loss"), never_negative),
    **dict.fromkeys(("margin_ranking_loss", "triplet_margin_loss"), never_negative),
    **dict.fromkeys(("binary_cross_entropy", "binary_cross_entropy_with_logits"), of_probabilities),
    "multilabel_soft_margin_loss": of_probabilities,
    "cross_entropy": of_classes,
    **dict.fromkeys(("nll_loss", "ctc_loss"), picked),
    "hinge_embedding_loss": hinge,
    "cosine_embedding_loss": cosine,
    **dict.fromkeys(("kl_div", "poisson_nll_loss", "gaussian_nll_loss"), lambda step: TOP),
}

LOSSES: dict[str, Transfer] = {
    "SoftmaxCrossEntropyLoss": cross_entropy,
    "NegativeLogLikelihoodLoss": negative_log_likelihood,
    **{f"torch.{name}": transfer for name, transfer in _TORCH.items()},
}
"""Where a loss cannot be negative, that is said; else nothing."""
