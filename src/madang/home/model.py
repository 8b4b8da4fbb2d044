"""The model of a home: opened once, by whoever needs it first or in the background."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from madang.engines import Engine, EngineError, open_engine

_log = logging.getLogger("madang.home")


class Model:
    """An engine that may still have to be loaded. Safe for threads."""

    def __init__(self, named: str | None, cache: Path, *, api_key: str | None = None) -> None:
        """Prepare to open the engine that `--model` names; nothing is loaded yet."""
        self._named = named
        self._api_key = api_key
        self._cache = cache
        self._lock = threading.Lock()
        self._opened = threading.Event()
        self._in_background = False
        self._closed = False
        self._engine: Engine | None = None
        self.problem: str | None = None

    def wait(self) -> Engine | None:
        """Return the engine, loading it if need be; none where it cannot run."""
        with self._lock:
            if not self._opened.is_set() and not self._closed:
                try:
                    engine = open_engine(self._named, cache=self._cache, api_key=self._api_key)
                except EngineError as error:
                    self.problem = str(error)
                    _log.warning("answers are quoted from posts: %s", error)
                else:
                    self._engine = engine
                self._opened.set()
            if self._closed:
                self._end()
            return self._engine

    def now(self) -> Engine | None:
        """Return the engine; none as long as it is being loaded in the background."""
        if self._in_background and not self._opened.is_set():
            return None
        return self.wait()

    def load_in_background(self) -> None:
        """Begin to load the engine; until it is there, `now` returns none."""
        self._in_background = True
        threading.Thread(target=self.wait, name="madang-model", daemon=True).start()

    @property
    def ready(self) -> Engine | None:
        """The engine where it is loaded by now; never waits."""
        return self._engine

    @property
    def loading(self) -> bool:
        """Whether the engine is being loaded in the background."""
        return self._in_background and not self._opened.is_set()

    def cancel(self) -> None:
        """End every generation."""
        engine = self._engine
        if engine is not None:
            engine.cancel()

    def close(self) -> None:
        """Give the engine back; one that is still being loaded ends as soon as it is there."""
        self._closed = True
        if self._lock.acquire(blocking=not self.loading):
            try:
                self._end()
            finally:
                self._lock.release()

    def _end(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()
