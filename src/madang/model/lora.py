"""Low-rank adapters on a transformer's linear layers (LoRA, arXiv:2106.09685), and PEFT's files."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from madang.model.linear import Linear
from madang.model.saving import load_weights, replaced, save_weights
from madang.model.transformer import Transformer

_PREFIX: Final = "base_model.model.model."
_CONFIG: Final = "adapter_config.json"
_WEIGHTS: Final = "adapter_model.safetensors"


@dataclass(frozen=True)
class LoraConfig:
    """The size and place of adapters."""

    rank: int = 8
    alpha: float = 16.0
    """An adapter's output is scaled by alpha / rank."""
    targets: str | tuple[str, ...] = "all"
    """"all", or names such as "q_proj"; the output layer never gets an adapter."""


def add_lora(model: Transformer, config: LoraConfig, seed: int) -> None:
    """Freeze the model and give its linear layers adapters that at first change nothing.

    A is drawn uniformly from ±sqrt(1 / in), as PEFT does, B is 0. Raises ValueError where the model
    has adapters already, the rank is not positive or a target does not exist.
    """
    if has_lora(model):
        raise ValueError("the model has an adapter already; merge it first")
    if config.rank < 1:
        raise ValueError(f"the rank of an adapter must be at least 1, not {config.rank}")
    layers = dict(adaptable(model))
    kinds = {name.rsplit(".", 1)[-1] for name in layers}
    chosen = kinds if config.targets == "all" else set(config.targets)
    if isinstance(config.targets, str) and config.targets != "all":
        chosen = {config.targets}
    if not chosen or chosen - kinds:
        raise ValueError(
            f"adapters can be put on {', '.join(sorted(kinds))}; "
            f"not on {', '.join(sorted(chosen - kinds)) or 'nothing'}"
        )
    model.requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    for name, layer in layers.items():
        if name.rsplit(".", 1)[-1] not in chosen:
            continue
        outputs, inputs = layer.weight.shape
        bound = math.sqrt(1 / inputs)
        a = torch.empty(config.rank, inputs).uniform_(-bound, bound, generator=generator)
        layer.lora_a = nn.Parameter(a.to(layer.weight))
        layer.lora_b = nn.Parameter(layer.weight.new_zeros(outputs, config.rank))
        layer.scale = config.alpha / config.rank


def has_lora(model: Transformer) -> bool:
    """Return whether any layer has an adapter."""
    return any(layer.lora_a is not None for _, layer in adaptable(model))


def merge_lora(model: Transformer) -> None:
    """Add the adapters to the weights, remove them, and let every weight be trained again."""
    for _, layer in adaptable(model):
        if layer.lora_a is not None:
            layer.weight = nn.Parameter(layer.merged())
            layer.lora_a = layer.lora_b = None
            layer.scale = 0.0
    model.requires_grad_(True)


def lora_state(model: Transformer) -> dict[str, Tensor]:
    """Return the adapters' tensors under PEFT's names."""
    state = {}
    for name, layer in adaptable(model):
        if layer.lora_a is not None and layer.lora_b is not None:
            state[f"{_PREFIX}{name}.lora_A.weight"] = layer.lora_a.detach()
            state[f"{_PREFIX}{name}.lora_B.weight"] = layer.lora_b.detach()
    return state


def merged_state(model: Transformer) -> dict[str, Tensor]:
    """Return every weight by its name, adapters added to theirs; the model stays as it is."""
    state = {n: p.detach() for n, p in model.named_parameters() if ".lora_" not in n}
    for name, layer in adaptable(model):
        state[f"{name}.weight"] = layer.merged()
    return state


def adaptable(model: Transformer) -> Iterator[tuple[str, Linear]]:
    """Yield name and layer of every linear layer of the blocks, in order."""
    for name, module in model.named_modules():
        if isinstance(module, Linear) and name.startswith("layers."):
            yield name, module


def save_adapter(model: Transformer, folder: Path, base: str = "") -> None:
    """Write the adapters in PEFT's format: adapter_config.json and adapter_model.safetensors.

    `base` is the name or path of the base model that the configuration shall state. Raises
    ValueError where the model has no adapter.
    """
    found = [(n.rsplit(".", 1)[-1], x) for n, x in adaptable(model) if x.lora_a is not None]
    if not found:
        raise ValueError("the model has no adapter to save")
    first = found[0][1]
    assert first.lora_a is not None
    rank = len(first.lora_a)
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": rank,
        "lora_alpha": first.scale * rank,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "target_modules": sorted({name for name, _ in found}),
    }
    save_weights(lora_state(model), folder / _WEIGHTS, {"format": "pt"})
    with replaced(folder / _CONFIG) as part:
        part.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def load_adapter(model: Transformer, folder: Path) -> None:
    """Put the adapters of a folder in PEFT's format on the model.

    Raises ValueError in one sentence where they are damaged, use what is not supported here, or do
    not fit the model.
    """
    path = folder / _CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        kind, rank, alpha = config["peft_type"], config["r"], config["lora_alpha"]
        targets = config["target_modules"]
        chosen = "all" if targets == "all-linear" else tuple(targets)
        lora = LoraConfig(int(rank), float(alpha), chosen)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not an adapter's configuration ({error!r})") from error
    unsupported = [
        name
        for name in ("use_rslora", "use_dora", "fan_in_fan_out", "modules_to_save", "rank_pattern")
        if config.get(name)
    ] + (["bias"] if config.get("bias", "none") != "none" else [])
    if kind != "LORA" or unsupported:
        raise ValueError(
            f"{path} asks for {', '.join(unsupported) or kind}, which is not supported"
        )
    state = load_weights(folder / _WEIGHTS)
    add_lora(model, lora, seed=0)
    expected = lora_state(model)
    wrong = sorted(set(expected) ^ set(state)) or sorted(
        name for name in expected if expected[name].shape != state[name].shape
    )
    if wrong:
        merge_lora(model)
        raise ValueError(f"{folder / _WEIGHTS} does not fit the model: see {wrong[0]}")
    for name, tensor in expected.items():
        tensor.copy_(state[name])
