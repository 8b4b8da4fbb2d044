"""Which samples of different length stand in one row: whole ones, close to a constant length."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

# Samples among which the one is sought that fills a gap. With 256, what stays open is a token
# or two where samples are of many lengths.
POOL: Final = 256


class PackedOrder:
    """Rows of whole samples, at most `capacity` tokens each, shuffled anew in every epoch.

    `members(row)` is a pure function of (lengths, capacity, seed, row). An epoch sees every
    sample once. What does not fill a row at an epoch's end comes first in the next epoch, so no
    row is short; where all samples together fit in one row, every row is all of them.
    """

    def __init__(self, lengths: Sequence[int], capacity: int, *, seed: int) -> None:
        """Raise ValueError where there are no samples or one is longer than a row."""
        if not len(lengths):
            raise ValueError("there are no samples to train on")
        if max(lengths) > capacity:
            raise ValueError(f"a sample has {max(lengths):,} tokens; a row holds {capacity:,}")
        self._lengths = np.asarray(lengths, dtype=np.int64)
        self._capacity = capacity
        self._seed = seed
        self._rows: list[tuple[int, ...]] = []
        # Rows after each epoch.
        self._ends: list[int] = []
        self._left: tuple[int, ...] = ()

    def members(self, row: int) -> tuple[int, ...]:
        """Return the samples of a row, counted from 0, in the order in which they are packed."""
        while row >= len(self._rows):
            self._pack_epoch()
        return self._rows[row]

    def epoch(self, row: int) -> int:
        """Return the epoch, from 0, that a row belongs to."""
        self.members(row)
        return bisect_right(self._ends, row)

    @property
    def rows_an_epoch(self) -> float:
        """Return how many full rows all samples would fill; an epoch has about that many."""
        return max(1.0, int(self._lengths.sum()) / self._capacity)

    def _pack_epoch(self) -> None:
        epoch = len(self._ends)
        order = np.random.default_rng((self._seed, epoch)).permutation(len(self._lengths))
        queue = [*self._left, *(int(one) for one in order)]
        packs = list(pack(queue, self._lengths, self._capacity))
        # Where two epochs meet, the same sample may stand in one row twice; harmless.
        self._left = packs.pop() if len(packs) > 1 else ()
        self._rows.extend(packs)
        self._ends.append(len(self._rows))


def pack(
    queue: Sequence[int], lengths: npt.NDArray[np.int64], capacity: int
) -> Iterator[tuple[int, ...]]:
    """Yield groups of the queue whose lengths sum to at most `capacity`, close to it.

    Samples are taken in the queue's order as long as they fit, so that a group is nearly a random
    draw; then the gap is filled with the longest of the next `POOL` samples that fits. Only the
    last groups may be short, where little is left to fill gaps with.
    """
    sizes = [int(lengths[one]) for one in queue]
    taken = [False] * len(queue)
    first = entered = 0
    # (size, -place): bisection finds the longest that fits, and the earlier one among equals.
    pool: list[tuple[int, int]] = []
    while first < len(queue):
        room, group = capacity, []
        while True:
            while first < len(queue) and taken[first]:
                first += 1
            while entered < min(first + POOL, len(queue)):
                insort(pool, (sizes[entered], -entered))
                entered += 1
            if first < len(queue) and sizes[first] <= room:
                at = bisect_left(pool, (sizes[first], -first))
            else:
                at = bisect_right(pool, (room, 0)) - 1
                if at < 0:
                    break
            size, place = pool.pop(at)
            taken[-place] = True
            room -= size
            group.append(queue[-place])
        yield tuple(group)
