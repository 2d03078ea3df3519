"""Which of torch's losses cannot be negative: what `ranges` says, against torch itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from netlint.analyses.ranges import TRANSFER, ranges
from netlint.analysis import Results
from netlint.graph import Graph, Location, Node, Value
from netlint.ops import TORCH_LOSSES
from netlint.training import Interval, Known, Training


class Detail:
    """A node made by hand."""

    def attrs(self) -> dict[str, Any]:
        return {"reduction": "none"}

    def location(self) -> Location:
        return Location("loss")

    def source(self) -> None:
        return None


def test_all_are_taught() -> None:
    assert set(TRANSFER) >= TORCH_LOSSES


ROWS = {"multi_margin_loss", "multilabel_soft_margin_loss"}
CLASSES = {"multi_margin_loss"}


@pytest.mark.parametrize(
    "name",
    [
        *("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "soft_margin_loss", "hinge_embedding_loss"),
        *("binary_cross_entropy", "binary_cross_entropy_with_logits", "kl_div", "poisson_nll_loss"),
        *("multilabel_soft_margin_loss", "multi_margin_loss"),
    ],
)
@pytest.mark.parametrize("contract", [(0.0, 1.0), (-3.0, 3.0)])
def test_losses_lie_in_their_ranges(name: str, contract: tuple[float, float]) -> None:
    torch = pytest.importorskip("torch")
    if name == "binary_cross_entropy" and contract[0] < 0:
        pytest.skip("torch refuses predictions that are no probabilities")
    classes = name in CLASSES
    prediction = Value("prediction", "float32", (64, 5))
    target = Value("target", "int64" if classes else "float32", (64,) if classes else (64, 5))
    result = Value("loss", "float32", (64,) if name in ROWS else (64, 5))
    node = Node(name, [prediction, target], [result], Detail(), "torch")
    graph = Graph((prediction, target), (result,), (node,), {"": 23})
    stated = Training(input_range=Known(Interval(*contract), "test"))
    found = Results(graph, stated).get(ranges).of(result)
    rng = np.random.default_rng(0)
    x = torch.tensor(rng.uniform(*contract, (64, 5)).astype(np.float32))
    t = torch.tensor(rng.integers(0, 5, 64)) if classes else torch.tensor(rng.uniform(*contract, (64, 5)))
    loss = getattr(torch.nn.functional, name)(x, t if classes else t.float(), reduction="none")
    numbers = loss[~loss.isnan()]
    assert found.nan or numbers.numel() == loss.numel()
    assert found.lo <= float(numbers.min()) and float(numbers.max()) <= found.hi
