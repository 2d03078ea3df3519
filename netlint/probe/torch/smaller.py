"""A batch that costs less, for stages that run it many times: fewer samples, and images of fewer pixels."""

from __future__ import annotations

from dataclasses import replace

import torch

from .data import Batch
from .running import Running

PRODUCTS = 1 << 30
"""Multiplications of weights in a forward pass, beyond which a batch is made smaller on a CPU."""
LEAST = 4
"""Samples that are left."""
SIDE = 48
"""Pixels that are left of a side of made-up images."""


def smaller(running: Running, samples: int, dtype: torch.dtype | None = None) -> Batch:
    """At most so many samples. Within `lent` in that type: it is run once to see that the model takes it.

    Noise of fewer pixels is noise as before; data of the user's keep their size.
    """
    batch = running.first(samples)
    cost = running.source.products * batch.samples
    if running.device.type != "cpu" or cost <= PRODUCTS:
        return batch
    pixels = _stride(batch, cost) if not batch.real else 1
    less = _thinned(batch, pixels)
    if pixels > 1 and not _runs(running, less, dtype):
        less, pixels = batch, 1
    cost /= pixels**2
    while cost > PRODUCTS and less.samples // 2 >= LEAST and running.source.samples_axis is not None:
        less, cost = less.first(less.samples // 2), cost / 2
    return less


def costly(running: Running, batch: Batch) -> bool:
    """Whether one run of such a batch is near the bound; of smaller images it is less than it seems."""
    return running.device.type == "cpu" and running.source.products * batch.samples > PRODUCTS


def _stride(batch: Batch, cost: float) -> int:
    """Every how many pixels are kept: a power of two."""
    sides = [side for tensor in batch.tensors() if tensor.dim() == 4 for side in tensor.shape[2:]]
    found = 1
    while sides and min(sides) // (2 * found) >= SIDE and cost / found**2 > PRODUCTS:
        found *= 2
    return found


def _thinned(batch: Batch, stride: int) -> Batch:
    def thin(tensor: torch.Tensor) -> torch.Tensor:
        is_image = tensor.dim() == 4 and tensor.is_floating_point()
        return tensor[:, :, ::stride, ::stride].contiguous() if is_image and stride > 1 else tensor

    args, kwargs = batch.changed(thin)
    about = f"{batch.about}, 1 in {stride**2} pixels" if stride > 1 else batch.about
    return replace(batch, args=args, kwargs=kwargs, about=about)


def _runs(running: Running, batch: Batch, dtype: torch.dtype | None) -> bool:
    try:
        with torch.no_grad():
            running(batch.on(running.device, dtype))
    except Exception:  # code of the user's
        return False
    return True
