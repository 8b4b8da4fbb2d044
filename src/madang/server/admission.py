"""Who may have an answer made now, who waits, and who is sent away."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

_FIRST_GUESS_S: Final = 4.0
_LONGEST_WAIT_S: Final = 60.0


class QueueFullError(Exception):
    """No more may wait. `retry_after_s` is about when the queue will have room again."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__("too many questions at once; try again shortly")
        self.retry_after_s = retry_after_s


class Place:
    """One request's place, from its admission until it leaves. `turn` is done when it may work."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self.turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.left = False
        self._kept = False

    def keep(self) -> None:
        """Stay on after the `with` block ends, until `leave` is called."""
        self._kept = True

    def leave(self) -> None:
        """Give the place to the next. Calling it again is harmless."""
        self._admission._leave(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if not self._kept:
            self.leave()


class Admission:
    """First come, first served: `workers` at work, `limit` waiting, the rest refused at once.

    Belongs to one event loop; nothing here waits, so no lock is needed and no place gets lost.
    """

    def __init__(
        self, workers: int, limit: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Open an empty queue. Raises ValueError where nobody could ever work."""
        if workers < 1 or limit < 0:
            raise ValueError("the server needs at least one worker and a queue of 0 or more")
        self.workers = workers
        self.limit = limit
        self._clock = clock
        self._working: dict[Place, float] = {}
        self._waiting: deque[Place] = deque()
        self._typical_s = _FIRST_GUESS_S

    @property
    def working(self) -> int:
        """How many have their turn."""
        return len(self._working)

    @property
    def waiting(self) -> int:
        """How many wait for it."""
        return len(self._waiting)

    def enter(self) -> Place:
        """Take a place. Raises QueueFullError where there is none."""
        if len(self._working) >= self.workers and len(self._waiting) >= self.limit:
            raise QueueFullError(self._time_until_room())
        place = Place(self)
        if len(self._working) < self.workers:
            self._begin(place)
        else:
            self._waiting.append(place)
        return place

    def _begin(self, place: Place) -> None:
        self._working[place] = self._clock()
        place.turn.set_result(None)

    def _leave(self, place: Place) -> None:
        if place.left:
            return
        place.left = True
        began = self._working.pop(place, None)
        if began is None:
            self._waiting.remove(place)
            place.turn.cancel()
            return
        self._typical_s += 0.2 * (self._clock() - began - self._typical_s)
        if self._waiting:
            self._begin(self._waiting.popleft())

    def _time_until_room(self) -> float:
        expected = self._typical_s * (1 + len(self._waiting) / self.workers) / 2
        return float(min(_LONGEST_WAIT_S, max(1, math.ceil(expected))))
