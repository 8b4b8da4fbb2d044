"""The sentences of posts that answer, word for word."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from madang.answer.answer import Citation, Sentence
from madang.answer.evidence import Candidate
from madang.posts import Post

WHOLE_POST: Final = 220
LONGEST_QUOTE: Final = 320
SECOND_BEST: Final = 0.75


def quote(post: Post, start: int, end: int) -> Sentence:
    """Return a sentence that is a quote of a post. Raises ValueError for a span outside it."""
    text = post.text[start:end]
    if not text.strip() or not 0 <= start < end <= len(post.text):
        raise ValueError(f"{post.id} has no text at {start}:{end}")
    return Sentence(text, "quoted", (Citation(post.id, text, start, end),))


def extract(candidates: Sequence[Candidate], *, most: int = 2) -> tuple[Sentence, ...]:
    """Quote what answers best: from the first post, and from the next where it is as good."""
    if not candidates:
        return ()
    found = list(spans_of(candidates[0]))
    quotes = [quote(candidates[0].post, start, end) for start, end in found]
    for other in candidates[1:most]:
        if other.score >= SECOND_BEST * candidates[0].score:
            start, end = next(iter(spans_of(other)))
            quotes.append(quote(other.post, start, end))
    return tuple(quotes)


def spans_of(candidate: Candidate) -> list[tuple[int, int]]:
    """Return the one or two spans of a post that answer; a short post is quoted whole."""
    text = candidate.post.text
    if len(text) <= WHOLE_POST:
        return [(0, len(text))]
    best = candidate.best
    chosen = [best]
    ranked = sorted(candidate.passages, key=lambda passage: -passage.score)
    for passage in ranked[1:2]:
        if passage.score >= 0.8 * best.score and passage.end - passage.start < WHOLE_POST:
            chosen.append(passage)
    chosen.sort(key=lambda passage: passage.start)
    return [_trimmed(text, passage.start, passage.end) for passage in chosen]


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """Cut a sentence that is too long to read at a border of a clause, or of a word."""
    if end - start <= LONGEST_QUOTE:
        return start, end
    window = text[start : start + LONGEST_QUOTE]
    for borders in (",;:—–)\n", " "):
        at = max(window.rfind(mark) for mark in borders)
        if at > LONGEST_QUOTE // 3:
            return start, start + at
    return start, start + LONGEST_QUOTE


def as_of(posts: Sequence[Post]) -> datetime | None:
    """Return the time of the newest of some posts, as they read now; none where none is dated."""
    times = [post.edited_at or post.created_at for post in posts]
    return max((time for time in times if time is not None), default=None)
