"""Supervised fine-tuning: learn what the assistant says, and nothing else of a conversation.

The loss stands on exactly the tokens of the assistant's messages and the token that ends each;
`encode_chat` marks them. Samples are packed whole, several in a row, each attending to itself
only; the loss is `objective.next_token_loss`, which makes logits only where a token is trained.
A sample that is longer than a row is left out and reported, since cutting it would cut the
end that the model must learn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from madang.training.batch import IGNORED
from madang.training.data_files import Conversation, DataFileError, Message, refuse
from madang.training.packing import PackedOrder


class EncodedChat(Protocol):
    """A conversation as token ids, and which of them the model shall learn to write."""

    @property
    def ids(self) -> list[int]:
        """Token ids, `[n]`."""

    @property
    def trained(self) -> list[bool]:
        """Whether the token at each place is learned, `[n]`."""


Encode = Callable[[Sequence[dict[str, str]]], EncodedChat]
"""A conversation's messages (`role`, `content`) to ids and their mask."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A conversation ready to train on: `ids` int32 `[n]`, `trained` bool `[n]`, its line.

    `bytes` are the UTF-8 bytes of what the trained tokens say.
    """

    line: int
    ids: npt.NDArray[np.int32]
    trained: npt.NDArray[np.bool_]
    bytes: int

    @property
    def targets(self) -> npt.NDArray[np.int64]:
        """The next token at each position, `[n]`; -100 where it is not trained."""
        after = np.where(self.trained[1:], self.ids[1:], IGNORED)
        return np.append(after, IGNORED).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Encoded:
    """The samples of a file, and the lines left out because they are longer than a row."""

    samples: tuple[Sample, ...]
    too_long: tuple[int, ...]
    length: int

    @property
    def left_out(self) -> str | None:
        """Return a sentence on what is left out, if anything is."""
        if not self.too_long:
            return None
        count = len(self.too_long)
        samples = "1 sample is" if count == 1 else f"{count:,} samples are"
        return (
            f"{samples} longer than {self.length:,} tokens and left out, the first in line "
            f"{self.too_long[0]}; a larger length takes them in"
        )


@dataclass(frozen=True, slots=True)
class SampleBatch:
    """The samples of one step, row after row on a flat token axis (see `StepBatch`).

    `tokens` and `targets` are int64 `[T]`, `lengths` int32 `[n]` with sum T, `row_lengths` int64
    `[rows]` with sum T. Rows differ in length by a few tokens, unless they were filled up.
    """

    tokens: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int32]
    targets: npt.NDArray[np.int64]
    row_lengths: npt.NDArray[np.int64]
    bytes: float = 0.0
    padding: int = 0
    weights: None = None

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

    def part(self, index: int, of: int) -> SampleBatch:
        """Return the part `index` of `of` parts with equally many rows."""
        rows, start, stop = rows_of_part(self.row_lengths, index, of)
        first, last = np.searchsorted(np.cumsum(self.lengths), [start, stop - 1], side="right")
        return SampleBatch(
            self.tokens[start:stop],
            self.lengths[first : last + 1],
            self.targets[start:stop],
            self.row_lengths[rows],
        )


def rows_of_part(row_lengths: npt.NDArray[np.int64], index: int, of: int) -> tuple[slice, int, int]:
    """Return the rows of a part and the positions where it starts and stops.

    Raises ValueError where the rows cannot be divided into `of` parts.
    """
    if len(row_lengths) % of:
        raise ValueError(f"{len(row_lengths)} rows of samples cannot be divided into {of} parts")
    size = len(row_lengths) // of
    ends = [0, *accumulate(int(one) for one in row_lengths)]
    return slice(index * size, (index + 1) * size), ends[index * size], ends[(index + 1) * size]


class SupervisedSource:
    """The steps of supervised fine-tuning: `rows` rows of at most `length` tokens each."""

    def __init__(
        self, samples: Sequence[Sample], *, seed: int, rows: int, length: int, fill: int | None
    ) -> None:
        """Pack `samples`.

        With `fill`, a token id, each row is filled up to exactly `length` with one segment of it
        that is not trained, so that all shapes are static; with None nothing is padded. Raises
        ValueError where there are no samples or one is longer than `length`.
        """
        self._samples = samples
        self._order = PackedOrder([len(one.ids) for one in samples], length, seed=seed)
        self._rows = rows
        self._length = length
        self._fill = fill

    @property
    def steps_an_epoch(self) -> float:
        """Return about how many steps it takes to see every sample once."""
        return self._order.rows_an_epoch / self._rows

    def batch(self, step: int) -> SampleBatch:
        """Return the batch of a step, counted from 0: a pure function of (samples, seed, step)."""
        rows = [
            [self._samples[one] for one in self._order.members(row)]
            for row in range(step * self._rows, (step + 1) * self._rows)
        ]
        return assemble(rows, length=self._length, fill=self._fill)

    def lines_of(self, step: int) -> list[int]:
        """Return the lines of the file that a step trains on."""
        first = step * self._rows
        return [
            self._samples[one].line
            for row in range(first, first + self._rows)
            for one in self._order.members(row)
        ]


def assemble(
    rows: Sequence[Sequence[Sample]], *, length: int, fill: int | None = None
) -> SampleBatch:
    """Put samples one after another; `fill` fills each row up to `length` (see the source)."""
    tokens: list[npt.NDArray[np.int32]] = []
    targets: list[npt.NDArray[np.int64]] = []
    lengths: list[int] = []
    row_lengths: list[int] = []
    padding = 0
    for row in rows:
        used = sum(len(one.ids) for one in row)
        tokens.extend(one.ids for one in row)
        targets.extend(one.targets for one in row)
        lengths.extend(len(one.ids) for one in row)
        if fill is not None and used < length:
            gap = length - used
            tokens.append(np.full(gap, fill, dtype=np.int32))
            targets.append(np.full(gap, IGNORED, dtype=np.int64))
            lengths.append(gap)
            padding += gap
            used = length
        row_lengths.append(used)
    return SampleBatch(
        np.concatenate(tokens).astype(np.int64),
        np.asarray(lengths, dtype=np.int32),
        np.concatenate(targets),
        np.asarray(row_lengths, dtype=np.int64),
        bytes=float(sum(one.bytes for row in rows for one in row)),
        padding=padding,
    )


def encode_conversations(
    conversations: Iterable[Conversation], encode: Encode, *, end: int, length: int, path: Path
) -> Encoded:
    """Encode conversations and check that each can be learned from.

    `end` is the id of the token that ends a message, `path` the file that errors name. Raises
    DataFileError for samples without an end or with nothing to learn, and where no sample is
    left that fits into `length` tokens.
    """
    samples, too_long, problems = [], [], []
    for one in conversations:
        try:
            sample = encode_sample(one.line, one.messages, encode, end=end)
        except ValueError as error:
            problems.append(f"{path}: line {one.line}: {error}")
            continue
        if len(sample.ids) > length:
            too_long.append(one.line)
        else:
            samples.append(sample)
    if problems:
        raise refuse(problems)
    if not samples:
        why = f"every sample is longer than {length:,} tokens" if too_long else "has no samples"
        raise DataFileError(f"{path}: {why}; nothing can be trained")
    return Encoded(tuple(samples), tuple(too_long), length)


def encode_sample(line: int, messages: Sequence[Message], encode: Encode, *, end: int) -> Sample:
    """Encode one conversation; raise ValueError where nothing right can be learned from it.

    Each run of trained tokens must end with the token `end`, or the model would never learn to
    stop, and hold something before it. `encode` may refuse the same by itself.
    """
    chat = encode([message.plain() for message in messages])
    ids = np.asarray(chat.ids, dtype=np.int32)
    trained = np.asarray(chat.trained, dtype=np.bool_)
    runs = trained_runs(trained)
    if not runs:
        raise ValueError("has nothing to learn, since no message is the assistant's")
    for start, stop in runs:
        if ids[stop - 1] != end:
            raise ValueError("has no end token after a message of the assistant")
        if stop - start == 1:
            raise ValueError("has an empty message of the assistant, so nothing to learn")
    said = sum(len(one.content.encode()) for one in messages if one.role == "assistant")
    return Sample(line, ids, trained, said)


def trained_runs(trained: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return start and stop of each run of trained tokens."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], trained, [False]]).astype(np.int8)))
    return [(int(edges[i]), int(edges[i + 1])) for i in range(0, len(edges), 2)]


def untrain(sample: Sample, before: int) -> Sample:
    """Return the sample with nothing trained before a position."""
    trained = sample.trained.copy()
    trained[:before] = False
    return replace(sample, trained=trained)
