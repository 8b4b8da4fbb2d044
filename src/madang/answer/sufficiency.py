"""Whether the evidence is enough to answer: a logistic score over a few plain features."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from madang.answer.answer_kinds import HARD
from madang.answer.evidence import Candidate, Evidence
from madang.answer.question import Question
from madang.answer.words import Word

# Fitted by bench/fit_sufficiency.py; positive weights speak for answering.
WEIGHTS: Final[Mapping[str, float]] = {
    "bias": -3.22,
    "in_context": 1.56,
    "in_topic": 1.4,
    "name_missing": -0.6,
    "noun_missing": 0.08,
    "named": 1.8,
    "lacks_value": -1.48,
    "sentence": 0.55,
    "few_needs": -3.4,
    "asks": -0.6,
    "other_language": -0.06,
    "korean": 0.48,
}
# The fit counts both classes the same, so one half weighs a wrong no like a wrong yes.
THRESHOLD: Final = 0.5


def features(question: Question, evidence: Evidence, candidate: Candidate) -> dict[str, float]:
    """Return what is known of how well a post answers, each between 0 and 1.

    A rare word that is missing weighs otherwise than an everyday one, which the post may have
    said in other words.
    """
    hard = any(kind in HARD for kind in question.kinds)
    needs = evidence.needs
    total = sum(need.weight for need in needs)
    topical = sum(n.weight * had for n, had in zip(needs, candidate.topical, strict=True))
    absent = [
        (need, need.weight * (1 - had))
        for need, had in zip(needs, candidate.topical, strict=True)
        if not (need.names_kind and candidate.holds)
    ]
    nouns = [(need, lost) for need, lost in absent if not need.word.verbal]
    names = [lost for need, lost in nouns if _is_name(need.word)]
    others = [lost for need, lost in nouns if not _is_name(need.word)]
    bearing = [p.covered for p in candidate.passages if p.holds or not hard]
    hangul = any(word.hangul for word in candidate.text.words)
    return {
        "bias": 1.0,
        "in_context": candidate.in_context,
        "in_topic": topical / total if total else 0.0,
        "name_missing": max(names, default=0.0),
        "noun_missing": max(others, default=0.0),
        "named": candidate.named,
        "lacks_value": float(hard and not candidate.holds),
        "sentence": max(bearing, default=0.0),
        "few_needs": 1.0 / (1.0 + len(needs)),
        "asks": float(candidate.post.text.rstrip().endswith(("?", "？"))),
        "other_language": float(hangul != (question.lang == "ko")),
        "korean": float(question.lang == "ko"),
    }


def _is_name(word: Word) -> bool:
    """Return whether a word is a name, or a noun that is not among the everyday ones."""
    return not word.meanings and (word.hangul or word.is_name)


def sufficiency(question: Question, evidence: Evidence, candidate: Candidate) -> float:
    """Return the probability that a post answers a question."""
    found = features(question, evidence, candidate)
    score = sum(WEIGHTS[name] * value for name, value in found.items())
    return 1.0 / (1.0 + math.exp(-score))


def is_enough(question: Question, evidence: Evidence) -> bool:
    """Return whether the best candidate answers the question."""
    if not evidence.candidates:
        return False
    return sufficiency(question, evidence, evidence.candidates[0]) >= THRESHOLD
