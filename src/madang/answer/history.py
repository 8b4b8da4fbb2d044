"""Follow-up questions: what `and on Sunday?` leaves out stands in the question before."""

# Tables of words and patterns are read one entry a line.
# ruff: noqa: E501

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from madang.answer.answer import Turn
from madang.answer.question import Question, analyse

_LEANS_BACK: Final = re.compile(
    r"^\W*(?:and|or|but|what about|how about|what if|so|then|also|why|when|where|who|how much|how many)\b"
    r"|\b(?:it|its|that|this|they|them|their|he|she|his|her|him|there|those|these|one|same)\b"
    r"|^\W*(?:그럼|그러면|그리고|그런데|근데|또|혹시)|그건|그거|그게|그것|거기|그곳|그때|그분|그 사람|그날|이건|이거|저건|걔",
    re.IGNORECASE,
)
_SHORT: Final = 3


def in_context(question: Question, history: Sequence[Turn]) -> Question:
    """Return a question with what it leaves to the last one of the same person.

    A question that stands by itself is returned as it is. What the new question names takes the
    place of what the old one named: another day, another price.
    """
    asked = [turn.content for turn in history if turn.role == "user"]
    if not asked or len(question.needs) > _SHORT:
        return question
    if question.needs and not _LEANS_BACK.search(question.text) and len(question.needs) > 1:
        return question
    before = analyse(asked[-1])
    named = {value.kind for value in question.numbers}
    days = {"date", "weekday", "month"}
    kept = tuple(
        value
        for value in before.numbers
        if value.kind not in named and not (named & days and value.kind in days)
    )
    stems = {word.stems for word in question.needs}
    return replace(
        question,
        text=f"{before.text} {question.text}",
        needs=(*question.needs, *(word for word in before.needs if word.stems not in stems)),
        numbers=(*question.numbers, *kept),
        kinds=question.kinds or before.kinds,
        unit=question.unit or before.unit,
        newest=question.newest or before.newest,
        yes_no=question.yes_no and before.yes_no,
    )
