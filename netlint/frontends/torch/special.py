"""Calls that are answered otherwise than torch would: what a stand-in must not give away, and gradients."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.hooks import RemovableHandle

from netlint.frontends.torch import demands, frames, functions
from netlint.frontends.torch.tensors import storage_of
from netlint.frontends.torch.trace import Slot, slots_in, swap

if TYPE_CHECKING:
    from netlint.frontends.torch.mode import Recorder

Args = Sequence[Any]
Kwargs = Mapping[str, Any]
Special = Callable[["Recorder", Any, Args, Kwargs], Any]

SPECIAL: dict[Any, Special] = {}
_T = torch.Tensor


def _on(*funcs: Any) -> Callable[[Special], Special]:
    def enter(special: Special) -> Special:
        SPECIAL.update(dict.fromkeys(funcs, special))
        return special

    return enter


def _getters(*names: str) -> list[Any]:
    return [getattr(_T, name).__get__ for name in names if hasattr(_T, name)]


@_on(*functions.DEMANDING)
def _demand(recorder: Recorder, func: Any, args: Args, kwargs: Kwargs) -> Any:
    return demands.of_value(recorder, func, args, kwargs)


@_on(*functions.SHOWING)
def _show(recorder: Recorder, func: Any, args: Args, kwargs: Kwargs) -> str:
    return f"tensor(..., size={tuple(args[0].shape)})"


@_on(_T.device.__get__)  # type: ignore[attr-defined]
def _device(recorder: Recorder, func: Any, args: Args, kwargs: Kwargs) -> torch.device:
    return recorder.claimed


@_on(*_getters("is_cuda", "is_cpu", "is_meta", "is_mps", "is_xpu"))
def _is_device(recorder: Recorder, func: Any, args: Args, kwargs: Kwargs) -> bool:
    return bool(func.__self__.__name__ == f"is_{recorder.claimed.type}")


@_on(_T.get_device, torch.get_device)  # type: ignore[attr-defined]
def _get_device(recorder: Recorder, func: Any, args: Args, kwargs: Kwargs) -> int:
    return -1 if recorder.claimed.type == "cpu" else recorder.claimed.index or 0


@_on(_T.cpu, _T.cuda, _T.pin_memory, _T.share_memory_)
def _stay(recorder: Recorder, func: Any, args: Args, kwargs: Kwargs) -> Any:
    return args[0]


@_on(_T.to)
def _to(recorder: Recorder, func: Any, args: Args, kwargs: Kwargs) -> Any:
    # A device may be given as text or number.
    changed = [args[0], *(_placed(recorder, value) for value in args[1:])]
    if len(changed) > 1 and changed[1] is None:
        changed[1] = recorder.device
    return recorder.call(func, changed, kwargs)


def _placed(recorder: Recorder, value: Any) -> Any:
    return recorder.device if type(value) in (str, int) else value


@_on(_T.type)
def _type(recorder: Recorder, func: Any, args: Args, kwargs: Kwargs) -> Any:
    wanted = args[1] if len(args) > 1 else kwargs.get("dtype")
    if wanted is None:
        with torch._C.DisableTorchFunction():
            name = str(torch.empty(0, dtype=args[0].dtype).type())
        return name if recorder.claimed.type == "cpu" else name.replace("torch.", f"torch.{recorder.claimed.type}.", 1)
    if not isinstance(wanted, torch.dtype):
        text = wanted if isinstance(wanted, str) else f"{wanted.__module__}.{wanted.__name__}"
        with torch._C.DisableTorchFunction():
            wanted = torch.empty(0).type(f"torch.{text.rpartition('.')[2]}").dtype
    return recorder.call(func, (args[0], wanted), {})


# Gradients: nothing is differentiated.


def _known(recorder: Recorder, tensor: Any) -> Slot:
    return recorder.slot(tensor)


@_on(_T.requires_grad.__get__)  # type: ignore[attr-defined]
def _requires_grad(recorder: Recorder, func: Any, args: Args, kwargs: Kwargs) -> bool:
    return _known(recorder, args[0]).grad


@_on(_T.requires_grad.__set__)  # type: ignore[attr-defined]
def _set_requires_grad(recorder: Recorder, func: Any, args: Args, kwargs: Kwargs) -> None:
    _known(recorder, args[0]).grad = bool(args[1])


@_on(_T.requires_grad_)
def _requires_grad_(recorder: Recorder, func: Any, args: Args, kwargs: Kwargs) -> Any:
    wanted = args[1] if len(args) > 1 else kwargs.get("requires_grad", True)
    _known(recorder, args[0]).grad = bool(wanted)
    return args[0]


@_on(_T.is_leaf.__get__)  # type: ignore[attr-defined]
def _is_leaf(recorder: Recorder, func: Any, args: Args, kwargs: Kwargs) -> bool:
    slot = _known(recorder, args[0])
    return slot.step is None or not slot.grad


@_on(*_getters("grad", "_grad"))
def _gradient(recorder: Recorder, func: Any, args: Args, kwargs: Kwargs) -> Any:
    """Behind `backward` some tensor, for the user's own code; None for torch's, which clips and updates with it."""
    if not recorder.losses or recorder.updating or frames.by_torch():
        return None
    slot = _known(recorder, args[0])
    key = id(slot.tensor)  # the same before and after an update in place
    if key not in recorder.gradients and slot.grad and slot.step is None:
        recorder.gradients[key] = recorder.made(func, torch.zeros_like(slot.tensor), [slot], {})
    return recorder.gradients.get(key)


@_on(*_getters("grad_fn", "retains_grad"))
def _nothing(recorder: Recorder, func: Any, args: Args, kwargs: Kwargs) -> None:
    return None


@_on(_T.retain_grad, _T.grad.__set__)  # type: ignore[attr-defined]
def _ignored(recorder: Recorder, func: Any, args: Args, kwargs: Kwargs) -> None:
    return None


@_on(_T.register_hook, _T.register_post_accumulate_grad_hook)
def _hook(recorder: Recorder, func: Any, args: Args, kwargs: Kwargs) -> RemovableHandle:
    return RemovableHandle(OrderedDict())


@_on(_T.backward)
def _backward(recorder: Recorder, func: Any, args: Args, kwargs: Kwargs) -> None:
    recorder.losses.append(_known(recorder, args[0]))


@_on(torch.autograd.backward)
def _backward_all(recorder: Recorder, func: Any, args: Args, kwargs: Kwargs) -> None:
    tensors = args[0] if args else kwargs["tensors"]
    for tensor in [tensors] if isinstance(tensors, torch.Tensor) else tensors:
        recorder.losses.append(_known(recorder, tensor))


@_on(torch.autograd.grad)
def _grad(recorder: Recorder, func: Any, args: Args, kwargs: Kwargs) -> Any:
    inputs = args[1] if len(args) > 1 else kwargs["inputs"]
    wanted = [inputs] if isinstance(inputs, torch.Tensor) else list(inputs)
    made = tuple(torch.zeros_like(recorder.slot(tensor).tensor) for tensor in wanted)
    return recorder.opaque(func, made, args, kwargs)


# Memory


@_on(_T.data_ptr, _T.storage_offset)
def _data_ptr(recorder: Recorder, func: Any, args: Args, kwargs: Kwargs) -> Any:
    slot = recorder.slot(args[0])
    if func is _T.storage_offset:
        return func(slot.tensor)
    if slot.original is not None and not slot.original.is_meta:
        return func(slot.original)
    return slot.tensor.untyped_storage()._cdata


@_on(_T.data.__set__)  # type: ignore[attr-defined]
def _set_data(recorder: Recorder, func: Any, args: Args, kwargs: Kwargs) -> None:
    slot, source = recorder.slot(args[0]), recorder.slot(args[1])
    same = (slot.shape, slot.dtype) == (source.shape, source.dtype)
    if same and slot.tensor.stride() == source.tensor.stride() and storage_of(slot.tensor) == storage_of(source.tensor):
        return  # moved to where it lies, as a layer that is made in the forward pass is
    if slot.grad and same:
        with torch.no_grad():  # a parameter stays one: its elements are overwritten
            recorder.call(_T.copy_, args, kwargs)
        return
    # Later uses of the one are uses of the other.
    slot.tensor.data = source.tensor
    made = Slot(slot.tensor, slot.grad)
    made.step, made.key = source.step, source.key
    made.kind, made.name, made.original = source.kind, source.name, source.original
    recorder.current[id(slot.tensor)] = made


_MAX_LITERALS = 64


@_on(*functions.FROM_DATA)
def _from_data(recorder: Recorder, func: Any, args: Args, kwargs: Kwargs) -> Any:
    # Of tensors these are calls, of a few numbers too; of more they make a constant.
    if not args or isinstance(args[0], torch.Tensor):
        return recorder.call(func, args, kwargs)
    refs = recorder.taken(args)[1]
    plain = {key: value for key, value in kwargs.items() if key not in ("device", "requires_grad", "pin_memory")}
    values = swap(refs, lambda slot: slot.tensor if recorder.real else torch.zeros(slot.shape, dtype=slot.dtype))
    made = func(*values, **plain)
    if few_literals(args[0], made) or any(True for _ in slots_in(refs)):
        return recorder.made(func, made, refs, kwargs)
    return recorder.slot(made).tensor


def few_literals(data: Any, made: torch.Tensor) -> bool:
    """Whether a tensor was made of a few of Python's numbers: those are written down."""
    return isinstance(data, (int, float, bool, list, tuple, complex)) and made.numel() <= _MAX_LITERALS


