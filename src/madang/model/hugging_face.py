"""Folders as Hugging Face's transformers reads and writes them: config.json and safetensors.

With norms of queries and keys the layout is Qwen3's, without them Llama's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from madang.model.lora import merged_state
from madang.model.saving import load_weights, replaced, save_weights
from madang.model.transformer import ModelConfig, Transformer

CONFIG: Final = "config.json"
WEIGHTS: Final = "model.safetensors"
_INDEX: Final = "model.safetensors.index.json"
_OURS: Final = {"llama": False, "qwen3": True}
"""Whether a model type normalises queries and keys."""


def save_hugging_face(
    model: Transformer, folder: Path, fields: Mapping[str, Any] | None = None
) -> None:
    """Write model.safetensors and config.json, which AutoModelForCausalLM loads.

    Adapters are written merged; the model itself stays as it is. `fields` are added to the
    configuration, such as the ids of special tokens.
    """
    state = {hugging_face_name(name): tensor for name, tensor in merged_state(model).items()}
    save_weights(state, folder / WEIGHTS, {"format": "pt"})
    dtype = str(model.embed_tokens.weight.dtype).removeprefix("torch.")
    config = hugging_face_config(model.config) | {"dtype": dtype} | dict(fields or {})
    with replaced(folder / CONFIG) as part:
        part.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def load_hugging_face(folder: Path, dtype: torch.dtype = torch.float32) -> Transformer:
    """Read a Llama or Qwen3 checkpoint, in one safetensors file or in several with an index.

    Raises ValueError in one sentence where the folder holds another kind of model or is damaged,
    FileNotFoundError where a file is absent.
    """
    config = read_config(folder / CONFIG)
    state: dict[str, Tensor] = {}
    for path in _weight_files(folder):
        state |= load_weights(path)
    return assemble(config, state, dtype, source=folder)


def hugging_face_name(name: str) -> str:
    """Return the name that transformers gives to a parameter of ours."""
    return name if name.startswith("lm_head.") else f"model.{name}"


def hugging_face_config(config: ModelConfig) -> dict[str, Any]:
    """Return the content of config.json."""
    kind, architecture = (
        ("qwen3", "Qwen3ForCausalLM") if config.qk_norm else ("llama", "LlamaForCausalLM")
    )
    return {
        "architectures": [architecture],
        "model_type": kind,
        "vocab_size": config.vocabulary,
        "hidden_size": config.width,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.key_value_heads,
        "head_dim": config.head_width,
        "intermediate_size": config.hidden,
        "hidden_act": "silu",
        "max_position_embeddings": config.context,
        "rms_norm_eps": config.norm_epsilon,
        # Version 5 reads the dictionary, version 4 and vLLM the number.
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_base},
        "rope_theta": config.rope_base,
        "tie_word_embeddings": config.tied,
        "attention_bias": False,
        "attention_dropout": 0.0,
        "use_cache": True,
    } | ({} if config.qk_norm else {"mlp_bias": False})


def read_config(path: Path) -> ModelConfig:
    """Read config.json; raises ValueError where it is damaged or no model of ours."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise TypeError("it is not an object")
        kind = found.get("model_type")
        if kind not in _OURS:
            raise ValueError(
                f"{path} describes a model of the type {kind!r}; known are llama, qwen3"
            )
        rope = found.get("rope_parameters") or found.get("rope_scaling") or {}
        _refuse_variants(path, found, rope)
        heads = int(found["num_attention_heads"])
        width = int(found["hidden_size"])
        return ModelConfig(
            vocabulary=int(found["vocab_size"]),
            width=width,
            layers=int(found["num_hidden_layers"]),
            heads=heads,
            key_value_heads=int(found.get("num_key_value_heads") or heads),
            head_width=int(found.get("head_dim") or (128 if kind == "qwen3" else width // heads)),
            hidden=int(found["intermediate_size"]),
            qk_norm=_OURS[kind],
            tied=bool(found.get("tie_word_embeddings", False)),
            rope_base=float(rope.get("rope_theta") or found.get("rope_theta") or 10_000.0),
            norm_epsilon=float(found.get("rms_norm_eps", 1e-6)),
            context=int(found.get("max_position_embeddings", 2048)),
        )
    except (KeyError, TypeError, AttributeError, ZeroDivisionError, OverflowError) as error:
        raise ValueError(f"{path} does not describe a whole model ({error!r})") from error
    except ValueError as error:
        if str(path) in str(error):
            raise
        raise ValueError(f"{path} does not describe a model: {error}") from error


def assemble(
    config: ModelConfig, state: Mapping[str, Tensor], dtype: torch.dtype, source: Path
) -> Transformer:
    """Return a transformer with these weights, which bear the names of transformers.

    Raises ValueError where one is missing, superfluous or of another shape.
    """
    if config.layers > len(state):
        raise ValueError(f"{source} cannot be a model of so many layers: {config.layers}")
    with torch.device("meta"):
        model = Transformer(config)
    expected = {hugging_face_name(name): p.shape for name, p in model.named_parameters()}
    # A tied output layer is often written out once more.
    given = {n: t for n, t in state.items() if not (config.tied and n == "lm_head.weight")}
    given = {n: t for n, t in given.items() if not n.endswith("rotary_emb.inv_freq")}
    for name in sorted(expected.keys() ^ given.keys()):
        word = "lacks the tensor" if name in expected else "has an unknown tensor,"
        raise ValueError(f"{source} {word} {name}")
    for name, shape in expected.items():
        if given[name].shape != shape:
            raise ValueError(
                f"{source}: {name} has the shape {list(given[name].shape)}, "
                f"but the configuration asks for {list(shape)}"
            )
    ours = {name: given[hugging_face_name(name)].to(dtype) for name in model.state_dict()}
    model.load_state_dict(ours, assign=True)
    return model


def _refuse_variants(path: Path, found: Mapping[str, Any], rope: Mapping[str, Any]) -> None:
    """Raise ValueError where the configuration asks for something that would change results."""
    variants = [n for n in ("attention_bias", "mlp_bias", "use_sliding_window") if found.get(n)]
    if found.get("hidden_act", "silu") != "silu":
        variants.append(f"hidden_act {found['hidden_act']}")
    kind = rope.get("rope_type") or rope.get("type") or "default"
    if kind != "default":
        variants.append(f"{kind} rotary positions")
    if variants:
        raise ValueError(f"{path} asks for {', '.join(variants)}, which is not supported here")


def _weight_files(folder: Path) -> list[Path]:
    index = folder / _INDEX
    if not index.is_file() or (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        paths = [folder / name for name in names]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{index} is not an index of weights ({error!r})") from error
    if any(path.parent != folder for path in paths):
        raise ValueError(f"{index} names files outside of its folder")
    return paths
