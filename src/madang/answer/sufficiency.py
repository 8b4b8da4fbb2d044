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
    "bias": -3.0,
    "covered": 3.0,
    "in_context": 3.0,
    "missing": -3.0,
    "named": 2.0,
    "lacks_kind": -2.5,
    "holds_kind": 0.8,
    "sentence": 1.5,
    "few_needs": 0.0,
    "other_language": 0.0,
}
THRESHOLD: Final = 0.5


def features(question: Question, evidence: Evidence, candidate: Candidate) -> dict[str, float]:
    """Return what is known of how well a post answers, each between 0 and 1."""
    hard = any(kind in HARD for kind in question.kinds)
    weights = sum(need.weight for need in evidence.needs)
    heaviest = max((need.weight for need in evidence.needs), default=1.0) or 1.0
    hangul = any(word.hangul for word in candidate.text.words)
    return {
        "bias": 1.0,
        "covered": candidate.covered,
        "in_context": candidate.in_context,
        "missing": candidate.missing / heaviest,
        "named": candidate.named,
        "lacks_kind": float(bool(question.kinds) and not candidate.holds),
        "holds_kind": float(hard and candidate.holds and candidate.best.holds),
        "sentence": max(passage.covered for passage in candidate.passages),
        "few_needs": 1.0 / (1.0 + weights),
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
