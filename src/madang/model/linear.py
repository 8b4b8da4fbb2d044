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
from madang.model.product import times_transposed, transposed_times


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
    if torch.compiler.is_compiling() and all(layer.lora_a is None for layer in layers):
        weights: list[Tensor] = [layer.weight for layer in layers]
        return times_transposed(x, weights[0] if len(weights) == 1 else torch.cat(weights))
    flat = [p for layer in layers for p in (layer.weight, layer.lora_a, layer.lora_b)]
    return _Projected.apply(x, [layer.scale for layer in layers], *flat)  # type: ignore[no-any-return,no-untyped-call]


def project_gated(gate_up: Tensor, layer: Linear) -> Tensor:
    """Return layer(silu(gate) · up), `[T, out]`; `gate_up` `[T, 2 · in]` holds them side by side.

    What enters the layer, a quarter of a block's memory, is not kept but made again in backward.
    """
    if torch.compiler.is_compiling():
        return layer(swiglu(gate_up))  # type: ignore[no-any-return]
    return _Gated.apply(gate_up, layer.scale, layer.weight, layer.lora_a, layer.lora_b)  # type: ignore[no-any-return,no-untyped-call]


class _Projected(torch.autograd.Function):
    """Layers given as W, A, B, W, A, B, ...; a weight that needs a gradient has no adapter."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scales: list[float], *flat: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, *flat)
        ctx.scales = scales
        return times_transposed(x, _merged(flat, scales))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_y: Tensor) -> tuple[Tensor | None, ...]:
        x, *flat = ctx.saved_tensors
        d_x = None
        if ctx.needs_input_grad[0]:
            # Made again: kept, the sums would be the whole model's weights a second time.
            d_x = times_transposed(d_y, _merged(flat, ctx.scales).T)
        gradients = _adapter_gradients(x, d_y, ctx.scales, flat)
        if any(wanted := ctx.needs_input_grad[2::3]):
            outs = [len(weight) for weight in flat[::3]]
            d_weights = torch.split(transposed_times(d_y, x), outs)
            gradients[::3] = [
                d if want else None for d, want in zip(d_weights, wanted, strict=True)
            ]
        return d_x, None, *gradients


class _Gated(torch.autograd.Function):
    """y = swiglu(gate_up) · weightᵀ; a weight that needs a gradient has no adapter."""

    @staticmethod
    def forward(
        ctx: Any, gate_up: Tensor, scale: float, weight: Tensor, a: Tensor | None, b: Tensor | None
    ) -> Tensor:
        ctx.save_for_backward(gate_up, weight, a, b)
        ctx.scale = scale
        return times_transposed(swiglu(gate_up), _merged((weight, a, b), (scale,)))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_y: Tensor) -> tuple[Tensor | None, ...]:
        gate_up, *flat = ctx.saved_tensors
        gate, up = gate_up.chunk(2, -1)
        silu = functional.silu(gate)
        gradients: list[Tensor | None] = [None, None, None]
        if any(ctx.needs_input_grad[2:]):
            x = silu * up
            gradients = _adapter_gradients(x, d_y, (ctx.scale,), flat)
            if ctx.needs_input_grad[2]:
                gradients[0] = transposed_times(d_y, x)
        d_gate_up = None
        if ctx.needs_input_grad[0]:
            d_x = times_transposed(d_y, _merged(flat, (ctx.scale,)).T)
            d_gate_up = swiglu_backward(gate_up, silu, d_x)
        return d_gate_up, None, *gradients


def _merged(flat: Sequence[Tensor | None], scales: Sequence[float]) -> Tensor:
    """Return W + scale · B · A of all layers, one below another; W itself if that is all."""
    layers = list(zip(flat[::3], flat[1::3], flat[2::3], scales, strict=True))
    first = flat[0]
    assert first is not None
    if len(layers) == 1 and flat[1] is None:
        return first
    outs = [len(weight) for weight, *_ in layers if weight is not None]
    whole = first.new_empty(sum(outs), first.shape[1])
    for part, (weight, a, b, scale) in zip(torch.split(whole, outs), layers, strict=True):
        assert weight is not None
        if a is None or b is None:
            part.copy_(weight)
        else:
            torch.addmm(weight, b, a, alpha=scale, out=part)
    return whole


def _adapter_gradients(
    x: Tensor, d_y: Tensor, scales: Sequence[float], flat: Sequence[Tensor | None]
) -> list[Tensor | None]:
    """Return the gradients of A and B where there are any, in the order of `flat`.

    A thin product is quick where its thin side is the rows: `[r, T]` by `[T, out]`. What the layers
    share is one product, as wide as their ranks together.
    """
    d_parts = torch.split(d_y, [len(weight) for weight in flat[::3] if weight is not None], 1)
    adapted = [
        (i, a, b, scales[i], d_parts[i])
        for i, (a, b) in enumerate(zip(flat[1::3], flat[2::3], strict=True))
        if a is not None and b is not None
    ]
    gradients: list[Tensor | None] = [None] * len(flat)
    if not adapted:
        return gradients
    ranks = [len(a) for _, a, *_ in adapted]
    inner = times_transposed(torch.cat([a * scale for _, a, _, scale, _ in adapted]), x)
    d_inner = torch.cat([times_transposed(b.T * scale, d) for _, _, b, scale, d in adapted])
    d_as, inners = torch.split(times_transposed(d_inner, x.T), ranks), torch.split(inner, ranks)
    for (i, *_, d_part), d_a, own in zip(adapted, d_as, inners, strict=True):
        gradients[3 * i + 1 : 3 * i + 3] = d_a, times_transposed(own, d_part.T).T
    return gradients
