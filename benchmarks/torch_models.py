"""PyTorch models to lint, and what is measured on them: netlint beside a process that builds the same model.

This file is also the target: `benchmarks/torch_models.py:llama_70b`.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

from benchmarks.measure import Command

TORCH_RESNET50 = "torch_resnet50"
TORCH_LLAMA_70B = "torch_llama_70b"
BUILD = "import torch, build the model"
NETLINT_TORCH = "netlint on a Python target"

_ROOT = Path(__file__).parent.parent
_RESNET50 = _ROOT / "fixtures" / "resnet50.py"


def llama_70b() -> Any:
    """A Llama of 70 billion parameters as transformers configures it; its weights would fill 280 GB in float32."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=32_000,
        hidden_size=8192,
        intermediate_size=28_672,
        num_hidden_layers=80,
        num_attention_heads=64,
        num_key_value_heads=8,
    )
    return LlamaForCausalLM(config)


def torch_commands(netlint: Path) -> dict[str, list[Command]]:
    """The commands by subject, as far as torch, transformers and netlint are installed here."""
    if importlib.util.find_spec("torch") is None or not netlint.exists():
        return {}
    build = f"import sys; sys.path.insert(0, {str(_RESNET50.parent)!r}); import resnet50; resnet50.resnet50()"
    found = {
        TORCH_RESNET50: [
            Command(BUILD, (sys.executable, "-c", build)),
            Command(NETLINT_TORCH, (str(netlint), "--exit-zero", f"{_RESNET50}:resnet50")),
        ]
    }
    if importlib.util.find_spec("transformers") is not None:
        target = f"{Path(__file__).resolve()}:llama_70b"
        found[TORCH_LLAMA_70B] = [
            Command(
                "python -c 'import transformers'", (sys.executable, "-c", "from transformers import LlamaForCausalLM")
            ),
            Command(NETLINT_TORCH, (str(netlint), "--exit-zero", target)),
        ]
    return found
