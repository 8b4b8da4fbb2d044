"""The consumers of a home, kept up with its log in the background."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Final

from madang.posts import PostLog
from madang.search import LexicalIndex

POLL_SECONDS: Final = 0.05
# Erasures that come together are purged together; the promise is a minute.
PURGE_AFTER_SECONDS: Final = 5.0

_log = logging.getLogger("madang.home")


class Following:
    """Two threads: one applies what the log took, one removes erased bytes from files."""

    def __init__(
        self,
        log: PostLog,
        index: LexicalIndex,
        *,
        others: Callable[[], bool] = lambda: False,
        purge_others: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare to follow. `others` tells whether more than the index is made of posts.

        `purge_others` then removes from it what was erased or refused.
        """
        self._log = log
        self._others = others
        self._purge_others = purge_others
        self._index = index
        self._ended = threading.Event()
        self._purging = threading.Event()
        self._threads = [
            threading.Thread(target=self._follow, name="madang-follow", daemon=True),
            threading.Thread(target=self._purge, name="madang-purge", daemon=True),
        ]

    def start(self) -> None:
        """Start both threads. What is not purged from before is purged now."""
        self._purging.set()
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End both threads; a purge that runs is finished first."""
        self._ended.set()
        self._purging.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def _follow(self) -> None:
        # The first time also where nothing is new: a damaged part is built again then.
        behind = True
        while not self._ended.wait(POLL_SECONDS):
            try:
                if behind or self._log.last_seq != self._index.cursor:
                    self._index.follow()
                    behind = False
                    if self._index.dirty or self._others():
                        self._purging.set()
            except (OSError, sqlite3.OperationalError):
                _log.exception("the index could not follow the log; trying again in a second")
                self._ended.wait(1.0)

    def _purge(self) -> None:
        while not self._ended.is_set():
            self._purging.wait()
            self._purging.clear()
            due = time.monotonic() + PURGE_AFTER_SECONDS
            while not self._ended.is_set() and time.monotonic() < due:
                self._ended.wait(0.1)
            try:
                self._purge_others()
                # The log first: another process may be reading it and make us wait.
                emptied = self._log.truncate()
                if not (self._index.purge() and emptied) and not self._ended.is_set():
                    self._purging.set()
            except (OSError, sqlite3.OperationalError):
                _log.exception("erased bytes could not be removed yet; trying again")
                self._purging.set()
