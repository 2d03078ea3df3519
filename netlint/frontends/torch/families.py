"""Inputs that model libraries declare: Hugging Face and diffusers in a `config`, timm in a `default_cfg`."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

from .held import look
from .inputs import BATCH, Slot, parameters_of

TOKENS = 16
"""Tokens in an inferred text: enough for every local window, few enough to be quick."""
SECOND = 16_000
"""Samples of an inferred sound."""

_PARTS = ("vision_config", "image_config", "backbone_config", "encoder", "text_config", "audio_config", "decoder")


def config_of(model: nn.Module) -> Any:
    """The configuration of a Hugging Face model; None of others."""
    config = look(model, "config")
    return config if look(config, "model_type") and look(model, "main_input_name") is not None else None


def declared(model: nn.Module) -> Iterator[list[Slot]]:
    """What a library's configuration says of the inputs, the likeliest first; nothing if there is none."""
    timm = look(model, "pretrained_cfg") or look(model, "default_cfg")
    size = timm.get("input_size") if isinstance(timm, Mapping) else None
    config = look(model, "config")
    if config_of(model) is not None:
        slots = list(_transformers(model))
        both = "pixel_values" in parameters_of(model.forward) and _look(config, "image_size") is not None
        if both and all(entry.name != "pixel_values" for entry in slots):
            yield [*slots, slot(model, "pixel_values")]  # one tower for each
        yield slots
    elif size:
        yield [Slot(_first_name(model), "float", (BATCH, *map(int, size)))]
    elif isinstance(config, Mapping) and look(model, "register_to_config") is not None:
        yield list(_diffusers(model, config))


def _first_name(model: nn.Module) -> str:
    return next(iter(parameters_of(model.forward)), "x")


def _look(config: Any, *names: str) -> Any:
    """The first of these settings, in the configuration or in a part of it."""
    for holder in (config, *(part for key in _PARTS if (part := getattr(config, key, None)) is not None)):
        for name in names:
            value = getattr(holder, name, None)
            if value is not None:
                return value
    return None


def _transformers(model: Any) -> Iterator[Slot]:
    """The main input, what has no default beside it, and what the decoder reads."""
    parameters = parameters_of(model.forward)
    main = model.main_input_name if model.main_input_name in parameters else next(iter(parameters), "input_ids")
    wanted = [main]
    wanted += [name for name, entry in parameters.items() if entry.default is entry.empty and entry.kind in _NAMED]
    if getattr(model.config, "is_encoder_decoder", False) and main in ("input_ids", "input_features", "pixel_values"):
        wanted += ["decoder_input_ids"] if "decoder_input_ids" in parameters else []
    if _look(model.config, "state_dim") and "returns_to_go" in parameters:
        wanted += ["actions", "rewards", "returns_to_go", "timesteps"]
    for name in dict.fromkeys(wanted):
        yield slot(model, name)


_NAMED = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def slot(model: Any, name: str) -> Slot:
    """An input of a Hugging Face model, by its name and the configuration."""
    config = model.config
    if name in ("pixel_values", "pixel_values_videos", "images"):
        return Slot(name, "float", _image(config, name))
    if name == "input_features":
        return Slot(name, "float", _features(config))
    if name in ("input_values", "audio_values"):
        return Slot(name, "float", _sound(config))
    if name in ("attention_mask", "decoder_attention_mask"):
        return Slot(name, "int", (BATCH, _tokens(config)), fill=1)
    if name == "pixel_mask":
        return Slot(name, "int", (BATCH, *_image(config, "")[-2:]), fill=1)
    if name == "bbox":
        return Slot(name, "int", (BATCH, _tokens(config), 4), fill=0)
    if name in ("token_type_ids", "position_ids"):
        return Slot(name, "int", (BATCH, _tokens(config)), fill=0)
    if name.startswith(("past_", "future_")):
        return Slot(name, "float", _series(config, name))
    if name in ("states", "actions", "rewards", "returns_to_go"):
        width = {"states": config.state_dim, "actions": config.act_dim}.get(name, 1)
        return Slot(name, "float", (BATCH, TOKENS, width))
    if name.endswith("embeds"):
        return Slot(name, "float", (BATCH, _tokens(config), _look(config, "hidden_size", "d_model") or 32))
    return Slot(name, "int", (BATCH, _tokens(config)), high=_vocabulary(model))


