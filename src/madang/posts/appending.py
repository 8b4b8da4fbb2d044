"""One append: what each event means for the posts that the log holds."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from madang.posts import stored
from madang.posts.event import (
    Consent,
    Delete,
    DeleteAuthor,
    Grant,
    NewEvent,
    Outcome,
    SetVisibility,
    Write,
)
from madang.posts.post import Post, parse_stored_time

_NOBODY: Mapping[str, bool] = {}


@dataclass(slots=True)
class _Row:
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


@dataclass(slots=True)
class Appending:
    """Applies events inside one transaction; new rows are written in bulk at the end."""

    connection: sqlite3.Connection
    now: int
    salts: Iterator[bytes]
    known_file: bool = False
    _next_seq: int = 0
    _next_key: int = 0
    _rows: dict[str, _Row] = field(default_factory=dict)
    _grants: dict[int, frozenset[str]] = field(default_factory=dict)
    _authors: dict[tuple[str, str], tuple[bool, Mapping[str, bool]]] = field(default_factory=dict)
    _any_author: bool = False
    _new_events: list[tuple[Any, ...]] = field(default_factory=list)
    _new_posts: list[tuple[Any, ...]] = field(default_factory=list)
    _changed_posts: list[tuple[Any, ...]] = field(default_factory=list)
    _moved_threads: list[tuple[str, str]] = field(default_factory=list)

    def apply(self, events: Sequence[NewEvent]) -> list[Outcome]:
        """Apply the events in order and return what became of each."""
        (highest_seq,) = self.connection.execute("SELECT max(seq) FROM events").fetchone()
        (highest_key,) = self.connection.execute("SELECT max(key) FROM posts").fetchone()
        self._next_seq = (highest_seq or 0) + 1
        self._next_key = (highest_key or 0) + 1
        self._any_author = bool(self.connection.execute("SELECT 1 FROM authors LIMIT 1").fetchone())
        self._load(_ids(events))
        outcomes = [self._apply_one(event) for event in events]
        self._flush()
        return outcomes

    def _apply_one(self, event: NewEvent) -> Outcome:
        if isinstance(event, Write):
            return self._write(event)
        self._flush()
        match event:
            case Delete(post):
                return self._delete(post)
            case DeleteAuthor(source, author):
                return self._delete_author(source, author)
            case SetVisibility(post, visible):
                return self._set_visibility(post, visible)
            case Consent():
                return self._consent(event)
            case Grant():
                raise ValueError("a grant is recorded by PostLog.grant, before its writes")
            case _:
                raise AssertionError(event)

    # -- writes -----------------------------------------------------------------------------

    def _write(self, event: Write) -> Outcome:
        post = event.post
        row = self._rows.get(post.id)
        if row is not None and row.state == stored.ERASED:
            return "erased"
        erased, refused = self._author(post)
        if erased:
            return "erased"
        if row is None:
            return self._write_first(event, refused)
        assert row.payload is not None, "a post that is not erased has a payload"
        payload = post.canonical()
        terms_changed = self._renew(event, row, refused)
        outcome: Outcome = "unchanged"
        if not row.allowed:
            outcome = "refused"
        elif payload != row.payload and not self._is_older(post, row, payload):
            row.seq = self._event("edit", row.key, row.seq, payload)
            row.payload = payload
            self._join_thread(post, row)
            outcome = "edited"
        elif not terms_changed:
            return "unchanged"
        self._changed_posts.append(
            (
                row.seq,
                row.allowed,
                post.source,
                post.author,
                row.thread,
                row.grant,
                row.signals,
                row.own,
                row.metrics,
                row.key,
            )
        )
        return outcome

    def _write_first(self, event: Write, refused: Mapping[str, bool]) -> Outcome:
        post = event.post
        allowed = stored.allowed_bits(
            self._granted(event.grant),
            event.signals,
            refused,
            unlisted=post.visibility == "unlisted",
            own=event.own,
        )
        if not allowed:
            return "refused"
        payload = post.canonical()
        key, self._next_key = self._next_key, self._next_key + 1
        row = _Row(
            key,
            self._event("write", key, None, payload),
            stored.VISIBLE,
            post.id,
            payload,
            event.grant,
            allowed,
            _json(event.signals),
            event.own,
            _json(post.metrics),
        )
        self._rows[post.id] = row
        self._join_thread(post, row)
        self._new_posts.append(
            (
                key,
                post.id,
                row.seq,
                stored.VISIBLE,
                allowed,
                post.source,
                post.author,
                row.thread,
                row.grant,
                row.signals,
                row.own,
                row.metrics,
            )
        )
        return "written"

    def _renew(self, event: Write, row: _Row, refused: Mapping[str, bool]) -> bool:
        """Take over what is outside a version and say whether anything of it changed.

        That is likes, signals, and the grant: a grant stays unless the new one says as much,
        so that importing a post again never narrows what was allowed before.
        """
        before = (row.allowed, row.grant, row.signals, row.own, row.metrics)
        if row.grant is None or self._granted(event.grant) >= self._granted(row.grant):
            row.grant = event.grant
        row.signals = _json(event.signals) or row.signals
        row.own = row.own or event.own
        row.metrics = _json(event.post.metrics) or row.metrics
        row.allowed = stored.allowed_bits(
            self._granted(row.grant),
            orjson.loads(row.signals or "{}"),
            refused,
            unlisted=event.post.visibility == "unlisted",
            own=row.own,
        )
        if row.allowed != before[0]:
            # Consumers hear of it: what they derived from the post may have to go.
            self._event("consent", row.key, None, None)
        return before != (row.allowed, row.grant, row.signals, row.own, row.metrics)

    def _join_thread(self, post: Post, row: _Row) -> None:
        """Give a post its thread: as stated, else its parent's, else its own."""
        thread = post.thread
        if thread is None and post.reply_to is not None:
            parent = self._rows.get(post.reply_to)
            thread = parent.thread if parent is not None else post.reply_to
        thread = thread or post.id
        if thread != post.id:
            # Replies that came before this post named their thread after it.
            self._moved_threads.append((thread, post.id))
        row.thread = thread

    # -- everything else --------------------------------------------------------------------

    def _delete(self, post: str) -> Outcome:
        row = self._rows.get(post)
        if row is not None and row.state == stored.ERASED:
            return "unchanged"
        if row is None:
            key, self._next_key = self._next_key, self._next_key + 1
            seq = self._event("delete", key, None, None)
            self._rows[post] = _Row(key, seq, stored.ERASED, post)
            self.connection.execute(
                "INSERT INTO posts (key, id, seq, state, allowed, thread) "
                "VALUES (?1, ?2, ?3, 2, 0, ?2)",
                (key, post, seq),
            )
            return "deleted"
        self._erase(row)
        return "deleted"

    def _erase(self, row: _Row) -> None:
        self.connection.execute(
            "WITH RECURSIVE chain(seq) AS (SELECT ?1 UNION ALL "
            "SELECT e.previous FROM events e JOIN chain USING (seq) WHERE e.previous IS NOT NULL) "
            "UPDATE events SET payload = NULL, salt = NULL WHERE seq IN (SELECT seq FROM chain)",
            (row.seq,),
        )
        row.seq = self._event("delete", row.key, row.seq, None)
        row.state, row.payload = stored.ERASED, None
        self.connection.execute(
            "UPDATE posts SET seq = ?, state = 2, allowed = 0, author = NULL, signals = NULL, "
            "metrics = NULL WHERE key = ?",
            (row.seq, row.key),
        )

    def _delete_author(self, source: str, author: str) -> Outcome:
        already = self.connection.execute(
            "SELECT 1 FROM authors WHERE source = ? AND author = ? AND erased", (source, author)
        ).fetchone()
        if already:
            return "unchanged"
        self._event("delete-author", None, None, None, source, author)
        ids = self.connection.execute(
            "SELECT id FROM posts WHERE source = ? AND author = ? AND state != 2", (source, author)
        ).fetchall()
        self._load([post for (post,) in ids if post not in self._rows])
        for (post,) in ids:
            self._erase(self._rows[post])
        self.connection.execute(
            "INSERT INTO authors (source, author, erased) VALUES (?, ?, 1) "
            "ON CONFLICT DO UPDATE SET erased = 1",
            (source, author),
        )
        self._forget_authors()
        return "deleted"

    def _set_visibility(self, post: str, visible: bool) -> Outcome:
        row = self._rows.get(post)
        if row is None:
            return "unknown"
        if row.state == stored.ERASED:
            return "erased"
        state = stored.VISIBLE if visible else stored.HIDDEN
        if row.state == state:
            return "unchanged"
        row.state = state
        self._event("show" if visible else "hide", row.key, None, None)
        self.connection.execute("UPDATE posts SET state = ? WHERE key = ?", (state, row.key))
        return "edited"

    def _consent(self, event: Consent) -> Outcome:
        erased, before = self._author_row(event.source, event.author)
        refused = {purpose: False for purpose, allowed in before.items() if not allowed}
        for purpose, allowed in event.purposes.items():
            if allowed:
                refused.pop(purpose, None)
            else:
                refused[purpose] = False
        if refused == before:
            return "unchanged"
        self._event(
            "consent", None, None, orjson.dumps(dict(event.purposes)), event.source, event.author
        )
        self.connection.execute(
            "INSERT INTO authors (source, author, erased, refused) VALUES (?, ?, ?, ?) "
            "ON CONFLICT DO UPDATE SET refused = excluded.refused",
            (event.source, event.author, erased, orjson.dumps(refused).decode()),
        )
        self._forget_authors()
        rows = self.connection.execute(
            "SELECT p.key, p.grant_seq, p.signals, p.own, "
            "json_extract(e.payload, '$.visibility') = 'unlisted' "
            "FROM posts p JOIN events e ON e.seq = p.seq "
            "WHERE p.source = ? AND p.author = ? AND p.state != 2",
            (event.source, event.author),
        ).fetchall()
        self.connection.executemany(
            "UPDATE posts SET allowed = ? WHERE key = ?",
            [
                (
                    stored.allowed_bits(
                        self._granted(grant),
                        orjson.loads(signals or "{}"),
                        refused,
                        unlisted=bool(unlisted),
                        own=bool(own),
                    ),
                    key,
                )
                for key, grant, signals, own, unlisted in rows
            ],
        )
        return "edited"

    # -- tables -----------------------------------------------------------------------------

    def _event(
        self,
        kind: str,
        key: int | None,
        previous: int | None,
        payload: bytes | None,
        source: str | None = None,
        author: str | None = None,
    ) -> int:
        seq, self._next_seq = self._next_seq, self._next_seq + 1
        salt = next(self.salts) if kind in ("write", "edit") else None
        self._new_events.append((seq, self.now, kind, key, source, author, previous, payload, salt))
        return seq

    def _flush(self) -> None:
        if self._new_events:
            self.connection.executemany(
                "INSERT INTO events (seq, at, kind, key, source, author, previous, payload, salt) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                self._new_events,
            )
            self._new_events.clear()
        if self._new_posts:
            self.connection.executemany(
                "INSERT INTO posts (key, id, seq, state, allowed, source, author, thread, "
                "grant_seq, signals, own, metrics) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                self._new_posts,
            )
            self._new_posts.clear()
        if self._changed_posts:
            self.connection.executemany(
                "UPDATE posts SET seq = ?, allowed = ?, source = ?, author = ?, thread = ?, "
                "grant_seq = ?, signals = ?, own = ?, metrics = ? WHERE key = ?",
                self._changed_posts,
            )
            self._changed_posts.clear()
        if self._moved_threads:
            self.connection.executemany(
                "UPDATE posts SET thread = ? WHERE thread = ?", self._moved_threads
            )
            self._moved_threads.clear()

    def _load(self, ids: Sequence[str]) -> None:
        rows = self.connection.execute(
            "SELECT p.id, p.key, p.seq, p.state, p.thread, e.payload, p.grant_seq, p.allowed, "
            "p.signals, p.own, p.metrics FROM posts p JOIN events e ON e.seq = p.seq "
            "WHERE p.id IN (SELECT value FROM json_each(?))",
            (orjson.dumps(list(ids)).decode(),),
        )
        for post, *columns in rows:
            row = _Row(*columns)
            row.own = bool(row.own)
            self._rows[post] = row

    def _granted(self, grant: int | None) -> frozenset[str]:
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

    def _author(self, post: Post) -> tuple[bool, Mapping[str, bool]]:
        if not self._any_author or post.author is None:
            return False, _NOBODY
        return self._author_row(post.source, post.author)

    def _author_row(self, source: str, author: str) -> tuple[bool, Mapping[str, bool]]:
        known = self._authors.get((source, author))
        if known is None:
            row = self.connection.execute(
                "SELECT erased, refused FROM authors WHERE source = ? AND author = ?",
                (source, author),
            ).fetchone()
            known = (bool(row[0]), orjson.loads(row[1])) if row else (False, _NOBODY)
            self._authors[source, author] = known
        return known

    def _forget_authors(self) -> None:
        self._authors.clear()
        self._any_author = True

    def _is_older(self, post: Post, row: _Row, payload: bytes) -> bool:
        """Return whether a write is a version from before the current one."""
        assert row.payload is not None
        edited_at = orjson.loads(row.payload).get("edited_at")
        if edited_at is not None:
            return post.edited_at is None or post.edited_at < parse_stored_time(edited_at)
        if not self.known_file:
            return False
        self._flush()
        found = self.connection.execute(
            "WITH RECURSIVE chain(seq) AS (SELECT ?1 UNION ALL "
            "SELECT e.previous FROM events e JOIN chain USING (seq) WHERE e.previous IS NOT NULL) "
            "SELECT 1 FROM chain JOIN events e USING (seq) WHERE e.payload = ?2 LIMIT 1",
            (row.seq, payload),
        )
        return found.fetchone() is not None


def _ids(events: Sequence[NewEvent]) -> list[str]:
    """Return the posts that the events name, and those that they reply to."""
    ids: dict[str, None] = {}
    for event in events:
        if isinstance(event, Write):
            ids[event.post.id] = None
            if event.post.reply_to is not None:
                ids[event.post.reply_to] = None
        elif isinstance(event, Delete | SetVisibility):
            ids[event.post] = None
    return list(ids)


def _json(values: Mapping[str, Any] | None) -> str | None:
    """Write a mapping as JSON; an empty one as nothing."""
    return orjson.dumps(dict(values), option=orjson.OPT_SORT_KEYS).decode() if values else None
