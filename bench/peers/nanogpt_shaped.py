"""A GPT in the shape that nanoGPT made common: learned positions, LayerNorm, GELU, no biases.

Written from the papers: GPT-2 (Radford et al., 2019) for the layout and the scaled initialisation
of what writes to the residual stream; the output layer is tied to the embedding.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class _Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width, bias=False)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.norm2 = nn.LayerNorm(width, bias=False)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        rows, length, width = x.shape
        q, k, v = (
            one.view(rows, length, self.heads, -1).transpose(1, 2)
            for one in self.qkv(self.norm1(x)).split(width, dim=2)
        )
        attended = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(attended.transpose(1, 2).reshape(rows, length, width))
        return x + self.down(functional.gelu(self.up(self.norm2(x))))


class NanoGPTShaped(nn.Module):
    """Token ids `[rows, length]` to logits `[rows, length, vocabulary]`."""

    def __init__(
        self, vocabulary: int, layers: int, width: int, heads: int, context: int, seed: int
    ) -> None:
        """Draw the weights: standard deviation 0.02, and less by sqrt(2 layers) at the outputs."""
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(context, width)
        self.blocks = nn.ModuleList(_Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width, bias=False)
        generator = torch.Generator().manual_seed(seed)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                scale = (2 * layers) ** -0.5 if name.endswith(("out.weight", "down.weight")) else 1
                nn.init.normal_(parameter, std=0.02 * scale, generator=generator)

    def forward(self, ids: Tensor) -> Tensor:
        """Return the logits of every next token."""
        x = self.tokens(ids) + self.positions(torch.arange(ids.shape[1], device=ids.device))
        for block in self.blocks:
            x = block(x)
        return functional.linear(self.norm(x), self.tokens.weight)
