"""Whether a model file holds a layer's weight as its module had it, or an exporter has computed it anew.

Batch normalisation is folded into the layer before it, standardised and normalised weights are worked out. Exporters
say so, or show it by names: a parameter is called after the module that its layer stands in (`body.0.weight` in
`body.0`), what is computed gets a name of its own (`onnx::Conv_153`, `val_7`).
"""

from __future__ import annotations

from .layers import Layer

CONVOLUTIONS = ("conv", "conv-transpose")


def folded(layer: Layer) -> bool | None:
    """Whether something has been folded into the weight of a layer; None where nobody says.

    The names of dense layers' weights do not tell: exporters transpose them under new names.
    """
    if layer.weight.trainable is not None:
        return False  # not from a file
    where = layer.node.loc
    if where.folded is not None:
        return True
    if not where.module or layer.kind not in CONVOLUTIONS:
        return None
    return layer.weight.name.rpartition(".")[0] != where.module


def may_be_folded(layer: Layer) -> bool:
    """Whether a norm may be in the weight: where nobody says, in any convolution."""
    found = folded(layer)
    return layer.kind in CONVOLUTIONS if found is None else found
