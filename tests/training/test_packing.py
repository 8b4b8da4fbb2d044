"""Rows of whole samples: each once an epoch, close to full, a pure function of seed and row."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang.training.packing import PackedOrder, pack

sizes = st.lists(st.integers(1, 50), min_size=1, max_size=120)


@given(sizes, st.integers(50, 200))
def test_packing_keeps_every_sample_whole_and_once(lengths: list[int], capacity: int) -> None:
    packs = list(pack(range(len(lengths)), np.asarray(lengths), capacity))
    assert sorted(one for group in packs for one in group) == list(range(len(lengths)))
    assert all(0 < sum(lengths[one] for one in group) <= capacity for group in packs)


@given(sizes, st.integers(50, 200), st.integers(0, 3), st.integers(0, 40))
def test_a_row_depends_on_nothing_asked_before(
    lengths: list[int], capacity: int, seed: int, row: int
) -> None:
    asked = PackedOrder(lengths, capacity, seed=seed)
    for earlier in (row + 3, 0, row // 2):
        asked.members(earlier)
    assert asked.members(row) == PackedOrder(lengths, capacity, seed=seed).members(row)


@given(sizes, st.integers(50, 200))
def test_each_epoch_sees_every_sample_once(lengths: list[int], capacity: int) -> None:
    order = PackedOrder(lengths, capacity, seed=1)
    seen: Counter[int] = Counter()
    row = 0
    while order.epoch(row) < 3:
        seen.update(order.members(row))
        row += 1
    # What the last epoch has not fitted into a row comes first in the next one.
    assert set(seen.values()) <= {2, 3}
    assert sum(seen.values()) >= 2 * len(lengths)


def test_rows_are_nearly_full_and_epochs_differ() -> None:
    random = np.random.default_rng(0)
    lengths = random.lognormal(4.3, 0.5, 5000).astype(int).clip(8, 512).tolist()
    order = PackedOrder(lengths, 512, seed=0)
    rows = [order.members(row) for row in range(int(order.rows_an_epoch))]
    filled = [sum(lengths[one] for one in row) / 512 for row in rows]
    assert float(np.mean(filled)) > 0.99
    assert min(filled[:-20]) > 0.9
    assert order.epoch(len(rows) + 200) == 1
    assert rows[0] != order.members(len(rows) + 200)
    other = PackedOrder(lengths, 512, seed=1)
    assert rows != [other.members(row) for row in range(len(rows))]


def test_what_cannot_be_packed_is_refused() -> None:
    with pytest.raises(ValueError, match="no samples"):
        PackedOrder([], 10, seed=0)
    with pytest.raises(ValueError, match="a sample has 11 tokens; a row holds 10"):
        PackedOrder([3, 11], 10, seed=0)
