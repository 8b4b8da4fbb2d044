"""The posts that may answer a question, best first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from madang.answer import concepts
from madang.answer.answer_kinds import HARD, holds
from madang.answer.duplicates import fold_duplicates
from madang.answer.hostile import asks_about, speaks_to_a_model
from madang.answer.matching import Need, has_value, strength, weigh
from madang.answer.question import Question
from madang.answer.recency import SAME_MATTER, newest_first, same_matter
from madang.answer.retriever import Retriever
from madang.answer.transliteration import romanize
from madang.answer.words import Profile, profile, sentence_profiles
from madang.posts import Post
from madang.search.hit import Filters

SEARCHED: Final = 16
TRANSLATED: Final = 10
NEIGHBOURS_OF: Final = 6
LARGEST_THREAD: Final = 40
# How many characters of a post are read: what is asked of a post stands near its beginning, and
# one petition of ten thousand characters would take as long as fifty other posts.
LONGEST_READ: Final = 2500
_FOCUS: Final = ("에서도", "에도", "에게도", "한테도", "에서만", "에만", "까지도")
NAMED_BY_KIND: Final = 0.7
FROM_BEGINNING: Final = 0.95
BEFORE: Final = 0.55
TOPICAL: Final = 10
BY_TOPIC: Final = 0.6
# What each part weighs in a candidate's score beside its coverage of the question.
W_ANSWERS: Final = 0.95
W_CONTEXT: Final = 0.7
W_PASSAGE: Final = 0.2
W_TOPIC: Final = 0.2
W_NAMED: Final = 0.5
W_LACKS: Final = 0.33
W_ASKS: Final = 0.05
W_OTHER: Final = 0.05


@dataclass(frozen=True, slots=True)
class Passage:
    """A sentence of a post, and what of the question stands in it."""

    start: int
    end: int
    covered: float
    holds: bool
    score: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """A post that may answer.

    `had` is how surely the post has each need, `with_above` how surely with the posts above it,
    `topical` how surely with other posts on the same matter. `covered` is the share of the
    question's weight that the post has itself, `in_context` the share with the posts above it,
    `named` the share of the question's values that stand in post or context.
    `passages` are its sentences; `folded` are the posts that say the same.
    """

    post: Post
    text: Profile
    above: tuple[Post, ...]
    had: tuple[float, ...]
    with_above: tuple[float, ...]
    topical: tuple[float, ...]
    covered: float
    in_context: float
    named: float
    passages: tuple[Passage, ...]
    holds: bool
    score: float
    folded: tuple[Post, ...] = field(default=())

    @property
    def best(self) -> Passage:
        """The sentence that answers best."""
        return max(self.passages, key=lambda passage: passage.score)

    @property
    def when(self) -> datetime:
        """The time of the post as it reads now."""
        return self.post.edited_at or self.post.created_at or datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was found for a question: the candidates, best first, and the weighed needs."""

    needs: tuple[Need, ...]
    candidates: tuple[Candidate, ...]


def gather(
    retriever: Retriever, question: Question, *, only: tuple[str, ...] | None = None
) -> Evidence:
    """Find, read and order the posts that may answer a question.

    Posts that speak to a machine are left out unless the question is about them.
    """
    needs = weigh(question, retriever.document_frequency, retriever.document_count)
    found = _search(retriever, question, only)
    above: dict[str, tuple[Post, ...]] = {}
    for post in list(found.values())[:NEIGHBOURS_OF]:
        for neighbour, its_above in _neighbours(retriever.thread(post), post):
            above[neighbour.id] = its_above
            if only is None or neighbour.id in only:
                found.setdefault(neighbour.id, neighbour)
    candidates = [
        read(question, needs, post, above.get(post.id, ()))
        for post in found.values()
        if not speaks_to_a_model(post.text) or asks_about(question.text, post.author)
    ]
    candidates.sort(key=lambda one: -one.score)
    candidates = fold_duplicates(candidates)
    candidates = _with_topic(candidates, needs)
    candidates.sort(key=lambda one: -one.score)
    return Evidence(needs, tuple(newest_first(candidates, question, needs)))


