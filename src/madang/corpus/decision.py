"""What became of each post, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntFlag
from functools import lru_cache
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq


class Reason(IntFlag):
    """Why a post is left out; several reasons may hold of one post, none of a kept one."""

    NO_CONSENT = 1
    HIDDEN = 2
    LANGUAGE = 4
    EMPTY = 8
    LINKS_ONLY = 16
    REPEATED_CHARACTER = 32
    HASHTAGS = 64
    DUPLICATE = 128
    NEAR_DUPLICATE = 256
    BOILERPLATE = 512
    HELD_BACK = 1024


IN_WORDS: Final[Mapping[Reason, str]] = {
    Reason.NO_CONSENT: "no consent for training",
    Reason.HIDDEN: "hidden",
    Reason.LANGUAGE: "a language that the policy leaves out",
    Reason.EMPTY: "no text",
    Reason.LINKS_ONLY: "links and mentions only",
    Reason.REPEATED_CHARACTER: "one character or emoji over and over",
    Reason.HASHTAGS: "a wall of hashtags",
    Reason.DUPLICATE: "duplicate",
    Reason.NEAR_DUPLICATE: "near duplicate",
    Reason.BOILERPLATE: "boilerplate only",
    Reason.HELD_BACK: "newer than the cut-off, in an older thread",
}


@lru_cache(maxsize=4096)
def in_words(reasons: int) -> tuple[str, ...]:
    """Return reasons as words, in the order in which they are looked at."""
    return tuple(words for reason, words in IN_WORDS.items() if reasons & reason)


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of one post.

    `document` is the thread that a kept post stands in. `duplicate_of` is the copy that stays in
    its place. `redacted` counts the personal data that was blanked out, by kind.
    """

    post: str
    key: int
    kept: bool
    reasons: tuple[str, ...]
    language: str
    document: str | None = None
    duplicate_of: str | None = None
    redacted: Mapping[str, int] | None = None


DECISIONS: Final = pa.schema(
    [
        pa.field("post", pa.string(), nullable=False),
        pa.field("key", pa.int64(), nullable=False),
        pa.field("kept", pa.bool_(), nullable=False),
        pa.field("reasons", pa.list_(pa.string()), nullable=False),
        pa.field("language", pa.string(), nullable=False),
        pa.field("document", pa.string()),
        pa.field("duplicate_of", pa.string()),
        pa.field("redacted", pa.map_(pa.string(), pa.int32())),
    ]
)
"""The columns of decisions.parquet, one row a post, in the order of the log's keys."""


def read_decisions(path: Path) -> Iterator[Decision]:
    """Yield the decisions of decisions.parquet without holding the file in memory."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=4096):
            for row in batch.to_pylist():
                row["reasons"] = tuple(row["reasons"])
                row["redacted"] = dict(row["redacted"] or ())
                yield Decision(**row)
