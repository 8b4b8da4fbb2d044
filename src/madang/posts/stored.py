"""A post as the log holds it now: its key, its thread, and what may be done with it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final, NamedTuple

import orjson

from madang.posts.consent import PURPOSES, Purpose, resolve
from madang.posts.post import Post

VISIBLE: Final = 0
HIDDEN: Final = 1
ERASED: Final = 2

BIT: Final[dict[str, int]] = {purpose: 1 << n for n, purpose in enumerate(PURPOSES)}


@dataclass(frozen=True, slots=True)
class Stored:
    """One post of the log. `key` is a dense, growing integer that never changes."""

    key: int
    seq: int
    post: Post
    visible: bool
    allowed: int
    thread: str

    def allows(self, purpose: Purpose) -> bool:
        """Return whether the post may be used for a purpose; a hidden one for none."""
        return self.visible and bool(self.allowed & BIT[purpose])


class Version(NamedTuple):
    """The current version of a post as the log's bytes; see PostLog.digest."""

    key: int
    id: str
    thread: str
    state: int
    allowed: int
    salt: bytes
    payload: bytes

    def allows(self, purpose: Purpose) -> bool:
        """Return whether the post may be used for a purpose; a hidden one for none."""
        return self.state == VISIBLE and bool(self.allowed & BIT[purpose])

    def digest(self) -> bytes:
        """Return the salted digest, 32 bytes."""
        return hashlib.sha256(self.salt + self.payload).digest()


COLUMNS: Final = "p.key, p.seq, e.payload, p.state, p.allowed, p.thread, p.metrics"
JOIN: Final = "posts p JOIN events e ON e.seq = p.seq"


def from_row(row: tuple[Any, ...]) -> Stored:
    """Build a Stored from the columns `COLUMNS`."""
    key, seq, payload, state, allowed, thread, metrics = row
    post = Post.from_dict(orjson.loads(payload))
    if metrics is not None:
        post = replace(post, metrics=orjson.loads(metrics))
    return Stored(key, seq, post, state == VISIBLE, allowed, thread)


def allowed_bits(
    granted: frozenset[str],
    signals: Mapping[str, bool],
    refused: Mapping[str, bool],
    *,
    unlisted: bool,
    own: bool,
) -> int:
    """Return the allowed purposes as bits; the log stores them so that a search need not ask."""
    return _allowed_bits(
        granted, tuple(sorted(signals.items())), tuple(sorted(refused.items())), unlisted, own
    )


@lru_cache(maxsize=4096)
def _allowed_bits(
    granted: frozenset[str],
    signals: tuple[tuple[str, bool], ...],
    refused: tuple[tuple[str, bool], ...],
    unlisted: bool,
    own: bool,
) -> int:
    decisions = (
        resolve(
            purpose,
            granted=granted,
            basis="",
            signals=dict(signals),
            refused=dict(refused),
            unlisted=unlisted,
            own=own,
        )
        for purpose in PURPOSES
    )
    return sum(BIT[decision.purpose] for decision in decisions if decision.allowed)
