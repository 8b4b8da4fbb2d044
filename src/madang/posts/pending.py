"""What an append has read and not yet written: rows of the log's tables, in bulk."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

_NOBODY: Mapping[str, bool] = {}


@dataclass(slots=True)
class Row:
    """A row of `posts` while an append works on it."""

    key: int
    seq: int
    state: int
    thread: str
    payload: bytes | None = None
    grant: int | None = None
    allowed: int = 0
    signals: str | None = None
    own: bool = False
    metrics: str | None = None
    source: str | None = None
    author: str | None = None


class Pending:
    """Reads what a batch of events needs at once, and writes what comes of it at once.

    Lives inside one transaction; `flush` must come before any statement that reads what was
    put here.
    """

    def __init__(self, connection: sqlite3.Connection, now: int, salts: Iterator[bytes]) -> None:
        self.connection = connection
        self.rows: dict[str, Row] = {}
        self.posts: list[tuple[Any, ...]] = []
        self.changes: list[tuple[Any, ...]] = []
        self.moved_threads: list[tuple[str, str]] = []
        self._events: list[tuple[Any, ...]] = []
        self._now = now
        self._salts = salts
        self._grants: dict[int, frozenset[str]] = {}
        self._authors: dict[tuple[str, str], tuple[bool, Mapping[str, bool]]] = {}
        self._any_author = bool(connection.execute("SELECT 1 FROM authors LIMIT 1").fetchone())
        (highest_seq,) = connection.execute("SELECT max(seq) FROM events").fetchone()
        (highest_key,) = connection.execute("SELECT max(key) FROM posts").fetchone()
        self._next_seq = (highest_seq or 0) + 1
        self._next_key = (highest_key or 0) + 1

    def new_key(self) -> int:
        """Return the key of a post that comes for the first time."""
        key, self._next_key = self._next_key, self._next_key + 1
        return key

    def event(
        self,
        kind: str,
        key: int | None,
        previous: int | None,
        payload: bytes | None,
        source: str | None = None,
        author: str | None = None,
    ) -> int:
        """Put an event here and return its number."""
        seq, self._next_seq = self._next_seq, self._next_seq + 1
        salt = next(self._salts) if kind in ("write", "edit") else None
        self._events.append((seq, self._now, kind, key, source, author, previous, payload, salt))
        return seq

    def flush(self) -> None:
        """Write everything that was put here."""
        if self._events:
            self.connection.executemany(
                "INSERT INTO events (seq, at, kind, key, source, author, previous, payload, salt) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                self._events,
            )
            self._events.clear()
        if self.posts:
            self.connection.executemany(
                "INSERT INTO posts (key, id, seq, state, allowed, source, author, thread, "
                "grant_seq, signals, own, metrics) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                self.posts,
            )
            self.posts.clear()
        if self.changes:
            self.connection.executemany(
                "UPDATE posts SET seq = ?, allowed = ?, source = ?, author = ?, thread = ?, "
                "grant_seq = ?, signals = ?, own = ?, metrics = ? WHERE key = ?",
                self.changes,
            )
            self.changes.clear()
        if self.moved_threads:
            self.connection.executemany(
                "UPDATE posts SET thread = ? WHERE thread = ?", self.moved_threads
            )
            self.moved_threads.clear()

    def load(self, ids: Sequence[str]) -> None:
        """Read the rows of posts into `rows`; ids that the log does not know are left out."""
        rows = self.connection.execute(
            "SELECT p.id, p.key, p.seq, p.state, p.thread, e.payload, p.grant_seq, p.allowed, "
            "p.signals, p.own, p.metrics, p.source, p.author "
            "FROM posts p JOIN events e ON e.seq = p.seq "
            "WHERE p.id IN (SELECT value FROM json_each(?))",
            (orjson.dumps(list(ids)).decode(),),
        )
        for post, *columns in rows:
            row = Row(*columns)
            row.own = bool(row.own)
            self.rows[post] = row

    def granted(self, grant: int | None) -> frozenset[str]:
        """Return the purposes of a grant. Raises ValueError where the log holds none such."""
        if grant is None:
            return frozenset()
        if grant not in self._grants:
            row = self.connection.execute(
                "SELECT payload FROM events WHERE seq = ? AND kind = 'grant'", (grant,)
            ).fetchone()
            if row is None:
                raise ValueError(f"the log holds no grant {grant}")
            self._grants[grant] = frozenset(orjson.loads(row[0])["purposes"])
        return self._grants[grant]

    def author(self, source: str, author: str | None) -> tuple[bool, Mapping[str, bool]]:
        """Return whether an author was erased, and what they refuse."""
        if not self._any_author or author is None:
            return False, _NOBODY
        return self.author_row(source, author)

    def author_row(self, source: str, author: str) -> tuple[bool, Mapping[str, bool]]:
        """Return the same for an author who is named."""
        known = self._authors.get((source, author))
        if known is None:
            row = self.connection.execute(
                "SELECT erased, refused FROM authors WHERE source = ? AND author = ?",
                (source, author),
            ).fetchone()
            known = (bool(row[0]), orjson.loads(row[1])) if row else (False, _NOBODY)
            self._authors[source, author] = known
        return known

    def forget_authors(self) -> None:
        """Read authors again: one of them has changed."""
        self._authors.clear()
        self._any_author = True
