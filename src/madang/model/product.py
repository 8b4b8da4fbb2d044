"""Products of matrices, by the quickest library that PyTorch brings.

On a CPU, float32 products go to oneDNN: at the sizes of a layer (576 x 1536 weights, 512 to 4096
tokens, two cores with AVX-512) it reaches 200 GFLOP/s where MKL, which `torch.mm` calls, reaches
150 to 180, and thin ones are two to three times as fast. PyTorch offers it only to tensors in
oneDNN's own layout and, under a name for its compiler, to ordinary ones, which is used here.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor

_ONEDNN: Final[Any] = (
    torch.ops.mkldnn._linear_pointwise
    if torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    else None
)


def times_transposed(left: Tensor, right: Tensor) -> Tensor:
    """Return left · rightᵀ, `[m, n]`, for `left` `[m, k]` and `right` `[n, k]`.

    Nothing is copied where `left` is contiguous. Differentiable only while it is compiled.
    """
    if _ONEDNN is None or left.device.type != "cpu" or left.dtype != torch.float32:
        return left @ right.T
    if torch.compiler.is_compiling():
        hidden: Tensor = _opaque(left, right)
        return hidden
    if not (right.is_contiguous() or right.T.is_contiguous()):
        return left @ right.T  # oneDNN's own kernel for it is a hundred times slower.
    product: Tensor = _ONEDNN(left, right, None, "none", [], "")
    return product


@torch.library.custom_op("madang::times_transposed", mutates_args=())
def _opaque(left: Tensor, right: Tensor) -> Tensor:
    """Multiply where the compiler does not look inside, since it would call MKL."""
    return times_transposed(left, right)


@_opaque.register_fake
def _(left: Tensor, right: Tensor) -> Tensor:
    return left.new_empty(len(left), len(right))


def _keep(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _gradients(ctx: Any, d_product: Tensor) -> tuple[Tensor | None, Tensor | None]:
    left, right = ctx.saved_tensors
    d_left = _opaque(d_product, right.T) if ctx.needs_input_grad[0] else None
    d_right = transposed_times(d_product, left) if ctx.needs_input_grad[1] else None
    return d_left, d_right


_opaque.register_autograd(_gradients, setup_context=_keep)


def transposed_times(left: Tensor, right: Tensor) -> Tensor:
    """Return leftᵀ · right, `[m, n]`, for `left` `[t, m]` and `right` `[t, n]`; no gradient."""
    # The narrower one is copied to be contiguous.
    if left.shape[1] <= right.shape[1]:
        return times_transposed(left.T, right.T)
    return times_transposed(right.T, left.T).T
