"""A first guess at a model's inputs, from the names in its signature and the layers it registers."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import replace
from types import FunctionType
from typing import Any

from torch import nn

from .batches import keywords
from .held import look
from .inputs import BATCH, LENGTHS, Slot, parameters_of
from .plain import plain

_TEXT = {"input_ids", "ids", "tokens", "token_ids", "src", "tgt", "source", "text", "words", "idx", "seq", "sequence"}
_TEXT |= {"decoder_input_ids", "encoder_input_ids", "inp", "x", "input", "inputs"}
_TIME = {"t", "timestep", "timesteps", "time", "step", "sigma", "noise_level", "time_step", "times"}
_CLASS = {"y", "label", "labels", "class_labels", "cls", "cond", "condition", "target", "targets"}
TARGETS = _CLASS | {"gt", "ground_truth", "truth", "targ", "y_true", "ys"} - {"cond", "condition"}
_STATE = {"h", "hx", "hidden", "state", "h0", "states", "hidden_state", "memory"}
_LATENT = {"z", "noise", "latent", "latents"}
_SIDE = 224
_FEW = 64
"""Channels above which a map is no image, and smaller."""
_LENGTH = 16
_NODES = 8

_WEIGHTED = (
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
    *(nn.Linear, nn.Bilinear, nn.Embedding, nn.EmbeddingBag, nn.RNNBase, nn.RNNCellBase, nn.MultiheadAttention),
    *(nn.TransformerEncoder, nn.TransformerDecoder, nn.Transformer, nn.TransformerEncoderLayer),
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.LayerNorm),
)


def first_guess(model: nn.Module) -> Iterator[list[Slot]]:
    """Inputs to begin with, the likeliest first; for each, further ones if that leads nowhere."""
    required = _required(model)
    values = {slot.name: slot for name in required or () if (slot := plain(model, name)) is not None}
    for guess in _tensors(model, required):
        yield [values.get(slot.name, slot) for slot in guess]


def _tensors(model: nn.Module, required: list[str] | None) -> Iterator[list[Slot]]:
    """As if all of the arguments were tensors."""
    first = _first_layer(model)
    if required is None:
        yield from ([_first("", model, first)] * count for count in (1, 2, 3))
        return
    if not required:
        yield []
        return
    if any(name.startswith("edge_index") for name in required):
        yield [_graph(name, model) for name in required]
    guess = [_slot(name, place, model, first) for place, name in enumerate(required)]
    if (paired := _paired(guess, model)) != guess:
        yield paired
    yield guess
    optional = [name for name in _optional(model) if name not in required]
    if optional:
        yield [_slot(name, place, model, first) for place, name in enumerate([*required, *optional])]
    widths = {n for p in model.parameters(recurse=False) if p.dim() > 1 for n in p.shape if n > 1} if not first else ()
    for width in sorted(widths)[:3]:
        yield [Slot(name, "float", (BATCH, width)) for name in required]
        yield [Slot(name, "float", (BATCH, _LENGTH, width)) for name in required]
    alike = _first("", model, first)
    if len(required) > 1:
        yield [replace(alike, name=name) for name in required]
    for shape in _others(alike):
        yield [Slot(name, "float", shape) for name in required]
    if any(isinstance(module, nn.Embedding) for module in model.modules()):
        yield [Slot(name, "int", (BATCH, _LENGTH)) for name in required]


def guess_by_name(paths: Sequence[str], model: nn.Module) -> list[Slot]:
    """Inputs that are parts of arguments, `batch.image`."""
    first = _first_layer(model)
    names = [path.rpartition(".")[2] for path in paths]
    graph = any(name.startswith("edge_index") for name in names)
    found = [_graph(name, model) if graph else _slot(name, place, model, first) for place, name in enumerate(names)]
    return [replace(slot, name=path) for slot, path in zip(found, paths, strict=True)]


def _others(first: Slot) -> list[tuple[int, ...]]:
    shapes: list[tuple[int, ...]] = [
        (BATCH, 3, _SIDE, _SIDE),
        (BATCH, _LENGTH),
        (BATCH, _LENGTH, 32),
        (BATCH, 1, 16_000),
    ]
    if len(first.shape) == 5:
        shapes = [(*first.shape[:2], side, side, side) for side in (32, 64, 96)]
    return [shape for shape in shapes if shape != first.shape]


def _required(model: nn.Module) -> list[str] | None:
    """Names of the arguments that `forward` cannot do without; None where it takes any number."""
    parameters = parameters_of(model.forward)
    names = [
        name
        for name, parameter in parameters.items()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    if names or not any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters.values()):
        if not names and parameters and not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            return list(parameters)[:1]  # everything has a default: `forward(self, x=None)`
        return names or list(keywords(model))
    # `forward(self, *args)` that hands over to a function it was given: that function knows.
    inner = [value for value in vars(model).values() if isinstance(value, FunctionType)]
    if len(inner) == 1:
        own = [
            p
            for p in inspect.signature(inner[0]).parameters.values()
            if p.default is p.empty and p.kind is not p.VAR_POSITIONAL
        ]
        if own:
            return [p.name for p in own][1 if own[0].name in ("self", "s", "m", "mod", "module", "model") else 0 :]
    return None


def _optional(model: nn.Module) -> list[str]:
    """Arguments that are None unless given, which a function of the model's may need all the same."""
    functions = [model.forward, *(value for value in vars(model).values() if isinstance(value, FunctionType))]
    found = [
        name
        for name, parameter in parameters_of(functions[-1]).items()
        if parameter.default is None and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    ]
    return found[:3]