def _with_topic(candidates: Sequence[Candidate], needs: Sequence[Need]) -> list[Candidate]:
    """Add what related posts say about the same matter: where one calls it a concert, it is one."""
    total = sum(need.weight for need in needs) or 1.0
    read_further = list(candidates)
    for i, candidate in enumerate(candidates[:TOPICAL]):
        related = [
            other
            for other in candidates[: 2 * TOPICAL]
            if other is not candidate and _related(candidate, other)
        ]
        if not related:
            continue
        topical = tuple(
            max(own, BY_TOPIC * max(other.had[k] for other in related))
            for k, own in enumerate(candidate.with_above)
        )
        gained = sum(
            need.weight * (now - own)
            for need, now, own in zip(needs, topical, candidate.with_above, strict=True)
        )
        read_further[i] = replace(
            candidate, topical=topical, score=candidate.score + W_TOPIC * gained / total
        )
    return read_further


def _related(one: Candidate, other: Candidate) -> bool:
    alike = same_matter(one.post.text, other.post.text)
    same_author = one.post.author is not None and one.post.author == other.post.author
    return alike >= (0.25 if same_author else SAME_MATTER)


def _search(
    retriever: Retriever, question: Question, only: tuple[str, ...] | None
) -> dict[str, Post]:
    filters = Filters(only=only)
    hits = retriever.search(plain_query(question.text), limit=SEARCHED, filters=filters)
    found = {hit.post.id: hit.post for hit in hits}
    translated = translate(question)
    if translated:
        for hit in retriever.search(translated, limit=TRANSLATED, filters=filters):
            found.setdefault(hit.post.id, hit.post)
    return found


def plain_query(text: str) -> str:
    """Return a question as words alone: a filter or a phrase in it is part of what it says."""
    return _QUERY_SYNTAX.sub(" ", text)


_QUERY_SYNTAX: Final = re.compile(r"[\"“”„«»「」『』]|(?<=[a-z]):(?=\S)", re.IGNORECASE)


def translate(question: Question) -> str:
    """Return a query in the other language: what the everyday words mean, names by sound."""
    other = "en" if question.lang == "ko" else "ko"
    query: list[str] = []
    for word in question.needs:
        if word.hangul == (other == "ko"):
            query.append(word.surface)
            continue
        query += concepts.translations(word.meanings, other)
        if word.hangul and len(word.stems[0]) > 1:
            query.append(romanize(word.stems[0]))
    return " ".join(dict.fromkeys(query))


def _neighbours(thread: Sequence[Post], post: Post) -> Iterable[tuple[Post, tuple[Post, ...]]]:
    """Yield the posts of a thread near a post, each with those above it, nearest first."""
    by_id = {one.id: one for one in thread}
    for one in thread[:LARGEST_THREAD]:
        chain: list[Post] = []
        parent = by_id.get(one.reply_to or "")
        while parent is not None and len(chain) < 6 and parent not in chain:
            chain.append(parent)
            parent = by_id.get(parent.reply_to or "")
        near = one.id == post.id or post in chain[:2] or one.id == post.reply_to
        if near or (chain and post.reply_to == one.reply_to):
            # The nearest post above says what is answered, the first one what it is all about.
            yield one, tuple(dict.fromkeys((*chain[:1], *chain[-1:])))


