"""netlint: the linter for neural networks. `netlint.check(model)` lints a model in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import CheckReport, Findings, TargetError, check

__version__ = "0.3.0"
__all__ = ["CheckReport", "Findings", "TargetError", "__version__", "check"]


def __getattr__(name: str) -> Any:
    """What `netlint.api` has, imported when it is first asked for: `import netlint` costs next to nothing."""
    if name not in __all__:
        raise AttributeError(f"module 'netlint' has no attribute '{name}'")
    from . import api

    return getattr(api, name)
