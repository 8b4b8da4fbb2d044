"""A corpus' batches in Madang's order, out of its token shards; needs NumPy and nothing else.

`order.json` beside the shards names them and the epochs. Of each epoch, `order-*.npy` (int64
`[documents, 2]`: shard, first token there) and `ends-*.npy` (int64 `[documents]`: where each
document ends in the epoch's stream) are mapped into memory, as the shards are, so that memory does
not grow with the corpus.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

IGNORED = -100
"""The target where there is none: after a document's last token."""


class ShardStream:
    """The batches of a run, `rows` of `length` tokens each; step s is the same on every rank."""

    def __init__(self, folder: Path) -> None:
        """Open what a hand-over wrote; nothing is read yet but `order.json`."""
        self._folder = folder
        facts = json.loads((folder / "order.json").read_text("utf-8"))
        self.rows: int = facts["rows"]
        self.length: int = facts["length"]
        self.steps: int = facts["steps"]
        self._shards = [
            np.memmap(folder / name, dtype=np.dtype(facts["dtype"]), mode="r")
            for name in facts["shards"]
        ]
        self._starts: list[int] = facts["epochs"]
        self._opened: tuple[int, Any, Any] | None = None

    def batch(
        self, step: int, first: int = 0, stop: int | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return tokens, targets and positions of the rows `first` to `stop` of a step.

        Each is int64 `[rows, length]`. Targets are the next tokens of the same document, -100
        after its last one; positions count from 0 where a document or a row begins. Raises
        IndexError for a step that was not handed over.
        """
        if not 0 <= step < self.steps:
            raise IndexError(
                f"step {step} is not among the {self.steps} that were handed over; "
                "hand over again with more --steps"
            )
        stop = self.rows if stop is None else stop
        begin = (step * self.rows + first) * self.length
        shape = (stop - first, self.length)
        tokens = np.empty(shape[0] * shape[1], dtype=np.int64)
        targets = np.full(len(tokens), IGNORED, dtype=np.int64)
        positions = np.empty(len(tokens), dtype=np.int64)
        at = 0
        for shard, start, offset, count, whole in self._pieces(begin, begin + len(tokens)):
            document = self._shards[shard][start : start + whole]
            tokens[at : at + count] = document[offset : offset + count]
            following = document[offset + 1 : offset + count + 1]
            targets[at : at + len(following)] = following
            # A segment begins with a document's piece, and anew with each row that it runs into.
            column = np.arange(at, at + count) % self.length
            positions[at : at + count] = np.minimum(column, np.arange(count))
            at += count
        return tokens.reshape(shape), targets.reshape(shape), positions.reshape(shape)

    def _pieces(self, begin: int, end: int) -> Iterator[tuple[int, int, int, int, int]]:
        """Yield the pieces of documents from one token of the endless stream to another.

        Each is shard, document's first token there, offset in it, tokens taken, its whole length.
        """
        number = int(np.searchsorted(self._starts, begin, side="right")) - 1
        at = begin
        while at < end:
            order, ends = self._epoch(number)
            here = at - self._starts[number]
            document = int(np.searchsorted(ends, here, side="right"))
            while at < end and document < len(ends):
                head = int(ends[document - 1]) if document else 0
                whole = int(ends[document]) - head
                offset = at - self._starts[number] - head
                count = min(whole - offset, end - at)
                yield int(order[document, 0]), int(order[document, 1]), offset, count, whole
                at += count
                document += 1
            number += 1

    def _epoch(self, number: int) -> tuple[Any, Any]:
        if self._opened is None or self._opened[0] != number:
            name = f"{number:05}.npy"
            order = np.load(self._folder / f"order-{name}", mmap_mode="r")
            ends = np.load(self._folder / f"ends-{name}", mmap_mode="r")
            self._opened = (number, order, ends)
        return self._opened[1], self._opened[2]
