"""The log: every post and everything that happened to it, in one SQLite file.

Appends are atomic and idempotent, readers follow by sequence number, and a tombstone wins over
any write that comes before or after it.
"""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import orjson

from madang.posts import schema, stored
from madang.posts.appending import Appending
from madang.posts.consent import PURPOSES, Decision, resolve
from madang.posts.event import Event, Grant, NewEvent, Outcome
from madang.posts.pending import Pending
from madang.posts.stored import Stored, Version

SALT_BYTES: Final = 16


class PostLog:
    """The append-only log of one home. Safe for threads and for several processes at once."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        """Open the log at `path`, creating it where there is none.

        Raises schema.DamagedLogError or schema.NewerLogError, and leaves the file as it is then.
        """
        self.path = path
        self._clock = clock
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        if not path.exists():
            schema.create(path)
        self._connection()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the log in every thread. Calling it again is harmless."""
        with self._lock:
            for connection in self._connections:
                connection.close()
            self._connections.clear()
        self._local = threading.local()

    # -- writing ----------------------------------------------------------------------------

    def grant(self, grant: Grant) -> int:
        """Record what an import allows; the number returned goes into its writes.

        A grant that stands word for word in the log already is not recorded again.
        """
        payload = orjson.dumps(
            {
                "who": grant.who,
                "basis": grant.basis,
                "purposes": sorted(grant.purposes),
                "source": grant.source,
            }
        )
        with self.transaction() as connection:
            known = connection.execute(
                "SELECT seq FROM events WHERE kind = 'grant' AND payload = ? LIMIT 1", (payload,)
            ).fetchone()
            if known is not None:
                return int(known[0])
            seq = _next(connection, "SELECT max(seq) FROM events")
            connection.execute(
                "INSERT INTO events (seq, at, kind, source, payload) VALUES (?, ?, 'grant', ?, ?)",
                (seq, self._now(), grant.source, payload),
            )
        return seq

    def append(self, events: Sequence[NewEvent], *, known_file: bool = False) -> list[Outcome]:
        """Append events, all or none, and return what became of each.

        `known_file` says that the events come from a file that was read to its end before: a
        version that the post had at any time is then no change. Raises ValueError where a write
        names a grant that the log does not hold.
        """
        with self.transaction() as connection:
            pending = Pending(connection, self._now(), _salts())
            return Appending(pending, known_file=known_file).apply(events)

    def import_finished(self, digest: str) -> None:
        """Remember a file, by the SHA-256 of its bytes, as read to its end."""
        with self.transaction() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO imports (digest, at) VALUES (?, ?)", (digest, self._now())
            )

    def was_imported(self, digest: str) -> bool:
        """Return whether a file with these bytes was read to its end before."""
        found = self._connection().execute("SELECT 1 FROM imports WHERE digest = ?", (digest,))
        return found.fetchone() is not None

    def truncate(self) -> bool:
        """Empty the write-ahead log, where erased bytes may still stand.

        Returns false where another connection is reading or writing; call it again then.
        """
        connection = self._connection()
        connection.execute("PRAGMA busy_timeout = 100")
        try:
            (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            connection.execute(f"PRAGMA busy_timeout = {schema.BUSY_SECONDS * 1000}")
        return not busy

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Hold the write lock; what is done inside is kept whole or not at all."""
        connection = self._connection()
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    # -- reading ----------------------------------------------------------------------------

    @property
    def last_seq(self) -> int:
        """The number of the newest event; 0 for an empty log."""
        return _next(self._connection(), "SELECT max(seq) FROM events") - 1

    def read(self, after: int = 0, limit: int = 1000) -> list[Event]:
        """Return the events after a sequence number, oldest first."""
        rows = self._connection().execute(
            "SELECT e.seq, e.at, e.kind, e.key, p.id, coalesce(e.source, p.source), "
            "coalesce(e.author, p.author), e.payload "
            "FROM events e LEFT JOIN posts p ON p.key = e.key "
            "WHERE e.seq > ? ORDER BY e.seq LIMIT ?",
            (after, limit),
        )
        return [_event(row) for row in rows]

    def changed_keys(self, after: int, limit: int = 1000) -> tuple[list[int], list[int], int]:
        """Return the keys that events after `after` touched, those of them erased, the last seq.

        A change of an author's consent stands for all their posts. At most `limit` events are
        read; the last seq equals `after` where there are none.
        """
        connection = self._connection()
        rows = connection.execute(
            "SELECT seq, kind, key, source, author FROM events WHERE seq > ? ORDER BY seq LIMIT ?",
            (after, limit),
        ).fetchall()
        changed: dict[int, None] = {}
        erased: dict[int, None] = {}
        for seq, kind, key, source, author in rows:
            after = seq
            if kind == "consent" and key is None:
                changed.update(dict.fromkeys(self.author_keys(source, author)))
            elif key is not None:
                changed[key] = None
                if kind == "delete":
                    erased[key] = None
        return list(changed), list(erased), after

    def scan(
        self, after_key: int = 0, before_key: int | None = None, limit: int = 1000
    ) -> list[Stored]:
        """Return posts in the order of their keys; erased ones are left out."""
        rows = self._connection().execute(
            f"SELECT {stored.COLUMNS} FROM {stored.JOIN} "
            "WHERE p.key > ? AND p.key < ? AND p.state != 2 ORDER BY p.key LIMIT ?",
            (after_key, before_key if before_key is not None else 1 << 62, limit),
        )
        return [stored.from_row(row) for row in rows]

    def versions(self, after_key: int = 0, limit: int = 1000) -> list[Version]:
        """Return posts as `scan` does, with their bytes unread: what a digest is made of."""
        rows = self._connection().execute(
            "SELECT p.key, p.id, p.thread, p.state, p.allowed, e.salt, e.payload "
            f"FROM {stored.JOIN} WHERE p.key > ? AND p.state != 2 ORDER BY p.key LIMIT ?",
            (after_key, limit),
        )
        return list(map(Version._make, rows))

    def stored(self, keys: Sequence[int]) -> dict[int, Stored]:
        """Return posts by key, in one read; unknown and erased ones are absent."""
        return {one.key: one for one in self._where("p.key IN", keys)}

    def find(self, ids: Sequence[str]) -> dict[str, Stored]:
        """Return posts by id, in one read; unknown and erased ones are absent."""
        return {one.post.id: one for one in self._where("p.id IN", ids)}

    def thread(self, thread: str, *, limit: int = 1000) -> list[Stored]:
        """Return the posts of a thread, oldest first, undated ones last."""
        rows = self._connection().execute(
            f"SELECT {stored.COLUMNS} FROM {stored.JOIN} "
            "WHERE p.thread = ? AND p.state != 2 ORDER BY p.key LIMIT ?",
            (thread, limit),
        )
        found = [stored.from_row(row) for row in rows]
        latest = datetime.max.replace(tzinfo=UTC)
        return sorted(found, key=lambda one: one.post.created_at or latest)

    def thread_keys(self, thread: str) -> list[int]:
        """Return the keys of a thread's posts that are not erased."""
        rows = self._connection().execute(
            "SELECT key FROM posts WHERE thread = ? AND state != 2 ORDER BY key", (thread,)
        )
        return [key for (key,) in rows]

    def author_keys(self, source: str, author: str) -> list[int]:
        """Return the keys of an author's posts that are not erased."""
        rows = self._connection().execute(
            "SELECT key FROM posts WHERE source = ? AND author = ? AND state != 2 ORDER BY key",
            (source, author),
        )
        return [key for (key,) in rows]

    def sources_of(self, author: str) -> list[str]:
        """Return the sources in which an author of this name has posts or was erased."""
        rows = self._connection().execute(
            "SELECT source FROM posts WHERE author = ?1 AND state != 2 "
            "UNION SELECT source FROM authors WHERE author = ?1 ORDER BY 1",
            (author,),
        )
        return [source for (source,) in rows]

    def is_erased(self, post: str) -> bool:
        """Return whether a post of this id was erased."""
        found = self._connection().execute(
            "SELECT 1 FROM posts WHERE id = ? AND state = 2", (post,)
        )
        return found.fetchone() is not None

    def history(self, post: str) -> list[Event]:
        """Return the versions of a post, oldest first; erased ones have no payload."""
        rows = self._connection().execute(
            "WITH RECURSIVE chain(seq) AS (SELECT seq FROM posts WHERE id = ?1 "
            "UNION ALL SELECT e.previous FROM events e JOIN chain USING (seq) "
            "WHERE e.previous IS NOT NULL) "
            "SELECT e.seq, e.at, e.kind, e.key, ?1, p.source, p.author, e.payload "
            "FROM chain JOIN events e USING (seq) JOIN posts p ON p.key = e.key "
            "WHERE e.kind IN ('write', 'edit') ORDER BY e.seq",
            (post,),
        )
        return [_event(row) for row in rows]

    def digest(self, post: str) -> str | None:
        """Return the salted digest of a post's current version; none for an erased one."""
        row = (
            self._connection()
            .execute(
                "SELECT e.salt, e.payload FROM posts p JOIN events e ON e.seq = p.seq "
                "WHERE p.id = ? AND e.payload IS NOT NULL",
                (post,),
            )
            .fetchone()
        )
        return None if row is None else hashlib.sha256(row[0] + row[1]).hexdigest()

    def counts(self) -> tuple[int, int, tuple[str, ...]]:
        """Return the number of posts, the number of authors, and the sources, in order."""
        rows = (
            self._connection()
            .execute(
                "SELECT source, count(*), count(DISTINCT author) FROM posts WHERE state != 2 "
                "GROUP BY source ORDER BY source"
            )
            .fetchall()
        )
        posts = sum(count for _, count, _ in rows)
        authors = sum(count for _, _, count in rows)
        return posts, authors, tuple(source for source, _, _ in rows)

    def explain(self, post: str) -> list[Decision]:
        """Decide every purpose for one post and say why. Raises KeyError for an unknown post."""
        connection = self._connection()
        row = connection.execute(
            "SELECT p.state, p.grant_seq, p.signals, p.own, e.payload, a.refused "
            "FROM posts p LEFT JOIN events e ON e.seq = p.seq "
            "LEFT JOIN authors a ON a.source = p.source AND a.author = p.author WHERE p.id = ?",
            (post,),
        ).fetchone()
        if row is None:
            raise KeyError(post)
        state, grant_seq, signals, own, payload, refused = row
        if state == stored.ERASED:
            return [Decision(purpose, False, "the post was erased") for purpose in PURPOSES]
        if state == stored.HIDDEN:
            return [Decision(purpose, False, "the post is hidden") for purpose in PURPOSES]
        (grant,) = connection.execute(
            "SELECT payload FROM events WHERE seq = ?", (grant_seq,)
        ).fetchone()
        terms = orjson.loads(grant)
        return [
            resolve(
                purpose,
                granted=terms["purposes"],
                basis=terms["basis"],
                signals=orjson.loads(signals or "{}"),
                refused=orjson.loads(refused or "{}"),
                unlisted=orjson.loads(payload).get("visibility") == "unlisted",
                own=bool(own),
            )
            for purpose in PURPOSES
        ]

    def check(self) -> None:
        """Read the whole file. Raises schema.DamagedLogError where a page is broken."""
        schema.check(self._connection(), self.path)

    def _where(self, condition: str, values: Sequence[Any]) -> Iterator[Stored]:
        rows = self._connection().execute(
            f"SELECT {stored.COLUMNS} FROM {stored.JOIN} "
            f"WHERE {condition} (SELECT value FROM json_each(?)) AND p.state != 2",
            (orjson.dumps(list(values)).decode(),),
        )
        return map(stored.from_row, rows)

    def _now(self) -> int:
        return int(self._clock() * 1_000_000)

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = schema.connect(self.path)
            with self._lock:
                self._connections.append(connection)
            self._local.connection = connection
        return connection


def _event(row: tuple[Any, ...]) -> Event:
    seq, at, *rest = row
    return Event(seq, datetime.fromtimestamp(at / 1e6, UTC), *rest)


def _next(connection: sqlite3.Connection, highest: str) -> int:
    (number,) = connection.execute(highest).fetchone()
    return (number or 0) + 1


def _salts() -> Iterator[bytes]:
    """Yield salts for ever; one system call serves many posts."""
    while True:
        block = secrets.token_bytes(SALT_BYTES * 256)
        for start in range(0, len(block), SALT_BYTES):
            yield block[start : start + SALT_BYTES]
