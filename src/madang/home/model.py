"""The models of a home: several by name, one that speaks, at most two of them in memory."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from madang.engines import Engine, EngineError

MOST_LOADED: Final = 2
# How long a question waits for room where other models are still answering; an answer takes less.
ROOM_WAIT_SECONDS: Final = 30.0

_log = logging.getLogger("madang.home")

Open = Callable[[str], Engine]


@dataclass(slots=True, eq=False)
class _Slot:
    """One model: being loaded, loaded, or known not to load (`problem`)."""

    name: str
    engine: Engine | None = None
    problem: str | None = None
    opened: threading.Event = field(default_factory=threading.Event)
    leases: int = 0
    used: float = 0.0
    # Another one has taken its place; it goes with the last answer that it is writing.
    leaving: bool = False

    @property
    def takes_memory(self) -> bool:
        return self.problem is None


class Lease:
    """One answer's hold on an engine, which is not closed before `release`.

    `engine` is none where the model cannot run, or is still being loaded in the background.
    """

    def __init__(self, engine: Engine | None, release: Callable[[], None]) -> None:
        self.engine = engine
        self._release: Callable[[], None] | None = release
        self._lock = threading.Lock()

    def release(self) -> None:
        """Give the engine back. Calling it again is harmless."""
        with self._lock:
            release, self._release = self._release, None
        if release is not None:
            release()


class Models:
    """Engines by name, loaded when they are first asked for. Safe for threads."""

    def __init__(self, speaks: str, open_named: Open) -> None:
        """Let `speaks` answer where nobody names a model; `open_named` opens one by its name.

        Nothing is loaded yet. `open_named` raises EngineError where that model cannot run.
        """
        self._open = open_named
        self._speaks = speaks
        self._changed = threading.Condition()
        self._slots: dict[str, _Slot] = {}
        self._in_background = False
        self._closed = False

    @property
    def speaks(self) -> str:
        """The name of the model that answers where a question names none."""
        return self._speaks

    @property
    def loaded(self) -> tuple[str, ...]:
        """The names of the models that are in memory now."""
        with self._changed:
            return tuple(name for name, one in self._slots.items() if one.engine is not None)

    @property
    def engines(self) -> tuple[Engine, ...]:
        """The engines that are in memory now."""
        with self._changed:
            return tuple(one.engine for one in self._slots.values() if one.engine is not None)

    @property
    def ready(self) -> Engine | None:
        """The engine of the model that speaks, where it is loaded by now; never waits."""
        slot = self._slots.get(self._speaks)
        return slot.engine if slot is not None else None

    @property
    def loading(self) -> bool:
        """Whether the model that speaks is being loaded in the background."""
        slot = self._slots.get(self._speaks)
        return self._in_background and (slot is None or not slot.opened.is_set())

    @property
    def problem(self) -> str | None:
        """Why the model that speaks cannot run, or none."""
        slot = self._slots.get(self._speaks)
        return slot.problem if slot is not None else None

    def wait(self) -> Engine | None:
        """Return the engine of the model that speaks, loading it; none where it cannot run."""
        lease = self.lease(wait=True)
        lease.release()
        return lease.engine

    def lease(self, name: str | None = None, *, wait: bool = False) -> Lease:
        """Hold a model (the one that speaks where none is named) for one answer.

        While the one that speaks is being loaded in the background, its lease holds no engine
        unless `wait`. Another model is loaded now; where two others are answering, it waits.
        """
        if name is None and self.loading and not wait:
            return Lease(None, lambda: None)
        slot, load = self._hold(name)
        if slot is None:
            return Lease(None, lambda: None)
        if load:
            self._load(slot)
        slot.opened.wait()
        held = slot
        return Lease(held.engine, lambda: self._let_go(held))

    def load_in_background(self) -> None:
        """Begin to load the model that speaks; until it is there, leases hold no engine."""
        self._in_background = True
        threading.Thread(target=self.wait, name="madang-model", daemon=True).start()

    def switch(self, name: str) -> str | None:
        """Load a model and let it speak from now on; return why not where it cannot run.

        Answers that are being written end with the model that they began with, which is then
        closed; a question that comes meanwhile is answered by either, and none is lost.
        """
        lease = self.lease(name, wait=True)
        try:
            slot = self._slots.get(name)
            if lease.engine is None:
                return (slot.problem if slot else None) or "the models were closed"
            with self._changed:
                before, self._speaks = self._slots.get(self._speaks), name
                lost = []
                if before is not None and before.name != name:
                    before.leaving = True
                    lost = self._take_out(before)
            _close(lost)
            return None
        finally:
            lease.release()

    def cancel(self) -> None:
        """End every generation."""
        for slot in list(self._slots.values()):
            if slot.engine is not None:
                slot.engine.cancel()

    def close(self) -> None:
        """Give the engines back; one that is still being loaded ends as soon as it is there."""
        with self._changed:
            self._closed = True
            engines = [slot.engine for slot in self._slots.values()]
            for slot in self._slots.values():
                slot.engine = None
            self._changed.notify_all()
        _close(engines)

    # -- slots, all under the lock -----------------------------------------------------------

    def _hold(self, name: str | None) -> tuple[_Slot | None, bool]:
        """Return the slot of a model with one lease more, and whether it is ours to load."""
        deadline = time.monotonic() + ROOM_WAIT_SECONDS
        lost: list[Engine | None] = []
        slot, load = None, False
        with self._changed:
            while not self._closed:
                wanted = name or self._speaks
                slot = self._slots.get(wanted)
                # What could not be loaded is tried again when it is named.
                if slot is not None and slot.problem and name is not None:
                    del self._slots[wanted]
                    slot = None
                if slot is not None:
                    slot.leases += 1
                    slot.leaving = False
                    break
                room = self._make_room()
                if room is not None:
                    lost, load = room, True
                    slot = self._slots[wanted] = _Slot(wanted, leases=1)
                    break
                if not self._changed.wait(deadline - time.monotonic()):
                    _log.warning("%s was not loaded: two other models are answering", wanted)
                    break
        _close(lost)
        return slot, load

    def _make_room(self) -> list[Engine | None] | None:
        """Take out what must go for one more model; none where all are in use."""
        taking = [slot for slot in self._slots.values() if slot.takes_memory]
        if len(taking) < MOST_LOADED:
            return []
        idle = [
            slot
            for slot in taking
            if slot.leases == 0 and slot.opened.is_set() and slot.name != self._speaks
        ]
        if not idle:
            return None
        return self._take_out(min(idle, key=lambda slot: slot.used))

    def _take_out(self, slot: _Slot) -> list[Engine | None]:
        if slot.leases or self._slots.get(slot.name) is not slot:
            return []
        del self._slots[slot.name]
        self._changed.notify_all()
        return [slot.engine]

    def _load(self, slot: _Slot) -> None:
        engine = None
        try:
            engine = self._open(slot.name)
        except EngineError as error:
            slot.problem = str(error)
            _log.warning("answers are quoted from posts: %s", error)
        finally:
            with self._changed:
                if not self._closed:
                    slot.engine, engine = engine, None
                elif slot.problem is None and slot.engine is None:
                    slot.problem = "it was closed"
                slot.opened.set()
                self._changed.notify_all()
            _close([engine])

    def _let_go(self, slot: _Slot) -> None:
        lost: list[Engine | None] = []
        with self._changed:
            slot.leases -= 1
            slot.used = time.monotonic()
            if slot.leaving and slot.name != self._speaks:
                lost = self._take_out(slot)
            self._changed.notify_all()
        _close(lost)


def _close(engines: list[Engine | None]) -> None:
    for engine in engines:
        if engine is not None:
            engine.close()
