"""How well a text has what a question needs."""

# Tables of words and patterns are read one entry a line.
# ruff: noqa: SIM905

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from madang.answer.question import Question
from madang.answer.transliteration import sounds_alike
from madang.answer.values import Value, same_value
from madang.answer.words import Profile, Word, open_letters, verb_root
from madang.text import terms

DocumentFrequency = Callable[[str], int]

VERBAL: Final = 0.3
SAME_MEANING: Final = 0.78
TRANSLATED: Final = 0.65
BY_SOUND: Final = 0.9
BY_BEGINNING: Final = 0.9
MISSPELLED: Final = 0.8


@dataclass(frozen=True, slots=True)
class Need:
    """A word of a question and what it weighs: 1 for a word that no post has, 0 for one in all."""

    word: Word
    weight: float
    names_kind: bool = False


def weigh(
    question: Question, document_frequency: DocumentFrequency, documents: int
) -> tuple[Need, ...]:
    """Weigh the words of a question by how rare they are among the posts."""
    return tuple(
        Need(
            word,
            _rarity(word, document_frequency, documents) * _part(word, question),
            word.stems[0] in KIND_WORDS,
        )
        for word in question.needs
    )


def _rarity(word: Word, document_frequency: DocumentFrequency, documents: int) -> float:
    """Return log(1 + N / (1 + df)) / log(1 + N), for a Hangul word of its rarest pair."""
    stem = word.stems[0]
    parts = terms(stem) if word.hangul else word.stems
    rarest = min((document_frequency(term) for term in parts), default=0)
    total = math.log1p(max(documents, 2))
    return math.log1p(max(documents, 2) / (1 + rarest)) / total


def _part(word: Word, question: Question) -> float:
    """Return what a word's part in the question leaves of its weight.

    Korean verbs change their shape too much to be insisted on, and what is said beside the
    question (`I moved here last year.`) is not what is asked.
    """
    part = VERBAL if word.verbal else 1.0
    if word.hangul and len(word.stems[0]) == 1:
        part = 0.5
    if (
        word.hangul
        and word.stems[0] in TITLES
        and question.text[: word.start].rstrip()[-1:].isalpha()
    ):
        part *= 0.4
    if not question.asks_at(word.start):
        part *= 0.4
    return part


# Behind a name (순자 할머니) these are how one speaks of somebody, who signs without them.
TITLES: Final = frozenset(
    (
        "할머니",
        "할아버지",
        "아저씨",
        "아주머니",
        "언니",
        "오빠",
        "이모",
        "삼촌",
        "선생님",
        "사장님",
        "선장님",
        "회장님",
    )
)

# Words that name the kind of answer: a price answers for `fee`, a phone number for `phone`.
KIND_WORDS: Final = frozenset(
    (
        *terms(
            """
            price cost fee fare charge rate phone number week reason amount total weight length
            title colour color speed temperature
            """
        ),
        *"""
        가격 요금 값 비용 금액 시급 무게 개수 이유 까닭 번호 전화번호 연락처 길이 높이 크기 인원
        시각 요일 장소 위치 횟수 제목 색 색깔 나이 속도
        """.split(),
    )
)


def strength(word: Word, text: Profile) -> float:
    """Return how surely a text has a word, from 0 to 1."""
    return _hangul(word, text) if word.hangul else _latin(word, text)


def _hangul(word: Word, text: Profile) -> float:
    stem = word.stems[0]
    if len(stem) > 1:
        if stem in text.syllables:
            return 1.0
        letters = open_letters(stem)
        if len(letters) >= 4 and letters in text.letters:
            return BY_BEGINNING
        if word.verbal and verb_root(word.surface) in text.roots:
            return BY_BEGINNING
    elif any(w.hangul and (w.stems[0] == stem or w.surface == word.surface) for w in text.words):
        return 1.0
    best = _by_meaning(word, text)
    if len(stem) >= 3:
        pairs = [stem[i : i + 2] for i in range(len(stem) - 1)]
        share = sum(pair in text.syllables for pair in pairs) / len(pairs)
        if share >= 0.5:
            best = max(best, 0.85 * share)
    if best < BY_SOUND and len(stem) > 1:
        for other in text.words:
            if not other.hangul and other.surface[0].isupper() and sounds_alike(stem, _bare(other)):
                return BY_SOUND
    return best


def _by_meaning(word: Word, text: Profile) -> float:
    if not word.meanings:
        return 0.0
    return (
        SAME_MEANING
        * sum(bool(part & text.meanings) for part in word.meanings)
        / len(word.meanings)
    )


def _latin(word: Word, text: Profile) -> float:
    # A handle or a hyphenated word has several terms; its longest says what it is.
    stem = max(word.stems, key=len)
    if stem in text.stems:
        return 1.0
    best = _by_meaning(word, text)
    if best < BY_SOUND and (word.is_name or (not word.meanings and len(stem) >= 4)):
        bare = _bare(word)
        for other in text.words:
            if other.hangul and len(other.surface) > 1 and sounds_alike(other.surface, bare):
                return BY_SOUND
    if not best and len(stem) >= 5 and any(_one_edit(stem, other) for other in text.stems):
        return MISSPELLED
    return best


def _bare(word: Word) -> str:
    return word.surface.lstrip("#@").removesuffix("'s").removesuffix("’s")


@lru_cache(maxsize=65536)
def _one_edit(one: str, other: str) -> bool:
    """Return whether two words differ by one letter left out, put in, replaced or swapped."""
    if one[0] != other[0] or abs(len(one) - len(other)) > 1 or not other.isascii():
        return False
    if one == other:
        return True
    i = 0
    while i < min(len(one), len(other)) and one[i] == other[i]:
        i += 1
    a, b = one[i:], other[i:]
    return (
        a[1:] == b
        or a == b[1:]
        or a[1:] == b[1:]
        or (len(a) > 1 and len(b) > 1 and a[0] == b[1] and a[1] == b[0] and a[2:] == b[2:])
    )


def has_value(value: Value, text: Profile) -> bool:
    """Return whether a text names a value; a bare number may stand inside any value."""
    for other in text.values:
        if same_value(value, other):
            return True
        plain = ("number", "money", "year")
        if value.kind in plain and other.kind in (*plain, "ordinal") and value.key == other.key:
            return True
        if value.kind == "ordinal" and other.kind == "date" and other.key.endswith(f"-{value.key}"):
            return True
        if value.kind == "month" and other.kind == "date" and other.key.startswith(f"{value.key}-"):
            return True
    return False
