"""A shard: one tantivy index in one folder, holding the posts of a range of keys."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import orjson
import tantivy
from tantivy import Document, FieldType, Index, IndexWriter, Occur, Query, Schema, Searcher

from madang.posts import Post
from madang.text import joined_terms

UNDATED: Final = -(1 << 62)
"""The time of a post that has none: before every other."""

_WRITER_MEMORY: Final = 48_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class DamagedShardError(Exception):
    """The files of a shard are not what was written; it must be built again."""


def _schema() -> Schema:
    builder = tantivy.SchemaBuilder()
    # Signed, because tantivy 0.27's delete_documents_by_term finds nothing in an unsigned field.
    builder.add_integer_field("key", indexed=True, fast=True)
    builder.add_text_field("body", tokenizer_name="whitespace", index_option="freq")
    builder.add_text_field("author", tokenizer_name="raw", index_option="basic")
    builder.add_text_field("lang", tokenizer_name="raw", index_option="basic")
    builder.add_text_field("source", tokenizer_name="raw", index_option="basic")
    builder.add_integer_field("at", indexed=True, fast=True)
    builder.add_unsigned_field("length", fast=True)
    return builder.build()


SCHEMA: Final = _schema()


def microseconds(moment: datetime) -> int:
    """Return a moment as microseconds since 1970, UTC."""
    return (moment - _EPOCH) // _MICROSECOND


def indexed_text(post: Post) -> str:
    """Return what a post is found by: its text, its author, its tags, its pictures' descriptions.

    The author stands there as a mention, so that `@name` finds what they wrote and what was
    written to them.
    """
    parts = [post.text]
    if post.author_name:
        parts.append(post.author_name)
    if post.author:
        parts.append("@" + post.author)
    parts += ["#" + tag for tag in post.tags]
    parts += [one.alt for one in post.media if one.alt]
    return " ".join(parts)


def _document(key: int, post: Post) -> Document:
    document = Document()
    body = joined_terms(indexed_text(post))
    document.add_integer("key", key)
    document.add_text("body", body)
    if post.author:
        document.add_text("author", post.author.casefold())
    lang = post.lang.casefold()
    document.add_text("lang", lang)
    if "-" in lang:
        document.add_text("lang", lang.partition("-")[0])
    document.add_text("source", post.source.casefold())
    document.add_integer("at", microseconds(post.created_at) if post.created_at else UNDATED)
    document.add_unsigned("length", body.count(" ") + 1)
    return document


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A shard as it stood at one commit; safe to search from any thread, also when it is gone."""

    number: int
    searcher: Searcher
    documents: int
    mean_length: float

    def top(self, query: Query, limit: int) -> list[tuple[float, int]]:
        """Return (score, key) of the best posts, best first."""
        return self._keyed(self.searcher.search(query, limit, count=False).hits)

    def newest(self, query: Query, limit: int) -> list[tuple[float, int]]:
        """Return (time in microseconds, key) of the newest posts, newest first."""
        return self._keyed(
            self.searcher.search(query, limit, count=False, order_by_field="at").hits
        )

    def all_keys(self) -> list[int]:
        """Return every key, in no order."""
        return [key for _, key in self.top(Query.all_query(), max(1, self.documents))]

    def _keyed(self, hits: Sequence[tuple[Any, Any]]) -> list[tuple[float, int]]:
        keys = self.searcher.fast_field_values("key", [address for _, address in hits])
        return [(value, int(key or 0)) for (value, _), key in zip(hits, keys, strict=True)]


