"""A log with posts that may be trained on, for tests of curation."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from madang.corpus import Curated, Decision, Document
from madang.posts import OWNER_GRANT, Grant, Post, PostLog, Write

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(minutes: int) -> datetime:
    return START + timedelta(minutes=minutes)


def post(name: str, text: str, **fields: Any) -> Post:
    return Post(id=f"t:{name}", source="t", text=text, author="mina", **fields)


def written(folder: Path, posts: Iterable[Post], *, train: bool = True) -> PostLog:
    log = PostLog(folder / "posts.db")
    add(log, posts, train=train)
    return log


def add(log: PostLog, posts: Iterable[Post], *, train: bool = True) -> None:
    purposes = OWNER_GRANT if train else OWNER_GRANT - {"train"}
    grant = log.grant(Grant("operator", f"a test, train {train}", frozenset(purposes)))
    log.append([Write(one, grant) for one in posts])


def decisions(curated: Curated) -> dict[str, Decision]:
    return {one.post: one for one in curated.decisions()}


def documents(curated: Curated) -> dict[str, Document]:
    return {one.document: one for one in curated.documents()}


def sentence(number: int, length: int = 24) -> str:
    """Return a text unlike that of any other number."""
    words = []
    state = number * 2_654_435_761 + 12_345
    for _ in range(length):
        state = (state * 6_364_136_223_846_793_005 + 1_442_695_040_888_963_407) % (1 << 64)
        words.append(f"w{state >> 44:x}")
    return " ".join(words)
