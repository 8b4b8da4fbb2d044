"""What the routes of one server share."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

from fastapi import Request

from madang.home import Home
from madang.server.access import bearer_key, invalid_key, is_key, is_loopback
from madang.server.admission import Admission
from madang.server.metrics import Metrics

READERS: Final = 4
# How long work that does not end by itself is waited for.
CLOSING_S: Final = 2.0

P = ParamSpec("P")
T = TypeVar("T")


class Service:
    """A home and the threads that work on it.

    The threads live as long as the server: each has its own connection to the log. Reading and
    writing posts never waits for answers, which are made on threads of their own.
    """

    def __init__(self, home: Home, *, workers: int, queue: int) -> None:
        self.home = home
        self.admission = Admission(workers, queue)
        self.metrics = Metrics(home, self.admission)
        self.answering = ThreadPoolExecutor(workers, "madang-answer")
        self._reading = ThreadPoolExecutor(READERS, "madang-read")
        self.closing = asyncio.Event()
        self.started = int(time.time())
        self._admin_key = home.folder.admin_key()

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call what may block, on a thread for short work."""
        work = functools.partial(function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._reading, work)

    def is_admin(self, request: Request) -> bool:
        """Return whether a request carries the administrator's key."""
        return is_key(bearer_key(request.headers), self._admin_key)

    async def close(self) -> None:
        """End what runs, so that nobody works on the home when this returns."""
        self.closing.set()
        loop = asyncio.get_running_loop()
        ending = [
            loop.run_in_executor(None, functools.partial(one.shutdown, cancel_futures=True))
            for one in (self.answering, self._reading)
        ]
        await asyncio.wait(ending, timeout=CLOSING_S)


def service_of(request: Request) -> Service:
    """Return the service that a request came to."""
    service = request.app.state.service
    assert isinstance(service, Service)
    return service


def require_admin(request: Request) -> None:
    """Raise ApiError unless a request carries the administrator's key."""
    if not service_of(request).is_admin(request):
        raise invalid_key()


def require_chat(request: Request) -> None:
    """Raise ApiError unless a request may have answers made.

    Programs on this machine and the page itself may; others need the key. That the page's
    requests name their origin has been checked when they come here.
    """
    peer = request.client.host if request.client is not None else ""
    if not (is_loopback(peer) or "origin" in request.headers):
        require_admin(request)
