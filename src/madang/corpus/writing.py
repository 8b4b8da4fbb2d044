"""Writes documents.parquet and decisions.parquet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from madang.corpus.boilerplate import without_lines
from madang.corpus.curated import DOCUMENTS
from madang.corpus.decision import DECISIONS, in_words
from madang.corpus.examine import UNDATED
from madang.corpus.layout import Columns, Layout
from madang.corpus.near_duplicates import Positions
from madang.corpus.spill import Spill

GROUP_POSTS: Final = 8192
GROUP_CHARACTERS: Final = 16 << 20
_COMPRESSION: Final = "zstd"


def write_documents(
    path: Path,
    spill: Spill,
    columns: Columns,
    layout: Layout,
    lengths: npt.NDArray[np.int32],
    boilerplate: tuple[set[int], set[int]],
) -> Counter[str]:
    """Write one row a document and return how many there are, by split and by language.

    `lengths` bound how much is held at a time; `boilerplate` is the positions of posts that have
    repeated lines, and the hashes of these lines.
    """
    counts: Counter[str] = Counter()
    with pq.ParquetWriter(path, DOCUMENTS, compression=_COMPRESSION) as writer:
        for first, last in _groups(layout, lengths):
            documents = _documents(spill, columns, layout, first, last, boilerplate)
            counts.update(documents["split"].to_pylist())
            counts.update("language " + one for one in documents["language"].to_pylist())
            writer.write_batch(documents)
    return counts


def _groups(layout: Layout, lengths: npt.NDArray[np.int32]) -> Iterator[tuple[int, int]]:
    """Yield ranges of documents that are small enough to be held."""
    ends = np.append(layout.starts[1:], len(layout.posts))
    characters = np.concatenate(([0], np.cumsum(lengths[layout.posts], dtype=np.int64)))
    first = 0
    while first < len(ends):
        begin = layout.starts[first]
        most = min(
            int(np.searchsorted(ends, begin + GROUP_POSTS, side="right")),
            int(np.searchsorted(characters[ends], characters[begin] + GROUP_CHARACTERS)),
        )
        last = max(first + 1, most)
        yield first, last
        first = last


def _documents(
    spill: Spill,
    columns: Columns,
    layout: Layout,
    first: int,
    last: int,
    boilerplate: tuple[set[int], set[int]],
) -> pa.RecordBatch:
    bounds = np.append(layout.starts, len(layout.posts))[first : last + 1]
    positions = layout.posts[bounds[0] : bounds[-1]]
    texts = spill.at("text", positions)
    affected, repeated = boilerplate
    if affected:
        for index, position in enumerate(positions.tolist()):
            if position in affected:
                texts[index] = without_lines(texts[index], repeated)
    languages = spill.at("language", positions)
    here = bounds - bounds[0]
    newest = np.maximum.reduceat(columns.time[positions], here[:-1])
    offsets = pa.array(here, pa.int32())
    arrays = [
        pa.array(spill.at("thread", layout.posts[bounds[:-1]]), pa.string()),
        pa.ListArray.from_arrays(offsets, pa.array(spill.at("id", positions), pa.string())),
        pa.ListArray.from_arrays(offsets, pa.array(texts, pa.string())),
        pa.array(
            [
                _language(languages[start:end], texts[start:end])
                for start, end in pairwise(here.tolist())
            ],
            pa.string(),
        ),
        pa.array(newest, pa.int64(), mask=newest == UNDATED).view(DOCUMENTS.field("time").type),
        pa.array(np.where(layout.future[first:last], "future", "train"), pa.string()),
        pa.array(np.maximum.reduceat(layout.depths[bounds[0] : bounds[-1]], here[:-1]), pa.int32()),
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=DOCUMENTS)


def _language(languages: list[str], texts: list[str]) -> str:
    """Return the language in which most of a document is written."""
    if len(languages) == 1:
        return languages[0]
    weights: Counter[str] = Counter()
    for language, text in zip(languages, texts, strict=True):
        weights[language] += len(text)
    return max(weights, key=lambda one: (weights[one], one))


def write_decisions(path: Path, spill: Spill, columns: Columns, stays: Positions) -> Counter[str]:
    """Write one row a post and return how often each reason was given and each kind redacted."""
    counts: Counter[str] = Counter()
    with pq.ParquetWriter(path, DECISIONS, compression=_COMPRESSION) as writer:
        for start, batch in spill.batches():
            end = start + len(batch)
            reasons = columns.reasons[start:end]
            kept = reasons == 0
            words = [in_words(one) for one in reasons.tolist()]
            for reason, count in Counter(word for some in words for word in some).items():
                counts["reason " + reason] += count
            redacted = batch.column("redacted")
            for some in redacted.drop_null().to_pylist():
                for kind, count in some:
                    counts["redacted " + kind] += count
            copies = stays[start:end]
            duplicate_of: list[str | None] = [None] * len(batch)
            rows = np.flatnonzero(copies >= 0)
            for row, post in zip(rows.tolist(), spill.at("id", copies[rows]), strict=True):
                duplicate_of[row] = post
            thread = batch.column("thread")
            arrays = [
                batch.column("id"),
                batch.column("key"),
                pa.array(kept),
                pa.array(words, DECISIONS.field("reasons").type),
                batch.column("language"),
                pa.array(np.where(kept, thread.to_numpy(zero_copy_only=False), None), pa.string()),
                pa.array(duplicate_of, pa.string()),
                redacted,
            ]
            writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=DECISIONS))
    return counts
