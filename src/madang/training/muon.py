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

QUINTIC: Final = (3.4445, -4.7750, 2.0315)
"""Coefficients of the odd polynomial a x + b x^3 + c x^5 whose iteration drives (0, 1] near 1."""
ITERATIONS: Final = 5


def orthogonalise(stack: Tensor, iterations: int = ITERATIONS) -> Tensor:
    """Return near-orthogonal matrices with the singular vectors of those in `stack`.

    `stack` is `[n, rows, columns]`. Each matrix is divided by its Frobenius norm, then the
    polynomial is iterated on the singular values, always with the smaller side's Gram matrix.
    They end between about 0.7 and 1.2 unless they were below a thousandth of the norm.
    """
    a, b, c = QUINTIC
    tall = stack.size(-2) > stack.size(-1)
    x = stack.mT if tall else stack
    if x.is_cuda:
        x = x.bfloat16()
    x = x / x.flatten(1).norm(dim=1).clamp_min(1e-12)[:, None, None]
    for _ in range(iterations):
        gram = torch.bmm(x, x.mT)
        polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.baddbmm(x, polynomial, x, beta=a)
    return (x.mT if tall else x).to(stack.dtype)


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
