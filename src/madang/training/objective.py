"""What is made small: a loss that is summed over a part of a batch.

The loop divides it by the whole batch's `count`. Other objectives are functions of the same shape.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from madang.training.batch import TokenBatch

Loss = Callable[[nn.Module, Any], Tensor]
"""A model and a part of a batch to the summed loss, a scalar that can be differentiated."""


def next_token_loss(model: nn.Module, batch: TokenBatch) -> Tensor:
    """Return the cross-entropy in nats of each trained token given its document's earlier ones.

    Summed over the tokens, and weighted where the batch has weights.
    """
    from madang.model.segments import Segments

    device = next(model.parameters()).device
    tokens = torch.from_numpy(batch.tokens).to(device)
    targets = torch.from_numpy(batch.targets).to(device)
    segments = Segments.from_lengths(torch.from_numpy(batch.lengths), device=device)
    if batch.weights is None:
        result = model(tokens, segments, targets)
    else:
        weights = torch.from_numpy(batch.weights).to(device)
        log_probabilities: Any = model.log_probabilities
        result = -(log_probabilities(tokens, segments, targets) * weights).sum()
    assert isinstance(result, Tensor)
    return result
