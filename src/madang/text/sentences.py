"""Sentences of short posts, Korean and English."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

# Groups are atomic, `(?>(?:...)*)`, rather than possessive, `(?:...)*+`: those match too much
# before Python 3.11.5 (github.com/python/cpython/issues/106052).

# What a mark may stand in without ending anything: links, handles, hosts, numbers and times.
_UNBROKEN: Final = re.compile(
    r"(?:https?://|www\.)\S*[^\s.,!?…。！？)\]}'\"”’」』]"
    r"|[@＠#＃]\w++(?>(?:[.@-]\w++)*)"
    r"|(?<![\w.+-])[\w.+-]++@[\w-]++(?>(?:\.[\w-]++)+)"
    r"|(?<![\w.-])(?:[A-Za-z0-9][\w-]*+\.)+"
    r"(?:com|org|net|edu|gov|io|ly|me|tv|co|kr|jp|uk|de|fr|eu|app|dev|ai)"
    r"(?:/\S*[^\s.,!?…。！？)\]}'\"”’」』])?(?!\w)"
    r"|(?<!\d)\d{2,4}\. ?\d{1,2}\. ?\d{1,2}\.(?!\d)"
    r"|\d++(?>(?:[.,:]\d++)+)",
    re.IGNORECASE,
)
_ABBREVIATION: Final = re.compile(
    r"(?<![\w.])(?:(?:[A-Za-z]\.){2,}"
    r"|(?:Mr|Mrs|Ms|Mx|Dr|Prof|St|Sr|Jr|Sgt|Capt|Cpt|Col|Gen|Lt|Maj|Cmdr|Gov|Sen|Rep|Rev|Hon|Pres"
    r"|Mt|Ft|Ave|Blvd|Rd|Inc|Ltd|Corp|Co|Dept|Est|vs|v|etc|al|cf|approx|ca|ed"
    r"|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sep|Sept|Oct|Nov|Dec|Mon|Tue|Tues|Wed|Thu|Thur|Thurs|Fri)\."
    r"|(?:No|Nos|Vol|Fig|pp?)\.(?=\s*\d)"
    r"|[A-Z]\.(?=\s*[A-Z]))",
)
# Abbreviations that may also be the last word of a sentence: before a capital they end it.
_MAY_END: Final = re.compile(r"(?:etc|Inc|Ltd|Corp|Co|Jr|Sr|al)\.|[AaPp]\.[Mm]\.|U\.S\.A?\.")
_MARKS: Final = re.compile(r"[.!?…。！？｡‼⁇⁈⁉]+")
_EMOJI: Final = (
    "\u200d\u20e3\u2190-\u21ff\u231a-\u23ff\u25a0-\u27bf\u2b00-\u2bff\u3030\u303d\ufe0f"
    "\U0001f000-\U0001faff\U000e0020-\U000e007f"
)
# What follows a mark and still belongs to the sentence: closing quotes and brackets, emoji,
# laughter and tears, hearts and tildes.
_TAIL: Final = re.compile(
    rf"(?>(?:[)\]}}\"'”’»›」』】〉》）～~♡♥^*]|[ㄱ-ㅎㅏ-ㅣ]|[.!?…。！？｡]| *+[{_EMOJI}]++"
    r"| ?[:;]-?[()DPp](?!\w)| (?=[ㅋㅎㅠㅜ]{2})[ㄱ-ㅎㅏ-ㅣ]++)*)"
)
# Without a mark a Korean sentence ends where laughter, tears or emoji follow a syllable.
_KOREAN_END: Final = re.compile(
    rf"[가-힣][.~!?]*+(?>(?: ?[ㅋㅎㅠㅜㄷ]{{2,}}+[~!?.]*+| ?[{_EMOJI}]++)+)(?=\s|$)"
)
_LINE: Final = re.compile(r"[^\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")
_BULLET: Final = re.compile(r"[-*•·‣◦▪●○■□▶▷➤※✓✔]|\(?\d{1,2}[.)]|[가-하][.)]")
_LONGEST_BULLET: Final = 4


def sentences(text: str) -> list[tuple[int, int]]:
    """Return the sentences of a text as (start, end) code-point offsets, in order.

    Spans are trimmed, never empty and never overlap; every character that is not white space
    stands in exactly one.
    """
    spans: list[tuple[int, int]] = []
    for line in _LINE.finditer(text):
        start = line.start()
        for end in [*_ends(text, line.start(), line.end()), line.end()]:
            span = _trimmed(text, start, end)
            if span is None:
                start = end
            elif end == line.end() or not _is_bullet(text, span):
                spans.append(span)
                start = end
    return spans


def _is_bullet(text: str, span: tuple[int, int]) -> bool:
    start, end = span
    return end - start <= _LONGEST_BULLET and bool(_BULLET.fullmatch(text, start, end))


def _trimmed(text: str, start: int, end: int) -> tuple[int, int] | None:
    piece = text[start:end]
    body = piece.strip()
    if not body:
        return None
    start += len(piece) - len(piece.lstrip())
    return start, start + len(body)


def _ends(text: str, start: int, end: int) -> Iterator[int]:
    """Yield the offsets inside one line after which a sentence ends."""
    line = text[start:end]
    unbroken = bytearray(len(line))
    for pattern in (_UNBROKEN, _ABBREVIATION):
        for match in pattern.finditer(line):
            a, b = match.span()
            if pattern is _ABBREVIATION and _ends_here(line, match):
                b -= 1
            unbroken[a:b] = b"\1" * (b - a)
    candidates = [_end_of_mark(line, mark, unbroken) for mark in _MARKS.finditer(line)]
    candidates += [match.end() for match in _KOREAN_END.finditer(line)]
    last = 0
    for at in sorted(candidates):
        if last < at < len(line):
            yield start + at
            last = at


def _ends_here(line: str, abbreviation: re.Match[str]) -> bool:
    return bool(
        _MAY_END.fullmatch(abbreviation[0]) and _NEW_SENTENCE.match(line, abbreviation.end())
    )


_NEW_SENTENCE: Final = re.compile(r"\s+[\"'“‘(]?[A-Z가-힣]")
_SPACES: Final = re.compile(r"\s*")


def _end_of_mark(line: str, mark: re.Match[str], unbroken: bytearray) -> int:
    """Return where the sentence that a run of marks closes ends, 0 where it closes none."""
    start, end = mark.span()
    if all(unbroken[start:end]):
        return 0
    tail = _TAIL.match(line, end)
    end = tail.end() if tail else end
    following = line[end : end + 1]
    if not following or following.isspace():
        spaces = _SPACES.match(line, end)
        following = line[spaces.end() : spaces.end() + 1] if spaces else ""
        # An ellipsis goes on where a small letter follows: "well... maybe".
        wavers = mark[0].endswith(("…", "..")) and "?" not in mark[0] and "!" not in mark[0]
        return 0 if wavers and following.islower() else end
    if mark[0][-1] in "。！？｡":
        return end
    # Without a space only Hangul on both sides, or a question before a capital, is read as the
    # start of a new sentence.
    before = line[start - 1 : start]
    if _is_hangul(before) and (_is_hangul(following) or following in "“‘\"'(「『"):
        return end if mark[0] != "." or before in _ENDING_SYLLABLES else 0
    return end if before.islower() and following.isupper() and mark[0] != "." else 0


_ENDING_SYLLABLES: Final = "다요죠까네지어야음함임"


def _is_hangul(character: str) -> bool:
    return "가" <= character <= "힣"