def _first_layer(model: nn.Module) -> nn.Module | None:
    """Also one of a library's own that tells its width as `nn.Linear` does."""
    told = (module for module in model.modules() if isinstance(module, _WEIGHTED) or _features(module))
    return next(told, None)


def _features(layer: nn.Module | None) -> int:
    width = look(layer, "in_features", 0)
    return width if type(width) is int else 0


_SIZES = ("image_size", "img_size", "img_resolution", "input_size", "resolution")
_CHANNELS = ("channels", "in_channels", "in_chans", "img_channels", "input_channels")


def _first(name: str, model: nn.Module, layer: nn.Module | None) -> Slot:
    """What the first registered layer takes; images as large as the model says that they are."""
    slot = _of_layer(name, model, layer)
    size, image = _number(model, _SIZES, 0), len(slot.shape) == 4
    if size < 8:
        return slot
    return Slot(name, "float", (BATCH, _number(model, _CHANNELS, slot.shape[1] if image else 3), size, size))


def _number(model: nn.Module, names: Sequence[str], usual: int) -> int:
    """What the model holds under one of these names; a pair of two equal numbers counts as one."""
    for value in (look(model, name) for name in names):
        value = value[0] if isinstance(value, tuple | list) and len(value) == 2 and value[0] == value[1] else value
        if type(value) is int and 0 < value <= 1024:
            return value
    return usual


def _of_layer(name: str, model: nn.Module, layer: nn.Module | None) -> Slot:
    if isinstance(layer, nn.Embedding | nn.EmbeddingBag):
        return Slot(name, "int", (BATCH, _LENGTH), high=layer.num_embeddings)
    if isinstance(layer, nn.modules.conv._ConvNd):
        rank = len(layer.kernel_size)
        length = 16_000 if rank == 1 and layer.kernel_size[0] > 32 else 128
        side = _SIDE if layer.in_channels <= _FEW else _SIDE // 4
        sizes = {1: (length,), 2: (side, side), 3: (16, 64, 64)}[rank]
        if layer.transposed and rank == 2:
            sizes = (8, 8)
        return Slot(name, "float", (BATCH, layer.in_channels or 3, *sizes))  # 0: of a lazy module
    if isinstance(layer, nn.RNNBase):
        shape = (BATCH, _LENGTH, layer.input_size) if layer.batch_first else (_LENGTH, BATCH, layer.input_size)
        return Slot(name, "float", shape)
    if isinstance(layer, nn.RNNCellBase):
        return Slot(name, "float", (BATCH, layer.input_size))
    width = _width(layer)
    if isinstance(layer, nn.BatchNorm2d):
        return Slot(name, "float", (BATCH, layer.num_features, _SIDE, _SIDE))
    if (isinstance(layer, nn.Linear | nn.BatchNorm1d) or _features(layer)) and not _sequential(model):
        return Slot(name, "float", (BATCH, width))
    if width:
        return Slot(name, "float", (BATCH, _LENGTH, width))
    return Slot(name, "float", (BATCH, 3, _SIDE, _SIDE))


