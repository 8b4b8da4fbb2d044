"""Small random models, and the same ones in transformers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
import transformers
from torch import Tensor

from madang.model import ModelConfig, Transformer
from madang.model.hugging_face import hugging_face_config, hugging_face_name


def small_config(**changes: Any) -> ModelConfig:
    fields: dict[str, Any] = {
        "vocabulary": 301,
        "width": 64,
        "layers": 2,
        "heads": 4,
        "key_value_heads": 2,
        "head_width": 32,
        "hidden": 96,
    }
    return ModelConfig(**(fields | changes))


def random_model(dtype: torch.dtype = torch.float32, **changes: Any) -> Transformer:
    """A model none of whose weights is 0 or 1, so that each of them counts."""
    model = Transformer(small_config(**changes)).to(dtype)
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.empty(parameter.shape).normal_(0.0, 0.1, generator=generator)
            parameter.add_(noise.to(dtype))
    return model


def in_transformers(model: Transformer) -> Any:
    """The same model as transformers computes it."""
    kind = transformers.Qwen3ForCausalLM if model.config.qk_norm else transformers.LlamaForCausalLM
    fields = hugging_face_config(model.config)
    theirs = kind(kind.config_class(**fields)).to(model.embed_tokens.weight.dtype)
    state = {hugging_face_name(name): tensor for name, tensor in model.state_dict().items()}
    if model.config.tied:
        state["lm_head.weight"] = state["model.embed_tokens.weight"]
    theirs.load_state_dict(state)
    return theirs.eval()


def random_tokens(tokens: int, vocabulary: int = 301, seed: int = 0) -> Tensor:
    return torch.randint(vocabulary, (tokens,), generator=torch.Generator().manual_seed(seed))


def pieces(lengths: Sequence[int]) -> list[slice]:
    """Where each segment lies on the flat axis."""
    ends = [0]
    for length in lengths:
        ends.append(ends[-1] + length)
    return [slice(a, b) for a, b in pairwise(ends)]
