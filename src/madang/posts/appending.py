"""One append: what each event means for the posts that the log holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from madang.posts.pending import Pending, Row
from madang.posts.post import Post, parse_stored_time


class Appending:
    """Applies events inside one transaction; new rows are written in bulk at the end."""

    def __init__(self, pending: Pending, *, known_file: bool = False) -> None:
        self._pending = pending
        self._connection = pending.connection
        self._known_file = known_file

    def apply(self, events: Sequence[NewEvent]) -> list[Outcome]:
        """Apply the events in order and return what became of each."""
        self._pending.load(_ids(events))
        outcomes = [self._apply_one(event) for event in events]
        self._pending.flush()
        return outcomes

    def _apply_one(self, event: NewEvent) -> Outcome:
        if isinstance(event, Write):
            return self._write(event)
        self._pending.flush()
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
        row = self._pending.rows.get(post.id)
        if row is not None and row.state == stored.ERASED:
            return "erased"
        erased, refused = self._pending.author(post.source, post.author)
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
            row.seq = self._pending.event("edit", row.key, row.seq, payload)
            row.payload, row.source, row.author = payload, post.source, post.author
            self._join_thread(post, row)
            outcome = "edited"
        elif not terms_changed:
            return "unchanged"
        self._pending.changes.append(
            (
                row.seq,
                row.allowed,
                row.source,
                row.author,
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
            self._pending.granted(event.grant),
            event.signals,
            refused,
            unlisted=post.visibility == "unlisted",
            own=event.own,
        )
        if not allowed:
            return "refused"
        payload = post.canonical()
        key = self._pending.new_key()
        row = Row(
            key,
            self._pending.event("write", key, None, payload),
            stored.VISIBLE,
            post.id,
            payload,
            event.grant,
            allowed,
            _json(event.signals),
            event.own,
            _json(post.metrics),
            post.source,
            post.author,
        )
        self._pending.rows[post.id] = row
        self._join_thread(post, row)
        self._pending.posts.append(
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

    def _renew(self, event: Write, row: Row, refused: Mapping[str, bool]) -> bool:
        """Take over what is outside a version and say whether anything of it changed.

        That is likes, signals, and the grant: a grant stays unless the new one says as much,
        so that importing a post again never narrows what was allowed before.
        """
        before = (row.allowed, row.grant, row.signals, row.own, row.metrics)
        granted = self._pending.granted
        if row.grant is None or granted(event.grant) >= granted(row.grant):
            row.grant = event.grant
        row.signals = _json(event.signals) or row.signals
        row.own = row.own or event.own
        row.metrics = _json(event.post.metrics) or row.metrics
        row.allowed = stored.allowed_bits(
            granted(row.grant),
            orjson.loads(row.signals or "{}"),
            refused,
            unlisted=event.post.visibility == "unlisted",
            own=row.own,
        )
        if row.allowed != before[0]:
            # Consumers hear of it: what they derived from the post may have to go.
            self._pending.event("consent", row.key, None, None)
        return before != (row.allowed, row.grant, row.signals, row.own, row.metrics)

    def _join_thread(self, post: Post, row: Row) -> None:
        """Give a post its thread: as stated, else its parent's, else its own."""
        thread = post.thread
        if thread is None and post.reply_to is not None:
            parent = self._pending.rows.get(post.reply_to)
            thread = parent.thread if parent is not None else post.reply_to
        thread = thread or post.id
        if thread != post.id:
            # Replies that came before this post named their thread after it.
            self._pending.moved_threads.append((thread, post.id))
        row.thread = thread

    # -- everything else --------------------------------------------------------------------

    def _delete(self, post: str) -> Outcome:
        row = self._pending.rows.get(post)
        if row is not None and row.state == stored.ERASED:
            return "unchanged"
        if row is None:
            key = self._pending.new_key()
            seq = self._pending.event("delete", key, None, None)
            self._pending.rows[post] = Row(key, seq, stored.ERASED, post)
            self._connection.execute(
                "INSERT INTO posts (key, id, seq, state, allowed, thread) "
                "VALUES (?1, ?2, ?3, 2, 0, ?2)",
                (key, post, seq),
            )
            return "deleted"
        self._erase(row)
        return "deleted"

    def _erase(self, row: Row) -> None:
        self._connection.execute(
            "WITH RECURSIVE chain(seq) AS (SELECT ?1 UNION ALL "
            "SELECT e.previous FROM events e JOIN chain USING (seq) WHERE e.previous IS NOT NULL) "
            "UPDATE events SET payload = NULL, salt = NULL WHERE seq IN (SELECT seq FROM chain)",
            (row.seq,),
        )
        row.seq = self._pending.event("delete", row.key, row.seq, None)
        row.state, row.payload = stored.ERASED, None
        self._connection.execute(
            "UPDATE posts SET seq = ?, state = 2, allowed = 0, author = NULL, signals = NULL, "
            "metrics = NULL WHERE key = ?",
            (row.seq, row.key),
        )

    def _delete_author(self, source: str, author: str) -> Outcome:
        already = self._connection.execute(
            "SELECT 1 FROM authors WHERE source = ? AND author = ? AND erased", (source, author)
        ).fetchone()
        if already:
            return "unchanged"
        self._pending.event("delete-author", None, None, None, source, author)
        ids = self._connection.execute(
            "SELECT id FROM posts WHERE source = ? AND author = ? AND state != 2", (source, author)
        ).fetchall()
        self._pending.load([post for (post,) in ids if post not in self._pending.rows])
        for (post,) in ids:
            self._erase(self._pending.rows[post])
        self._connection.execute(
            "INSERT INTO authors (source, author, erased) VALUES (?, ?, 1) "
            "ON CONFLICT DO UPDATE SET erased = 1",
            (source, author),
        )
        self._pending.forget_authors()
        return "deleted"

    def _set_visibility(self, post: str, visible: bool) -> Outcome:
        row = self._pending.rows.get(post)
        if row is None:
            return "unknown"
        if row.state == stored.ERASED:
            return "erased"
        state = stored.VISIBLE if visible else stored.HIDDEN
        if row.state == state:
            return "unchanged"
        row.state = state
        self._pending.event("show" if visible else "hide", row.key, None, None)
        self._connection.execute("UPDATE posts SET state = ? WHERE key = ?", (state, row.key))
        return "edited"

    def _consent(self, event: Consent) -> Outcome:
        erased, before = self._pending.author_row(event.source, event.author)
        refused = {purpose: False for purpose, allowed in before.items() if not allowed}
        for purpose, allowed in event.purposes.items():
            if allowed:
                refused.pop(purpose, None)
            else:
                refused[purpose] = False
        if refused == before:
            return "unchanged"
        self._pending.event(
            "consent", None, None, orjson.dumps(dict(event.purposes)), event.source, event.author
        )
        self._connection.execute(
            "INSERT INTO authors (source, author, erased, refused) VALUES (?, ?, ?, ?) "
            "ON CONFLICT DO UPDATE SET refused = excluded.refused",
            (event.source, event.author, erased, orjson.dumps(refused).decode()),
        )
        self._pending.forget_authors()
        rows = self._connection.execute(
            "SELECT p.key, p.grant_seq, p.signals, p.own, "
            "json_extract(e.payload, '$.visibility') = 'unlisted' "
            "FROM posts p JOIN events e ON e.seq = p.seq "
            "WHERE p.source = ? AND p.author = ? AND p.state != 2",
            (event.source, event.author),
        ).fetchall()
        self._connection.executemany(
            "UPDATE posts SET allowed = ? WHERE key = ?",
            [
                (
                    stored.allowed_bits(
                        self._pending.granted(grant),
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

    def _is_older(self, post: Post, row: Row, payload: bytes) -> bool:
        """Return whether a write is a version from before the current one."""
        assert row.payload is not None
        edited_at = orjson.loads(row.payload).get("edited_at")
        if edited_at is not None:
            return post.edited_at is None or post.edited_at < parse_stored_time(edited_at)
        if not self._known_file:
            return False
        self._pending.flush()
        found = self._connection.execute(
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
