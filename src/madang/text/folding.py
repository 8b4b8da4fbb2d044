"""Folding: which spellings count as the same (width, case, accents, invisible characters)."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

# Characters that carry no meaning for matching: soft hyphen, zero-width and bidirectional
# controls, variation selectors, skin tones, the keycap frame and tag characters.
_IGNORED: Final = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u20e3\u3164\ufe00-\ufe0f\ufeff\uffa0\U0001f3fb-\U0001f3ff"
    "\U000e0000-\U000e01ef"
)
# Characters that join the one before them: combining marks of Latin, Greek and Cyrillic, Arabic,
# Hebrew and kana, and the vowels and finals of decomposed Hangul.
_JOINING: Final = (
    "\u0300-\u034e\u0350-\u036f\u0483-\u0487\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u1161-\u11ff"
    "\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20e2\u20e4-\u20f0\u3099\u309a\ud7b0-\ud7fb"
    "\ufe20-\ufe2f\uff9e\uff9f"
)
_IGNORED_RUN: Final = re.compile(f"[{_IGNORED}]+")
_CLUSTER: Final = re.compile(f"[{_IGNORED}]+|[^{_IGNORED}](?:[{_IGNORED}]*[{_JOINING}])*")
# Compatibility jamo (ㅋㅋ, ㅠㅠ) would turn into conjoining jamo under NFKC and compose into
# syllables that nobody wrote.
_COMPATIBILITY_JAMO: Final = re.compile("[\u3131-\u318e\uffa1-\uffdc]")
_LATIN_LETTERS: Final = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "ħ": "h"}
)
# Marks that readers leave out: Latin and Greek accents, Arabic and Hebrew vowel points.
_MARKS: Final = re.compile(
    "[\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7"
    "\u0610-\u061a\u064b-\u065f\u0670\u0640]"
)
_CYRILLIC: Final = re.compile("[\u0400-\u052f]")


def is_plain(text: str) -> bool:
    """Return whether `align` would leave the text as it is, offset for offset."""
    return text.isascii() or (
        unicodedata.is_normalized("NFKC", text) and not _IGNORED_RUN.search(text)
    )


def align(text: str) -> tuple[str, list[int], list[int]]:
    """Return the text in NFKC without ignored characters, and where each character came from.

    Character `i` of the result came from `text[starts[i]:ends[i]]`.
    """
    out: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for match in _CLUSTER.finditer(text):
        cluster = match.group()
        if _IGNORED_RUN.match(cluster):
            continue
        start, end = match.span()
        if not _COMPATIBILITY_JAMO.match(cluster):
            cluster = unicodedata.normalize("NFKC", _IGNORED_RUN.sub("", cluster))
            cluster = _IGNORED_RUN.sub("", cluster)
        out.append(cluster)
        starts.extend([start] * len(cluster))
        ends.extend([end] * len(cluster))
    return "".join(out), starts, ends


def fold(text: str) -> str:
    """Return the text as it is compared: NFKC, case-folded, Latin accents and points removed.

    Hangul stays composed and Cyrillic letters stay themselves, but for ё, which is written е.
    """
    if text.isascii():
        return text.lower()
    if not is_plain(text):
        text = align(text)[0]
    text = text.casefold().translate(_LATIN_LETTERS)
    return _ACCENTED.sub(_without_marks, text)


# Letters and marks that may lose something; Hangul, kana and Han, the bulk, are not among them.
_ACCENTED: Final = re.compile("[\u00c0-\u10ff\u1e00-\u1fff]+")


def _without_marks(match: re.Match[str]) -> str:
    letters = (
        letter if _CYRILLIC.match(letter) else unicodedata.normalize("NFD", letter)
        for letter in match[0].replace("ё", "е")
    )
    return unicodedata.normalize("NFC", _MARKS.sub("", "".join(letters)))
