"""One search: candidates from the shards, posts from the log, then the final order."""

from __future__ import annotations

import heapq
import re
from collections.abc import Sequence
from itertools import islice
from typing import Final

from tantivy import Query

from madang.posts import PostLog, Purpose, Stored
from madang.search.highlight import highlights
from madang.search.hit import Filters, Hit, Order
from madang.search.query import ParsedQuery, narrowed, parse_query
from madang.search.ranking import Scorer, inverse_document_frequency
from madang.search.shard import (
    Snapshot,
    any_of,
    at_least,
    between,
    indexed_text,
    required,
    term,
)
from madang.search.state import SHARD_SIZE
from madang.text import fold, query_terms, terms

# Posts whose final score is computed from their text. Of the posts that the questions in
# bench/search_recall.py ask for, BM25 alone has three quarters among the first 50.
_RESCORED: Final = 50
_LONGEST_QUERY: Final = 64
# A post's terms after these many characters do not change its place among the best.
_SCORED_CHARACTERS: Final = 20_000


def search(
    view: Sequence[Snapshot],
    log: PostLog,
    query: str,
    *,
    limit: int,
    filters: Filters,
    order: Order,
    purpose: Purpose,
) -> list[Hit]:
    """Search a view of the index; see LexicalIndex.search."""
    if limit < 1:
        raise ValueError(f"limit is {limit}; it must be 1 or more")
    _check_aware(filters)
    parsed = parse_query(query)
    filters = narrowed(filters, parsed.filters)
    keys = _allowed_keys(log, filters)
    if keys is not None:
        shards = {key // SHARD_SIZE for key in keys}
        view = [snapshot for snapshot in view if snapshot.number in shards]
    if not view:
        return []
    return _Search(view, log, parsed, filters, keys, purpose).run(limit, order)


def _check_aware(filters: Filters) -> None:
    for name, moment in (("since", filters.since), ("until", filters.until)):
        if moment is not None and moment.tzinfo is None:
            raise ValueError(f"{name} has no time zone; give it one, such as UTC")


def _allowed_keys(log: PostLog, filters: Filters) -> set[int] | None:
    """Return the keys that `only` and `thread` leave; none where they restrict nothing."""
    keys: set[int] | None = None
    if filters.only is not None:
        keys = {stored.key for stored in log.find(filters.only).values()}
    if filters.thread is not None:
        thread = set(log.thread_keys(filters.thread))
        keys = thread if keys is None else keys & thread
    return keys


class _Search:
    """The parts that a search works with, put together once."""

    def __init__(
        self,
        view: Sequence[Snapshot],
        log: PostLog,
        parsed: ParsedQuery,
        filters: Filters,
        keys: set[int] | None,
        purpose: Purpose,
    ) -> None:
        self._view = view
        self._log = log
        self._purpose: Purpose = purpose
        self._terms = query_terms(parsed.words)[:_LONGEST_QUERY]
        self._phrases = [_phrase_pattern(phrase) for phrase in parsed.phrases]
        self._required = _required_terms(parsed)
        self._filters = _filter_queries(filters, keys)
        self._frequencies = [
            {term: snapshot.searcher.doc_freq("body", term) for term in self._terms}
            for snapshot in view
        ]
        documents = sum(snapshot.documents for snapshot in view)
        self._weights = {
            term: inverse_document_frequency(
                documents, sum(frequencies[term] for frequencies in self._frequencies)
            )
            for term in self._terms
        }
        length = sum(snapshot.mean_length * snapshot.documents for snapshot in view)
        self._scorer = Scorer(
            self._weights, terms(parsed.words)[: 4 * _LONGEST_QUERY], length / max(documents, 1)
        )

    def run(self, limit: int, order: Order) -> list[Hit]:
        if not self._terms:
            return [self._hit(stored, 0.0) for stored in self._found(limit, "newest", 0)]
        if order == "newest":
            found = self._newest(limit)
            return [self._hit(stored, self._score(stored)) for stored in found]
        # A phrase has few posts among many candidates, each of which must be read to know.
        wanted = limit if self._phrases else max(limit, _RESCORED)
        found = self._found(wanted, "relevance", 1)
        scored = [(self._score(stored), stored) for stored in found]
        best = sorted(scored, key=lambda one: (-one[0], -one[1].key))[:limit]
        return [self._hit(stored, score) for score, stored in best]

    def _newest(self, limit: int) -> list[Stored]:
        """Return the newest of the posts that hold the most of the words."""
        number = len(self._terms)
        for part in (1.0, 0.75, 0.5, 0.0):
            found = self._found(limit, "newest", max(1, round(part * number)))
            if found:
                return found
        return []

    def _found(self, number: int, order: Order, matching: int) -> list[Stored]:
        """Return the first posts that may leave, asking for more until there are enough."""
        candidates = number
        checked: set[int] = set()
        found: list[Stored] = []
        while True:
            keys, exhausted = self._candidates(candidates, order, matching)
            fresh = [key for key in keys if key not in checked]
            checked.update(fresh)
            stored = self._log.stored(fresh)
            found += [stored[key] for key in fresh if key in stored and self._passes(stored[key])]
            if len(found) >= number or exhausted:
                return found[:number]
            candidates *= 4

    def _candidates(self, number: int, order: Order, matching: int) -> tuple[list[int], bool]:
        """Return the keys of the first posts of all shards, and whether there are no more."""
        ranked: list[list[tuple[float, int]]] = []
        exhausted = True
        for snapshot, frequencies in zip(self._view, self._frequencies, strict=True):
            query = self._query(snapshot, frequencies, matching)
            top = snapshot.top if order == "relevance" else snapshot.newest
            hits = top(query, number)
            exhausted &= len(hits) < number
            ranked.append(sorted(hits, reverse=True))
        merged = heapq.merge(*ranked, reverse=True)
        return [key for _, key in islice(merged, number)], exhausted

    def _query(self, snapshot: Snapshot, frequencies: dict[str, int], matching: int) -> Query:
        """Return the query for one shard, its weights those of the whole index."""
        parts = list(self._filters)
        if self._terms:
            parts.append(
                at_least(
                    matching,
                    [
                        term(
                            one,
                            self._weights[one]
                            / inverse_document_frequency(snapshot.documents, frequencies[one]),
                        )
                        for one in self._terms
                    ],
                )
            )
        parts += [any_of("body", [one]) for one in self._required]
        return required(*parts)

    def _passes(self, stored: Stored) -> bool:
        if not stored.allows(self._purpose):
            return False
        if not self._phrases:
            return True
        text = _folded(stored.post.text)
        return all(phrase.search(text) for phrase in self._phrases)

    def _score(self, stored: Stored) -> float:
        return self._scorer.score(terms(indexed_text(stored.post)[:_SCORED_CHARACTERS]))

    def _hit(self, stored: Stored, score: float) -> Hit:
        return Hit(stored.post, score, highlights(stored.post.text, self._weights))


def _folded(text: str) -> str:
    return " ".join(fold(text).split())


def _phrase_pattern(phrase: str) -> re.Pattern[str]:
    """Return what finds a phrase in folded text: whole words in Latin, any place in Korean."""
    folded = _folded(phrase)
    start = r"\b" if _LATIN_EDGE.match(folded[:1]) else ""
    end = r"\b" if _LATIN_EDGE.match(folded[-1:]) else ""
    return re.compile(start + re.escape(folded) + end)


_LATIN_EDGE: Final = re.compile(r"[0-9a-z]")


def _required_terms(parsed: ParsedQuery) -> list[str]:
    """Return the terms that a post must have: those of phrases, and tags and handles alone."""
    found = [
        # A syllable at the edge of a phrase may have neighbours in the post.
        one
        for phrase in parsed.phrases
        for one in terms(phrase)
        if len(one) > 1 or one.isascii()
    ]
    words = parsed.words.split()
    if words and all(word[0] in "#＃@＠" and len(word) > 1 for word in words):
        found += [one for one in terms(parsed.words) if one[0] in "#@"]
    return list(dict.fromkeys(found))


def _filter_queries(filters: Filters, keys: set[int] | None) -> list[Query]:
    queries: list[Query] = []
    if keys is not None:
        queries.append(any_of("key", sorted(keys)))
    if filters.authors:
        authors = [author.casefold().removeprefix("@") for author in filters.authors]
        queries.append(any_of("author", authors))
    if filters.langs:
        queries.append(any_of("lang", [lang.casefold() for lang in filters.langs]))
    if filters.sources:
        queries.append(any_of("source", [source.casefold() for source in filters.sources]))
    if filters.since is not None or filters.until is not None:
        queries.append(between(filters.since, filters.until))
    return queries
