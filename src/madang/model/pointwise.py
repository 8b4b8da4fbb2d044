"""The operations of a block that are not matrix products, each with few passes over memory."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def rms_norm(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """Return x / sqrt(mean(x²) + epsilon) · weight, the mean over the last axis."""
    return x * (x.square().mean(-1, keepdim=True) + epsilon).rsqrt() * weight


def rotary_table(positions: int, head_width: int, base: float, like: Tensor) -> Tensor:
    """Return cosines and sines of rotary positions 0, 1, ... (arXiv:2104.09864), `[2, N, D / 2]`.

    They have the dtype and device of `like`, and are computed in that dtype, as transformers does.
    """
    powers = torch.arange(0, head_width, 2, dtype=like.dtype, device=like.device) / head_width
    angles = torch.arange(positions, dtype=like.dtype, device=like.device)[:, None] / base**powers
    return torch.stack((angles.cos(), angles.sin()))


def rotate(x: Tensor, table: Tensor) -> Tensor:
    """Turn the pairs (i, i + D/2) of `x` `[..., N, D]` by the angles of their positions."""
    cos, sin = table
    left, right = x.chunk(2, -1)
    return torch.cat((left * cos - right * sin, right * cos + left * sin), -1)


def rotate_into(place: Tensor, x: Tensor, cos: Tensor, sin: Tensor) -> None:
    """Write `x`, turned, to `place` of its shape; `cos` and `sin` are broadcast to its half."""
    left, right = x.chunk(2, -1)
    place_left, place_right = place.chunk(2, -1)
    torch.mul(left, cos, out=place_left)
    place_left.addcmul_(right, sin, value=-1)
    torch.mul(right, cos, out=place_right)
    place_right.addcmul_(left, sin)


def swiglu(gate_up: Tensor) -> Tensor:
    """Return silu(gate) · up, where `gate_up` `[T, 2H]` holds them side by side."""
    gate, up = gate_up.chunk(2, -1)
    return functional.silu(gate) * up
