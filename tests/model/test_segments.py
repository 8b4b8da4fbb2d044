"""Segments lose no token, pad little and know their positions."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from madang.model.segments import Segments


@given(st.lists(st.integers(1, 700), min_size=1, max_size=40))
def test_tokens_go_to_buckets_and_back(lengths: list[int]) -> None:
    segments = Segments.from_lengths(lengths)
    flat = torch.arange(segments.tokens)
    assert segments.positions.tolist() == [i for n in lengths for i in range(n)]
    places = sum(b.segments * b.length for b in segments.buckets)
    if segments.gather is None or segments.scatter is None:
        assert places == segments.tokens
        return
    assert places == len(segments.gather)
    assert torch.equal(segments.gather[segments.scatter], flat)
    # A token's place has its position in the bucket's row.
    starts, offset = torch.empty(places, dtype=torch.int64), 0
    for bucket in segments.buckets:
        size = bucket.segments * bucket.length
        starts[offset : offset + size] = torch.arange(bucket.length).repeat(bucket.segments)
        offset += size
    assert torch.equal(starts[segments.scatter], segments.positions)
    assert places <= segments.tokens * 1.125 + 8 * len(lengths)


def test_equal_lengths_need_no_rearranging() -> None:
    assert Segments.from_lengths([64] * 8).gather is None
    assert Segments.from_lengths(torch.tensor([3, 3], dtype=torch.int32)).lengths == (3, 3)


def test_attended_counts_what_a_token_sees() -> None:
    assert Segments.from_lengths([3, 1]).attended == pytest.approx((1 + 2 + 3 + 1) / 4)


@pytest.mark.parametrize("lengths", [[], [3, 0], [-1]])
def test_lengths_must_be_positive(lengths: list[int]) -> None:
    with pytest.raises(ValueError, match="at least one"):
        Segments.from_lengths(lengths)
