"""The recorder proper: sees every call of torch's API, carries it out on stand-ins and writes it down.

A run is made on tensors of the `meta` device, which have no elements, or on real ones (copies, on the CPU). To the
model they claim to lie where its own parameters lie.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from netlint.frontends.torch import batch_axis, demands, frames, functions, owners, standins
from netlint.frontends.torch.beneath import helped, on_meta
from netlint.frontends.torch.compute import MetaCalls
from netlint.frontends.torch.errors import Demanded, Lost, refuse_nested
from netlint.frontends.torch.functions import Info
from netlint.frontends.torch.special import SPECIAL
from netlint.frontends.torch.telling import heard
from netlint.frontends.torch.trace import Kind, Slot, Step, Trace, slots_in

_META = torch.device("meta")
_CPU = torch.device("cpu")


REAL_RESULTS = 4 << 30
"""Bytes of all results together up to which a model is executed on real tensors."""


class Recorder(TorchFunctionMode):
    """Records what happens while it is active."""

    def __init__(
        self, root: nn.Module | None, *, real: bool, thorough: bool = False, locate: bool = True, shown: bool = False
    ) -> None:
        """`shown`: to the watch on this run, also the calls on tensors without elements."""
        super().__init__()
        self.real = real
        self.thorough = thorough
        self.locate = locate
        self.trace = Trace()
        self.modules = frames.Modules(root)
        self.device = _CPU if real else _META
        self.claimed = standins.claimed(root)
        self.quiet = 0
        """Above 0: inside something that is recorded as one call."""
        self.busy = False
        """Inside a call of the API: what happens beneath belongs to it."""
        self.left = REAL_RESULTS if real else 0
        """Bytes that a real run may still compute: it keeps all of them."""
        self.inventing = 0
        """How many elements that are not known may be invented."""
        self.assumed: str | None = None
        self.losses: list[Slot] = []
        """What `backward` was called on."""
        self.gradients: dict[int, torch.Tensor] = {}
        """What stands for the gradients that were asked for, by id of the tensor."""
        self.updating = 0
        """Above 0: an optimizer takes its step, which is no part of the model."""
        self.awaited: dict[int, tuple[torch.Tensor, str]] = {}
        """Input tensors inside objects of unknown kinds, met when they are used."""
        self._root = root
        self._named = standins.named(root)
        self.current: dict[int, Slot] = {}
        """By id of a tensor of the run, its slot now."""
        self._outside: dict[int, Slot] = {}
        self._keep: list[torch.Tensor] = []
        self._infos: dict[Any, Info] = {}
        self._meta = MetaCalls(self.current, self.claimed.type, shown)
        self._known = functions.known_names()
        self._standin: Callable[[torch.Tensor, Kind], torch.Tensor] = standins.copied if real else standins.shaped

    # Where a call arrives

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func in functions.ASKING or (self.thorough and torch._C._are_functorch_transforms_active()):
            return func(*args, **(kwargs or {}))
        self.busy, busy = True, self.busy
        try:
            special = SPECIAL.get(func)
            if special is not None:
                return special(self, func, args, kwargs or {})
            return self.call(func, args, kwargs or {})
        finally:
            self.busy = busy

    def call(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Carry out a call and record it."""
        info = self._info(func)
        heard(info.name, args, kwargs)
        if info.telling and args:
            self._told(info.name, args)
        if info.inner is not None and not self.quiet:
            return self._inside(info.inner, args, kwargs)
        run_args, ref_args = self.taken(args)
        if kwargs:
            run_kwargs, ref_kwargs = self.taken_named(kwargs)
        else:
            run_kwargs = ref_kwargs = {}
        self._place(func, kwargs, run_kwargs := dict(run_kwargs))
        try:
            if self.real:
                demands.of_size(self, info, ref_args, ref_kwargs)
                result = func(*run_args, **run_kwargs)
            else:
                result = self._meta.result(func, info, run_args, run_kwargs)
        except _NOT_USERS as error:
            if self.real:
                raise
            if changed := demands.with_numbers(self, ref_args, ref_kwargs):
                return self.call(func, *changed)
            if info.name in functions.DYNAMIC or info.name in functions.MASKED:
                result = demands.with_values(self, func, info, ref_args, ref_kwargs)
            else:
                result = helped(func, run_args, run_kwargs, error)
        return self.given(info, result, ref_args, ref_kwargs)

    def _told(self, name: str, args: Sequence[Any]) -> None:
        """Keep what a call says of the batch."""
        shape = self.slot(args[0]).shape
        axis = batch_axis.axis(name, len(shape), args)
        if axis is not None:
            self.trace.told.append((shape, axis))

    def _inside(self, inner: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Carry out a call by the calls that it makes."""
        self.busy = False
        with self:
            return inner(*args, **kwargs)

    def _info(self, func: Any) -> Info:
        found = self._infos.get(func)
        if found is None:
            found = self._infos[func] = functions.info_of(func, self._known)
        return found

    # Arguments

    def slot(self, tensor: torch.Tensor) -> Slot:
        """The slot of a tensor now. Raises `Lost` if it is one that the model made unseen."""
        found = self.current.get(id(tensor))
        if found is None:
            outer = self._outside.get(id(tensor))
            found = self._met(tensor) if outer is None else self.current[id(outer.tensor)]
        return found

    def _met(self, tensor: torch.Tensor) -> Slot:
        """A tensor from outside turns up for the first time."""
        kind, name = self._named.get(id(tensor), ("constant", ""))
        if id(tensor) in self.awaited:
            kind, name = "input", self.awaited[id(tensor)][1]
        made = None if name else owners.maker(tensor, self.current.values(), self.real)
        if made is not None:
            kind = "made"
        elif not name and not self.thorough and not self.quiet and standins.made_inside(tensor):
            raise Lost
        if not name:
            name = f"constant{sum(1 for slot in self._outside.values() if slot.kind in ('constant', 'made'))}"
        slot = self.adopt(tensor, kind, name)
        if kind == "parameter":
            slot.held = "model"
        elif isinstance(tensor, nn.Parameter) and self._root is not None and self.modules.inside:
            slot.held = owners.holder(tensor, made, self.trace, self._root)
        return slot

    def adopt(self, tensor: torch.Tensor, kind: Kind, name: str, standin: torch.Tensor | None = None) -> Slot:
        """Enter a tensor from outside, under a name."""
        with torch._C.DisableTorchFunction():
            refuse_nested(tensor)
            slot = Slot(self._standin(tensor, kind) if standin is None else standin, tensor.requires_grad)
        slot.kind, slot.name, slot.original = kind, name, tensor
        self._outside[id(tensor)] = slot
        self.current[id(slot.tensor)] = slot
        self._keep.append(tensor)
        if kind == "input":
            self.trace.inputs.append(slot)
        return slot

    def taken(self, values: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """Arguments as the call gets them, and as they are recorded."""
        run: list[Any] = []
        refs: list[Any] = []
        for value in values:
            if isinstance(value, torch.Tensor):
                slot = self.slot(value)
                run.append(slot.tensor)
                refs.append(slot)
            elif type(value) in standins.PLAIN:
                run.append(value)
                refs.append(value)
            else:
                one, ref = self._nested(value)
                run.append(one)
                refs.append(ref)
        return run, refs

    def taken_named(self, values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        run, refs = self.taken(list(values.values()))
        return dict(zip(values, run, strict=True)), dict(zip(values, refs, strict=True))

    def _nested(self, value: Any) -> tuple[Any, Any]:
        if isinstance(value, torch.device):
            return self.device, value
        if isinstance(value, (tuple, list)):
            run, refs = self.taken(value)
            if isinstance(value, list):
                return run, refs
            plain = type(value) is tuple
            return (tuple(run) if plain else standins.like(value, run)), tuple(refs)
        if isinstance(value, dict):
            return self.taken_named(value)
        if isinstance(value, slice):
            run, refs = self.taken((value.start, value.stop, value.step))
            return slice(*run), slice(*refs)
        if type(value).__module__ == "numpy" and getattr(value, "shape", None) == ():
            value = value.item()
        return value, value

    def _place(self, func: Any, given: Mapping[str, Any], run: dict[str, Any]) -> None:
        """Have the call make its result on the device of this run."""
        made = func in functions.MAKING and (not self.real or "device" in given)
        if made or given.get("device") is not None:
            run["device"] = self.device
        if given:
            run.pop("requires_grad", None)
            if not self.real:
                run.pop("generator", None)
                run.pop("pin_memory", None)

    # Results

    def given(self, info: Info, result: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Record a call that was carried out, and return what the model gets."""
        writing = functions.writes(info.name, kwargs) or "out" in kwargs
        if isinstance(result, torch.Tensor):
            if not writing and id(result) in self.current and info.name in functions.SAME_OBJECT:
                return result
        elif not writing and not standins.any_tensor(result):
            return result
        step = self._step(info, args, kwargs)
        if writing:
            step.written = tuple(_written(info.name, args, kwargs))
            drawn = owners.draws(step) is not None or owners.begins(self.trace, step, self._outside.values())
            if drawn and not self.quiet:
                self.trace.steps.pop()
                return result
        flows = not step.no_grad and any(slot.grad for part in (args, kwargs) for slot in slots_in(part))
        flows = flows or kwargs.get("requires_grad") is True
        result, step.result = self._entered(result, step, (), flows)
        return result

    def _step(self, info: Info, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Step:
        line = frames.here(3) if self.locate else None
        location = self.modules.location(info.name, line, self.assumed)
        no_grad = not torch.is_grad_enabled() or torch.is_inference_mode_enabled()
        step = Step(info.target, info.name, (*args[:1], *info.extra, *args[1:]), kwargs, location, no_grad)
        step.random = info.random
        if not self.quiet:
            step.number = len(self.trace.steps)
            self.trace.steps.append(step)
        return step

    def _entered(self, result: Any, step: Step, key: tuple[Any, ...], flows: bool) -> tuple[Any, Any]:
        """The result for the model, and the slots that it is recorded as."""
        if isinstance(result, torch.Tensor):
            refuse_nested(result)
            if not self.real and not result.is_meta:
                result = standins.shaped(result, "constant")
            self._spend(result)
            slot = Slot(result, flows and (result.dtype.is_floating_point or result.dtype.is_complex))
            slot.step, slot.key = step, key
            self.current[id(result)] = slot
            return result, slot
        if isinstance(result, (tuple, list)):
            pairs = [self._entered(item, step, (*key, place), flows) for place, item in enumerate(result)]
            same = all(pair[0] is item for pair, item in zip(pairs, result, strict=True))
            kind = list if isinstance(result, list) else tuple
            return result if same else kind(pair[0] for pair in pairs), kind(pair[1] for pair in pairs)
        if isinstance(result, dict):
            named = {name: self._entered(item, step, (*key, name), flows) for name, item in result.items()}
            return {n: pair[0] for n, pair in named.items()}, {n: pair[1] for n, pair in named.items()}
        return result, None

    def _spend(self, result: torch.Tensor) -> None:
        """Raises `Demanded` once a real run takes too much memory."""
        if self.real and not result._is_view():
            self.left -= result.numel() * result.element_size()
            if self.left < 0:
                raise Demanded

    # What others of the recorder's parts ask for

    @property
    def outside(self) -> Collection[Slot]:
        """The tensors met that no call has given."""
        return self._outside.values()

    def names(self, tensor: torch.Tensor) -> bool:
        """Whether the model holds this tensor under a name."""
        return id(tensor) in self._named

    def custom(self, cls: type, forward: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """A user-written autograd function: one call, whatever it does inside."""
        given = args[1:] if args and isinstance(args[0], torch.autograd.function.BackwardCFunction) else args
        before = self.taken(given)[1], self.taken_named(kwargs)[1]
        self.quiet += 1
        try:
            result = forward(*args, **kwargs)
        finally:
            self.quiet -= 1
        if self.quiet:
            return result
        # What it writes into its arguments is a result as well.
        written = [slot.tensor for slot in slots_in(before) if self.current[id(slot.tensor)] is not slot]
        with torch.set_grad_enabled(True), torch._C.DisableTorchFunction():
            func = standins.function_for(cls)
            return self.made(func, (result, *written), *before)[0] if written else self.made(func, result, *before)

    def opaque(self, func: Any, result: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Record a call whose result is given."""
        return self.made(func, result, self.taken(args)[1], self.taken_named(kwargs)[1])

    def made(self, func: Any, result: Any, refs: Sequence[Any], named: Mapping[str, Any]) -> Any:
        """Likewise, with slots in place of tensors among the arguments."""
        return self.given(self._info(func), result, refs, dict(named))

    def beneath(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Carry out and record an operator that did not come through the API."""
        with torch._C.DisableTorchFunction():
            run_args, refs = self.taken(args)
            run_kwargs, named = self.taken_named(kwargs)
            result = func(*run_args, **run_kwargs) if self.real else on_meta(func, run_args, run_kwargs)
            return self.given(self._info(func), result, refs, named)


_NOT_USERS = (RuntimeError, NotImplementedError, TypeError, IndexError, ValueError)


def _written(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Slot]:
    if "out" in kwargs:
        return list(slots_in(kwargs["out"]))
    first = list(slots_in(args[0] if args else next(iter(kwargs.values()), None)))
    return first if name.startswith("_foreach") else first[:1]
