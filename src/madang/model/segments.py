"""Documents packed one after another on one token axis, and where each of them lies.

A batch is a flat axis of `T` tokens. A segment is a run of tokens that belong to one document:
attention is causal within it and blind to every other one, and positions count from 0 in each.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

_LONGER_BY_SHARE: Final = 1.125
_LONGER_BY_TOKENS: Final = 8


@dataclass(frozen=True)
class Bucket:
    """So many segments, each padded at its end to so many tokens."""

    segments: int
    length: int


@dataclass(frozen=True, eq=False)
class Segments:
    """How `T` flat tokens divide into segments; made once a batch, used by every layer.

    Attention treats segments of similar length as one padded batch, a bucket. Laid one after
    another, the buckets hold `P >= T` tokens.
    """

    lengths: tuple[int, ...]
    positions: Tensor
    """Position of each token in its segment, int64 `[T]`."""
    buckets: tuple[Bucket, ...]
    gather: Tensor | None
    """Flat token at each place of the buckets, int64 `[P]`; padding repeats a segment's last token.

    None where the flat tokens are the buckets as they stand.
    """
    scatter: Tensor | None
    """Place of each flat token in the buckets, int64 `[T]`; none where `gather` is."""

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
        each = torch.tensor(sizes)
        starts = each.cumsum(0) - each
        tokens = torch.arange(int(each.sum()))
        groups = _groups(sizes)
        buckets = tuple(Bucket(len(g), max(sizes[i] for i in g)) for g in groups)
        gather, own = (
            torch.cat(parts)
            for parts in zip(*(_padded(starts[g], each[g]) for g in groups), strict=True)
        )
        if torch.equal(gather, tokens):
            gather_, scatter = None, None
        else:
            scatter = torch.empty_like(tokens)
            scatter[gather[own]] = own.nonzero().squeeze(1)
            gather_, scatter = gather.to(device), scatter.to(device)
        return Segments(
            lengths=sizes,
            positions=(tokens - starts.repeat_interleave(each)).to(device),
            buckets=buckets,
            gather=gather_,
            scatter=scatter,
        )

    @property
    def tokens(self) -> int:
        """`T`."""
        return sum(self.lengths)

    @property
    def attended(self) -> float:
        """How many tokens a token sees on average, itself included."""
        return sum(n * (n + 1) / 2 for n in self.lengths) / self.tokens


def _groups(sizes: tuple[int, ...]) -> list[list[int]]:
    """Put segments together whose lengths differ little, each group in the order of the batch."""
    groups: list[list[int]] = []
    shortest = 0
    for i in sorted(range(len(sizes)), key=lambda i: sizes[i]):
        if groups and sizes[i] <= max(shortest * _LONGER_BY_SHARE, shortest + _LONGER_BY_TOKENS):
            groups[-1].append(i)
        else:
            groups.append([i])
            shortest = sizes[i]
    return [sorted(group) for group in groups]


def _padded(starts: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor]:
    """Return the flat tokens of these segments, each padded to the longest with its last token.

    The second tensor says which of them are not padding.
    """
    steps = torch.arange(int(sizes.max()))
    ends = sizes[:, None] - 1
    tokens = starts[:, None] + torch.minimum(steps, ends)
    return tokens.reshape(-1), (steps <= ends).reshape(-1)
