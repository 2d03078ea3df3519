"""Losses that hold a distance or a score against a margin."""

from __future__ import annotations

from typing import Any

from netlint.graph import Value

from .builder import Builder
from .losses import kind_of, loss
from .table import operator


@operator("hinge_embedding_loss")
def hinge_embedding_loss(
    b: Builder, input: Value, target: Value, margin: float = 1.0, *rest: Any, **named: Any
) -> Value:
    kind = kind_of(rest, named)
    return loss(b, "hinge_embedding_loss", input, target, reduction=kind, margin=float(margin))


@operator("multilabel_soft_margin_loss")
def multilabel_soft_margin_loss(
    b: Builder, input: Value, target: Value, weight: Value | None = None, *rest: Any, **named: Any
) -> Value:
    return loss(b, "multilabel_soft_margin_loss", input, target, weight, reduction=kind_of(rest, named))


@operator("multi_margin_loss")
def multi_margin_loss(
    b: Builder,
    input: Value,
    target: Value,
    p: float = 1,
    margin: float = 1.0,
    weight: Value | None = None,
    *rest: Any,
    **named: Any,
) -> Value:
    attrs = {"reduction": kind_of(rest, named), "p": float(p), "margin": float(margin)}
    return loss(b, "multi_margin_loss", input, target, weight, **attrs)


@operator("margin_ranking_loss")
def margin_ranking_loss(
    b: Builder, input1: Value, input2: Value, target: Value, margin: float = 0, *rest: Any, **named: Any
) -> Value:
    """The second prediction comes after the target."""
    kind = kind_of(rest, named)
    return loss(b, "margin_ranking_loss", input1, target, input2, reduction=kind, margin=float(margin))


@operator("cosine_embedding_loss")
def cosine_embedding_loss(
    b: Builder, input1: Value, input2: Value, target: Value, margin: float = 0, *rest: Any, **named: Any
) -> Value:
    """The second prediction comes after the target."""
    kind = kind_of(rest, named)
    return loss(b, "cosine_embedding_loss", input1, target, input2, reduction=kind, margin=float(margin))


@operator("triplet_margin_loss")
def triplet_margin_loss(
    b: Builder,
    anchor: Value,
    positive: Value,
    negative: Value,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    *rest: Any,
    **named: Any,
) -> Value:
    attrs = {"reduction": kind_of(rest, named), "margin": float(margin), "p": float(p), "eps": float(eps)}
    return loss(b, "triplet_margin_loss", anchor, positive, negative, swap=int(swap), **attrs)
