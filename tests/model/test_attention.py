"""Attention in buckets equals attention one document at a time."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from models import pieces
from torch import Tensor
from torch.nn import functional

from madang.model.attention import _attend_elsewhere, attend
from madang.model.pointwise import rotary_table, rotate
from madang.model.segments import Segments


def _one_by_one(qkv: Tensor, heads: int, rotary: Tensor, lengths: list[int]) -> Tensor:
    """What attention is, written plainly."""
    keys = (qkv.shape[1] - heads) // 2
    outputs = []
    for piece in pieces(lengths):
        q, k, v = qkv[piece].transpose(0, 1).split((heads, keys, keys))
        table = rotary[:, : q.shape[1]]
        q, k = rotate(q, table), rotate(k, table)
        k, v = (x.repeat_interleave(heads // keys, 0) for x in (k, v))
        scores = q @ k.transpose(1, 2) / q.shape[2] ** 0.5
        scores = scores.masked_fill(torch.ones_like(scores).triu(1).bool(), float("-inf"))
        outputs.append((functional.softmax(scores, -1) @ v).transpose(0, 1))
    return torch.cat(outputs)


@settings(deadline=None, max_examples=40)
@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=12),
    heads=st.sampled_from([(1, 1), (4, 2), (6, 2), (3, 3)]),
    seed=st.integers(0, 100),
)
def test_buckets_equal_one_by_one(lengths: list[int], heads: tuple[int, int], seed: int) -> None:
    _compare(lengths, *heads, seed)


@pytest.mark.parametrize("lengths", [[128], [129, 300, 129, 7], [600, 600, 257, 256]])
def test_long_segments_are_treated_in_blocks(lengths: list[int]) -> None:
    _compare(lengths, 4, 2, 0)


def _compare(lengths: list[int], heads: int, keys: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    shape = (sum(lengths), heads + 2 * keys, 8)
    qkv = torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True)
    table = rotary_table(max(lengths), 8, 10_000.0, qkv)
    expected = _one_by_one(qkv, heads, table, lengths)
    upstream = torch.randn(expected.shape, generator=generator, dtype=torch.float64)
    wanted = torch.autograd.grad(expected, qkv, upstream)
    segments = Segments.from_lengths(lengths)
    for kernel in (attend, _attend_elsewhere):
        found = kernel(qkv, heads, table, segments)
        torch.testing.assert_close(found, expected)
        torch.testing.assert_close(torch.autograd.grad(found, qkv, upstream), wanted)


def test_gradients_are_those_of_finite_differences() -> None:
    qkv = torch.randn(9, 4, 4, dtype=torch.float64, requires_grad=True)
    table = rotary_table(5, 4, 100.0, qkv)
    segments = Segments.from_lengths([5, 1, 3])
    assert torch.autograd.gradcheck(lambda x: attend(x, 2, table, segments), (qkv,))
