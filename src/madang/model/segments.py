"""Documents packed one after another on one token axis, and where each of them lies.

A batch is a flat axis of `T` tokens. A segment is a run of tokens that belong to one document:
attention is causal within it and blind to every other one, and positions count from 0 in each.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Bucket:
    """Segments of similar length, which attention treats as one padded batch.

    `gather` (int64 `[segments * length]`) says which flat token stands at each place of the
    padded batch; places behind a segment's end repeat its last token. It is none where the
    segments are equally long and stand side by side from `start` on, so that a view will do.
    """

    start: int
    segments: int
    length: int
    gather: Tensor | None


@dataclass(frozen=True, eq=False)
class Segments:
    """How `T` flat tokens divide into segments; made once a batch, used by every layer."""

    lengths: tuple[int, ...]
    positions: Tensor
    """Position of each token in its segment, int64 `[T]`."""
    buckets: tuple[Bucket, ...]
    scatter: Tensor | None
    """Place of each flat token in the buckets laid one after another; none: they are in order."""

    @staticmethod
    def from_lengths(
        lengths: Iterable[int] | Tensor, device: torch.device | str = "cpu"
    ) -> Segments:
        """Describe segments of these lengths, which stand one after another.

        Raises ValueError where a length is not positive or there is none.
        """
        sizes = tuple(int(n) for n in lengths)
        if not sizes or min(sizes) < 1:
            raise ValueError("segments need at least one length, and each at least one token")
        sizes_, starts = torch.tensor(sizes), torch.tensor([0, *sizes]).cumsum(0)[:-1]
        total = int(sizes_.sum())
        positions = torch.arange(total) - starts.repeat_interleave(sizes_)
        buckets, places = _buckets(sizes, starts, total)
        # Where only the last segment is padded, the places are in order, but not all there is.
        laid = sum(bucket.segments * bucket.length for bucket in buckets)
        in_order = laid == total and bool((places == torch.arange(total)).all())
        return Segments(
            lengths=sizes,
            positions=positions.to(device),
            buckets=tuple(
                Bucket(
                    b.start,
                    b.segments,
                    b.length,
                    b.gather if b.gather is None else b.gather.to(device),
                )
                for b in buckets
            ),
            scatter=None if in_order else places.to(device),
        )

    @property
    def tokens(self) -> int:
        """`T`."""
        return sum(self.lengths)

    @property
    def attended(self) -> float:
        """How many tokens a token sees on average, itself included."""
        return sum(n * (n + 1) / 2 for n in self.lengths) / self.tokens


def _buckets(sizes: tuple[int, ...], starts: Tensor, total: int) -> tuple[list[Bucket], Tensor]:
    """Group segments by length, and say where each flat token stands in the groups."""
    order = sorted(range(len(sizes)), key=lambda i: (sizes[i], i))
    groups: list[list[int]] = []
    for i in order:
        # A group's longest segment may be an eighth (at least 8 tokens) longer than its shortest.
        if groups and sizes[i] <= max(sizes[groups[-1][0]] * 1.125, sizes[groups[-1][0]] + 8):
            groups[-1].append(i)
        else:
            groups.append([i])
    places = torch.empty(total, dtype=torch.int64)
    buckets: list[Bucket] = []
    laid = 0
    for group in groups:
        group.sort()
        length = max(sizes[i] for i in group)
        adjacent = group == list(range(group[0], group[0] + len(group)))
        same = all(sizes[i] == length for i in group)
        steps = torch.arange(length)
        first = starts[group][:, None]
        last = first + torch.tensor([sizes[i] for i in group])[:, None] - 1
        gather = torch.minimum(first + steps, last)
        real = first + steps <= last
        rows = torch.arange(len(group))[:, None] * length + steps + laid
        places[gather[real]] = rows[real]
        laid += len(group) * length
        start = int(starts[group[0]])
        buckets.append(
            Bucket(start, len(group), length, None if adjacent and same else gather.reshape(-1))
        )
    return buckets, places
