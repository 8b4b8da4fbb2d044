"""Small models whose predictions depend on everything that they read."""

from __future__ import annotations

import torch

from madang.model.transformer import ModelConfig, Transformer


def drawn(vocabulary: int, seed: int, context: int = 64) -> Transformer:
    """Return a model whose every matrix is random, so that no layer is the identity."""
    config = ModelConfig(
        vocabulary, width=64, layers=2, heads=2, key_value_heads=1, head_width=32, hidden=128,
        context=context,
    )  # fmt: skip
    model = Transformer(config)
    model.initialise(seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.normal_(0.0, parameter.shape[1] ** -0.5, generator=generator)
    return model.eval()
