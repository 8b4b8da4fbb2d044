"""Chunked cross-entropy equals the plain one and never holds all logits."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from madang.model import cross_entropy
from madang.model.cross_entropy import log_probabilities, summed_cross_entropy


def _inputs(tokens: int, vocabulary: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(tokens, 6, generator=generator, dtype=torch.float64) * 3
    weight = torch.randn(vocabulary, 6, generator=generator, dtype=torch.float64)
    targets = torch.randint(-1, vocabulary, (tokens,), generator=generator)
    targets[targets < 0] = -100
    return hidden.requires_grad_(), weight.requires_grad_(), targets


@settings(deadline=None, max_examples=40)
@given(tokens=st.integers(1, 40), vocabulary=st.integers(2, 30), seed=st.integers(0, 99))
def test_loss_and_gradients_equal_the_plain_ones(tokens: int, vocabulary: int, seed: int) -> None:
    hidden, weight, targets = _inputs(tokens, vocabulary, seed)
    kept = cross_entropy._CHUNK_ELEMENTS
    cross_entropy._CHUNK_ELEMENTS = 60  # type: ignore[misc]
    try:
        found = summed_cross_entropy(hidden, weight, targets)
        each = log_probabilities(hidden, weight, targets)
        counts = torch.linspace(-1, 2, tokens, dtype=torch.float64)
        gradients = torch.autograd.grad(found * 0.5, (hidden, weight))
        each_gradients = torch.autograd.grad((each * counts).sum(), (hidden, weight))
    finally:
        cross_entropy._CHUNK_ELEMENTS = kept  # type: ignore[misc]
    plain = functional.cross_entropy(
        hidden @ weight.T, targets, ignore_index=-100, reduction="none"
    )
    torch.testing.assert_close(found, plain.sum())
    torch.testing.assert_close(each, -plain)
    wanted = torch.autograd.grad(plain.sum() * 0.5, (hidden, weight), retain_graph=True)
    torch.testing.assert_close(gradients, wanted)
    wanted = torch.autograd.grad((-plain * counts).sum(), (hidden, weight))
    torch.testing.assert_close(each_gradients, wanted)


def test_gradients_are_those_of_finite_differences() -> None:
    hidden, weight, targets = _inputs(7, 5)
    assert torch.autograd.gradcheck(
        lambda h, w: summed_cross_entropy(h, w, targets), (hidden, weight)
    )
    assert torch.autograd.gradcheck(lambda h, w: log_probabilities(h, w, targets), (hidden, weight))


class _Largest(TorchDispatchMode):
    """Remembers the largest tensor that any operation made, and the work of products."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0
        self.products = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            self.elements = max(self.elements, result.numel())
            if "mm" in str(func) or "linear" in str(func):
                a = args[0]
                self.products += 2 * a.shape[0] * a.shape[1] * result.shape[1]
        return result


@pytest.mark.parametrize("trained", [64, 3, 0])
def test_logits_are_made_for_trained_tokens_and_never_all(
    trained: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cross_entropy, "_CHUNK_ELEMENTS", 2000)
    hidden = torch.randn(64, 8, requires_grad=True)
    weight = torch.randn(500, 8)
    targets = torch.full((64,), -100)
    targets[:trained] = 7
    with _Largest() as seen:
        summed_cross_entropy(hidden, weight, targets).backward()
    assert seen.elements <= max(2000, weight.numel())
    # Forward and the gradient of the states; none for a frozen weight.
    assert seen.products == 2 * 2 * trained * 500 * 8
    assert hidden.grad is not None
    assert not hidden.grad[trained:].any()


def test_no_gradient_is_computed_where_none_is_wanted() -> None:
    hidden, weight, targets = _inputs(20, 9)
    with torch.no_grad(), _Largest() as seen:
        summed_cross_entropy(hidden, weight, targets)
    assert seen.products == 2 * int((targets >= 0).sum()) * 9 * 6


def test_improbable_targets_keep_a_finite_exact_loss() -> None:
    hidden = torch.tensor([[1.0]], requires_grad=True)
    weight = torch.tensor([[0.0], [1000.0]])
    loss = summed_cross_entropy(hidden, weight, torch.tensor([0]))
    assert loss.item() == 1000.0
    loss.backward()
    assert hidden.grad is not None
    assert hidden.grad.item() == 1000.0
