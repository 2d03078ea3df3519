"""Where a model is run, and how torch computes there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import torch
from torch import nn
from torch.utils import deterministic

from netlint.errors import ConfigError, first_line, said

CPU = torch.device("cpu")


def device(name: str) -> torch.device:
    """The device of that name; `auto` is a GPU where one answers. Raises `ConfigError`."""
    if name == "cpu":
        return CPU
    wrong = _wrong_with_cuda()
    if wrong and name == "cuda":
        raise ConfigError(f"--probe=cuda finds no GPU: {wrong}; --probe=cpu runs the model on the CPU")
    return CPU if wrong else torch.device("cuda", torch.cuda.current_device())


def _wrong_with_cuda() -> str:
    """Why no GPU can be used; empty: one can. One that is listed need not answer: others may hold it."""
    if not torch.cuda.is_available():
        return "torch sees none" if torch.version.cuda or torch.version.hip else "this torch is built without CUDA"
    try:
        torch.zeros(1, device="cuda").cpu()
    except (RuntimeError, AssertionError) as error:
        return first_line(error)
    return ""


def home(device: torch.device, model: nn.Module) -> torch.device:
    """Of several GPUs the one that holds the model, or its first weight, already."""
    if device.type != "cuda":
        return device
    return next((tensor.device for tensor in held(model) if tensor.is_cuda), device)


def held(model: nn.Module) -> Iterable[torch.Tensor]:
    """What a model registers."""
    yield from model.parameters()
    yield from model.buffers()


def spread(model: nn.Module) -> bool:
    """Whether a model lies on several GPUs, as it then stays."""
    return len({tensor.device for tensor in held(model) if tensor.is_cuda}) > 1


def name_of(device: torch.device) -> str:
    """What people call it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def wait(device: torch.device) -> None:
    """Until all is done that was asked of a device: no time is told before."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def out_of_memory(error: BaseException) -> bool:
    """Whether fewer samples may help; libraries on the GPU, and the CPU's allocator, say so in the text alone."""
    text = said(error)
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(words in text for words in _NO_MEMORY)


_NO_MEMORY = ("can't allocate memory", "CUDA error: out of memory", "_STATUS_ALLOC_FAILED")


def broken(error: BaseException) -> bool:
    """Whether the GPU answers nothing more in this process."""
    return isinstance(error, torch.AcceleratorError) or "CUDA error: " in said(error)


def of_the_gpu(error: BaseException) -> bool:
    """Whether a CPU may do what failed: tensors of two devices have met, or the GPU or its libraries refuse."""
    text = said(error).lower()
    return broken(error) or any(word in text for word in ("cuda", "cudnn", "cublas", "device", "cpu"))


@contextmanager
def settings(model: nn.Module, device: torch.device) -> Iterator[None]:
    """How a GPU is to compute: in full float32, as the ranges that were proved assume, and the same each time.

    cuDNN differentiates recurrent layers in training mode only.
    """
    with ExitStack() as stack:
        stack.enter_context(_uncached())
        if device.type == "cuda":
            stack.enter_context(_exact())
            stack.enter_context(_same_each_time(model))
            stack.enter_context(_in_order())
        yield


@contextmanager
def _uncached() -> Iterator[None]:
    """A caller's autocast keeps casts of weights as long as it lasts: they would not follow the weights."""
    before = torch.is_autocast_cache_enabled()
    torch.clear_autocast_cache()
    torch.set_autocast_cache_enabled(False)
    try:
        yield
    finally:
        torch.set_autocast_cache_enabled(before)


@contextmanager
def _exact() -> Iterator[None]:
    """No TF32. Of the two ways to say so torch refuses to read one where the other was used."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    new = [(part, part.fp32_precision) for part in (cudnn.conv, cudnn.rnn, matmul)]
    with ExitStack() as stack:
        with suppress(RuntimeError):
            stack.callback(setattr, cudnn, "allow_tf32", cudnn.allow_tf32)
            cudnn.allow_tf32 = False
        with suppress(RuntimeError):
            stack.callback(torch.set_float32_matmul_precision, torch.get_float32_matmul_precision())
            torch.set_float32_matmul_precision("highest")
        for part, _ in new:
            if part.fp32_precision not in ("ieee", "none"):
                part.fp32_precision = "ieee"
        yield
    for part, precision in new:
        if part.fp32_precision != precision:
            part.fp32_precision = precision


@contextmanager
def _same_each_time(model: nn.Module) -> Iterator[None]:
    cudnn = torch.backends.cudnn
    before = cudnn.enabled, cudnn.benchmark, cudnn.deterministic
    if any(isinstance(module, nn.RNNBase) and not module.training for module in model.modules()):
        cudnn.enabled = False
    cudnn.benchmark, cudnn.deterministic = False, True
    try:
        yield
    finally:
        cudnn.enabled, cudnn.benchmark, cudnn.deterministic = before


@contextmanager
def _in_order() -> Iterator[None]:
    """What is scattered and added (indices, embeddings, pools) is added in the same order each time, where torch can.

    `use_deterministic_algorithms` imports torch's compiler first, which takes longer than a whole probe.
    """
    before, filled = torch.get_deterministic_debug_mode(), deterministic.fill_uninitialized_memory
    torch.set_deterministic_debug_mode("warn")
    deterministic.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(before)
        deterministic.fill_uninitialized_memory = filled
