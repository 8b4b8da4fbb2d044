"""The lexical index: tantivy shards that follow the log, and the search over them."""

from __future__ import annotations

import logging
import secrets
import shutil
import threading
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from madang.posts import PostLog, Purpose
from madang.search.hit import Filters, Hit, Order
from madang.search.opening import (
    LOCK_FILE,
    STATE_FILE,
    Commits,
    load_state,
    open_commits,
    open_whole_shards,
    remove_strangers,
)
from madang.search.searching import search
from madang.search.shard import DamagedShardError, Shard, Snapshot, verify
from madang.search.state import SHARD_SIZE, State, WriterLock

_EVENTS_AT_ONCE: Final = 4096
_POSTS_AT_ONCE: Final = 2000
# Posts between two commits of a long catch-up: few enough to lose little, enough to be fast.
_POSTS_PER_COMMIT: Final = 65_536

_log: Final = logging.getLogger(__name__)


class LexicalIndex:
    """Finds posts by their words. Safe for threads; one process writes, any number search.

    The folder holds nothing that the log does not hold, and can be deleted at any time.
    """

    def __init__(self, folder: Path, log: PostLog) -> None:
        """Open the index in `folder`, creating or repairing it where need be.

        Where another process writes, this object only searches; see `is_writer`.
        """
        self._folder = folder
        self._posts = log
        self._state_path = folder / STATE_FILE
        self._state = State()
        self._shards: dict[int, Shard] = {}
        self._view: tuple[Snapshot, ...] = ()
        self._commits: Commits | None = None
        self._closed = False
        # `_changing` guards state and shards; `_renewing` lets one thread at a time build anew.
        self._changing = threading.RLock()
        self._renewing = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        self._writer_lock = WriterLock(folder / LOCK_FILE)
        if not self._become_writer():
            self._see_commits()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def is_writer(self) -> bool:
        """Whether this object applies the log; false while another process does."""
        return self._writer_lock.held

    @property
    def cursor(self) -> int:
        """The sequence number of the last event that the index has seen."""
        self._see_commits()
        return self._state.cursor

    @property
    def dirty(self) -> bool:
        """Whether files may still hold terms of erased posts; `purge` removes them."""
        self._see_commits()
        return bool(self._state.dirty)

    # -- searching --------------------------------------------------------------------------

    def search(
        self,
        query: str,
        *,
        limit: int = 10,
        filters: Filters | None = None,
        order: Order = "relevance",
        purpose: Purpose = "search",
    ) -> list[Hit]:
        """Return the best posts for a query, or the newest ones that have most of its words.

        The query may hold `from:`, `since:`, `until:`, `lang:`, `source:`, `thread:` and
        "quoted phrases". Posts that are hidden, erased or not allowed for `purpose` are never
        returned, also where the index has not caught up. Raises ValueError for a query that
        cannot be read.
        """
        self._see_commits()
        return search(
            self._view,
            self._posts,
            query,
            limit=limit,
            filters=filters or Filters(),
            order=order,
            purpose=purpose,
        )

    def __len__(self) -> int:
        """Return the number of posts in the index."""
        self._see_commits()
        return sum(snapshot.documents for snapshot in self._view)

    def document_frequency(self, term: str) -> int:
        """Return the number of posts that have a search term, as `text.terms` makes them."""
        self._see_commits()
        return sum(snapshot.searcher.doc_freq("body", term) for snapshot in self._view)

    def keys(self) -> set[int]:
        """Return the keys of all posts in the index."""
        self._see_commits()
        return {key for snapshot in self._view for key in snapshot.all_keys()}

    def check(self) -> tuple[set[int], set[int]]:
        """Compare with the log: the keys that the index lacks, and those that it should lack."""
        present = self.keys()
        expected: set[int] = set()
        after = 0
        while batch := self._posts.scan(after, limit=_POSTS_AT_ONCE):
            expected.update(stored.key for stored in batch)
            after = batch[-1].key
        return expected - present, present - expected

    # -- following --------------------------------------------------------------------------

    def follow(self) -> int:
        """Apply everything that the log has, and return the number of posts touched.

        Where another process writes, nothing is done; where that process has ended, this object
        becomes the writer.
        """
        if not self._become_writer():
            return 0
        touched = 0
        while True:
            if self._state.lost:
                self._renew(self._state.lost)
            with self._changing:
                if self._closed:
                    return touched
                try:
                    step = self._follow_step()
                except (KeyboardInterrupt, SystemExit, MemoryError):
                    raise
                except BaseException:
                    # Damage, or what the disk and the log have to say: only damage is repaired.
                    if not self._drop_damaged():
                        raise
                    continue
            touched += step
            if step < _POSTS_PER_COMMIT:
                return touched

    def purge(self) -> bool:
        """Build the shards anew that may hold terms of erased posts, and drop their old files.

        May run in a thread of its own while others follow and search. Returns whether no file
        holds such terms any more, as far as the index has followed; if false, call it again.
        """
        if not self._become_writer():
            return False
        self._renew(self._state.dirty)
        return not self._state.dirty

    def rebuild(self) -> None:
        """Build every shard anew from the log; the old ones are searched meanwhile."""
        if self._become_writer():
            self._renew(self._state.shards.keys() | self._state.lost)
            self.follow()

    def close(self) -> None:
        """Close files and give the right to write back. Calling it again is harmless."""
        self._closed = True
        with self._renewing, self._changing:
            for shard in self._shards.values():
                shard.close_writer()
            self._shards.clear()
            self._view = ()
            self._writer_lock.release()

    def _follow_step(self) -> int:
        """Apply events until enough posts wait for a commit, then commit."""
        state = self._state
        cursor, touched = state.cursor, 0
        written: dict[int, Shard] = {}
        dirty: set[int] = set()
        try:
            while touched < _POSTS_PER_COMMIT:
                changed, erased, last = self._posts.changed_keys(cursor, _EVENTS_AT_ONCE)
                if last == cursor:
                    break
                cursor = last
                touched += len(changed)
                for number, keys in _by_shard(changed).items():
                    shard = self._shard_to_write(number)
                    written[number] = shard
                    dirty |= self._apply(shard, keys, set(erased))
            for shard in written.values():
                shard.commit()
        except BaseException:
            # What was not committed is gone with the writers; the cursor has not moved.
            for shard in written.values():
                with suppress(Exception):
                    shard.close_writer()
            raise
        if cursor != state.cursor or dirty:
            state.cursor = cursor
            state.dirty |= dirty
            state.save(self._state_path)
            self._publish()
            self._rest_writers()
        return touched

    def _apply(self, shard: Shard, keys: list[int], erased: set[int]) -> set[int]:
        """Bring keys of one shard to their state in the log; return the shard if now dirty."""
        current = self._posts.stored(keys)
        dirty = False
        for key in keys:
            stored = current.get(key)
            if stored is not None:
                shard.put(key, stored.post)
            elif key <= shard.highest:
                shard.remove(key)
                dirty |= key in erased
        return {shard.number} if dirty else set()

    def _shard_to_write(self, number: int) -> Shard:
        shard = self._shards.get(number)
        if shard is None:
            folder = self._new_folder(number)
            shard = self._shards[number] = Shard(number, folder, create=True)
            self._state.shards[number] = folder.name
        return shard

    def _renew(self, numbers: Iterable[int]) -> None:
        """Build shards anew from the log and put them in the place of the old ones."""
        with self._renewing:
            for number in sorted(numbers):
                self._renew_shard(number)

    def _renew_shard(self, number: int) -> None:
        with self._changing:
            if self._closed:
                return
            since = self._state.cursor
        fresh = Shard(number, self._new_folder(number), create=True)
        try:
            self._fill(fresh)
            old = self._replace(fresh, since)
        except BaseException:
            shutil.rmtree(fresh.folder, ignore_errors=True)
            raise
        if old is not None:
            shutil.rmtree(old.folder, ignore_errors=True)

    def _fill(self, fresh: Shard) -> None:
        """Add every post of a shard's range as it stands in the log."""
        after, end = fresh.number * SHARD_SIZE - 1, (fresh.number + 1) * SHARD_SIZE
        while not self._closed and (batch := self._posts.scan(after, end, _POSTS_AT_ONCE)):
            for stored in batch:
                fresh.put(stored.key, stored.post)
            after = batch[-1].key
        fresh.commit()

    def _replace(self, fresh: Shard, since: int) -> Shard | None:
        """Put a shard that was filled after event `since` in its place; return what stood there.

        Where the index was closed meanwhile, the new shard itself is what must go.
        """
        number = fresh.number
        with self._changing:
            if self._closed:
                fresh.close_writer()
                return fresh
            # What came since the copy began was in it or was not; applying it again is harmless.
            dirty: set[int] = set()
            while since < self._state.cursor:
                changed, erased, since = self._posts.changed_keys(since, _EVENTS_AT_ONCE)
                mine = _by_shard(changed).get(number, [])
                dirty |= self._apply(fresh, mine, set(erased))
            fresh.commit()
            fresh.close_writer()
            old = self._shards.get(number)
            if old is not None:
                old.close_writer()
            self._shards[number] = fresh
            self._state.shards[number] = fresh.folder.name
            self._state.lost.discard(number)
            self._state.dirty = (self._state.dirty - {number}) | dirty
            self._state.save(self._state_path)
            self._publish()
        return old

    def _rest_writers(self) -> None:
        """Close the writers of shards below the newest: they are seldom written to."""
        newest = max(self._shards, default=0)
        for number, shard in self._shards.items():
            if number != newest:
                shard.close_writer()

    def _new_folder(self, number: int) -> Path:
        return self._folder / f"shard-{number}-{secrets.token_hex(4)}"

    def _publish(self) -> None:
        """Let searches see the newest commits."""
        self._view = tuple(shard.snapshot for _, shard in sorted(self._shards.items()))

    # -- opening ----------------------------------------------------------------------------

    def _become_writer(self) -> bool:
        if self._writer_lock.held:
            return True
        with self._changing:
            if self._closed or not self._writer_lock.acquire():
                return False
            self._open_to_write()
            return True

    def _open_to_write(self) -> None:
        self._commits = None
        self._state, wrong = load_state(self._folder)
        damage = [wrong] if wrong else []
        if self._state.cursor > self._posts.last_seq:
            damage.append("it is ahead of the log")
            self._state = State()
        self._shards, damaged = open_whole_shards(self._folder, self._state)
        self._lose(damaged)
        damage += damaged.values()
        if damage:
            _warn(damage)
        self._state.save(self._state_path)
        remove_strangers(self._folder, self._state)
        self._publish()

    def _drop_damaged(self) -> bool:
        """Look for damage among open shards, and forget what is damaged so that it is renewed."""
        damaged: dict[int, str] = {}
        for number, shard in sorted(self._shards.items()):
            try:
                verify(shard.folder)
            except DamagedShardError as error:
                damaged[number] = str(error)
                shutil.rmtree(shard.folder, ignore_errors=True)
        if damaged:
            _warn(damaged.values())
            self._lose(damaged)
            self._state.save(self._state_path)
            self._publish()
        return bool(damaged)

    def _lose(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            del self._state.shards[number]
            self._shards.pop(number, None)
            self._state.lost.add(number)
            self._state.dirty.discard(number)

    def _see_commits(self) -> None:
        """As a reader, open what the writer has committed since the last look."""
        if self._writer_lock.held or self._closed:
            return
        if self._commits is not None and self._commits.are_newest:
            return
        with self._changing:
            commits = open_commits(self._folder, self._commits)
            if commits is None or self._writer_lock.held:
                return
            self._commits = commits
            self._state, self._shards = commits.state, dict(commits.shards)
            self._publish()


def _warn(damage: Iterable[str]) -> None:
    _log.warning("the search index is damaged and is built again (%s)", "; ".join(damage))


def _by_shard(keys: Iterable[int]) -> dict[int, list[int]]:
    shards: defaultdict[int, list[int]] = defaultdict(list)
    for key in keys:
        shards[key // SHARD_SIZE].append(key)
    return shards