def _series(config: Any, name: str) -> tuple[int, ...]:
    """Time series: the window and the lags before it, one or several channels."""
    length = _look(config, "context_length") or TOKENS
    length += max(_look(config, "lags_sequence") or [0]) if name.startswith("past_") else 0
    if name.endswith("time_features"):
        return (BATCH, length, _look(config, "num_time_features") or 1)
    channels = _look(config, "num_input_channels", "input_size") or 1
    return (BATCH, length, channels) if channels > 1 else (BATCH, length)


def _vocabulary(model: Any) -> int:
    try:
        table = model.get_input_embeddings()
        return int(table.weight.shape[0])
    except Exception:
        return int(_look(model.config, "vocab_size") or 2)


def _tokens(config: Any) -> int:
    longest = _look(config, "max_position_embeddings", "n_positions", "max_seq_len")
    return min(TOKENS, longest) if isinstance(longest, int) and longest > 2 else TOKENS


def _image(config: Any, name: str) -> tuple[int, ...]:
    channels = _look(config, "num_channels", "in_channels", "in_chans") or 3
    size = _look(config, "image_size", "img_size", "input_size", "crop_size") or 224
    if isinstance(size, Mapping):
        size = (size.get("height", 224), size.get("width", 224))
    height, width = (size, size) if isinstance(size, int) else tuple(size)[-2:]
    frames = _look(config, "num_frames")
    return (BATCH, *((frames,) if frames else ()), channels, height, width)


def _features(config: Any) -> tuple[int, ...]:
    mels = _look(config, "num_mel_bins", "input_feat_per_channel", "feature_projection_input_dim", "num_mels") or 80
    positions = _look(config, "max_source_positions")
    if _look(config, "input_feat_per_channel") or positions is None:
        return (BATCH, 128, mels)
    return (BATCH, mels, 2 * positions)


def _sound(config: Any) -> tuple[int, ...]:
    mels, length = _look(config, "num_mel_bins"), _look(config, "max_length")
    if mels and length and not _look(config, "conv_stride"):
        return (BATCH, length, mels)
    channels = _look(config, "audio_channels")
    return (BATCH, channels, SECOND) if channels else (BATCH, SECOND)


def _diffusers(model: Any, config: Mapping[str, Any]) -> Iterator[Slot]:
    """UNets, transformers, controlnets and autoencoders: a sample, a time, and what it is conditioned on."""
    names = parameters_of(model.forward)
    channels = config.get("in_channels") or 3
    side = config.get("sample_size") or 32
    height, width = (side, side) if isinstance(side, int) else tuple(side)[-2:]
    first = next(iter(names), "sample")
    yield Slot(first, "float", (BATCH, channels, height, width))
    width_of_text = config.get("cross_attention_dim") or config.get("joint_attention_dim")
    width_of_text = width_of_text[0] if isinstance(width_of_text, tuple | list) else width_of_text
    classes = config.get("num_class_embeds") or config.get("num_embeds_ada_norm")
    for name, parameter in list(names.items())[1:]:
        if name in ("timestep", "timesteps"):
            yield Slot(name, "int", (BATCH,), high=1000)
        elif name == "encoder_hidden_states" and width_of_text:
            yield Slot(name, "float", (BATCH, 8, int(width_of_text)))
        elif name == "class_labels" and classes:
            yield Slot(name, "int", (BATCH,), high=int(classes))
        elif name == "controlnet_cond" and parameter.default is parameter.empty:
            yield Slot(name, "float", (BATCH, 3, 8 * height, 8 * width))
        elif name == "pooled_projections" and config.get("pooled_projection_dim"):
            yield Slot(name, "float", (BATCH, int(config["pooled_projection_dim"])))
