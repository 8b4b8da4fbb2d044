"""Whether the evidence is enough to answer: a logistic score over a few plain features."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from madang.answer.answer_kinds import HARD
from madang.answer.evidence import Candidate, Evidence
from madang.answer.question import Question

# Fitted by bench/fit_sufficiency.py; positive weights speak for answering.
WEIGHTS: Final[Mapping[str, float]] = {
    "bias": -4.22,
    "covered": 0.04,
    "in_context": 1.64,
    "in_topic": 1.81,
    "rare_missing": 0.2,
    "everyday_missing": -0.37,
    "named": 1.7,
    "lacks_value": -2.37,
    "lacks_sign": -0.58,
    "holds_value": 0.06,
    "sentence": 1.88,
    "few_needs": -2.51,
    "asks": -1.15,
    "other_language": 0.24,
}
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
    rare = max((lost for need, lost in absent if not need.word.meanings), default=0.0)
    everyday = max((lost for need, lost in absent if need.word.meanings), default=0.0)
    hangul = any(word.hangul for word in candidate.text.words)
    return {
        "bias": 1.0,
        "covered": candidate.covered,
        "in_context": candidate.in_context,
        "in_topic": topical / total if total else 0.0,
        "rare_missing": rare,
        "everyday_missing": everyday,
        "named": candidate.named,
        "lacks_value": float(hard and not candidate.holds),
        "lacks_sign": float(bool(question.kinds) and not hard and not candidate.holds),
        "holds_value": float(hard and candidate.holds and candidate.best.holds),
        "sentence": max(passage.covered for passage in candidate.passages),
        "few_needs": 1.0 / (1.0 + total),
        "asks": float(candidate.post.text.rstrip().endswith(("?", "？"))),
        "other_language": float(hangul != (question.lang == "ko")),
    }


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
