"""One generation that runs: an iterator that any thread may end."""

from __future__ import annotations

import concurrent.futures
import queue
from collections.abc import Iterator

from madang.engines.engine import Piece


class Generation(Iterator[Piece]):
    """Pieces as they arrive; ends when it is closed, by whichever thread, or let go of."""

    def __init__(
        self,
        work: concurrent.futures.Future[None],
        arrived: queue.SimpleQueue[Piece | None],
    ) -> None:
        """`work` puts pieces into `arrived`; none is put there when it is done."""
        self._work = work
        self._arrived = arrived
        self._ended = False
        work.add_done_callback(lambda _: arrived.put(None))

    def __next__(self) -> Piece:
        piece = None if self._ended else self._arrived.get()
        if self._ended or self._work.cancelled():
            raise StopIteration
        if piece is not None:
            return piece
        self._ended = True
        self._work.result()
        raise StopIteration

    def close(self) -> None:
        """End the generation; a thread that waits for the next piece finds the end."""
        self._ended = True
        self._work.cancel()

    def __del__(self) -> None:
        self._work.cancel()
