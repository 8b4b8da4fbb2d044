"""What a home tells: the hits of a search, and what it holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from madang.posts.post import format_time
from madang.search import Hit


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The hits of a search and how long it took, in milliseconds."""

    hits: tuple[Hit, ...]
    took_ms: float

    def to_dict(self) -> dict[str, Any]:
        """Return the fields of `search --json`."""
        return {
            "took_ms": round(self.took_ms, 3),
            "hits": [
                {
                    "id": hit.post.id,
                    "author": hit.post.author,
                    "created_at": format_time(hit.post.created_at) if hit.post.created_at else None,
                    "text": hit.post.text,
                    "score": round(hit.score, 4),
                    "highlights": [list(span) for span in hit.highlights],
                    "url": hit.post.url,
                }
                for hit in self.hits
            ],
        }


@dataclass(frozen=True, slots=True)
class Overview:
    """What a home holds."""

    posts: int
    authors: int
    newest: datetime | None
    sources: tuple[str, ...] = field(default=())
