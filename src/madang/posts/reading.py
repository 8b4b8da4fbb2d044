"""What a reader of an archive or stream hands on: one record for each row of its file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from madang.posts.post import Post

SkipReason = Literal[
    "private",
    "repost",
    "no_text",
    "invalid_id",
    "invalid_time",
    "malformed",
    "not_a_post",
    "erased",
    "refused",
]


@dataclass(frozen=True, slots=True)
class Written:
    """A post as it stands in the file.

    `signals` are what the post or its author's profile says by itself: a purpose and whether it
    is allowed. `own` is true where the file is its author's own archive.
    """

    post: Post
    file: str
    row: int
    signals: Mapping[str, bool] = field(default_factory=dict)
    own: bool = False


@dataclass(frozen=True, slots=True)
class Removed:
    """A deletion that the file itself reports."""

    post: str
    file: str
    row: int


@dataclass(frozen=True, slots=True)
class Skipped:
    """A row that is not stored. `detail` is one sentence and quotes no text of the row."""

    reason: SkipReason
    file: str
    row: int
    detail: str


Record = Written | Removed | Skipped