def read(
    question: Question, needs: Sequence[Need], post: Post, above: tuple[Post, ...]
) -> Candidate:
    """Read one post for a question."""
    beginning = post.text[:LONGEST_READ]
    text = profile(beginning)
    byline = profile(f"{post.author_name or ''} @{post.author or ''}")
    context = [profile(f"{one.author_name or ''} {one.text}") for one in above]
    held = holds(question.kinds, question.unit, beginning, text)
    sure = held and any(kind in HARD for kind in question.kinds)
    passages, near = _passages(question, needs, beginning)
    signed = [0.9 * strength(need.word, byline) for need in needs]
    had = tuple(
        max(in_post, sign, NAMED_BY_KIND if sure and need.names_kind else 0.0)
        for need, in_post, sign in zip(needs, near, signed, strict=True)
    )
    # A reply to a question is read with it, as its other half.
    answers = bool(above) and above[0].text.rstrip().endswith(("?", "？")) and held
    passed_on = 1.0 if answers else 0.9
    with_above = tuple(
        max(own, passed_on * max((strength(need.word, one) for one in context), default=0.0))
        for need, own in zip(needs, had, strict=True)
    )
    total = sum(need.weight for need in needs) or 1.0
    covered = sum(n.weight * own for n, own in zip(needs, had, strict=True)) / total
    in_context = sum(n.weight * own for n, own in zip(needs, with_above, strict=True)) / total
    named = _named(question, text, context, post)
    # 달섬에서도: what `also` and `only` are said of is what the question turns on.
    focus = [
        own
        for need, own in zip(needs, with_above, strict=True)
        if need.word.hangul and need.word.surface.endswith(_FOCUS)
    ]
    if focus and min(focus) < 0.5:
        named *= 0.5
    score = (
        covered
        + (W_ANSWERS if answers else W_CONTEXT) * (in_context - covered)
        + W_PASSAGE * max(passage.score for passage in passages)
        - W_NAMED * (1 - named)
        - W_LACKS * (not held and any(kind in HARD for kind in question.kinds))
        - W_ASKS * post.text.rstrip().endswith(("?", "？"))
        - W_OTHER * (text.hangul != (question.lang == "ko"))
    )
    return Candidate(
        post,
        text,
        above,
        had,
        with_above,
        with_above,
        covered,
        in_context,
        named,
        passages,
        held,
        score,
    )


def _named(question: Question, text: Profile, context: Sequence[Profile], post: Post) -> float:
    """Return the share of the question's values that post or context name.

    A month or weekday may also be that of the post.
    """
    if not question.numbers:
        return 1.0
    had = 0.0
    for value in question.numbers:
        if any(has_value(value, one) for one in (text, *context)):
            had += 1
        elif value.kind == "month" and post.created_at is not None:
            had += 0.9 * (post.created_at.month == int(value.key))
        elif value.kind == "year" and post.created_at is not None:
            had += 0.9 * (post.created_at.year == int(value.key))
        elif value.kind == "weekday":
            had += 0.5
    return had / len(question.numbers)


def _passages(
    question: Question, needs: Sequence[Need], text: str
) -> tuple[tuple[Passage, ...], list[float]]:
    """Return the sentences of a post, and how surely each need stands near to the others.

    What is scattered over a long post is not said together: a need counts in full within a
    window of three sentences, and less at the beginning, which tells what the post is about.
    """
    spans = [(start, end) for start, end, _ in sentence_profiles(text)]
    profiles = [one for _, _, one in sentence_profiles(text)]
    total = sum(need.weight for need in needs) or 1.0
    had = [[strength(need.word, one) for need in needs] for one in profiles]
    found: list[Passage] = []
    best: tuple[float, list[float]] = (-1.0, [0.0] * len(needs))
    for i, (start, end) in enumerate(spans):
        window = [
            max(
                own,
                had[i - 1][k] if i else 0.0,
                had[i + 1][k] if i + 1 < len(spans) else 0.0,
                FROM_BEGINNING * had[0][k],
            )
            for k, own in enumerate(had[i])
        ]
        nearby = sum(
            need.weight * max(own, BEFORE * (had[i - 1][k] if i else 0.0), BEFORE * window[k])
            for k, (need, own) in enumerate(zip(needs, had[i], strict=True))
        )
        covered = sum(n.weight * own for n, own in zip(needs, had[i], strict=True)) / total
        held = holds(question.kinds, question.unit, text[start:end], profiles[i])
        bonus = 0.3 * held if question.kinds else 0.0
        asks = 0.15 if text[start:end].rstrip().endswith(("?", "？")) else 0.0
        found.append(Passage(start, end, covered, held, nearby / total + bonus - asks))
        together = sum(n.weight * own for n, own in zip(needs, window, strict=True)) + 0.1 * held
        if together > best[0]:
            best = (together, window)
    return tuple(found), best[1]
