"""Small random models of many families of the transformers library; nothing is downloaded.

Every entry is a configuration class, a model class, and what differs from the library's defaults so that the model is
small. Versions rename things: what the installed version lacks is left out by `available`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

Settings = Mapping[str, Any]
Inputs = Mapping[str, Callable[[], Tensor]]

WORDS = 100


def tokens(length: int = 16, batch: int = 2) -> Callable[[], Tensor]:
    return lambda: torch.randint(3, WORDS, (batch, length))


def numbers(*shape: int, scale: float = 1.0) -> Callable[[], Tensor]:
    return lambda: torch.randn(*shape) * scale


def ones(*shape: int) -> Callable[[], Tensor]:
    return lambda: torch.ones(*shape)


TEXT: Inputs = {"input_ids": tokens()}
MASKED: Inputs = {"input_ids": tokens(), "attention_mask": lambda: torch.ones(2, 16, dtype=torch.long)}
PAIR: Inputs = {**MASKED, "decoder_input_ids": tokens(8)}
IMAGE: Inputs = {"pixel_values": numbers(1, 3, 64, 64)}
WAVE: Inputs = {"input_values": numbers(1, 4000, scale=0.1)}

NO_TASK: Settings = {}
LANGUAGE: Settings = {"task": "language-model", "loss": "cross_entropy", "classes": WORDS}
DEPTH: Settings = {"task": "regression", "loss": "l1", "targets": (0, 10)}


def kinds(count: int) -> Settings:
    return {"task": "classification", "loss": "cross_entropy", "classes": count}


@dataclass(frozen=True)
class Family:
    """One model: `config` may name a further configuration in its settings as a function, called when it is built."""

    name: str
    config: str
    model_class: str
    settings: Settings = field(default_factory=dict)
    inputs: Inputs = field(default_factory=lambda: TEXT)
    contract: Settings = field(default_factory=lambda: LANGUAGE)

    def available(self) -> bool:
        import transformers

        return hasattr(transformers, self.config) and hasattr(transformers, self.model_class)

    def model(self) -> nn.Module:
        import transformers

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(len(self.name))
            settings = {key: value() if callable(value) else value for key, value in self.settings.items()}
            return getattr(transformers, self.model_class)(getattr(transformers, self.config)(**settings))

    def example(self) -> dict[str, Tensor]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return {name: make() for name, make in self.inputs.items()}


SPECIAL = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
BERT = {
    "vocab_size": WORDS,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
}
LLAMA = {**BERT, **SPECIAL, "num_key_value_heads": 2}
GPT = {"vocab_size": WORDS, "n_positions": 64, "n_embd": 32, "n_layer": 2, "n_head": 4, **SPECIAL}
BART = {
    "vocab_size": WORDS,
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "max_position_embeddings": 64,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "decoder_start_token_id": 1,
    "forced_eos_token_id": None,
    **SPECIAL,
}
VIT = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "image_size": 64,
    "patch_size": 16,
}
STAGES = {"hidden_sizes": [16, 24, 32, 40], "depths": [1, 1, 1, 1], "num_labels": 5}
PYRAMID = {**STAGES, "hidden_sizes": [16, 16, 32, 32], "num_attention_heads": [1, 1, 2, 2]}
SPEECH = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "vocab_size": 32,
    "conv_dim": [16, 16, 16],
    "conv_stride": [5, 4, 4],
    "conv_kernel": [10, 8, 4],
    "num_feat_extract_layers": 3,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
    "num_labels": 5,
    "classifier_proj_size": 16,
}


def of_config(name: str, **settings: Any) -> Callable[[], Any]:
    """A configuration inside a configuration."""

    def make() -> Any:
        import transformers

        return getattr(transformers, name)(**settings)

    return make


def readers() -> list[Family]:
    """Encoders of text that classify it."""
    heads = {
        "Bert": {}, "Roberta": SPECIAL, "XLMRoberta": SPECIAL, "Camembert": SPECIAL, "Albert": {"embedding_size": 16},
        "Electra": {"embedding_size": 16}, "ConvBert": {"embedding_size": 32}, "FNet": {}, "Data2VecText": SPECIAL,
        "MobileBert": {"embedding_size": 32, "true_hidden_size": 32, "intra_bottleneck_size": 32},
        "Deberta": {"relative_attention": True, "pos_att_type": ["c2p", "p2c"]},
        "DebertaV2": {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_buckets": 16},
        "SqueezeBert": {
            "embedding_size": 32, "q_groups": 2, "k_groups": 2, "v_groups": 2,
            "intermediate_groups": 2, "output_groups": 2,
        },
        "RoFormer": {"embedding_size": 32}, "MegatronBert": {}, "Ernie": {}, "RemBert": {"input_embedding_size": 16},
        "ModernBert": {**SPECIAL, "cls_token_id": 1, "sep_token_id": 2, "local_attention": 8},
    }  # fmt: skip
    found = [
        Family(
            f"{name.lower()}_classifier", f"{name}Config", f"{name}ForSequenceClassification",
            {**BERT, "num_labels": 3, **more}, TEXT if name == "FNet" else MASKED, kinds(3),
        )
        for name, more in heads.items()
    ]  # fmt: skip
    distil = {"vocab_size": WORDS, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64, "num_labels": 3}
    xlnet = {"vocab_size": WORDS, "d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 64, "num_labels": 3}
    funnel = {"vocab_size": WORDS, "block_sizes": [1, 1], "d_model": 32, "n_head": 4, "d_head": 8, "d_inner": 64}
    perceiver = {
        "num_latents": 8,
        "d_latents": 32,
        "d_model": 32,
        "num_blocks": 1,
        "num_self_attends_per_block": 2,
        "num_self_attention_heads": 4,
        "num_cross_attention_heads": 4,
        "qk_channels": 32,
        "v_channels": 32,
        "vocab_size": WORDS,
        "max_position_embeddings": 16,
        "num_labels": 3,
    }
    several = {"task": "multilabel", "loss": "bce_with_logits", "targets": (0, 1)}
    return [
        *found,
        Family("bert_filler", "BertConfig", "BertForMaskedLM", BERT, MASKED),
        Family("bert_labels", "BertConfig", "BertForSequenceClassification", {**BERT, "num_labels": 6},
               MASKED, several),
        Family("roberta_tags", "RobertaConfig", "RobertaForTokenClassification", {**BERT, **SPECIAL, "num_labels": 5},
               MASKED, kinds(5)),
        Family("distilbert", "DistilBertConfig", "DistilBertForSequenceClassification", distil, MASKED, kinds(3)),
        Family("xlnet", "XLNetConfig", "XLNetForSequenceClassification", xlnet, MASKED, kinds(3)),
        Family("funnel", "FunnelConfig", "FunnelModel", funnel, MASKED, NO_TASK),
        Family("perceiver", "PerceiverConfig", "PerceiverForSequenceClassification", perceiver,
               {"inputs": tokens()}, kinds(3)),
        Family("longformer", "LongformerConfig", "LongformerForMaskedLM",
               {**BERT, **SPECIAL, "attention_window": [8, 8]}, MASKED),
        Family("layoutlm", "LayoutLMConfig", "LayoutLMForTokenClassification",
               {**BERT, "max_2d_position_embeddings": 64, "num_labels": 5},
               {**MASKED, "bbox": lambda: torch.randint(0, 50, (2, 16, 4)).sort(-1).values}, kinds(5)),
    ]  # fmt: skip


def writers() -> list[Family]:
    """Causal language models."""
    like_llama: dict[str, Settings] = {
        "Llama": {}, "Mistral": {}, "Qwen2": {}, "Gemma": {"head_dim": 8}, "Gemma2": {"head_dim": 8}, "Phi": {},
        "Phi3": {}, "Qwen3": {"head_dim": 8}, "Olmo": {}, "Olmo2": {}, "StableLm": {}, "Starcoder2": {}, "Cohere": {},
        "Granite": {}, "Mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2}, "Glm": {"head_dim": 8},
        "Helium": {"head_dim": 8}, "Nemotron": {}, "SmolLM3": {}, "GPTNeoX": {},
    }  # fmt: skip
    small = {"vocab_size": WORDS, "hidden_size": 32, **SPECIAL}
    return [
        *(
            Family(name.lower(), f"{name}Config", f"{name}ForCausalLM", {**LLAMA, **more})
            for name, more in like_llama.items()
        ),
        Family("gpt2", "GPT2Config", "GPT2LMHeadModel", GPT),
        Family("gptj", "GPTJConfig", "GPTJForCausalLM", {**GPT, "rotary_dim": 4}),
        Family("gpt_neo", "GPTNeoConfig", "GPTNeoForCausalLM",
               {**small, "max_position_embeddings": 64, "num_layers": 2, "num_heads": 4, "window_size": 8,
                "attention_types": [[["global", "local"], 1]]}),
        Family("codegen", "CodeGenConfig", "CodeGenForCausalLM", {**GPT, "rotary_dim": 4}),
        Family("bloom", "BloomConfig", "BloomForCausalLM", {**small, "n_layer": 2, "n_head": 4}, MASKED),
        Family("falcon", "FalconConfig", "FalconForCausalLM",
               {**small, "num_hidden_layers": 2, "num_attention_heads": 4}, MASKED),
        Family("opt", "OPTConfig", "OPTForCausalLM",
               {**small, "num_hidden_layers": 2, "num_attention_heads": 4, "ffn_dim": 64, "word_embed_proj_dim": 32,
                "max_position_embeddings": 64}, MASKED),
        Family("mpt", "MptConfig", "MptForCausalLM",
               {"vocab_size": WORDS, "d_model": 32, "n_layers": 2, "n_heads": 4, "max_seq_len": 64}, MASKED),
        Family("mamba", "MambaConfig", "MambaForCausalLM",
               {**small, "num_hidden_layers": 2, "state_size": 4, "time_step_rank": 4}),
        Family("rwkv", "RwkvConfig", "RwkvForCausalLM",
               {**small, "attention_hidden_size": 32, "num_hidden_layers": 2, "context_length": 32}),
    ]  # fmt: skip


def translators() -> list[Family]:
    """Encoders with a decoder."""
    t5 = {"vocab_size": WORDS, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4,
          "decoder_start_token_id": 0}  # fmt: skip
    whisper = {**BART, "num_mel_bins": 16, "max_source_positions": 32, "max_target_positions": 32}
    return [
        Family("t5", "T5Config", "T5ForConditionalGeneration", t5, PAIR),
        Family("mt5", "MT5Config", "MT5ForConditionalGeneration", t5, PAIR),
        Family("bart", "BartConfig", "BartForConditionalGeneration", BART, PAIR),
        Family("marian", "MarianConfig", "MarianMTModel", BART, PAIR),
        Family("pegasus", "PegasusConfig", "PegasusForConditionalGeneration", BART, PAIR),
        Family("mbart", "MBartConfig", "MBartForConditionalGeneration", BART, PAIR),
        Family("whisper", "WhisperConfig", "WhisperForConditionalGeneration", whisper,
               {"input_features": numbers(1, 16, 64), "decoder_input_ids": tokens(8, batch=1)}),
    ]  # fmt: skip


def viewers() -> list[Family]:
    """Models of images."""
    five = {**VIT, "num_labels": 5}
    beside: dict[str, Settings] = {
        "ViT": five, "DeiT": five, "Dinov2": {**five, "mlp_ratio": 2},
        "Beit": {**five, "use_relative_position_bias": True, "layer_scale_init_value": 0.1},
        "Swin": {"image_size": 64, "patch_size": 4, "embed_dim": 16, "depths": [1, 2], "num_heads": [2, 4],
                 "window_size": 4, "num_labels": 5},
        "ConvNext": STAGES, "ConvNextV2": STAGES, "PoolFormer": STAGES,
        "ResNet": {**STAGES, "embedding_size": 16, "layer_type": "bottleneck"},
        "RegNet": {**STAGES, "embedding_size": 16, "groups_width": 8, "layer_type": "y"},
        "Bit": {**STAGES, "hidden_sizes": [32, 64, 96, 128], "embedding_size": 32, "num_groups": 8},
        "MobileNetV1": {"image_size": 64, "depth_multiplier": 0.25, "num_labels": 5},
        "MobileNetV2": {"image_size": 64, "depth_multiplier": 0.25, "num_labels": 5},
        "EfficientNet": {"image_size": 64, "width_coefficient": 0.25, "depth_coefficient": 0.3, "hidden_dim": 320,
                         "num_labels": 5},
        "MobileViT": {"image_size": 64, "hidden_sizes": [16, 24, 32], "num_attention_heads": 4, "num_labels": 5,
                      "neck_hidden_sizes": [8, 8, 16, 24, 32, 32, 64]},
        "Segformer": PYRAMID, "Pvt": {**PYRAMID, "image_size": 64, "mlp_ratios": [2, 2, 2, 2]},
        "Levit": {"image_size": 64, "hidden_sizes": [32, 48, 64], "num_attention_heads": [2, 3, 4],
                  "depths": [1, 1, 1], "key_dim": [8, 8, 8], "num_labels": 5},
    }  # fmt: skip
    depth = {**VIT, "num_hidden_layers": 4, "backbone_out_indices": [0, 1, 2, 3], "fusion_hidden_size": 16,
             "neck_hidden_sizes": [16, 16, 32, 32], "is_hybrid": False}  # fmt: skip
    backbone = of_config(
        "ResNetConfig", embedding_size=16, hidden_sizes=[16, 32], depths=[1, 1], out_features=["stage2"]
    )
    detr = {**BART, "backbone_config": backbone, "num_queries": 10, "num_labels": 5}
    segments = {"task": "segmentation", "loss": "cross_entropy", "classes": 5}
    return [
        *(
            Family(name.lower(), f"{name}Config", f"{name}ForImageClassification", settings, IMAGE, kinds(5))
            for name, settings in beside.items()
        ),
        Family("segformer_map", "SegformerConfig", "SegformerForSemanticSegmentation",
               {**PYRAMID, "decoder_hidden_size": 32}, IMAGE, segments),
        Family("dpt", "DPTConfig", "DPTForDepthEstimation", depth, IMAGE, DEPTH),
        Family("glpn", "GLPNConfig", "GLPNForDepthEstimation", {**PYRAMID, "decoder_hidden_size": 16}, IMAGE, DEPTH),
        Family("detr", "DetrConfig", "DetrForObjectDetection", detr, IMAGE, NO_TASK),
        Family("yolos", "YolosConfig", "YolosForObjectDetection",
               {**five, "image_size": [64, 64], "num_detection_tokens": 10}, IMAGE, NO_TASK),
        Family("clip", "CLIPConfig", "CLIPModel",
               {"text_config": {**BERT, **SPECIAL, "projection_dim": 16},
                "vision_config": {**VIT, "projection_dim": 16}, "projection_dim": 16},
               {**MASKED, "pixel_values": numbers(2, 3, 64, 64)}, NO_TASK),
        Family("siglip", "SiglipConfig", "SiglipModel",
               {"text_config": {**BERT, **SPECIAL, "projection_size": 32}, "vision_config": VIT},
               {**TEXT, "pixel_values": numbers(2, 3, 64, 64)}, NO_TASK),
    ]  # fmt: skip


def listeners() -> list[Family]:
    """Models of sound, series and actions."""
    spectrum = {**VIT, "frequency_stride": 10, "time_stride": 10, "max_length": 64, "num_mel_bins": 32, "num_labels": 5}
    del spectrum["image_size"]
    vocoder = {"model_in_dim": 16, "upsample_initial_channel": 64}
    patches = {"num_input_channels": 3, "context_length": 64, "prediction_length": 8, "patch_length": 8,
               "patch_stride": 8, "d_model": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "ffn_dim": 64,
               "loss": "mse"}  # fmt: skip
    decisions = {"state_dim": 5, "act_dim": 3, "hidden_size": 32, "n_layer": 2, "n_head": 4, "max_ep_len": 64,
                 "n_positions": 64}  # fmt: skip
    trajectory: Inputs = {
        "states": numbers(1, 8, 5), "actions": numbers(1, 8, 3), "rewards": numbers(1, 8, 1),
        "returns_to_go": numbers(1, 8, 1), "timesteps": lambda: torch.arange(8)[None], "attention_mask": ones(1, 8),
    }  # fmt: skip
    speakers = {"Wav2Vec2": {"feat_extract_norm": "layer"}, "Hubert": {}, "WavLM": {}, "SEW": {"squeeze_factor": 2}}
    return [
        *(
            Family(f"{name.lower()}_classifier", f"{name}Config", f"{name}ForSequenceClassification",
                   {**SPEECH, **more}, WAVE, kinds(5))
            for name, more in speakers.items()
        ),
        Family("wav2vec2_ctc", "Wav2Vec2Config", "Wav2Vec2ForCTC", SPEECH, WAVE, NO_TASK),
        Family("ast", "ASTConfig", "ASTForAudioClassification", spectrum,
               {"input_values": numbers(1, 64, 32)}, kinds(5)),
        Family("hifigan", "SpeechT5HifiGanConfig", "SpeechT5HifiGan", vocoder,
               {"spectrogram": numbers(16, 16)}, NO_TASK),
        Family("patch_forecast", "PatchTSTConfig", "PatchTSTForPrediction", patches,
               {"past_values": numbers(2, 64, 3)}, {"task": "regression", "loss": "mse"}),
        Family("decisions", "DecisionTransformerConfig", "DecisionTransformerModel", decisions, trajectory, NO_TASK),
    ]  # fmt: skip


FAMILIES = {
    family.name: family for families in (readers, writers, translators, viewers, listeners) for family in families()
}
