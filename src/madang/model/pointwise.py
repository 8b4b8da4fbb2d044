"""The operations of a block that are not matrix products.

A compiler is given the plain formula, which it turns into one pass over memory; without one they
are written with few passes, and with backwards of their own that keep little.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional


def rms_norm(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """Return x / sqrt(mean(x²) + epsilon) · weight, the mean over the last axis."""
    if torch.compiler.is_compiling():
        return x * (x.square().mean(-1, keepdim=True) + epsilon).rsqrt() * weight
    return _RmsNorm.apply(x, weight, epsilon)  # type: ignore[no-any-return,no-untyped-call]


class _RmsNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        size = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        inverse = size.square_().div_(x.shape[-1]).add_(epsilon).rsqrt_()
        ctx.save_for_backward(x, weight, inverse)
        y: Tensor = (x * inverse).mul_(weight)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_y: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, inverse = ctx.saved_tensors
        width = x.shape[-1]
        # The two sums that backward needs are products of one matrix with a vector each.
        product = (d_y * x).reshape(-1, width)
        d_weight = inverse.view(-1) @ product if ctx.needs_input_grad[1] else None
        d_x = None
        if ctx.needs_input_grad[0]:
            along = (product @ weight).view(inverse.shape)
            along *= inverse.pow(3).mul_(-1 / width)
            d_x = (d_y * weight).mul_(inverse).addcmul_(x, along)
        return d_x, d_weight, None


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
    return functional.silu(gate).mul_(up)


def swiglu_backward(gate_up: Tensor, silu: Tensor, d_y: Tensor) -> Tensor:
    """Return the gradient of `gate_up` from that of swiglu; both other tensors are used up.

    `silu` `[T, H]` is silu(gate), which the caller has at hand.
    """
    gate, up = gate_up.chunk(2, -1)
    d_gate_up = torch.empty_like(gate_up)
    d_gate, d_up = d_gate_up.chunk(2, -1)
    torch.mul(silu, d_y, out=d_up)
    torch.ops.aten.silu_backward.grad_input(d_y.mul_(up), gate, grad_input=d_gate)
    return d_gate_up
