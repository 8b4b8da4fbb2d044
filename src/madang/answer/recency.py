"""Which of several posts about one matter holds now: the newest, and what corrects over all."""

# Tables of words and patterns are read one entry a line.
# ruff: noqa: E501

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from madang.answer.matching import Need
from madang.answer.question import Question
from madang.answer.words import words

if TYPE_CHECKING:
    from madang.answer.evidence import Candidate

COMPARED: Final = 12
SAME_MATTER: Final = 0.42
STATES: Final = 0.55

_CHANGE: Final = re.compile(
    r"변경|정정|취소|연기|옮[기겨긴깁]|사실이 아[닙니]|바로잡|바뀌|바뀝|바꿉|바꿨|미룹|미뤄|미루|늦춥|늦춰|늦춘|당겨|당깁"
    r"|아닙니다|오보|재공지|재안내|재변경|연장|내립니다|인상|중단되지|잘못|돌아옵니다|돌아왔"
    r"|\b(?:moved?|moves|moving|instead|chang(?:e|es|ed|ing)|cancell?ed|postponed?|correction"
    r"|corrected|updated?|not true|isn't true|isn't right|no longer|not right|false|new date"
    r"|new time|new prices?|new opening|any ?more|rescheduled|pushed back|delayed|starts? half"
    r"|raising|lowered|earlier than|later than|turns out|not closing|not cancelled|will not"
    r"|not a\b|won't|now only|only from|winter timetable|autumn timetable|are now|is now"
    r"|no,)\b",
    re.IGNORECASE,
)


@lru_cache(maxsize=8192)
def tells_a_change(text: str) -> bool:
    """Return whether a post says that something is not, or no longer, as it was said before."""
    return bool(_CHANGE.search(text))


_DENIAL: Final = re.compile(
    r"사실이 아[닙니]|사실무근|헛소문|아닙니다|않습니다|\b(?:not true|isn't true|isn't right|not right|false"
    r"|there is no|not closing|not cancelled|no truth|turns out|not a\b)",
    re.IGNORECASE,
)


@lru_cache(maxsize=8192)
def denies(text: str) -> bool:
    """Return whether a post says that something is not so."""
    return bool(_DENIAL.search(text))


def same_matter(one: str, other: str) -> float:
    """Return how far two posts are about one thing: shared words over the shorter one's words."""
    a, b = _topics(one), _topics(other)
    if not a or not b:
        return 0.0
    # A long post has words of many matters; it is not about each of them.
    return len(a & b) / max(min(len(a), len(b)), max(len(a), len(b)) / 3)


@lru_cache(maxsize=8192)
def _topics(text: str) -> frozenset[object]:
    topics: set[object] = set()
    for word in words(text):
        if word.hangul and len(word.stems[0]) < 2 and not word.meanings:
            continue
        # Words with a meaning are compared across languages, others as they are written.
        topics |= {min(part) for part in word.meanings} if word.meanings else {word.stems[0]}
    return frozenset(topics)


def newest_first(
    candidates: Sequence[Candidate], question: Question, needs: Sequence[Need]
) -> list[Candidate]:
    """Put before a post every newer one that is about the same and answers as well.

    A post that tells a change needs to fit the question a little less than another newer one:
    `from 7 September at 18:00` answers as well as the timetable that it changes.
    """
    order = _statements_first(candidates)
    top = order[:COMPARED]
    if len(top) < 2:
        return order
    best = top[0]
    for _ in range(3):
        better = [other for other in top if overtakes(other, best, question, needs)]
        if not better:
            break
        if question.oldest:
            best = min(better, key=lambda one: one.when)
        else:
            # A notice often comes in both languages; the reader's own is the better source.
            best = max(
                better,
                key=lambda one: (
                    tells_a_change(one.post.text),
                    one.when.date(),
                    one.text.hangul == (question.lang == "ko"),
                    one.when,
                ),
            )
    if best is top[0]:
        return order
    order.remove(best)
    return [best, *order]


def _statements_first(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Put what asks itself behind the first that states something, where that is about as near."""
    order = list(candidates)
    if order and _asks(order[0]):
        stating = [c for c in order if not _asks(c) and c.score >= STATES * order[0].score]
        if stating:
            # A reply to the question is its answer more often than what only shares its words.
            replies = [c for c in stating if order[0].post in c.above]
            first = (replies or stating)[0]
            order.remove(first)
            order.insert(0, first)
    return order


def _asks(candidate: Candidate) -> bool:
    return candidate.post.text.rstrip().endswith(("?", "？"))


def overtakes(
    newer: Candidate, older: Candidate, question: Question, needs: Sequence[Need]
) -> bool:
    """Return whether a post says anew what an older one said on the same matter."""
    if newer is older:
        return False
    later = newer.when > older.when
    if later == question.oldest:
        return False
    if question.kinds and older.holds and not newer.holds:
        return False
    threaded = newer.post.reply_to == older.post.id or older.post in newer.above
    change = tells_a_change(newer.post.text)
    if newer.named < older.named:
        return False
    if not _has_what(newer, older, needs, threaded):
        return False
    same_voice = newer.post.author is not None and newer.post.author == older.post.author
    floor = 0.55 if denies(newer.post.text) else 0.7 if change else 0.85
    if _told(newer, needs) < floor * _told(older, needs) or newer.score < 0.5 * older.score:
        return False
    if threaded:
        return change or (question.newest and same_voice)
    # A change of what the question names needs little else in common with what it changes.
    as_much = _told(newer, needs) >= 0.95 * _told(older, needs)
    needed = SAME_MATTER - (0.14 if change and as_much else 0.1 if change else 0.0)
    return same_matter(newer.post.text, older.post.text) >= needed


def _told(candidate: Candidate, needs: Sequence[Need]) -> float:
    """Return how much of what a question is about a post has; verbs are left aside.

    A market `opens` in one notice and `moves` in the next.
    """
    return sum(
        need.weight * had
        for need, had in zip(needs, candidate.with_above, strict=True)
        if not need.word.verbal
    )


def _has_what(newer: Candidate, older: Candidate, needs: Sequence[Need], threaded: bool) -> bool:
    """Return whether the newer post has each telling word of the question that the older has."""
    if threaded:
        return True
    return not any(
        need.weight >= 0.3 and not need.word.verbal and had > 0.7 and has < 0.4
        for need, had, has in zip(needs, older.had, newer.had, strict=True)
    )
