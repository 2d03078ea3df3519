"""Small random models of timm and diffusers, by the names and settings of those libraries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class LibraryModel:
    """A model that `library` can make, and the keyword or positional inputs of its forward pass."""

    name: str
    library: str
    make: Callable[[], nn.Module]
    inputs: Callable[[], tuple[Tensor, ...] | dict[str, Any]]
    contract: Mapping[str, Any]

    def model(self) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(len(self.name))
            return self.make()


def _timm(name: str, size: int = 64, **settings: Any) -> LibraryModel:
    def make() -> nn.Module:
        import timm

        return timm.create_model(name, pretrained=False, num_classes=5, **settings)

    contract = {"task": "classification", "loss": "cross_entropy", "classes": 5}
    return LibraryModel(name, "timm", make, lambda: (torch.randn(1, 3, size, size),), contract)


def _diffusers(name: str, settings: Mapping[str, Any], inputs: Callable[[], dict[str, Any]]) -> LibraryModel:
    def make() -> nn.Module:
        import diffusers

        return getattr(diffusers, name)(**settings)

    return LibraryModel(name, "diffusers", make, inputs, {})


TINY_VIT = {"img_size": 64, "patch_size": 16, "embed_dim": 32, "depth": 2, "num_heads": 4}
TIMM = [
    _timm("resnet18"),
    _timm("mobilenetv3_small_050"),
    _timm("efficientnet_lite0"),
    _timm("convnext_atto"),
    _timm("vit_tiny_patch16_224", **TINY_VIT),
    _timm("deit_tiny_patch16_224", **TINY_VIT),
    _timm("mixer_s16_224", img_size=64, embed_dim=32, num_blocks=2),
    _timm("densenet121", growth_rate=8, block_config=(2, 2, 2, 2)),
    _timm("regnetx_002"),
    _timm("repvgg_a0"),
]


def _denoised(**more: Callable[[], Any]) -> Callable[[], dict[str, Any]]:
    def inputs() -> dict[str, Any]:
        steps = {"sample": torch.randn(1, 3, 16, 16), "timestep": torch.tensor([10])}
        return steps | {name: make() for name, make in more.items()}

    return inputs


BLOCKS = {"block_out_channels": (16, 32), "layers_per_block": 1, "norm_num_groups": 8}
UNET = {**BLOCKS, "in_channels": 3, "out_channels": 3, "sample_size": 16}
DIFFUSERS = [
    _diffusers(
        "UNet2DModel",
        {
            **UNET,
            "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
            "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
            "attention_head_dim": 8,
        },
        _denoised(),
    ),
    _diffusers(
        "UNet2DConditionModel",
        {
            **UNET,
            "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
            "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
            "cross_attention_dim": 32,
            "attention_head_dim": 8,
        },
        _denoised(encoder_hidden_states=lambda: torch.randn(1, 7, 32)),
    ),
    _diffusers(
        "AutoencoderKL",
        {
            **BLOCKS,
            "down_block_types": ("DownEncoderBlock2D", "DownEncoderBlock2D"),
            "up_block_types": ("UpDecoderBlock2D", "UpDecoderBlock2D"),
            "latent_channels": 4,
        },
        lambda: {"sample": torch.randn(1, 3, 16, 16)},
    ),
    _diffusers(
        "DiTTransformer2DModel",
        {"num_attention_heads": 4, "attention_head_dim": 8, "in_channels": 4, "num_layers": 2, "sample_size": 8,
         "num_embeds_ada_norm": 10, "norm_num_groups": 8},
        lambda: {
            "hidden_states": torch.randn(1, 4, 8, 8),
            "timestep": torch.tensor([3]),
            "class_labels": torch.tensor([1]),
        },
    ),
    _diffusers(
        "VQModel",
        {**BLOCKS, "latent_channels": 4, "num_vq_embeddings": 16, "down_block_types": ("DownEncoderBlock2D",) * 2,
         "up_block_types": ("UpDecoderBlock2D",) * 2},
        lambda: {"sample": torch.randn(1, 3, 16, 16)},
    ),
]  # fmt: skip

LIBRARY_MODELS = {entry.name: entry for entry in (*TIMM, *DIFFUSERS)}
