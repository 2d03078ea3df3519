"""Where in a model, and in the code that made it, something is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Location:
    """Where something is: `path` is always there, the rest as far as the model file tells."""

    path: str
    source: tuple[str, int] | None = None
    """File and line of the call in the user's code; the path may belong to another machine."""
    module: str | None = None
    """Dotted path of the `nn.Module` the node belongs to, e.g. `encoder.layers.3.attn`."""
    module_class: str | None = None
    """The class of that module, e.g. `torch.nn.modules.loss.MSELoss`."""
    assumed: str | None = None
    """What was assumed of the data to come here, e.g. `the branch at net.py:12 is taken`; None: nothing."""
    folded: str | None = None
    """The module that an exporter has folded into the node, e.g. the norm behind a convolution."""
