"""The sentences of posts that answer, word for word."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from madang.answer.answer import Citation, Sentence
from madang.answer.answer_kinds import holds
from madang.answer.evidence import Candidate, Passage
from madang.answer.matching import strength
from madang.answer.question import Question
from madang.answer.values import same_value
from madang.answer.words import profile
from madang.posts import Post
from madang.text import sentences

WHOLE_POST: Final = 220
LONGEST_QUOTE: Final = 320
MOST_QUOTES: Final = 4
# What prose must keep of the question's words that the quote has, and how surely it has a word.
KEPT_SHARE: Final = 0.6
KEPT_STRENGTH: Final = 0.5


def quote(post: Post, start: int, end: int) -> Sentence:
    """Return a sentence that is a quote of a post. Raises ValueError for a span outside it."""
    text = post.text[start:end]
    if not text.strip() or not 0 <= start < end <= len(post.text):
        raise ValueError(f"{post.id} has no text at {start}:{end}")
    return Sentence(text, "quoted", (Citation(post.id, text, start, end),))


def extract(candidates: Sequence[Candidate]) -> tuple[Sentence, ...]:
    """Quote what answers: up to two sentences of the best post, the best one of the others."""
    quotes: list[Sentence] = []
    for i, candidate in enumerate(candidates):
        spans = spans_of(candidate.post, candidate.passages)
        for start, end in spans if i == 0 else spans[:1]:
            quotes.append(quote(candidate.post, start, end))
    return tuple(quotes[:MOST_QUOTES])


def spans_of(post: Post, passages: Sequence[Passage] = ()) -> list[tuple[int, int]]:
    """Return the one or two spans of a post that answer; a short post is quoted whole."""
    text = post.text
    if len(text) <= WHOLE_POST:
        return [(0, len(text))]
    if not passages:
        return [_trimmed(text, *next(iter(sentences(text)), (0, len(text))))]
    ranked = sorted(passages, key=lambda passage: -passage.score)
    best = ranked[0]
    chosen = [best]
    for passage in ranked[1:2]:
        if passage.score >= 0.8 * best.score and passage.end - passage.start < WHOLE_POST:
            chosen.append(passage)
    # The best comes first: what is cut off later is the lesser one.
    return [_trimmed(text, passage.start, passage.end) for passage in chosen]


def keeps_the_answer(question: Question, candidate: Candidate, written: Sequence[Sentence]) -> bool:
    """Return whether prose still holds what the quote answers with.

    It has to have most of the question that the best sentence has, something new beside that,
    and, where a time, a price or a number is asked, one of those that the post answers with.
    """
    text = " ".join(sentence.text for sentence in written)
    prose = profile(text)
    best = candidate.best
    quoted = profile(candidate.post.text[best.start : best.end])
    asked = [word for word in question.needs if strength(word, quoted) >= KEPT_STRENGTH]
    kept = [word for word in asked if strength(word, prose) >= KEPT_STRENGTH]
    if len(kept) < KEPT_SHARE * len(asked):
        return False
    if question.kinds and candidate.holds:
        if not holds(question.kinds, question.unit, text, prose):
            return False
        values = quoted.values if best.holds else candidate.text.values
        return not values or any(same_value(one, other) for one in prose.values for other in values)
    return len([word for word in prose.words if word.stems not in _stems(question)]) >= 2


def _stems(question: Question) -> set[tuple[str, ...]]:
    return {word.stems for word in profile(question.text).words}


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
