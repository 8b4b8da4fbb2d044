"""The model a plan asks for: drawn, or a base that is loaded, with adapters where wanted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch

from madang.training.distributed import World, shard
from madang.training.plan import SHAPE, Plan

if TYPE_CHECKING:
    from madang.model.transformer import Transformer

_DTYPES: Final = {
    "float32": torch.float32,
    "float64": torch.float64,
    "bfloat16": torch.float32,
}


def load_base(path: Path) -> Transformer:
    """Load a GGUF file, or a folder in Hugging Face's layout."""
    if path.suffix == ".gguf":
        from madang.model.gguf_files import load_gguf

        return load_gguf(path)
    from madang.model.hugging_face import load_hugging_face

    return load_hugging_face(path)


def build_model(plan: Plan, world: World, model: Transformer | None = None) -> Transformer:
    """Return the model as it is before the first step, sharded over the ranks.

    `model`, where given, takes the place of the base. Raises ValueError where the base is another
    shape than the plan says.
    """
    from madang.model.lora import LoraConfig, add_lora
    from madang.model.transformer import Transformer

    if model is None and plan.base is not None:
        model = load_base(Path(plan.base))
    if model is None:
        model = Transformer(plan.model_config())
        model.initialise(plan.seed)
    else:
        for name in SHAPE:
            if name != "context" and getattr(model.config, name) != getattr(plan, name):
                raise ValueError(
                    f"the plan says {name} {getattr(plan, name)} and the base has "
                    f"{getattr(model.config, name)}; leave it to the base"
                )
    model = model.to(device=plan.device, dtype=_DTYPES[plan.precision])
    if plan.method == "lora":
        add_lora(model, LoraConfig(plan.lora_rank, plan.lora_alpha), plan.seed)
    if plan.compile:
        from madang.model.compiling import compile_blocks

        if not compile_blocks(model):
            raise ValueError(
                "the plan was made with a C++ compiler and there is none here; install one, or "
                "set compile to false in the plan, which gives slightly other weights"
            )
    shard(model, list(model.layers), world, mixed=plan.precision == "bfloat16")
    return model


def trained_tensors(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return what training changes, by name: all weights, or the adapters only."""
    return {name: one.data for name, one in model.named_parameters() if one.requires_grad}
