"""What a step trains on: a flat token axis that can be cut into equal parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, Self

import numpy as np
import numpy.typing as npt

IGNORED: Final = -100
"""The target of a position that is not trained."""


class StepBatch(Protocol):
    """Everything one step trains on; ranks and micro-batches take equal parts of it."""

    @property
    def count(self) -> float:
        """What the summed loss of the whole batch is divided by: trained tokens, or pairs."""

    @property
    def positions(self) -> int:
        """Positions that are computed, padding included."""

    @property
    def useful(self) -> int:
        """Positions that hold a token of a document, without padding."""

    @property
    def bytes(self) -> float:
        """UTF-8 bytes that the trained tokens stand for; 0 where that is not known."""

    @property
    def lengths(self) -> npt.NDArray[np.int32]:
        """Lengths of the segments, `[n]`; they sum to `positions`."""

    def part(self, index: int, of: int) -> Self:
        """Return the part `index` of `of` equal parts; ValueError where a segment is cut."""


class TokenBatch(StepBatch, Protocol):
    """A batch whose loss is the cross-entropy of its targets."""

    @property
    def tokens(self) -> npt.NDArray[np.int64]:
        """Token ids, `[T]`."""

    @property
    def targets(self) -> npt.NDArray[np.int64]:
        """The token to be predicted at each position, `[T]`; -100: none."""

    @property
    def weights(self) -> npt.NDArray[np.float32] | None:
        """A factor of each target's loss, `[T]`; None: all 1."""


class BatchSource(Protocol):
    """Where batches come from: a pure function of the step, the same on every rank."""

    def batch(self, step: int) -> StepBatch:
        """Return the whole batch of `step`, counted from 0."""


@dataclass(frozen=True, slots=True)
class TrainingBatch:
    """Token ids with their targets, documents (segments) packed one after another.

    `tokens` and `targets` are int64 `[T]`, `lengths` int32 `[n]` with sum T; a target of -100 is
    not trained; `weights`, where given, are float32 `[T]` factors of each target's loss.
    `padding` positions are in T and hold no token of any document.
    """

    tokens: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int32]
    targets: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32] | None = None
    bytes: float = 0.0
    padding: int = 0

    @property
    def count(self) -> float:
        """How many tokens are trained."""
        return float(np.count_nonzero(self.targets != IGNORED))

    @property
    def positions(self) -> int:
        """T, the length of the flat token axis."""
        return len(self.tokens)

    @property
    def useful(self) -> int:
        """Positions without padding."""
        return self.positions - self.padding

    def part(self, index: int, of: int) -> TrainingBatch:
        """Return the part `index` of `of` equal parts of the token axis.

        Bytes and padding stay with the whole batch: a part knows only what is computed.
        """
        if self.positions % of:
            raise ValueError(f"a batch of {self.positions} tokens cannot be cut into {of} parts")
        size = self.positions // of
        start, stop = index * size, (index + 1) * size
        return TrainingBatch(
            self.tokens[start:stop],
            lengths_between(self.lengths, start, stop),
            self.targets[start:stop],
            None if self.weights is None else self.weights[start:stop],
        )


def lengths_between(lengths: npt.NDArray[np.int32], start: int, stop: int) -> npt.NDArray[np.int32]:
    """Return the lengths of the segments from position `start` to `stop`.

    Raises ValueError where a segment crosses either border.
    """
    ends = np.cumsum(lengths, dtype=np.int64)
    borders = np.concatenate([[0], ends])
    first, last = np.searchsorted(borders, [start, stop])
    if borders[first] != start or borders[last] != stop:
        raise ValueError(f"a segment crosses position {start} or {stop}, where the batch is cut")
    return lengths[first:last]


class _PackedBatch(Protocol):
    @property
    def tokens(self) -> npt.NDArray[np.int64]: ...
    @property
    def targets(self) -> npt.NDArray[np.int64]: ...
    @property
    def lengths(self) -> npt.NDArray[np.int32]: ...
    @property
    def bytes(self) -> float: ...


class _Packed(Protocol):
    def batch(self, step: int) -> Any: ...


@dataclass(frozen=True, slots=True)
class PackedSource:
    """The batches of a corpus (`rows x length`), flattened; nothing in them is padding."""

    batches: _Packed

    def batch(self, step: int) -> TrainingBatch:
        """Return the batch of `step`, its rows one after another."""
        packed: _PackedBatch = self.batches.batch(step)
        return TrainingBatch(
            np.asarray(packed.tokens).reshape(-1),
            np.asarray(packed.lengths),
            np.asarray(packed.targets).reshape(-1),
            bytes=float(packed.bytes),
        )


@dataclass(frozen=True, slots=True)
class FixedSource:
    """Batches that are there already; step s takes number s, and they come round again."""

    batches: Sequence[StepBatch]

    def batch(self, step: int) -> StepBatch:
        """Return the batch of `step`."""
        return self.batches[step % len(self.batches)]
