"""What a person should know of a vocabulary that was made from their posts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from madang.corpus.curated import Curated
    from madang.text.tokenizer import Tokenizer
    from madang.training.plan import Plan

# Enough for two digits, a fraction of a second also over a hundred million posts.
_SAMPLE_DOCUMENTS: Final = 2000
_LANGUAGES: Final = {"en": "English", "ko": "Korean"}


def with_vocabulary(plan: Plan, size: int) -> Plan:
    """Return the plan with the vocabulary that the posts gave, and why where it is another."""
    if size == plan.vocabulary:
        return plan
    reason = f"these posts give {size:,} different tokens, not the {plan.vocabulary:,} asked for"
    return replace(plan, vocabulary=size, reasons={**plan.reasons, "vocabulary": reason})


def fertility_sentence(tokenizer: Tokenizer, curated: Curated) -> str:
    """Return how many tokens a word takes in each language, from the first documents."""
    from madang.text.fertility import fertility_by_language

    found = fertility_by_language(tokenizer, _texts(curated))
    parts = [
        f"{_LANGUAGES.get(language, language)} {one.tokens_a_word:.2f}"
        for language, one in found.items()
        if one.words
    ]
    return "tokens a word: " + ", ".join(parts[:4])


def _texts(curated: Curated) -> Iterator[tuple[str, str]]:
    for number, document in enumerate(curated.documents()):
        if number == _SAMPLE_DOCUMENTS:
            return
        for text in document.texts:
            yield document.language, text
