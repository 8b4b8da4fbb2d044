"""Personal data in a text, found and blanked out.

E-mail addresses, telephone numbers, Korean resident registration numbers, payment cards, internet
addresses and secrets such as keys and passwords. What carries a checksum must pass it, and a
number of another kind (a date, a price, a version, an id in a link) is left alone. Every pattern
is linear in the length of the text.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, get_args

from madang.text import net_patterns, number_patterns, secret_patterns

Kind = Literal["email", "phone", "id number", "card", "ip address", "secret"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)


@dataclass(frozen=True, slots=True, order=True)
class PersonalData:
    """One find: `text[start:end]`, in code points."""

    start: int
    end: int
    kind: Kind


@dataclass(frozen=True, slots=True)
class Redaction:
    """A text without its personal data.

    `spans` are (start, end) in the original and (start, end) of the placeholder in `text`, in
    order; all that lies between them is as it was.
    """

    text: str
    kinds: Counter[str]
    spans: tuple[tuple[int, int, int, int], ...]


def find_personal_data(text: str) -> list[PersonalData]:
    """Return the personal data of a text in order; finds never overlap."""
    found: list[PersonalData] = []
    redacted = text
    # A find can be in another's way (two numbers in one row of digits), so it is looked again
    # until nothing is left; that is also what makes redacting twice the same as once.
    while new := _find(redacted):
        offsets = _Offsets(found)
        for one in new:
            found.append(PersonalData(offsets.back(one.start), offsets.back(one.end), one.kind))
        found.sort()
        redacted = _replace(text, found)
    return found


def redact(text: str) -> Redaction:
    """Replace each find by its kind in brackets, such as `[email]`.

    >>> redact("write to mina@town.example").text
    'write to [email]'
    """
    found = find_personal_data(text)
    if not found:
        return Redaction(text, Counter(), ())
    spans = []
    grown = 0
    for one in found:
        start = one.start + grown
        end = start + len(_placeholder(one.kind))
        spans.append((one.start, one.end, start, end))
        grown = end - one.end
    kinds = Counter[str](one.kind for one in found)
    return Redaction(_replace(text, found), kinds, tuple(spans))


class _Offsets:
    """Leads from places in a redacted text back to the original."""

    def __init__(self, found: list[PersonalData]) -> None:
        self._ends: list[int] = []
        self._shrunk = [0]
        for one in found:
            shrunk = self._shrunk[-1] + one.end - one.start - len(_placeholder(one.kind))
            self._ends.append(one.end - shrunk)
            self._shrunk.append(shrunk)

    def back(self, place: int) -> int:
        return place + self._shrunk[bisect_right(self._ends, place)]


def _placeholder(kind: Kind) -> str:
    return f"[{kind}]"


def _replace(text: str, found: list[PersonalData]) -> str:
    pieces: list[str] = []
    at = 0
    for one in found:
        pieces += (text[at : one.start], _placeholder(one.kind))
        at = one.end
    pieces.append(text[at:])
    return "".join(pieces)


def _find(text: str) -> list[PersonalData]:
    """Look once; of overlapping finds the one of the earlier kind is returned."""
    found: list[PersonalData] = []
    for one in _every(text):
        place = bisect_right(found, one)
        if (place == 0 or found[place - 1].end <= one.start) and (
            place == len(found) or one.end <= found[place].start
        ):
            found.insert(place, one)
    return found


def _every(text: str) -> Iterator[PersonalData]:
    for start, end in secret_patterns.secrets(text):
        yield PersonalData(start, end, "secret")
    for start, end in net_patterns.emails(text):
        yield PersonalData(start, end, "email")
    if number_patterns.may_hold_numbers(text):
        for kind, start, end in number_patterns.numbers(text, net_patterns.links(text)):
            yield PersonalData(start, end, kind)
    for start, end in net_patterns.ip_addresses(text):
        yield PersonalData(start, end, "ip address")
