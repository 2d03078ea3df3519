"""A GPU that is not there: tensors that say they lie on one, refuse to meet others, and count who waits for them.

All of them are on the CPU in truth. Which are said to lie on the GPU is remembered by their memory; an operator takes
tensors of one device only, as on CUDA: scalars and indices of the CPU aside. What is fetched, by a copy to the CPU or
since the host asks for an element, is a wait.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.parameter import is_lazy
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from netlint.probe.torch import devices

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
_ANY = "wherever its neighbours are"
"""What torch's own C++ makes for an operator: it would make it where the operands are."""
_T = torch.Tensor
_COPIES = ("aten::copy_", "aten::_to_copy", "aten::set_")
_INDEXED = ("aten::index", "aten::index_put_", "aten::index_put", "aten::_unsafe_index", "aten::_index_put_impl_")
_ASKS = frozenset({"_local_scalar_dense", "nonzero", "masked_select", "unique", "_unique2", "unique_dim", "equal"})
VIEWS = frozenset(
    (
        *("view", "detach", "t", "transpose", "permute", "reshape", "expand", "unsqueeze", "squeeze", "alias"),
        *("_unsafe_view", "select", "slice", "split", "as_strided", "unbind", "_reshape_alias", "split_with_sizes"),
        *("lift_fresh", "empty", "empty_like", "set_", "diagonal"),
    )
)
"""What starts no kernel."""


class PretendGpu(TorchDispatchMode):
    """Sees every operator."""

    def __init__(self) -> None:
        super().__init__()
        self._where: dict[int, tuple[StorageWeakRef, Any]] = {}
        self.waits: list[str] = []
        self.kernels: Counter[str] = Counter()

    def where(self, tensor: torch.Tensor) -> Any:
        """The device that a tensor is said to lie on."""
        found = self._where.get(self._memory(tensor))
        return found[1] if found is not None and not found[0].expired() else CPU

    def _memory(self, tensor: torch.Tensor) -> int:
        """What tells whether two tensors share memory; sparse and lazy ones have none that could be told."""
        plain = tensor.layout is torch.strided and not is_lazy(tensor)
        return int(tensor.untyped_storage()._cdata) if plain else 0

    def place(self, tensor: torch.Tensor, device: Any) -> torch.Tensor:
        """Say that it lies there."""
        if memory := self._memory(tensor):
            self._where[memory] = StorageWeakRef(tensor.untyped_storage()), device
        return tensor

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name, wanted = func._schema.name, kwargs.get("device")
        wanted = GPU if wanted is not None and wanted.type == "cuda" else wanted
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, _T)]
        places = {self.where(tensor) for tensor in given}
        self._refuse_mixture(name, args, given)
        if wanted is not None:
            kwargs["device"] = CPU
        before = {self._memory(tensor) for tensor in given}
        result = func(*args, **kwargs)
        if wanted is None:
            wanted = GPU if GPU in places else _ANY if places <= {_ANY} else CPU
        elif wanted == CPU and kwargs.get("pin_memory") is None:  # not what Python gives: C++ repeats what it sees
            wanted = GPU if GPU in places else CPU if given else _ANY
        for made in tree_leaves(result):
            if isinstance(made, _T) and self._memory(made) not in before:
                self.place(made, wanted)
        self._note(name.rpartition("::")[2], args, places, wanted)
        return result

    def _refuse_mixture(self, name: str, args: Any, given: list[torch.Tensor]) -> None:
        if name in _COPIES:
            return
        told = [args[0], *args[2:]] if name in _INDEXED else given
        places = {self.where(each) for each in tree_leaves(told) if isinstance(each, _T) and each.dim()}
        if GPU in places and CPU in places:
            shapes = [(self.where(each), tuple(each.shape)) for each in given]
            raise RuntimeError(
                f"Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu! "
                f"({name} of {shapes})"
            )

    def _note(self, name: str, args: Any, places: set[Any], wanted: Any) -> None:
        if GPU not in places and wanted != GPU:
            return
        if name not in VIEWS:
            self.kernels[name] += 1
        masks = name in ("index", "index_put_") and any(
            isinstance(each, _T) and each.dtype in (torch.bool, torch.uint8) for each in tree_leaves(args[1])
        )
        fetches = name == "copy_" and self.where(args[0]) == CPU
        if GPU in places and (name in _ASKS or masks or fetches):
            self.waits.append(name)

    def fetched(self, tensor: torch.Tensor, how: str) -> None:
        """The host reads a tensor."""
        if self.where(tensor) == GPU:
            self.waits.append(how)


@contextmanager
def pretended() -> Iterator[PretendGpu]:
    """Within, torch says that there is a GPU."""
    gpu = PretendGpu()
    with pytest.MonkeyPatch.context() as patch:
        for name, answer in _CUDA.items():
            patch.setattr(torch.cuda, name, answer)
        patch.setattr(devices, "_wrong_with_cuda", str)  # it answers; trying that would be a wait
        _patch_tensors(patch, gpu)
        with gpu:
            yield gpu


_CUDA: dict[str, Any] = {
    "is_available": lambda: True,
    "is_initialized": lambda: True,
    "current_device": lambda: 0,
    "init": lambda: None,
    "_lazy_init": lambda: None,
    "synchronize": lambda device=None: None,
    "empty_cache": lambda: None,
    "get_device_name": lambda device=None: "pretended GPU",
    "get_rng_state_all": list,
    "set_rng_state_all": lambda states: None,
    "manual_seed_all": lambda seed: None,
}


def _patch_tensors(patch: pytest.MonkeyPatch, gpu: PretendGpu) -> None:
    """What Python asks of a tensor that does not go through the dispatcher."""
    real_to, real_tolist, real_numpy, real_tensor = _T.to, _T.tolist, _T.numpy, torch.tensor

    def device(tensor: torch.Tensor) -> torch.device:
        found = gpu.where(tensor)
        return CPU if found == _ANY else found

    def to(tensor: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        places = [each for each in (*args, *kwargs.values()) if isinstance(each, torch.device | str)]
        others = [each.device for each in (*args, *kwargs.values()) if isinstance(each, _T)]
        if [torch.device(each) for each in places] + others != [CPU] or tensor.device == CPU:
            return real_to(tensor, *map(numbered, args), **{key: numbered(each) for key, each in kwargs.items()})
        gpu.fetched(tensor, "cpu")
        return real_to(gpu.place(tensor.clone(), CPU), *args, **kwargs)

    def numbered(value: Any) -> Any:
        """A torch without CUDA has no current device."""
        return GPU if isinstance(value, torch.device | str) and torch.device(value).type == "cuda" else value

    def tolist(tensor: torch.Tensor) -> Any:
        gpu.fetched(tensor, "tolist")
        return real_tolist(tensor)

    def numpy(tensor: torch.Tensor, **kwargs: Any) -> Any:
        if tensor.device == GPU:
            raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu()")
        return real_numpy(tensor, **kwargs)

    def tensor(data: Any, device: Any = None, **kwargs: Any) -> torch.Tensor:
        made = real_tensor(data, **kwargs)
        return made if device is None else made.to(device)

    patch.setattr(torch, "tensor", tensor)
    patch.setattr(_T, "device", property(device), raising=False)
    patch.setattr(_T, "is_cuda", property(lambda tensor: tensor.device == GPU), raising=False)
    patch.setattr(_T, "to", to)
    patch.setattr(_T, "cpu", lambda tensor: tensor.to(CPU))
    patch.setattr(_T, "tolist", tolist)
    patch.setattr(_T, "numpy", numpy)