# Autocast has no effect on meta tensors.

_LOWERED = frozenset(
    (
        *("linear", "matmul", "mm", "bmm", "addmm", "baddbmm", "addbmm", "einsum", "prelu", "__matmul__"),
        *("__rmatmul__", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"),
        *("scaled_dot_product_attention", "bilinear", "lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell"),
    )
)
_RAISED = frozenset(
    (
        *("exp", "log", "log10", "log2", "log1p", "expm1", "pow", "rsqrt", "softmax", "log_softmax", "layer_norm"),
        *("group_norm", "norm", "cumsum", "cumprod", "sum", "prod", "nll_loss", "cross_entropy", "mse_loss", "l1_loss"),
        *("smooth_l1_loss", "kl_div", "binary_cross_entropy_with_logits", "cosine_similarity", "softplus", "cdist"),
        *("cosine_embedding_loss", "poisson_nll_loss", "triplet_margin_loss", "gaussian_nll_loss", "softmin", "dist"),
    )
)


def autocast(name: str, device: str, args: Args, kwargs: Kwargs) -> tuple[Args, Kwargs]:
    """The arguments as autocast would hand them on: in low precision, in float32, or as they are."""
    if not torch.is_autocast_enabled(device):
        return args, kwargs
    low = torch.get_autocast_dtype(device)
    wanted = low if name in _LOWERED else torch.float32 if name in _RAISED and device != "cpu" else None
    if wanted is None:
        return args, kwargs

    def cast(value: Any) -> Any:
        if isinstance(value, torch.Tensor) and value.dtype.is_floating_point and value.dtype is not torch.float64:
            return value.to(wanted)
        return type(value)(map(cast, value)) if type(value) in (list, tuple) else value

    return [cast(value) for value in args], {key: cast(value) for key, value in kwargs.items()}
