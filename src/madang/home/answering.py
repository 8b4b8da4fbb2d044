"""One answer in the making, which any thread may end."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Final

from madang.answer import Finished, SourcesFound, Step
from madang.engines import Engine, Feature, Message, Piece, Sampling
from madang.home.model import Lease

MOST_BEGINNINGS: Final = 20


class AnswersEngine:
    """The engine as one answer sees it: `cancel` ends the generations of this answer alone.

    The lease is given back when the answer is over, or when nobody holds it any more.
    """

    def __init__(self, lease: Lease) -> None:
        assert lease.engine is not None
        self._engine: Engine = lease.engine
        self._give_back = weakref.finalize(self, lease.release)
        self._lock = threading.Lock()
        self._running: set[Iterator[Piece]] = set()
        self._cancelled = False

    @property
    def name(self) -> str:
        """The model's name."""
        return self._engine.name

    @property
    def remote(self) -> bool:
        """Whether messages leave this machine."""
        return self._engine.remote

    @property
    def context_length(self) -> int:
        """Tokens of prompt and answer together."""
        return self._engine.context_length

    def supports(self, feature: Feature) -> bool:
        """Return whether a feature may be asked for."""
        return self._engine.supports(feature)

    def generate(self, messages: Sequence[Message], sampling: Sampling) -> Iterator[Piece]:
        """Yield pieces as they are generated; nothing once it is cancelled."""
        if self._cancelled:
            return
        pieces = self._engine.generate(messages, sampling)
        with self._lock:
            self._running.add(pieces)
        try:
            # `cancel` may have come between the two.
            if not self._cancelled:
                yield from pieces
        finally:
            with self._lock:
                self._running.discard(pieces)
            _end(pieces)

    def tokenize(self, text: str) -> list[int]:
        """Return the token ids of a text."""
        return self._engine.tokenize(text)

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return one vector a text."""
        return self._engine.embed(texts)

    def cancel(self) -> None:
        """End what this answer generates; it will generate nothing more."""
        self._cancelled = True
        with self._lock:
            running = list(self._running)
        for pieces in running:
            _end(pieces)

    def close(self) -> None:
        """End what this answer generates and let go of the engine."""
        self.cancel()
        self._give_back()


class Steps(Iterator[Step]):
    """The steps of an answer. `close` may be called from any thread and ends the generation.

    A step leaves only while every post that the answer rests on may still be used. Where one was
    erased meanwhile, the answer is begun anew and its steps come again, from the sources on.
    """

    def __init__(
        self,
        begin: Callable[[], Iterator[Step]],
        engine: AnswersEngine | None,
        *,
        require: Callable[[], None],
        usable: Callable[[Sequence[str]], bool],
    ) -> None:
        """Begin an answer with `begin`, made with `engine`.

        `require` raises where no further step may leave at all; `usable` tells of post ids
        whether all of them may be used now.
        """
        self._begin = begin
        self._engine = engine
        self._require = require
        self._usable = usable
        self._steps = begin()
        self._evidence: tuple[str, ...] = ()
        self._begun = 1
        self._closed = False

    @property
    def engine(self) -> Engine | None:
        """The model that answers; none where there is none."""
        return self._engine

    def __next__(self) -> Step:
        while not self._closed:
            self._require()
            step = next(self._steps)
            match step:
                case SourcesFound(_, evidence):
                    self._evidence = tuple(post.id for post in evidence)
                case Finished(answer):
                    self._evidence = tuple(post.id for post in answer.evidence)
            if not self._usable(self._evidence):
                self._begin_anew()
                continue
            self._require()
            if not self._closed:
                return step
        raise StopIteration

    def _begin_anew(self) -> None:
        if self._begun == MOST_BEGINNINGS:
            raise RuntimeError("posts are erased faster than a question can be answered from them")
        self._begun += 1
        self._evidence = ()
        self._steps = self._begin()

    def close(self) -> None:
        """End the answer: no further step comes, and nothing more is generated."""
        self._closed = True
        if self._engine is not None:
            self._engine.close()


def _end(pieces: Iterator[Piece]) -> None:
    close = getattr(pieces, "close", None)
    if close is not None:
        # A plain generator cannot be closed while it runs; it is closed when it is let go of.
        with suppress(ValueError):
            close()
