"""Posts that say the same again: reminders, reposts, copies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from madang.answer.words import folded, profile

if TYPE_CHECKING:
    from madang.answer.evidence import Candidate

GRAM: Final = 3
SAME: Final = 0.8
LONGEST_COMPARED: Final = 1000


@lru_cache(maxsize=8192)
def _grams(text: str) -> frozenset[str]:
    plain = "".join(c for c in folded(text[:LONGEST_COMPARED]) if c.isalnum())
    return frozenset(plain[i : i + GRAM] for i in range(max(1, len(plain) - GRAM + 1)))


def containment(one: str, other: str) -> float:
    """Return the share of the shorter text's character trigrams that the longer one has."""
    a, b = _grams(one), _grams(other)
    return len(a & b) / min(len(a), len(b))


def says_the_same(one: str, other: str) -> bool:
    """Return whether two posts are near-duplicates: nearly the same letters, the same values.

    A repeated notice with another date is no duplicate but a change.
    """
    a, b = _grams(one), _grams(other)
    if min(len(a), len(b)) < 0.5 * max(len(a), len(b)) or containment(one, other) < SAME:
        return False
    values = [
        {(v.kind, v.key) for v in profile(text[:LONGEST_COMPARED]).values} for text in (one, other)
    ]
    return values[0] == values[1]


def fold_duplicates(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Keep the newest of each group of near-duplicates, in the place of the group's best."""
    kept: list[Candidate] = []
    for candidate in candidates:
        for i, other in enumerate(kept):
            if says_the_same(candidate.post.text, other.post.text):
                newer, older = (
                    (candidate, other) if candidate.when > other.when else (other, candidate)
                )
                kept[i] = replace(
                    newer,
                    score=max(newer.score, older.score),
                    folded=(*newer.folded, older.post, *older.folded),
                )
                break
        else:
            kept.append(candidate)
    return kept
