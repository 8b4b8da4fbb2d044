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
    """Return left · rightᵀ, `[m, n]`, for `left` `[m, k]` and `right` `[n, k]`, without gradient.

    Nothing is copied where `left` is contiguous.
    """
    plain = torch.compiler.is_compiling() or left.device.type != "cpu"
    if _ONEDNN is None or plain or left.dtype != torch.float32:
        return left @ right.T
    if not (right.is_contiguous() or right.T.is_contiguous()):
        return left @ right.T  # oneDNN's own kernel for it is a hundred times slower.
    product: Tensor = _ONEDNN(left, right, None, "none", [], "")
    return product


def transposed_times(left: Tensor, right: Tensor) -> Tensor:
    """Return leftᵀ · right, `[m, n]`, for `left` `[t, m]` and `right` `[t, n]`; no gradient."""
    # The narrower one is copied to be contiguous.
    if left.shape[1] <= right.shape[1]:
        return times_transposed(left.T, right.T)
    return times_transposed(right.T, left.T).T
