"""Looks at posts one by one: language, spam, personal data, and what duplicates are found by.

A pure function of a batch, so that it runs over all cores, or over a cluster, alike.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import orjson
import pyarrow as pa

from madang.corpus.decision import Reason
from madang.corpus.hashing import short_hash
from madang.corpus.near_duplicates import comparable_texts, signature_bands, text_hashes
from madang.corpus.policy import Policy
from madang.corpus.spam import spam
from madang.posts.post import parse_stored_time
from madang.text import detect_language
from madang.text.personal_data import redact

SHORTEST_LINE: Final = 15
"""Code points; a shorter line is a phrase that many people write."""

READ_FOR_LANGUAGE: Final = 8192
"""Code points by which a text's language is told."""

UNDATED: Final = -(1 << 63)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def examined_schema(policy: Policy) -> pa.Schema:
    """Return the columns of `examine`: what is known of a post by itself.

    `reasons` are the bits of Reason; `time` is in microseconds since 1970 UTC or UNDATED; hashes
    are 64 bits; `bands` are the MinHash groups, zeros where `length` (of the text as it is
    compared, in code points) is below the policy's shingle; `lines` are hashes of the lines of a
    text that has several.
    """
    return pa.schema(
        [
            pa.field("key", pa.int64(), nullable=False),
            pa.field("id", pa.string(), nullable=False),
            pa.field("id_hash", pa.uint64(), nullable=False),
            pa.field("parent_hash", pa.uint64(), nullable=False),
            pa.field("thread", pa.string(), nullable=False),
            pa.field("thread_hash", pa.uint64(), nullable=False),
            pa.field("time", pa.int64(), nullable=False),
            pa.field("reasons", pa.uint16(), nullable=False),
            pa.field("language", pa.string(), nullable=False),
            pa.field("text", pa.string(), nullable=False),
            pa.field("text_hash", pa.uint64(), nullable=False),
            pa.field("length", pa.int32(), nullable=False),
            *(pa.field(f"band_{n}", pa.uint64(), nullable=False) for n in range(policy.bands)),
            pa.field("redacted", pa.map_(pa.string(), pa.int32())),
            pa.field("lines", pa.list_(pa.uint64())),
        ]
    )


def examine(batch: pa.RecordBatch, policy: Policy) -> pa.RecordBatch:
    """Look at every post of a batch (snapshot.POSTS) and return `examined_schema` rows."""
    rows = [
        _look(policy, *row) for row in zip(*(c.to_pylist() for c in batch.columns), strict=True)
    ]
    ids, threads, parents, times, reasons, languages, texts, redacted, lines = zip(
        *rows, strict=True
    )
    compared = comparable_texts(texts)
    bands = signature_bands(compared, policy)
    columns: list[Any] = [
        batch.column("key"),
        ids,
        _hashes(ids),
        [short_hash(one) if one else 0 for one in parents],
        threads,
        _hashes(threads),
        times,
        reasons,
        languages,
        texts,
        text_hashes(compared),
        [len(one) for one in compared],
        *(bands[:, n] for n in range(policy.bands)),
        redacted,
        lines,
    ]
    schema = examined_schema(policy)
    arrays = [
        column if isinstance(column, pa.Array) else pa.array(column, field.type)
        for column, field in zip(columns, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _look(
    policy: Policy, key: int, post: str, thread: str, refusal: int, payload: bytes | None
) -> tuple[Any, ...]:
    """Look at one post; what may not be trained on is not looked at."""
    if payload is None:
        return post, thread, None, UNDATED, refusal, "und", "", None, None
    data = orjson.loads(payload)
    original = data["text"].replace("\x00", "")
    language = detect_language(original[:READ_FOR_LANGUAGE], data.get("lang"))
    reasons = spam(original)
    if policy.languages and language.partition("-")[0] not in policy.languages:
        reasons |= Reason.LANGUAGE
    redaction = redact(original)
    return (
        post,
        thread,
        data.get("reply_to"),
        _microseconds(data.get("created_at")),
        int(reasons),
        language,
        redaction.text,
        list(redaction.kinds.items()) or None,
        _line_hashes(redaction.text),
    )


def line_hash(line: str) -> int:
    """Return the hash by which a repeated line is known, 0 for one too short to tell."""
    line = " ".join(line.split())
    return short_hash(line) if len(line) >= SHORTEST_LINE else 0


def _line_hashes(text: str) -> list[int] | None:
    if "\n" not in text:
        return None
    hashes = {line_hash(line) for line in text.split("\n")} - {0}
    return sorted(hashes) or None


def _microseconds(stored: str | None) -> int:
    if stored is None:
        return UNDATED
    return (parse_stored_time(stored) - _EPOCH) // _MICROSECOND


def _hashes(texts: tuple[str, ...]) -> np.ndarray[Any, np.dtype[np.uint64]]:
    return np.fromiter(map(short_hash, texts), dtype=np.uint64, count=len(texts))
