"""The operations of a block that are not matrix products, each with few passes over memory."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def rms_norm(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """Return x / sqrt(mean(x²) + epsilon) · weight, the mean over the last axis."""
    return x * (x.square().mean(-1, keepdim=True) + epsilon).rsqrt() * weight


def rotary_table(positions: Tensor, head_width: int, base: float, dtype: torch.dtype) -> Tensor:
    """Return the cosines and sines of rotary positions (arXiv:2104.09864), `[2, T, 1, D / 2]`."""
    powers = torch.arange(0, head_width, 2, device=positions.device).to(dtype) / head_width
    angles = positions.to(dtype)[:, None] * (1.0 / base**powers)
    return torch.stack((angles.cos(), angles.sin()))[:, :, None]


def rotate(x: Tensor, table: Tensor) -> Tensor:
    """Turn the pairs (i, i + D/2) of each head of `x` `[T, heads, D]` by their position's angle."""
    cos, sin = table
    left, right = x.chunk(2, -1)
    return torch.cat((left * cos - right * sin, right * cos + left * sin), -1)


def swiglu(gate_up: Tensor) -> Tensor:
    """Return silu(gate) · up, where `gate_up` `[T, 2H]` holds them side by side."""
    gate, up = gate_up.chunk(2, -1)
    return functional.silu(gate) * up
