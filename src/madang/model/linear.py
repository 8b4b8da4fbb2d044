"""Linear layers without bias, several at once on one input, with a low-rank adapter or without.

With an adapter the base weight W is frozen and y = x (W + s·B·A)ᵀ. The sum in brackets is made once
a pass, which costs a matrix's worth of memory traffic rather than several passes over the tokens,
and backward computes what the adapter needs and no gradient of W (LoRA, arXiv:2106.09685).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from madang.model.pointwise import swiglu, swiglu_backward


class Linear(nn.Module):
    """A weight `[out, in]`, and the adapter `scale · lora_b [out, r] · lora_a [r, in]` if any."""

    lora_a: nn.Parameter | None
    lora_b: nn.Parameter | None

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.register_parameter("lora_a", None)
        self.register_parameter("lora_b", None)
        self.scale = 0.0

    def merged(self) -> Tensor:
        """Return W + scale · B · A, without gradient; W itself where there is no adapter."""
        weight = self.weight.detach()
        if self.lora_a is None or self.lora_b is None:
            return weight
        return torch.addmm(weight, self.lora_b.detach(), self.lora_a.detach(), alpha=self.scale)

    def forward(self, x: Tensor) -> Tensor:
        """Return `[T, out]` for `x` `[T, in]`."""
        return project(x, (self,))


def project(x: Tensor, layers: Sequence[Linear]) -> Tensor:
    """Return the outputs of all layers on `x` `[T, in]`, side by side: `[T, sum of outs]`."""
    pairs = [(layer.lora_a, layer.lora_b) for layer in layers]
    if all(a is None for a, _ in pairs):
        weights: list[Tensor] = [layer.weight for layer in layers]
        return functional.linear(x, weights[0] if len(weights) == 1 else torch.cat(weights))
    merged = [layer.merged() for layer in layers]
    weight = merged[0] if len(merged) == 1 else torch.cat(merged)
    outs = [len(layer.weight) for layer in layers]
    scales = [layer.scale for layer in layers]
    flat = [p for pair in pairs for p in pair]
    return _Adapted.apply(x, weight, outs, scales, *flat)  # type: ignore[no-any-return,no-untyped-call]


def project_gated(gate_up: Tensor, layer: Linear) -> Tensor:
    """Return layer(silu(gate) · up), `[T, out]`; `gate_up` `[T, 2 · in]` holds them side by side.

    What enters the layer, a quarter of a block's memory, is not kept but made again in backward.
    """
    if torch.compiler.is_compiling():
        return layer(swiglu(gate_up))  # type: ignore[no-any-return]
    weight = layer.weight if layer.lora_a is None else layer.merged()
    return _Gated.apply(gate_up, weight, layer.scale, layer.lora_a, layer.lora_b)  # type: ignore[no-any-return,no-untyped-call]


class _Adapted(torch.autograd.Function):
    """y = x · weightᵀ with the merged weight; gradients for x and for each pair (A, B)."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        outs: list[int],
        scales: list[float],
        *pairs: Tensor | None,
    ) -> Tensor:
        ctx.save_for_backward(x, weight, *pairs)
        ctx.outs, ctx.scales = outs, scales
        return x @ weight.T

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_y: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, *pairs = ctx.saved_tensors
        d_x = d_y @ weight if ctx.needs_input_grad[0] else None
        gradients = _adapter_gradients(x, torch.split(d_y, ctx.outs, 1), ctx.scales, pairs)
        return d_x, None, None, None, *gradients


class _Gated(torch.autograd.Function):
    """y = swiglu(gate_up) · weightᵀ; a weight that needs a gradient has no adapter."""

    @staticmethod
    def forward(
        ctx: Any,
        gate_up: Tensor,
        weight: Tensor,
        scale: float,
        a: Tensor | None,
        b: Tensor | None,
    ) -> Tensor:
        ctx.save_for_backward(gate_up, weight, a, b)
        ctx.scale = scale
        return swiglu(gate_up) @ weight.T

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_y: Tensor) -> tuple[Tensor | None, ...]:
        gate_up, weight, a, b = ctx.saved_tensors
        gate, up = gate_up.chunk(2, -1)
        silu = functional.silu(gate)
        d_weight = d_a = d_b = None
        if ctx.needs_input_grad[1] or a is not None:
            x = silu * up
            d_weight = d_y.T @ x if ctx.needs_input_grad[1] else None
            d_a, d_b = _adapter_gradients(x, (d_y,), (ctx.scale,), (a, b))
        d_gate_up = None
        if ctx.needs_input_grad[0]:
            d_gate_up = swiglu_backward(gate_up, silu, d_y @ weight)
        return d_gate_up, d_weight, None, d_a, d_b


def _adapter_gradients(
    x: Tensor,
    d_parts: Sequence[Tensor],
    scales: Sequence[float],
    pairs: Sequence[Tensor | None],
) -> list[Tensor | None]:
    """Return the gradients of A, B, A, B, ... of layers on one input; none where there is none.

    A thin product is quick where its thin side is the rows: `[r, T]` by `[T, out]`. What the layers
    share is one product, as wide as their ranks together.
    """
    adapted = [
        (i, a, b, scales[i], d_parts[i])
        for i, (a, b) in enumerate(zip(pairs[::2], pairs[1::2], strict=True))
        if a is not None and b is not None
    ]
    gradients: list[Tensor | None] = [None] * len(pairs)
    if not adapted:
        return gradients
    ranks = [len(a) for _, a, *_ in adapted]
    inner = torch.cat([a * scale for _, a, _, scale, _ in adapted]) @ x.T
    d_inner = torch.cat([b.T * scale @ d_part.T for _, _, b, scale, d_part in adapted])
    d_as, inners = torch.split(d_inner @ x, ranks), torch.split(inner, ranks)
    for (i, *_, d_part), d_a, own in zip(adapted, d_as, inners, strict=True):
        gradients[2 * i : 2 * i + 2] = d_a, (own @ d_part).T
    return gradients
