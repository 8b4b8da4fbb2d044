"""The transformer, its adapters and its file formats."""

from madang.model.compiling import compile_blocks
from madang.model.gguf_files import load_gguf, save_gguf
from madang.model.hugging_face import load_hugging_face, save_hugging_face
from madang.model.lora import (
    LoraConfig,
    add_lora,
    has_lora,
    load_adapter,
    lora_state,
    merge_lora,
    merged_state,
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
    "compile_blocks",
    "has_lora",
    "load_adapter",
    "load_gguf",
    "load_hugging_face",
    "load_weights",
    "lora_state",
    "merge_lora",
    "merged_state",
    "save_adapter",
    "save_gguf",
    "save_hugging_face",
    "save_weights",
]
