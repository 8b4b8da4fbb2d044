"""Where posts come from, as an answer needs it."""

from __future__ import annotations

from typing import Protocol

from madang.posts import Post, PostLog, Purpose
from madang.search.hit import Filters, Hit, Order


class SearchIndex(Protocol):
    """What is needed of a search index."""

    def search(
        self,
        query: str,
        *,
        limit: int,
        filters: Filters,
        order: Order,
        purpose: Purpose,
    ) -> list[Hit]:
        """Return the best posts that may be used for a purpose."""
        ...

    def document_frequency(self, term: str) -> int:
        """Return the number of posts that have a search term."""
        ...

    def __len__(self) -> int: ...


class Retriever(Protocol):
    """Finds posts. Every post that it returns may ground an answer now."""

    def search(
        self, query: str, *, limit: int, filters: Filters, order: Order = "relevance"
    ) -> list[Hit]:
        """Return the best posts for a query, best first."""
        ...

    def thread(self, post: Post) -> list[Post]:
        """Return the posts of a post's thread, oldest first, with the post itself."""
        ...

    def document_frequency(self, term: str) -> int:
        """Return the number of posts that have a search term."""
        ...

    @property
    def document_count(self) -> int:
        """The number of posts."""
        ...


class CommunityPosts:
    """The posts of a log, found by an index that follows it."""

    THREAD_LIMIT = 200

    def __init__(self, log: PostLog, index: SearchIndex) -> None:
        self._log = log
        self._index = index

    def search(
        self, query: str, *, limit: int, filters: Filters, order: Order = "relevance"
    ) -> list[Hit]:
        """Return the best posts that may ground an answer, best first."""
        return self._index.search(
            query, limit=limit, filters=filters, order=order, purpose="ground"
        )

    def thread(self, post: Post) -> list[Post]:
        """Return the posts of a post's thread that may ground an answer, oldest first."""
        stored = self._log.find([post.id]).get(post.id)
        if stored is None:
            return []
        thread = self._log.thread(stored.thread, limit=self.THREAD_LIMIT)
        return [one.post for one in thread if one.allows("ground")]

    def document_frequency(self, term: str) -> int:
        """Return the number of posts that have a search term."""
        return self._index.document_frequency(term)

    @property
    def document_count(self) -> int:
        """The number of posts."""
        return len(self._index)
