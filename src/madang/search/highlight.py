"""Highlights: where the words of a query stand in a post."""

from __future__ import annotations

from collections.abc import Container

from madang.text import find_terms


def highlights(text: str, wanted: Container[str]) -> tuple[tuple[int, int], ...]:
    """Return the code-point spans of the wanted terms in a text, in order and never overlapping.

    Spans that overlap or touch become one, so that a Korean word found by its pairs of
    syllables is one span.
    """
    spans: list[tuple[int, int]] = []
    for token in sorted(find_terms(text, wanted), key=lambda token: token.start):
        if spans and token.start <= spans[-1][1]:
            spans[-1] = spans[-1][0], max(spans[-1][1], token.end)
        else:
            spans.append((token.start, token.end))
    return tuple(spans)
