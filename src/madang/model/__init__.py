"""The transformer, its adapters and its file formats."""

from madang.model.lora import (
    LoraConfig,
    add_lora,
    has_lora,
    load_adapter,
    lora_state,
    merge_lora,
    save_adapter,
)
from madang.model.saving import load_weights, save_weights
from madang.model.segments import Segments
from madang.model.transformer import ModelConfig, Transformer

__all__ = [
    "LoraConfig",
    "ModelConfig",
    "Segments",
    "Transformer",
    "add_lora",
    "has_lora",
    "load_adapter",
    "load_weights",
    "lora_state",
    "merge_lora",
    "save_adapter",
    "save_weights",
]
