"""Batches: a pure function of the seed, the documents before, and the step.

In each epoch the documents stand in the order of a keyed hash of their keys and follow each other
without gaps; a batch takes the next `rows x length` tokens of that stream, and what does not fit
goes on in the next row or batch. So the order knows nothing of workers, ranks or imports, and a
document that is removed changes no batch before its own place.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from madang.corpus.corpus import Corpus

IGNORED: Final = -100
"""The target where there is none: after a document's last token."""

_CACHED_EPOCHS: Final = 4

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Batch:
    """What one step trains on.

    `tokens`, `targets` and `positions` are int64 `[rows, length]`: ids, the next id of the same
    document (also where it stands in the next row or batch; -100 at a document's last token), and
    places in the segment. `lengths`, int32 `[segments]`, are those of the segments, row by row; no
    segment crosses a row. `row_bytes`, float64 `[rows]`, are the UTF-8 bytes that the targets of
    each row stand for, a document's bytes being shared evenly among its targets.
    """

    tokens: Integers
    targets: Integers
    positions: Integers
    lengths: npt.NDArray[np.int32]
    row_bytes: npt.NDArray[np.float64]

    @property
    def trained(self) -> int:
        """How many targets there are."""
        return int(np.count_nonzero(self.targets != IGNORED))

    @property
    def bytes(self) -> float:
        """UTF-8 bytes that the targets stand for."""
        return float(self.row_bytes.sum())

    def rows(self, start: int, stop: int) -> Batch:
        """Return the rows from `start` up to `stop`, a rank's share."""
        rows, length = self.tokens.shape
        if not 0 <= start < stop <= rows:
            raise ValueError(f"rows {start} to {stop} are not among the {rows} of this batch")
        borders = np.cumsum(self.lengths, dtype=np.int64)
        first, last = np.searchsorted(borders, [start * length, stop * length], side="right")
        return Batch(
            self.tokens[start:stop],
            self.targets[start:stop],
            self.positions[start:stop],
            self.lengths[first:last],
            self.row_bytes[start:stop],
        )


@dataclass(frozen=True, slots=True)
class Part:
    """A segment of a batch: the tokens `start` to `end` of a document, at `row` and `column`.

    `index` is the document's number in the corpus, or in the replayed one where `replay` holds.
    """

    document: str
    index: int
    replay: bool
    start: int
    end: int
    row: int
    column: int


class Segments(NamedTuple):
    """The segments of a batch as arrays `[segments]`; `column` and `row` say where each begins."""

    replay: npt.NDArray[np.bool_]
    document: Integers
    start: Integers
    length: Integers
    row: Integers
    column: Integers


@dataclass(frozen=True, slots=True)
class Epoch:
    """One pass over the documents: their order, and where each ends in the epoch's stream.

    `start` is where the epoch begins in the endless stream of all epochs, in tokens.
    """

    start: int
    replay: npt.NDArray[np.bool_]
    index: Integers
    ends: Integers

    @property
    def tokens(self) -> int:
        """Tokens of the whole epoch."""
        return int(self.ends[-1])


@dataclass(frozen=True)
class _Source:
    """The training documents of one corpus: numbers, keys and lengths, in the index's order."""

    corpus: Corpus
    index: Integers = field(init=False)
    keys: list[bytes] = field(init=False)
    tokens: int = field(init=False)

    def __post_init__(self) -> None:
        keys = self.corpus.keys()
        index = self.corpus.indices("train")
        object.__setattr__(self, "index", index)
        object.__setattr__(self, "keys", [keys[number].encode() for number in index])
        object.__setattr__(self, "tokens", int(self.corpus.token_counts[index].sum()))
        if not self.tokens:
            raise ValueError(f"{self.corpus.folder} holds no document to train on")

    def order(self, seed: int, epoch: int) -> Integers:
        """Return the documents' numbers in the order of an epoch."""
        return self.index[keyed_order(self.keys, seed, epoch)]