def _width(layer: nn.Module | None) -> int:
    if isinstance(layer, nn.LazyLinear):
        return _LENGTH
    if isinstance(layer, nn.Linear) or _features(layer):
        return _features(layer)
    if isinstance(layer, nn.Bilinear):
        return layer.in1_features
    if isinstance(layer, nn.LayerNorm):
        return int(layer.normalized_shape[-1])
    if isinstance(layer, nn.MultiheadAttention):
        return int(layer.embed_dim)
    if isinstance(layer, nn.Transformer):
        return int(layer.d_model)
    if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm3d):
        return layer.num_features
    inner: Any = (
        next((module for module in layer.modules() if isinstance(module, nn.MultiheadAttention)), None)
        if layer
        else None
    )
    return int(inner.embed_dim) if inner is not None else 0


def _sequential(model: nn.Module) -> bool:
    """Whether the model mixes steps of a sequence somewhere: its features then come with a time axis."""
    kinds = (nn.RNNBase, nn.MultiheadAttention, nn.Conv1d)
    return any(isinstance(module, kinds) for module in model.modules())


def _slot(name: str, place: int, model: nn.Module, layer: nn.Module | None) -> Slot:
    """A required argument, by its name where that says something and it is not the first."""
    tables = [module for module in model.modules() if isinstance(module, nn.Embedding)]
    said = name.lower()
    if "mask" in said:
        return Slot(name, "bool", (BATCH, _LENGTH))
    if said in LENGTHS:
        return Slot(name, "int", (BATCH,), fill=_LENGTH)
    if place and said in _TIME:
        return Slot(name, "int", (BATCH,), high=1000 if not tables else min(table.num_embeddings for table in tables))
    if place and said in _CLASS:
        high = tables[-1].num_embeddings if tables else 2
        return Slot(name, "int", (BATCH,), high=high)
    table = look(model, name)
    if place and isinstance(table, nn.Embedding):  # `self.kind(kind)`
        return Slot(name, "int", (BATCH,), high=table.num_embeddings)
    if said in _LATENT and isinstance(layer, nn.Linear | nn.Embedding):
        return Slot(name, "float", (BATCH, layer.in_features if isinstance(layer, nn.Linear) else layer.embedding_dim))
    if place and said in _STATE:
        return _state(name, model)
    if tables and (said in _TEXT or said.endswith(("ids", "tokens"))) and isinstance(layer, nn.Embedding):
        return Slot(name, "int", (BATCH, _LENGTH), high=layer.num_embeddings)
    if tables and said.endswith(("ids", "id", "tokens", "index", "indices", "users", "items", "user", "item")):
        return Slot(
            name,
            "int",
            (BATCH, _LENGTH) if said.endswith(("ids", "tokens")) else (BATCH,),
            high=min(t.num_embeddings for t in tables),
        )
    return _first(name, model, layer)


def _state(name: str, model: nn.Module) -> Slot:
    for module in model.modules():
        if isinstance(module, nn.RNNBase):
            layers = module.num_layers * (2 if module.bidirectional else 1)
            return Slot(name, "float", (layers, BATCH, module.hidden_size))
        if isinstance(module, nn.RNNCellBase):
            return Slot(name, "float", (BATCH, module.hidden_size))
    return _first(name, model, _first_layer(model))


def _paired(slots: Sequence[Slot], model: nn.Module) -> list[Slot]:
    """The state of an LSTM is a pair: what it gave, and its cells."""
    recurrent = (module for module in model.modules() if isinstance(module, nn.RNNBase | nn.RNNCellBase))
    if not isinstance(next(recurrent, None), nn.LSTM | nn.LSTMCell):
        return list(slots)
    states = {slot.name for slot in slots[1:] if slot.name.lower() in _STATE}
    if len(states) > 1:  # `forward(self, x, h, c)`
        return list(slots)
    pairs = ([replace(s, name=f"{s.name}.{part}") for part in "hc"] if s.name in states else [s] for s in slots)
    return [slot for pair in pairs for slot in pair]


def _graph(name: str, model: nn.Module) -> Slot:
    """Graph networks in the style of PyTorch Geometric: nodes, pairs of node numbers, the graph of each node."""
    if name.startswith("edge_index"):
        return Slot(name, "int", (2, 2 * _NODES), high=_NODES)
    if name == "batch":
        return Slot(name, "int", (_NODES,), fill=0)
    if name in ("edge_weight", "edge_attr"):
        return Slot(name, "float", (2 * _NODES,))
    first = next((module for module in model.modules() if isinstance(module, nn.Linear)), None)
    return Slot(name, "float", (_NODES, first.in_features if first else 16))
