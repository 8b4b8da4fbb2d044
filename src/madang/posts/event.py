"""Events: everything that happens to posts, in the order in which the log took it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from madang.posts.post import Post

Kind = Literal["write", "edit", "delete", "delete-author", "hide", "show", "consent", "grant"]
Outcome = Literal["written", "edited", "deleted", "unchanged", "erased", "refused", "unknown"]


@dataclass(frozen=True, slots=True)
class Write:
    """A post as it stands now, under the grant (its event's number) that its import carried.

    `signals` are what the post or its author's profile says of each purpose; `own` is true where
    the post comes from its author's own archive.
    """

    post: Post
    grant: int
    signals: Mapping[str, bool] = field(default_factory=dict)
    own: bool = False


@dataclass(frozen=True, slots=True)
class Delete:
    """Erase one post, now and whenever it is imported again."""

    post: str


@dataclass(frozen=True, slots=True)
class DeleteAuthor:
    """Erase every post of one author of one source, now and whenever one is imported again."""

    source: str
    author: str


@dataclass(frozen=True, slots=True)
class SetVisibility:
    """Hide a post from everyone, or show it again; nothing is erased."""

    post: str
    visible: bool


@dataclass(frozen=True, slots=True)
class Consent:
    """An author's own word: purposes they refuse (false) or no longer refuse (true)."""

    source: str
    author: str
    purposes: Mapping[str, bool]


@dataclass(frozen=True, slots=True)
class Grant:
    """What an import allows: who brought it, when, on what basis, for which purposes."""

    who: str
    basis: str
    purposes: frozenset[str]
    source: str | None = None


NewEvent = Write | Delete | DeleteAuthor | SetVisibility | Consent | Grant


@dataclass(frozen=True, slots=True)
class Event:
    """An event as the log keeps it.

    `key` and `post` are none where the event is not about one post. `payload` is the post's
    canonical JSON (write, edit), the purposes (consent, grant), or none: erased or not needed.
    """

    seq: int
    at: datetime
    kind: Kind
    key: int | None
    post: str | None
    source: str | None
    author: str | None
    payload: bytes | None
