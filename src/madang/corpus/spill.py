"""Examined posts on disk while a corpus is made: read by column, or by position."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa


class SpillWriter:
    """Appends batches to an Arrow file."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._file = pa.OSFile(str(path), "wb")
        self._writer = pa.ipc.new_file(self._file, schema)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._writer.close()
        self._file.close()

    def append(self, batch: pa.RecordBatch) -> None:
        """Write one batch after the others."""
        self._writer.write_batch(batch)


class Spill:
    """The same file, mapped into memory; what is not asked for is not read."""

    def __init__(self, path: Path) -> None:
        self._map = pa.memory_map(str(path))
        reader = pa.ipc.open_file(self._map)
        self._batches = [reader.get_batch(n) for n in range(reader.num_record_batches)]
        sizes = [batch.num_rows for batch in self._batches]
        self._starts = np.concatenate(([0], np.cumsum(sizes, dtype=np.int64)))

    def __len__(self) -> int:
        return int(self._starts[-1])

    def close(self) -> None:
        """Let go of the file, so that it can be removed everywhere."""
        self._batches.clear()
        self._map.close()

    def batches(self) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Yield each batch with the position of its first row."""
        yield from zip(self._starts[:-1].tolist(), self._batches, strict=True)

    def numbers(self, name: str) -> npt.NDArray[Any]:
        """Return a column of numbers; 8 bytes a post or less."""
        return np.concatenate([batch.column(name).to_numpy() for batch in self._batches])

    def at(self, name: str, positions: Sequence[int] | npt.NDArray[np.int64]) -> list[Any]:
        """Return the values of a column at some positions, in their order."""
        where = np.asarray(positions, dtype=np.int64)
        if not len(where):
            return []
        parts = np.searchsorted(self._starts, where, side="right") - 1
        order = np.argsort(parts, kind="stable")
        result: list[Any] = [None] * len(where)
        bounds = np.flatnonzero(np.diff(parts[order], prepend=-1, append=len(self._batches)))
        for start, end in pairwise(bounds.tolist()):
            part = int(parts[order[start]])
            rows = where[order[start:end]] - self._starts[part]
            values = self._batches[part].column(name).take(pa.array(rows)).to_pylist()
            for place, value in zip(order[start:end].tolist(), values, strict=True):
                result[place] = value
        return result
