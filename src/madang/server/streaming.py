"""Work on a thread whose results go to a client, as long as the client is there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Executor
from typing import Any, Final, Generic, TypeVar

import orjson
from starlette.types import Receive

from madang.server.admission import Place

KEEP_ALIVE_S: Final = 5.0
KEEP_ALIVE: Final = b": still at work\n\n"
DONE: Final = b"data: [DONE]\n\n"

T = TypeVar("T")
Emit = Callable[[T], None]


class LeftError(Exception):
    """The client is gone, so nobody is there to answer to."""


class ClosingError(Exception):
    """The server is being shut down."""


class _End:
    """The last that arrives."""


def event(data: object) -> bytes:
    """Encode one server-sent event."""
    return b"data: " + orjson.dumps(data) + b"\n\n"


class Production(Generic[T]):
    """Runs `work` on a thread when its turn comes and hands on what it emits.

    `cancel` makes `work` end soon; it may be called from any thread and more than once. The place
    is left when `work` has ended, whatever becomes of the client.
    """

    def __init__(
        self,
        work: Callable[[Emit[T]], None],
        cancel: Callable[[], None],
        *,
        place: Place,
        executor: Executor,
    ) -> None:
        self._work = work
        self._cancel = cancel
        self._place = place
        self._executor = executor
        self._arrived: asyncio.Queue[T | BaseException | _End] = asyncio.Queue()

    async def results(
        self, receive: Receive, closing: asyncio.Event
    ) -> AsyncGenerator[T | None, None]:
        """Yield what the work emits; none whenever nothing came for a while.

        Raises LeftError when the client leaves, ClosingError when the server closes, and what
        the work raises.
        """
        left = asyncio.ensure_future(_disconnected(receive))
        closed = asyncio.ensure_future(closing.wait())
        over: set[asyncio.Future[Any]] = {left, closed}
        try:
            while not await _first(self._place.turn, over, KEEP_ALIVE_S):
                _raise_if(left, closed)
                yield None
            self._start()
            while True:
                arriving = asyncio.ensure_future(self._arrived.get())
                try:
                    while not await _first(arriving, over, KEEP_ALIVE_S):
                        _raise_if(left, closed)
                        yield None
                finally:
                    arriving.cancel()
                result = arriving.result()
                if isinstance(result, _End):
                    return
                if isinstance(result, BaseException):
                    raise result
                yield result
        finally:
            self._cancel()
            left.cancel()
            closed.cancel()

    def _start(self) -> None:
        loop = asyncio.get_running_loop()

        def put(result: T | BaseException | _End) -> None:
            loop.call_soon_threadsafe(self._arrived.put_nowait, result)

        def run() -> None:
            try:
                self._work(put)
            except BaseException as error:
                put(error)
            else:
                put(_End())

        running = loop.run_in_executor(self._executor, run)
        self._place.keep()
        running.add_done_callback(lambda _: self._place.leave())


async def _first(
    wanted: asyncio.Future[T], over: set[asyncio.Future[Any]], timeout_s: float
) -> bool:
    """Wait for one of these; return whether it was what is wanted."""
    waited: set[asyncio.Future[Any]] = {wanted, *over}
    await asyncio.wait(waited, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    return wanted.done() and not wanted.cancelled()


def _raise_if(left: asyncio.Future[None], closed: asyncio.Future[Any]) -> None:
    if left.done():
        raise LeftError
    if closed.done():
        raise ClosingError


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