class Shard:
    """Writes one shard. Not safe among threads; its snapshots are."""

    def __init__(self, number: int, folder: Path, *, create: bool = False) -> None:
        """Open the shard in `folder`, or create it there.

        Raises DamagedShardError where the folder does not hold a whole shard.
        """
        self.number = number
        self.folder = folder
        self._writer: IndexWriter | None = None
        if create:
            folder.mkdir(parents=True)
        with _damage(folder):
            self._index = Index(SCHEMA, str(folder)) if create else Index.open(str(folder))
            # Reloading is ours to do; the default starts a thread that polls for changes.
            self._index.config_reader("manual")
            self._index.reload()
            self.snapshot = self._snapshot(None)
            newest = self.snapshot.searcher.search(
                Query.all_query(), 1, count=False, order_by_field="key"
            )
        self.highest: int = newest.hits[0][0] if newest.hits else 0
        """No key above this one has been added."""

    def put(self, key: int, post: Post) -> None:
        """Add a post, or replace it."""
        if key <= self.highest:
            self.remove(key)
        self._open_writer().add_document(_document(key, post))
        self.highest = max(self.highest, key)

    def remove(self, key: int) -> None:
        """Take a post out. Its terms stay in files until the shard is built again."""
        self._open_writer().delete_documents_by_term("key", key)

    def commit(self) -> None:
        """Make everything durable and visible in `snapshot`."""
        if self._writer is not None:
            self._writer.commit()
        self.refresh()

    def refresh(self) -> None:
        """Look at the newest commit, whoever made it."""
        self._index.reload()
        self.snapshot = self._snapshot(self.snapshot)

    def close_writer(self) -> None:
        """Give back the writer's threads and memory; what was not committed is dropped."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.wait_merging_threads()

    def _open_writer(self) -> IndexWriter:
        if self._writer is None:
            self._writer = self._index.writer(_WRITER_MEMORY, 1)
        return self._writer

    def _snapshot(self, before: Snapshot | None) -> Snapshot:
        searcher = self._index.searcher()
        documents = searcher.num_docs
        # The mean moves slowly; reading the whole column at each commit would not pay.
        if before is not None and abs(documents - before.documents) * 50 <= before.documents:
            return Snapshot(self.number, searcher, documents, before.mean_length)
        average = searcher.aggregate(Query.all_query(), {"mean": {"avg": {"field": "length"}}})
        return Snapshot(self.number, searcher, documents, average["mean"]["value"] or 1.0)


def verify(folder: Path) -> None:
    """Read every file of a shard's last commit and compare it with its checksum.

    Raises DamagedShardError. Tantivy ends each file with a footer that holds its CRC-32 and
    compares neither when it opens an index.
    """
    with _damage(folder):
        meta = orjson.loads((folder / "meta.json").read_bytes())
        orjson.loads((folder / ".managed.json").read_bytes())
        for segment in meta["segments"]:
            name = segment["segment_id"].replace("-", "")
            names = [f"{name}.{kind}" for kind in _SEGMENT_FILES]
            if segment["deletes"]:
                names.append(f"{name}.{segment['deletes']['opstamp']}.del")
            for file in names:
                _verify_file(folder / file)


_SEGMENT_FILES: Final = ("term", "idx", "pos", "store", "fast", "fieldnorm")
_FOOTER: Final = struct.Struct("<II")
_FOOTER_MAGIC: Final = 1337
_FOOTER_VERSION: Final = {"major", "minor", "patch", "index_format_version"}


def _verify_file(path: Path) -> None:
    data = memoryview(path.read_bytes())
    length, magic = _FOOTER.unpack(data[-_FOOTER.size :])
    end = len(data) - _FOOTER.size - length
    if magic != _FOOTER_MAGIC or end < 0:
        raise ValueError("no footer")
    footer = orjson.loads(data[end : -_FOOTER.size])
    if footer.keys() != {"version", "crc"} or footer["version"].keys() != _FOOTER_VERSION:
        raise ValueError("unknown footer")
    if zlib.crc32(data[:end]) != footer["crc"]:
        raise ValueError("wrong checksum")


@contextmanager
def _damage(folder: Path) -> Iterator[None]:
    """Turn whatever broken files make tantivy do, panics included, into DamagedShardError."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:
        raise DamagedShardError(f"{folder.name}: {error}") from error


def any_of(field: str, values: Sequence[str | int]) -> Query:
    """Return a query for posts with one of the values, without weight in the score."""
    return Query.const_score_query(Query.term_set_query(SCHEMA, field, values), 0.0)


def between(since: datetime | None, until: datetime | None) -> Query:
    """Return a query for dated posts from `since` up to but not including `until`."""
    return Query.const_score_query(
        Query.range_query(
            SCHEMA,
            "at",
            FieldType.Integer,
            UNDATED + 1 if since is None else microseconds(since),
            None if until is None else microseconds(until),
            include_upper=until is None,
        ),
        0.0,
    )


def term(value: str, boost: float) -> Query:
    """Return a query for one term of the body."""
    return Query.boost_query(Query.term_query(SCHEMA, "body", value, "freq"), boost)


def required(*queries: Query) -> Query:
    """Return a query for posts that match all of the queries."""
    if not queries:
        return Query.all_query()
    return Query.boolean_query([(Occur.Must, query) for query in queries])


def at_least(number: int, queries: Sequence[Query]) -> Query:
    """Return a query for posts that match so many of the queries; more is better."""
    return Query.boolean_query(
        [(Occur.Should, query) for query in queries], minimum_number_should_match=number
    )
