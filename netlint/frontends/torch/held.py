"""Objects of a user's that hold tensors by name: dataclasses and namespaces."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from torch import nn


def fields_of(value: Any) -> dict[str, Any] | None:
    """What such an object holds, by name; None of anything else."""
    if isinstance(value, SimpleNamespace):
        return dict(vars(value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type | Mapping | nn.Module):
        return {
            field.name: getattr(value, field.name) for field in dataclasses.fields(value) if hasattr(value, field.name)
        }
    return None


def with_fields(value: Any, fields: Mapping[str, Any]) -> Any:
    """A copy of such an object that holds other things; also of a frozen dataclass."""
    made = copy.copy(value)
    for name, item in fields.items():
        object.__setattr__(made, name, item)
    return made


def look(owner: Any, name: str, default: Any = None) -> Any:
    """An attribute of a user's object; the default also where looking at it fails, whatever it raises."""
    try:
        return getattr(owner, name, default)
    except Exception:
        return default
