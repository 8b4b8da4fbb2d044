"""Everyday words that mean the same, within a language and across Korean and English."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from importlib.resources import files
from typing import Final, NamedTuple

from madang.text import terms

_LONGEST: Final = 5


class _Concepts(NamedTuple):
    english: dict[str, frozenset[int]]
    phrases: dict[tuple[str, str], int]
    korean: dict[str, frozenset[int]]
    lines: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]


@lru_cache(maxsize=1)
def _load() -> _Concepts:
    english: dict[str, set[int]] = {}
    korean: dict[str, set[int]] = {}
    phrases: dict[tuple[str, str], int] = {}
    lines: list[tuple[tuple[str, ...], tuple[str, ...]]] = []
    text = (files("madang.answer") / "concepts.txt").read_text("utf-8")
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        latin, _, hangul = line.partition("|")
        words = tuple(word.replace("_", " ") for word in latin.split())
        stems = tuple(hangul.split())
        for word in words:
            match terms(word):
                case [term]:
                    english.setdefault(term, set()).add(len(lines))
                case [first, second]:
                    phrases[first, second] = len(lines)
        for stem in stems:
            korean.setdefault(stem, set()).add(len(lines))
        lines.append((words, stems))
    freeze = {term: frozenset(found) for term, found in english.items()}
    return _Concepts(
        freeze, phrases, {s: frozenset(found) for s, found in korean.items()}, tuple(lines)
    )


_NONE: Final[frozenset[int]] = frozenset()


def of_english(term: str) -> frozenset[int]:
    """Return the meanings of an English search term."""
    return _load().english.get(term, _NONE)


def of_phrase(first: str, second: str) -> frozenset[int]:
    """Return the meaning of two English search terms that stand side by side."""
    line = _load().phrases.get((first, second))
    return _NONE if line is None else frozenset((line,))


def is_korean(stem: str) -> bool:
    """Return whether the list has this Korean stem."""
    return stem in _load().korean


@lru_cache(maxsize=32768)
def of_korean(word: str, stem: str) -> tuple[frozenset[int], ...]:
    """Return the meanings of the parts of a Korean word between spaces; `stem` is its bare form.

    A stem of the list of two syllables and more is found at any place of a compound, one of a
    single syllable only where it is the whole stem. `등불축제` has two parts.
    """
    known = _load().korean
    whole = known.get(stem) or known.get(word)
    if whole:
        return (whole,)
    parts: list[frozenset[int]] = []
    at = 0
    while at < len(word) - 1:
        for length in range(min(_LONGEST, len(word) - at), 1, -1):
            meanings = known.get(word[at : at + length])
            if meanings:
                parts.append(meanings)
                at += length
                break
        else:
            at += 1
    return tuple(parts)


def translations(parts: Iterable[frozenset[int]], into: str) -> list[str]:
    """Return the words of some meanings in a language (`ko` or `en`), for a search query."""
    lines = _load().lines
    meanings = sorted(frozenset().union(*parts))
    return [word for line in meanings for word in lines[line][1 if into == "ko" else 0]]
