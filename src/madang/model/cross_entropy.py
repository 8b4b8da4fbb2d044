"""Cross-entropy over a large vocabulary without ever holding all logits.

Logits are made for a few hundred trained tokens at a time, turned into the loss and at once into
its gradient, and forgotten; tokens that are not trained cost nothing. (The idea is that of the
chunked losses of Liger Kernel and of torchtune; the per-token form uses that the gradient with
respect to a token's hidden state is linear in the weight of its own loss.)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from madang.model.product import times_transposed, transposed_times

IGNORED: Final = -100
"""The target of a token that is not trained."""

_CHUNK_ELEMENTS: Final = 12 << 20
"""Logits held at a time: 50 MB in float32, 256 tokens of a vocabulary of 49,152."""


def summed_cross_entropy(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """Return the sum over the trained tokens of -log p(target), in nats, as a scalar.

    `hidden` is `[T, W]`, `weight` `[V, W]` and `targets` int64 `[T]`, where IGNORED leaves a token
    out. Where gradients are on, they are computed here and kept until `backward`.
    """
    hidden, targets, _ = _trained(hidden, targets)
    return _Summed.apply(hidden, weight, targets, torch.is_grad_enabled())  # type: ignore[no-any-return,no-untyped-call]


def log_probabilities(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """Return log p(target) of each token, `[T]`, in nats; 0 where the target is IGNORED.

    Shapes as for `summed_cross_entropy`. Differentiable once, with any weight for each token.
    """
    trained_hidden, trained_targets, rows = _trained(hidden, targets)
    found = _PerToken.apply(trained_hidden, weight, trained_targets, torch.is_grad_enabled())  # type: ignore[no-untyped-call]
    if rows is None:
        return found  # type: ignore[no-any-return]
    return found.new_zeros(len(targets)).index_copy(0, rows, found)  # type: ignore[no-any-return]


def _trained(hidden: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
    """Keep only the tokens that are trained; the last value says which, none: all."""
    rows = (targets != IGNORED).nonzero().squeeze(1)
    if len(rows) == len(targets):
        return hidden, targets, None
    return hidden.index_select(0, rows), targets.index_select(0, rows), rows


def _chunks(tokens: int, vocabulary: int) -> list[slice]:
    """Divide tokens into runs whose logits fit into _CHUNK_ELEMENTS, all but the last of one size.

    What one run leaves in memory, the next finds large enough; where sizes differ from batch to
    batch, the system is asked for new pages, which takes longer than the product that fills them.
    """
    size = max(1, _CHUNK_ELEMENTS // vocabulary)
    return [slice(start, min(start + size, tokens)) for start in range(0, tokens, size)]


def _probabilities(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return log p(target) `[n]` and the probabilities `[n, V]`, which take the logits' place."""
    chosen = logits.gather(1, targets[:, None]).squeeze(1)
    highest = logits.amax(1)
    torch.softmax(logits, 1, out=logits)
    # The highest probability is at least 1/V, so that its logarithm is safe in every row.
    return chosen - highest + logits.amax(1).log(), logits


def _sweep(
    hidden: Tensor, weight: Tensor, targets: Tensor
) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Yield, chunk by chunk, its place, log p(target) `[n]`, and the probabilities `[n, V]`.

    The probabilities may be written to.
    """
    for part in _chunks(len(targets), len(weight)):
        log_p, p = _probabilities(times_transposed(hidden[part], weight), targets[part])
        yield part, log_p, p


def _less_target(p: Tensor, targets: Tensor) -> Tensor:
    """Take 1 from each row's target: the gradient of -log p(target) with respect to the logits."""
    p[torch.arange(len(p), device=p.device), targets] -= 1
    return p


class _Summed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, grad: bool) -> Tensor:
        want_hidden, want_weight = (grad and need for need in ctx.needs_input_grad[:2])
        d_hidden = torch.empty_like(hidden) if want_hidden else None
        d_weight = torch.zeros_like(weight) if want_weight else None
        found = hidden.new_empty(len(targets))
        for part, log_p, p in _sweep(hidden, weight, targets):
            found[part] = log_p
            if d_hidden is None and d_weight is None:
                continue
            d_logits = _less_target(p, targets[part])
            if d_hidden is not None:
                d_hidden[part] = times_transposed(d_logits, weight.T)
            if d_weight is not None:
                d_weight += transposed_times(d_logits, hidden[part])
        ctx.save_for_backward(d_hidden, d_weight)
        return -found.sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        d_hidden, d_weight = ctx.saved_tensors
        return (
            None if d_hidden is None else d_hidden * upstream,
            None if d_weight is None else d_weight * upstream,
            None,
            None,
        )


class _PerToken(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, grad: bool) -> Tensor:
        want_hidden = grad and ctx.needs_input_grad[0]
        d_hidden = torch.empty_like(hidden) if want_hidden else None
        found = hidden.new_empty(len(targets))
        for part, log_p, p in _sweep(hidden, weight, targets):
            found[part] = log_p
            if d_hidden is not None:
                d_hidden[part] = times_transposed(_less_target(p, targets[part]), weight.T)
        ctx.save_for_backward(hidden, weight, targets, d_hidden)
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, targets, d_hidden = ctx.saved_tensors
        d_weight = None
        if ctx.needs_input_grad[1]:
            # The weight's gradient mixes tokens, so that it must wait for what each of them counts.
            d_weight = torch.zeros_like(weight)
            for part, _, p in _sweep(hidden, weight, targets):
                d_logits = _less_target(p, targets[part])
                d_weight += transposed_times(d_logits, hidden[part] * -upstream[part, None])
        d_hidden = None if d_hidden is None else d_hidden * -upstream[:, None]
        return d_hidden, d_weight, None, None
