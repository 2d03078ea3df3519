"""What the recorder hands over: a `torch.fx.Graph` of the calls that one run of the model made."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.fx


class SymbolicInt(int):
    """An int in the arguments of a call that follows a symbol: `x.view(2, -1)` where 2 is the batch of this run."""

    symbol: str

    def __new__(cls, value: int, symbol: str) -> SymbolicInt:
        made = super().__new__(cls, value)
        made.symbol = symbol
        return made


@dataclass(slots=True)
class Recording:
    """One run, call by call, in program order; in-place calls and views are ordinary calls.

    Nodes of `graph`:

    * `placeholder`: one per input tensor, also those nested in containers.
    * `get_attr`: one per parameter, buffer or outside constant that was used; `tensors[node.target]` holds it.
    * `call_function`: target is the function as called, with its own spelling of arguments:
      `torch.nn.functional.linear`, `torch.Tensor.view`, `torch.Tensor.__setitem__`, `torch._C._VariableFunctions.lstm`,
      `torch.ops.aten.add.Tensor`. A read of a property is `getattr(x, "data")`. Anything unknown is opaque: its target
      has the `__name__` of what was called.
      A part of a nested result is `operator.getitem(node, key)`.
      After an in-place call later uses of the tensor refer to its node; the node of a call without a result
      (`__setitem__`, `torch._foreach_add_`) has none, and later uses refer to the node before.
    * `output`: the nested result of the model, None in place of everything that holds no tensor.

    `node.meta`:

    * `val`: meta tensors, nested as the call returned them (other things in the result stay as they are).
    * `shape`: for each tensor in `val`, nested likewise, a netlint `Shape`; read at the time of the call.
    * `location`: a netlint `Location`, on `call_function` nodes.
    * `no_grad`: True where the user switched gradients off.
    """

    graph: torch.fx.Graph
    tensors: dict[str, torch.Tensor]
    """The parameters, buffers and constants by target of `get_attr`; as handed in, read and changed by nobody."""
    real: bool = False
    """Whether the model was executed on real tensors, since the data decide what it does."""
    symbolic: bool = False
    """Whether shapes carry the symbol `batch`."""
    thorough: bool = False
    """Whether operators that reached torch without a call of its API were recorded, too."""
    notes: list[str] = field(default_factory=list)
    """What was assumed to get here, for people."""
