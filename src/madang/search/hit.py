"""What a search asks for and what it finds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from madang.posts import Post

Order = Literal["relevance", "newest"]


@dataclass(frozen=True, slots=True)
class Filters:
    """Restrictions of a search; an empty one restricts nothing.

    `authors`, `langs` and `sources` are alternatives among themselves; `since` is inclusive and
    `until` exclusive, both aware. `thread` is a thread's key. `only` are post ids.
    """

    authors: tuple[str, ...] = ()
    langs: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    thread: str | None = None
    only: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """A post that was found; `highlights` are (start, end) code-point offsets into its text."""

    post: Post
    score: float
    highlights: tuple[tuple[int, int], ...] = ()