class Batches:
    """The batches of a corpus, `rows` of `sequence_length` tokens each, without an end.

    With `replay`, documents of a second corpus are mixed in so that they are about `replay_share`
    of all tokens at any time; the second corpus comes round as often as that takes. An epoch is
    one pass over the first.
    """

    def __init__(
        self,
        corpus: Corpus,
        *,
        seed: int,
        sequence_length: int,
        rows: int,
        replay: Corpus | None = None,
        replay_share: float = 0.0,
    ) -> None:
        """Take the corpora; nothing is read from the shards yet.

        Raises ValueError for shapes or shares that make no batch, for another tokenizer, and
        where there is nothing to train on.
        """
        if rows < 1 or sequence_length < 2:
            raise ValueError(
                f"a batch of {rows} rows of {sequence_length} tokens cannot be; "
                "give at least 1 row of 2"
            )
        if not 0 <= replay_share < 1 or (replay is None) != (replay_share == 0):
            raise ValueError(
                f"a replay of {replay_share} of the tokens {'with' if replay else 'without'} a "
                "corpus to replay cannot be; give both, the share above 0 and below 1"
            )
        if replay is not None and replay.tokenizer_digest != corpus.tokenizer_digest:
            raise ValueError(
                f"{replay.folder} was made with another tokenizer than {corpus.folder}; "
                "tokenize both with one"
            )
        self.corpus = corpus
        self.replay = replay
        self.seed = seed
        self.sequence_length = sequence_length
        self.rows = rows
        self._share = replay_share
        self._main = _Source(corpus)
        self._replayed = None if replay is None else _Source(replay)
        self._starts = [0]
        self._epochs: OrderedDict[int, Epoch] = OrderedDict()
        self._replay_orders: OrderedDict[int, Integers] = OrderedDict()

    @property
    def tokens_a_step(self) -> int:
        """Tokens of one batch."""
        return self.rows * self.sequence_length

    @property
    def steps_an_epoch(self) -> int:
        """After how many steps every document has been seen once; the last may begin the next."""
        return -(-self.epoch(0).tokens // self.tokens_a_step)

    def epoch(self, number: int) -> Epoch:
        """Return the order of an epoch, counted from 0."""
        known = self._epochs.get(number)
        if known is not None:
            self._epochs.move_to_end(number)
            return known
        if self._replayed is None:
            start = number * self._main.tokens
        else:
            # With replay, epochs differ in length, so each needs the one before it.
            while len(self._starts) <= number:
                self.epoch(len(self._starts) - 1)
            start = self._starts[number]
        epoch = self._order(number, start)
        if self._replayed is not None and len(self._starts) == number + 1:
            self._starts.append(start + epoch.tokens)
        self._epochs[number] = epoch
        if len(self._epochs) > _CACHED_EPOCHS:
            self._epochs.popitem(last=False)
        return epoch

    def epoch_at(self, token: int) -> int:
        """Return the epoch in which a token of the endless stream lies."""
        if self._replayed is None:
            return token // self._main.tokens
        while self._starts[-1] <= token:
            self.epoch(len(self._starts) - 1)
        return int(np.searchsorted(self._starts, token, side="right")) - 1

    def batch(self, step: int) -> Batch:
        """Return the batch of a step, counted from 0. Raises ValueError for a negative one."""
        parts = self.segments(step)
        begins = np.cumsum(parts.length) - parts.length
        positions = np.arange(self.tokens_a_step) - np.repeat(begins, parts.length)
        offsets = positions + np.repeat(parts.start, parts.length)
        documents = np.repeat(parts.document, parts.length)
        whole = self._tokens_in(parts)
        is_last = offsets + 1 == np.repeat(whole, parts.length)
        replayed = np.repeat(parts.replay, parts.length)
        tokens = self._gather(replayed, documents, offsets)
        targets = self._gather(replayed, documents, np.where(is_last, offsets, offsets + 1))
        targets[is_last] = IGNORED

        targets_each = parts.length - (parts.start + parts.length == whole)
        sizes = np.where(
            parts.replay,
            0 if self.replay is None else self.replay.byte_counts[parts.document * parts.replay],
            self.corpus.byte_counts[parts.document * ~parts.replay],
        )
        bytes_each = sizes * targets_each / np.maximum(whole - 1, 1)
        shape = (self.rows, self.sequence_length)
        return Batch(
            tokens.reshape(shape),
            targets.reshape(shape),
            positions.reshape(shape),
            parts.length.astype(np.int32),
            np.bincount(parts.row, weights=bytes_each, minlength=self.rows).astype(np.float64),
        )

    def documents_of(self, step: int) -> list[Part]:
        """Return the segments of a step's batch in order."""
        parts = self.segments(step)
        keys = (self.corpus, self.replay or self.corpus)
        return [
            Part(
                document=keys[replay].key(index),
                index=index,
                replay=replay,
                start=start,
                end=start + length,
                row=row,
                column=column,
            )
            for replay, index, start, length, row, column in zip(
                *(array.tolist() for array in parts), strict=True
            )
        ]

    def segments(self, step: int) -> Segments:
        """Return which parts of which documents a step's batch is made of, cut at the rows."""
        if step < 0:
            raise ValueError(f"there is no step {step}; steps are counted from 0")
        first, end = step * self.tokens_a_step, (step + 1) * self.tokens_a_step
        found: list[tuple[npt.NDArray[np.bool_], Integers, Integers, Integers]] = []
        at, number = first, self.epoch_at(first)
        while at < end:
            epoch = self.epoch(number)
            found.append(_between(epoch, at - epoch.start, min(end - epoch.start, epoch.tokens)))
            at, number = epoch.start + epoch.tokens, number + 1
        replay, index, start, length = (
            np.concatenate(column) for column in zip(*found, strict=True)
        )

        begins = np.cumsum(length) - length
        rows = np.arange(self.rows) * self.sequence_length
        cuts = np.union1d(begins, rows)
        part = np.searchsorted(begins, cuts, side="right") - 1
        return Segments(
            replay=replay[part],
            document=index[part],
            start=start[part] + cuts - begins[part],
            length=np.diff(cuts, append=self.tokens_a_step),
            row=cuts // self.sequence_length,
            column=cuts % self.sequence_length,
        )

    def _tokens_in(self, parts: Segments) -> Integers:
        """Return how many tokens the whole document of each segment has."""
        tokens = self.corpus.token_counts[parts.document * ~parts.replay]
        if self.replay is None:
            return tokens
        return np.where(
            parts.replay, self.replay.token_counts[parts.document * parts.replay], tokens
        )

    def _gather(
        self, replayed: npt.NDArray[np.bool_], documents: Integers, offsets: Integers
    ) -> Integers:
        if self.replay is None or not replayed.any():
            return self.corpus.gather(documents, offsets)
        tokens = np.empty(len(offsets), dtype=np.int64)
        tokens[replayed] = self.replay.gather(documents[replayed], offsets[replayed])
        own = ~replayed
        tokens[own] = self.corpus.gather(documents[own], offsets[own])
        return tokens

    def _order(self, number: int, start: int) -> Epoch:
        index = self._main.order(self.seed, number)
        lengths = self.corpus.token_counts[index]
        if self._replayed is None:
            replay = np.zeros(len(index), dtype=np.bool_)
            return Epoch(start, replay, index, np.cumsum(lengths))
        before = number * self._main.tokens + np.cumsum(lengths) - lengths
        others, at = self._replay_between(number)
        # A replayed document stands before the first one that begins later than it, with the
        # tokens of each corpus counted in the share that they are to have.
        places = np.searchsorted(before * self._share, at * (1 - self._share), side="right")
        replay = np.insert(np.zeros(len(index), dtype=np.bool_), places, True)
        counts = np.insert(lengths, places, self._replayed.corpus.token_counts[others])
        return Epoch(start, replay, np.insert(index, places, others), np.cumsum(counts))

    def _replay_between(self, number: int) -> tuple[Integers, Integers]:
        """Return the documents replayed in an epoch, and where each begins in their own stream."""
        assert self._replayed is not None
        source, share = self._replayed, self._share
        low, high = (edge * self._main.tokens * share for edge in (number, number + 1))
        found: list[tuple[Integers, Integers]] = []
        round_ = max(0, int(low / (1 - share)) // source.tokens - 1)
        while round_ * source.tokens * (1 - share) < high:
            order = self._replay_order(round_)
            lengths = source.corpus.token_counts[order]
            at = round_ * source.tokens + np.cumsum(lengths) - lengths
            here = (at * (1 - share) >= low) & (at * (1 - share) < high)
            found.append((order[here], at[here]))
            round_ += 1
        others, at = (np.concatenate(column) for column in zip(*found, strict=True))
        return others, at

    def _replay_order(self, round_: int) -> Integers:
        assert self._replayed is not None
        if round_ not in self._replay_orders:
            self._replay_orders[round_] = self._replayed.order(self.seed, round_)
            if len(self._replay_orders) > _CACHED_EPOCHS:
                self._replay_orders.popitem(last=False)
        return self._replay_orders[round_]


def keyed_order(keys: list[bytes], seed: int, epoch: int) -> Integers:
    """Return in which order documents stand: by BLAKE2b of their keys, keyed by seed and epoch."""
    halves = _keyed(keys, seed, epoch)
    return np.lexsort((halves[:, 1], halves[:, 0]))


def among_the_first(keys: list[bytes], seed: int, share: float) -> npt.NDArray[np.bool_]:
    """Return which documents stand in the first `share` of the first epoch, about so many.

    Whether one does depends on no other document.
    """
    first: npt.NDArray[np.bool_] = _keyed(keys, seed, 0)[:, 0] < share * 2.0**64
    return first


def _keyed(keys: list[bytes], seed: int, epoch: int) -> npt.NDArray[np.uint64]:
    """Return the hashes that documents are ordered by, `[documents, 2]`."""
    key = hashlib.sha256(f"order of documents, seed {seed}, epoch {epoch}".encode()).digest()
    keyed = hashlib.blake2b(key=key, digest_size=16)
    digests = bytearray()
    for document in keys:
        one = keyed.copy()
        one.update(document)
        digests += one.digest()
    return np.frombuffer(digests, dtype=">u8").reshape(-1, 2)


def _between(
    epoch: Epoch, start: int, end: int
) -> tuple[npt.NDArray[np.bool_], Integers, Integers, Integers]:
    """Return the documents of an epoch's tokens `start` to `end`, and which part of each."""
    first = int(np.searchsorted(epoch.ends, start, side="right"))
    last = int(np.searchsorted(epoch.ends, end, side="left")) + 1
    ends = epoch.ends[first:last]
    begins = np.concatenate([epoch.ends[first - 1 : first] if first else [0], ends[:-1]])
    parts = np.maximum(start - begins, 0), np.minimum(end, ends) - np.maximum(start, begins)
    return epoch.replay[first:last], epoch.index[first:last], *parts
