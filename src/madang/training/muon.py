"""Muon: momentum whose update is made orthogonal, for the matrices inside the blocks.

Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024
(https://kellerjordan.github.io/posts/muon/). The orthogonalisation runs in the parameters' own
precision; only where bfloat16 is native (CUDA) is it used, as it is emulated elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from madang.model.product import times_transposed

QUINTIC: Final = (3.4445, -4.7750, 2.0315)
"""Coefficients of the odd polynomial a x + b x^3 + c x^5 whose iteration drives (0, 1] near 1."""
ITERATIONS: Final = 5
_ALONE: Final = 256
"""Smaller side from which a matrix on a CPU is worth products of its own: up to twice as quick."""


def orthogonalise(stack: Tensor, iterations: int = ITERATIONS) -> Tensor:
    """Return near-orthogonal matrices with the singular vectors of those in `stack`.

    `stack` is `[n, rows, columns]`. Each matrix is divided by its Frobenius norm, then the
    polynomial is iterated on the singular values, always with the smaller side's Gram matrix.
    They end between about 0.7 and 1.2 unless they were below a thousandth of the norm.
    """
    tall = stack.size(-2) > stack.size(-1)
    wide = stack.mT if tall else stack
    if wide.is_cuda:
        wide = wide.bfloat16()
    x = wide / wide.flatten(1).norm(dim=1).clamp_min(1e-12)[:, None, None]
    if x.device.type == "cpu" and x.size(-2) >= _ALONE:
        x = torch.stack([_iterate(one.contiguous(), iterations) for one in x])
    else:
        x = _iterate(x, iterations)
    return (x.mT if tall else x).to(stack.dtype)


def _iterate(x: Tensor, iterations: int) -> Tensor:
    """Apply the polynomial to a matrix `[rows, columns]`, rows the fewer, or to a stack of them."""
    a, b, c = QUINTIC
    multiply = times_transposed if x.dim() == 2 else _stacked_times_transposed
    for _ in range(iterations):
        gram = multiply(x, x)
        polynomial = multiply(gram, gram).mul_(c).add_(gram, alpha=b)
        x = multiply(polynomial, x.mT).add_(x, alpha=a)
    return x


def _stacked_times_transposed(left: Tensor, right: Tensor) -> Tensor:
    return torch.bmm(left, right.mT)


def shape_scale(rows: int, columns: int) -> float:
    """Return the factor of the learning rate that lets one rate serve every `[rows, columns]`.

    An orthogonal update changes what a matrix gives out by the square root of rows / columns at
    most; a matrix that widens may be changed as much more.
    """
    return float(max(1.0, rows / columns) ** 0.5)


def nesterov(
    momenta: Sequence[Tensor], gradients: Sequence[Tensor], momentum: float
) -> list[Tensor]:
    """Move each running mean towards its gradient; return the means looked at one step ahead."""
    torch._foreach_lerp_(list(momenta), list(gradients), 1 - momentum)
    return list(torch._foreach_lerp(list(gradients), list(momenta), momentum))


def multiply_adds(rows: int, columns: int, iterations: int = ITERATIONS) -> int:
    """Return the floating-point operations of one matrix's orthogonalisation."""
    small, large = sorted((rows, columns))
    return iterations * (4 * small * small * large + 2 * small**3)
