from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from madang.answer import Answerer, CommunityPosts
from madang.engines import EngineError, Feature, Message, Piece, Sampling
from madang.home import Home
from madang.posts import FILE_GRANT, Grant, Post, PostLog, Write
from madang.search import LexicalIndex

SAMPLE = Path(__file__).parents[2] / "samples" / "town"


class Community:
    """A log and an index that follows it, with posts that a test writes."""

    def __init__(self, folder: Path) -> None:
        self.log = PostLog(folder / "posts.db")
        self.index = LexicalIndex(folder / "index", self.log)
        self.posts = CommunityPosts(self.log, self.index)
        self._grant = self.log.grant(Grant("operator", "a test", FILE_GRANT))

    def write(self, *posts: Post, signals: dict[str, bool] | None = None) -> None:
        self.log.append([Write(post, self._grant, signals=signals or {}) for post in posts])
        self.index.follow()

    def answerer(self, engine: Any = None, **options: Any) -> Answerer:
        return Answerer(self.posts, engine, **options)

    def close(self) -> None:
        self.index.close()
        self.log.close()


@pytest.fixture
def community(tmp_path: Path) -> Iterator[Community]:
    made = Community(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommunityPosts]:
    """The sample community, read as a home reads it."""
    with Home(tmp_path_factory.mktemp("town")) as home:
        home.ingest(SAMPLE / "posts.jsonl", grant="search,ground,embed", basis="a test")
        yield CommunityPosts(home.log, home.index)


class Parrot:
    """An engine that says what a test puts into its mouth: a real one cannot be made to lie."""

    remote = False
    context_length = 4096

    def __init__(
        self,
        *replies: str,
        name: str = "parrot",
        features: Sequence[Feature] = (),
        wait: Callable[[int], None] | None = None,
        fails: bool = False,
    ) -> None:
        self.name = name
        self.asked: list[Sequence[Message]] = []
        self.samplings: list[Sampling] = []
        self.ended = threading.Event()
        self._replies = list(replies)
        self._features = features
        self._wait = wait
        self._fails = fails

    def supports(self, feature: Feature) -> bool:
        return feature in self._features

    def generate(self, messages: Sequence[Message], sampling: Sampling) -> Iterator[Piece]:
        self.asked.append(messages)
        self.samplings.append(sampling)
        if self._fails:
            raise EngineError("the engine is away")
        reply = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
        try:
            for number, word in enumerate(reply.split(" ")):
                if self._wait is not None:
                    self._wait(number)
                yield Piece(word if number == 0 else " " + word)
        finally:
            self.ended.set()

    def tokenize(self, text: str) -> list[int]:
        return [ord(c) for c in text]

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        raise EngineError("the model has no embeddings")

    def cancel(self) -> None:
        self.ended.set()

    def close(self) -> None:
        self.ended.set()
