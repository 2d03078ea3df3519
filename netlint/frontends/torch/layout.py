"""How input tensors become the arguments of a model or of a training step."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

from .batches import Parts, declared, keywords, parts_of
from .inputs import NO_CACHE, Example, Slot, holds_tensor, parameters_of, values
from .recipe import Step

_LOOSE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


@dataclass(frozen=True, slots=True)
class Layout:
    """How slots become arguments. A slot `batch.image` is a part of the argument `batch`."""

    parameters: tuple[inspect.Parameter, ...]
    parts: Mapping[str, Parts] = field(default_factory=dict)
    """Arguments that hold several tensors."""

    @classmethod
    def of(cls, model: nn.Module, step: Step | None, sequences: bool = False) -> Layout:
        """`sequences`: what a forward pass indexes or unpacks is a sequence of tensors, too."""
        if step is None or step.run is model:
            entries = tuple(entry for entry in parameters_of(model.forward).values() if entry.kind not in _LOOSE)
            entries += tuple(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in keywords(model))
            source = model.forward
        else:
            kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
            entries, source = tuple(inspect.Parameter(name, kind) for name in step.names), step.source
        needed = [entry.name for entry in entries if entry.default is entry.empty]
        stated = {entry.name: parts for entry in entries if (parts := declared(entry, source)) is not None}
        read = ((name, stated.get(name) or parts_of(source, name, model)) for name in needed)
        found = {name: parts for name, parts in read if parts is not None}
        return cls(entries, {name: p for name, p in found.items() if p.keyed or sequences or step is not None})

    def names(self) -> list[str]:
        """The slots of the arguments that it cannot do without."""
        needed = [entry.name for entry in self.parameters if entry.default is entry.empty]
        return [
            path
            for name in needed
            for path in ([f"{name}.{part}" for part in self.parts[name].names] if name in self.parts else [name])
        ]

    def example(self, slots: Sequence[Slot], origin: str, guessed: bool = True) -> Example:
        """By place as long as the slots follow the signature, then by name."""
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        names = [entry.name for entry in self.parameters]
        for index, (name, value) in enumerate(self._arguments(slots)):
            follows = index < len(names) and names[index] == name
            positional = follows and self.parameters[index].kind is not inspect.Parameter.KEYWORD_ONLY
            positional &= holds_tensor(value)  # of what is none, the name says more
            if not kwargs and (positional or name not in names):
                args.append(value)
            else:
                kwargs[name] = value
        if NO_CACHE in names:
            kwargs[NO_CACHE] = False
        return Example(tuple(args), kwargs, origin, guessed)

    def _arguments(self, slots: Sequence[Slot]) -> list[tuple[str, Any]]:
        found: list[tuple[str, Any]] = []
        parts: dict[str, dict[str, Any]] = {}
        for slot, value in zip(slots, values(slots), strict=True):
            whole, _, part = slot.name.partition(".")
            if not part:
                found.append((slot.name, value))
                continue
            if whole not in parts:
                parts[whole] = {}
                found.append((whole, parts[whole]))
            parts[whole][part] = value
        pair = Parts((), keyed=False)
        return [(name, self.parts.get(name, pair).held(value) if name in parts else value) for name, value in found]

    def holding(self, slots: Sequence[Slot]) -> Layout:
        """With the arguments that the user states in parts, `feats.0` and `feats.1` or `batch.image`."""
        stated: dict[str, list[str]] = {}
        for slot in slots:
            whole, _, part = slot.name.partition(".")
            if part and whole not in self.parts:
                stated.setdefault(whole, []).append(part)
        return replace(self, parts={**self.parts, **{whole: _held(parts) for whole, parts in stated.items()}})

    def placed(self, slots: Sequence[Slot]) -> list[Slot] | None:
        """Stated slots under the names of what they are, in the order of these; None where one fits nothing."""
        free = self.names()
        optional = [entry.name for entry in self.parameters if entry.name not in free]
        named: dict[str, Slot] = {}
        for slot in sorted(slots, key=lambda slot: not slot.name):
            matching = [name for name in free if slot.name in ("", name, name.rpartition(".")[2])]
            matching += [name for name in optional if name == slot.name]
            if not matching or matching[0] in named:
                return None
            if matching[0] in free:
                free.remove(matching[0])
            named[matching[0]] = replace(slot, name=matching[0])
        return [named[name] for name in (*self.names(), *optional) if name in named]


def _held(parts: Sequence[str]) -> Parts:
    """What an argument holds of which these parts are stated: a sequence where they are numbers, else a dict."""
    if not all(map(str.isdigit, parts)):
        return Parts(tuple(parts), True)
    return Parts(tuple(map(str, range(max(map(int, parts)) + 1))), False)
